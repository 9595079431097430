"""The shell lines of README.md: which of them CI runs, and running them.

python scripts/readme_commands.py           each block with an install line, in a fresh copy of the tree
python scripts/readme_commands.py --list    what would be run
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (
    ".git",
    ".venv*",
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    "dist",
    "build",
    "*.egg-info",
)
TIMEOUT_S = 1_800.0

RUN = re.compile(
    r"python3? -m venv |\. \S+/activate$|(python3? -m )?pip install |uv (sync|venv|pip install)\b"
    r"|(uv run )?python3? (-c |recipes/)|(uv run )?memkit\b"
)
# A clone is the copy itself; make and the test run are stages of CI of their own.
ELSEWHERE = re.compile(r"git clone |cd |make\b|(uv run )?(python3? -m )?pytest\b|export \w+=|#")


def blocks(markdown: str) -> list[list[str]]:
    """The shell blocks, each as its commands, one a line, with continuation lines joined."""
    fences = re.findall(r"^```(?:bash|sh|shell|console)\b[^\n]*\n(.*?)^```", markdown, flags=re.M | re.S)
    return [
        [line.removeprefix("$ ").strip() for line in fence.replace("\\\n", " ").splitlines() if line.strip()]
        for fence in fences
    ]


def commands(block: list[str]) -> list[str]:
    """The commands of a block that CI runs, in order.

    Raises:
        ValueError: A command is neither run here nor known to be run elsewhere.
    """
    kept: list[str] = []
    for line in block:
        for command in (part.strip() for part in line.split("&&")):
            if RUN.match(command):
                kept.append(command)
            elif not ELSEWHERE.match(command):
                raise ValueError(
                    f"README.md has the command {command!r}, which CI does not run. See {__name__}."
                )
    return kept


def served_by(block: list[str]) -> list[str]:
    """What can be imported after an install: the core, and each adapter that is named or comes with the workspace."""
    text = "\n".join(block)
    return ["memkit"] + [
        package
        for folder, package in (
            ("langchain", "langchain_memkit"),
            ("llama-index", "llama_index.memory.memkit"),
        )
        if f"integrations/{folder}" in text or "--all-packages" in text
    ]


def installs(block: list[str]) -> bool:
    return any(re.search(r"\bpip install |\buv sync\b", line) for line in block)


def scenarios() -> list[list[str]]:
    found = [commands(block) for block in blocks((ROOT / "README.md").read_text("utf-8"))]
    return [block for block in found if installs(block)]


def run(block: list[str], scratch: Path) -> bool:
    copy = scratch / "memkit"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    tools = scratch / "bin"
    tools.mkdir()
    if (uv := Path(sys.executable).parent / "uv").exists():
        (tools / "uv").symlink_to(uv)
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "PYTHONPATH", "MEMKIT_PATH"} and not name.endswith("_API_KEY")
    }
    environment["PATH"] = f"{tools}{os.pathsep}{environment['PATH']}"
    environment["PIP_QUIET"] = "1"
    environment["MEMKIT_PATH"] = str(scratch / "data")
    steps = [*block, f".venv/bin/python -c 'import {', '.join(served_by(block))}'"]
    script = "set -eu\n" + "\n".join(f"printf '%s\\n' {shlex.quote('+ ' + step)}\n{step}" for step in steps)
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=copy,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=TIMEOUT_S,
        check=False,
    )
    print(f"{'FAILED' if done.returncode else 'ok'} after {time.monotonic() - started:.0f} s", flush=True)
    return done.returncode == 0


def main() -> int:
    failed = 0
    for number, block in enumerate(scenarios(), 1):
        print(f"--- README block {number}\n" + "\n".join(f"    {command}" for command in block), flush=True)
        if "--list" not in sys.argv:
            with tempfile.TemporaryDirectory() as scratch:
                failed += not run(block, Path(scratch))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
