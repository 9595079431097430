"""The five steps of CONTRIBUTING.md, compared with each other: file, registry, extra, conformance, docs."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from memkit.registry import PLANNED, PROVIDERS, Entry, ProviderKind, availability
from tests.meta.tree import ROOT, files, projects

BUILTIN = [
    pytest.param(kind, name, entry, id=f"{kind}-{name}")
    for kind, table in PROVIDERS.items()
    for name, entry in table.items()
]
EXTRAS: dict[str, list[str]] = projects()[ROOT]["project"]["optional-dependencies"]
STUBS = {"fake"}  # a double of the shipped tests, an alias rather than a backend


def test_the_tables_are_sorted() -> None:
    for table in (PROVIDERS, PLANNED):
        assert list(table) == sorted(table)
        for names in table.values():
            assert list(names) == sorted(set(names))


def test_no_provider_is_both_built_and_planned() -> None:
    for kind, table in PROVIDERS.items():
        assert set(table) & set(PLANNED[kind]) == set()


@pytest.mark.parametrize(("kind", "provider", "entry"), BUILTIN)
def test_a_provider_is_there_and_documented(kind: ProviderKind, provider: str, entry: Entry) -> None:
    module, _, name = entry.target.partition(":")
    assert ROOT.joinpath(*module.split(".")).with_suffix(".py").exists(), "step 1: the file"
    if availability(kind, provider) == "installed":
        assert (getattr(import_module(module), name).__doc__ or "").strip(), "step 1: a docstring"


@pytest.mark.parametrize(("kind", "provider", "entry"), BUILTIN)
def test_a_provider_names_the_extra_that_brings_its_vendor(
    kind: ProviderKind, provider: str, entry: Entry
) -> None:
    if entry.extra is not None:
        assert entry.extra in EXTRAS, "step 3: the extra"


def test_there_is_one_extra_per_backend_plus_all_and_testing() -> None:
    used = {entry.extra for table in PROVIDERS.values() for entry in table.values() if entry.extra}
    assert set(EXTRAS) - {"all", "testing"} == used
    assert EXTRAS["all"] == [f"memkit-ai[{','.join(sorted(used))}]"]


def test_extras_are_bounded_and_installed_for_the_tests() -> None:
    tested = projects()[ROOT]["dependency-groups"]["test"]
    for extra, requirements in EXTRAS.items():
        if extra != "all":
            for requirement in requirements:
                assert "<" in requirement, f"{requirement} has no upper bound"
                assert requirement in tested, f"step 3: {requirement} is not in the group `test`"


@pytest.mark.parametrize(("kind", "provider", "entry"), BUILTIN)
def test_a_provider_runs_through_its_conformance_suite(
    kind: ProviderKind, provider: str, entry: Entry
) -> None:
    if provider in STUBS:
        return
    suites = [path for path in files(".py") if path.parent == ROOT / "tests" / "conformance"]
    module, _, name = entry.target.partition(":")
    said = re.compile(rf"\b{name}\b|[\"']{provider}[\"']|{re.escape(module)}\b")
    assert any(said.search(path.read_text("utf-8")) for path in suites), (
        f"step 4: no entry for {provider} in tests/conformance"
    )


@pytest.mark.parametrize(("kind", "provider", "entry"), BUILTIN)
def test_a_provider_has_a_row_in_the_docs(kind: ProviderKind, provider: str, entry: Entry) -> None:
    assert f"| `{provider}` |" in (ROOT / "docs" / "providers.md").read_text("utf-8"), (
        "step 5: run `make docs`"
    )


def test_the_page_of_providers_is_current() -> None:
    from scripts.providers_page import PAGE, page

    assert PAGE.read_text("utf-8") == page(), "run `make docs`"


def test_contributing_names_the_five_steps_and_real_paths() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.findall(r"^(\d)\. \*\*", text, flags=re.M) == ["1", "2", "3", "4", "5"]
