"""Docs are tests: snippets run and print what they say, commands are CI's, links and paths lead somewhere.

A Python block that needs a server or a key says so: ```` ```python test="skip: needs a Chroma server" ````.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from scripts.readme_commands import blocks, commands, installs, scenarios
from tests.meta.tree import ROOT, files, name

PAGES = sorted({ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("integrations/*/README.md")})
ALL_PAGES = files(".md")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, flags=re.M))


FENCE = re.compile(r"^```python(?P<options>[^\n]*)\n(?P<code>.*?)^```", flags=re.M | re.S)
SKIP = re.compile(r"""test=["']skip:? *(?P<reason>[^"']*)""")


@dataclass(frozen=True)
class Snippet:
    page: Path
    line: int
    code: str
    skip: str | None

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text("utf-8")
    found: list[Snippet] = []
    for fence in FENCE.finditer(text):
        skip = SKIP.search(fence["options"])
        line = text.count("\n", 0, fence.start("code"))
        found.append(Snippet(page, line, fence["code"], skip and (skip["reason"] or "the page says so")))
    return found


@pytest.mark.parametrize("snippet", [snippet for page in PAGES for snippet in snippets(page)], ids=str)
def test_a_snippet_runs_and_prints_what_it_says(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if snippet.skip:
        pytest.skip(snippet.skip)
    monkeypatch.chdir(tmp_path)
    module = ModuleType("snippet")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # Blank lines before the code, so that a traceback points into the page.
    exec(compile("\n" * snippet.line + snippet.code, str(snippet.page), "exec"), vars(module))
    said = re.findall(r"^ *#>(?: (.*))?$", snippet.code, flags=re.M)
    assert capsys.readouterr().out.splitlines() == [line.rstrip() for line in said]


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
