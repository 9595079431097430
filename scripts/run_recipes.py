"""Runs every recipe as a reader would: keyless, in a data folder of its own, each under two minutes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 120.0


def main() -> int:
    recipes = sorted(path for path in ROOT.glob("recipes/*.py") if not path.name.startswith("_"))
    failed = [recipe.name for recipe in recipes if not runs(recipe)]
    print(
        f"{len(recipes) - len(failed)} of {len(recipes)} recipes ran"
        + (f"; broken: {failed}" if failed else "")
    )
    return 1 if failed or not recipes else 0


def runs(recipe: Path) -> bool:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        environment |= {
            "MEMKIT_PATH": str(Path(folder, "data")),
            "PYTHONWARNINGS": "error::DeprecationWarning:memkit",
        }
        try:
            done = subprocess.run(
                [sys.executable, str(recipe)],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                text=True,
                encoding="utf-8",
                check=False,
            )
        except subprocess.TimeoutExpired:
            print(f"FAILED {recipe.name}: still running after {TIMEOUT_S:.0f} s", flush=True)
            return False
    took = time.monotonic() - started
    if done.returncode:
        print(f"FAILED {recipe.name} (exit {done.returncode}, {took:.1f} s)\n{done.stdout}", flush=True)
    else:
        print(
            f"ok     {recipe.name} ({took:.1f} s, {len(done.stdout.splitlines())} lines printed)", flush=True
        )
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
