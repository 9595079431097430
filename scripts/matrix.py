"""Runs the tests of an integration against versions other than those in `.venv`: its floor, the newest, pairs between.

    python scripts/matrix.py                     # every row
    python scripts/matrix.py langchain-floor     # one row
    python scripts/matrix.py --list

Each row gets an environment of its own, `.venv-matrix/ROW`, with our distributions as they are here. Warnings are
errors, and nothing may reach the network, as everywhere. `--report FOLDER` writes one JUnit report per row.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNNER = [
    "pytest>=8.3",
    "pytest-asyncio>=0.25",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
]


@dataclass(frozen=True)
class Row:
    """One set of versions and the tests that have to pass with it."""

    name: str
    packages: tuple[str, ...]
    tests: str
    projects: tuple[str, ...]
    any_version: tuple[str, ...] = ()
    """Packages that may be older than others ask for."""


LANGCHAIN_PROJECTS = ("integrations/tools", "integrations/langchain")
LLAMA_PROJECTS = ("integrations/tools", "integrations/llama-index")

ROWS = (
    Row(
        "langchain-floor",
        (
            "langchain-core==1.2.31",
            "langchain==1.2.15",
            "langgraph==1.1.6",
            "langchain-classic==1.0.3",
            "langgraph-checkpoint-sqlite",
            "langchain-tests==1.1.6",
            "openai>=2,<4",
        ),
        "integrations/langchain",
        LANGCHAIN_PROJECTS,
    ),
    Row(
        "langchain-newest",
        (
            "langchain-tests==1.1.9",
            "langchain-core",
            "langchain",
            "langgraph",
            "langchain-classic",
            "langgraph-checkpoint-sqlite",
            "openai>=2,<4",
        ),
        "integrations/langchain",
        LANGCHAIN_PROJECTS,
        any_version=("certifi",),  # an index that lags behind has none new enough for the newest core
    ),
    Row(
        "mcp-1",
        ("mcp>=1.28,<2", "anthropic", "jsonschema", "openai>=2,<4", "uvicorn"),
        "integrations/tools/tests/test_mcp.py integrations/tools/tests/test_mcp_http.py"
        " integrations/tools/tests/test_mcp_process.py",
        ("integrations/tools",),
    ),
    *(
        Row(
            f"llama-index-{name}",
            (
                f"llama-index-core{core}",
                f"pydantic{pydantic}",
                f"llama-index-workflows{workflows}",
                "openai>=2,<4",
            ),
            "integrations/llama-index",
            LLAMA_PROJECTS,
        )
        for name, core, pydantic, workflows in (
            ("floor", "==0.14.24", "==2.12.*", "==2.14.*"),
            ("middle", "", "==2.13.*", ""),
            ("newest", "", "", ""),
        )
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="all of them unless given")
    parser.add_argument("--list", action="store_true", help="print the rows and what each installs")
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="write one JUnit report per row here")
    asked = parser.parse_args()
    known = {row.name: row for row in ROWS}
    if unknown := sorted(set(asked.rows) - set(known)):
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(known)}")
    rows = [known[name] for name in asked.rows] or list(ROWS)
    if asked.list:
        for row in rows:
            print(f"{row.name}: {', '.join(row.packages)}")
        return 0
    failed = [row.name for row in rows if not run(row, asked.report)]
    print(
        f"matrix: {len(rows) - len(failed)} of {len(rows)} rows passed"
        + (f"; failed: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def run(row: Row, report: Path | None) -> bool:
    """Make the row's environment and run its tests in it."""
    print(f"--- {row.name}: {', '.join(row.packages)}", flush=True)
    python = environment(row)
    if python is None:
        return False
    wanted = ["-n", "2", "--dist", "worksteal", "-q", "-m", "not network"]
    xml = [] if report is None else [f"--junitxml={report / f'matrix-{row.name}.xml'}"]
    return (
        subprocess.run([python, "-m", "pytest", *row.tests.split(), *wanted, *xml], cwd=ROOT).returncode == 0
    )


def environment(row: Row) -> Path | None:
    """Return the python of the row's environment, with its packages installed; None where that failed."""
    folder = ROOT / ".venv-matrix" / row.name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    uv = [sys.executable, "-m", "uv"]
    if (
        not python.exists()
        and subprocess.run([*uv, "venv", "-q", "--python", sys.executable, folder]).returncode
    ):
        return None
    ours = [argument for project in (".", *row.projects) for argument in ("-e", str(ROOT / project))]
    install = [*uv, "pip", "install", "-q", "--upgrade", "--python", python, *RUNNER, *row.packages, *ours]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write("\n".join(row.any_version))
        overrides.flush()
        return None if subprocess.run([*install, "--override", overrides.name]).returncode else python


if __name__ == "__main__":
    sys.exit(main())
