"""Docs are tests: snippets run and print what they say, commands are CI's, links and paths lead somewhere.

A Python block that needs a server or a key says so: ```` ```python test="skip: needs a Chroma server" ````.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from scripts.readme_commands import blocks, commands, installs, scenarios
from tests.meta.tree import ROOT, files, name

PAGES = sorted({ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("integrations/*/README.md")})
ALL_PAGES = files(".md")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.M))


@pytest.mark.parametrize(
    "example", list(find_examples(*PAGES)), ids=lambda example: f"{name(example.path)}:{example.start_line}"
)
def test_a_snippet_runs_and_prints_what_it_says(
    example: CodeExample, eval_example: EvalExample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = example.prefix_settings().get("test", "")
    if setting.startswith("skip"):
        pytest.skip(setting.partition(":")[2].strip() or "the page says so")
    monkeypatch.chdir(tmp_path)
    eval_example.set_config(line_length=110)
    eval_example.run_print_check(example)


def test_the_readme_shows_python_early() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert any(line.startswith("```python") for line in lines[:60])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_shell_line_is_one_that_ci_runs(page: Path) -> None:
    for block in blocks(page.read_text("utf-8")):
        commands(block)  # raises for a command that CI does not know


def test_the_readme_installs_with_pip_and_with_uv() -> None:
    lines = [line for block in scenarios() for line in block]
    assert any(re.search(r"\bpip install\b", line) for line in lines)
    assert any(line.startswith("uv ") for line in lines)


def test_what_an_integration_says_to_install_is_in_the_readme_too() -> None:
    known = {line for block in scenarios() for line in block}
    for page in ROOT.glob("integrations/*/README.md"):
        for block in blocks(page.read_text("utf-8")):
            if installs(block):
                assert set(commands(block)) <= known, f"{name(page)}: CI runs the install lines of README.md"


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", page.read_text("utf-8"), flags=re.M)
    assert {first or second for first, second in named} <= TARGETS


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=name)
def test_paths_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:memkit|tests|docs|scripts|recipes|benchmarks|integrations|\.ci)/[\w./-]*)`",
        page.read_text("utf-8"),
    )
    assert [path for path in named if not (ROOT / path).exists()] == []
