"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memkit.cli import app


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Memkit = Callable[..., Ran]


@pytest.fixture
def memkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memkit:
    """Run a command in this process, on a store of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str, stdin: str | None = None, code: int | None = 0) -> Ran:
        done = CliRunner().invoke(app, list(args), input=stdin, prog_name="memkit")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        if code is not None:
            assert done.exit_code == code, done.output
        return Ran(code=done.exit_code, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Memkit:
    """Run a command as a process, as a shell would."""

    def run(*args: str, stdin: str | None = None, code: int | None = 0, **env: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "memkit", *args],
            cwd=tmp_path,
            env={**os.environ, **env},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    return run
