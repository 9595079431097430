"""The guide's commands run as they stand, and it names every command and exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memkit.cli import app, session
from tests.meta.tree import ROOT

GUIDE = (ROOT / "docs" / "guide-cli.md").read_text("utf-8")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.M | re.S)


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")
def test_the_commands_of_the_guide_run_and_print_what_it_says(tmp_path: Path) -> None:
    (talk,) = fenced("json")
    (tmp_path / "talk.jsonl").write_text(talk, "utf-8")
    script = 'memkit() { "$PYTHON" -m memkit "$@"; }\n' + "\n".join(fenced("bash"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (printed,) = fenced("text")
    assert ID.sub("ID", printed) in ID.sub("ID", done.stdout)


def test_the_guide_names_every_command() -> None:
    commands = {command.name for command in app.registered_commands}
    assert set(re.findall(r"^\| `([a-z]+)` \|", GUIDE, flags=re.M)) == commands


def test_the_guide_names_every_exit_code() -> None:
    codes = {0, 2, session.ERROR, session.NOT_FOUND, session.INTERRUPTED, session.CLOSED_PIPE}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", GUIDE, flags=re.M)} == codes
