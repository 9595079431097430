"""A vector store in a distribution of its own is found by its entry point, and runs the public suite."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "acme"
ROOT = HERE.parents[2]


def install(folder: Path) -> Path:
    """Put the distribution where an installer would: the package, and its metadata beside it."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copytree(
        HERE / "acme_memkit", folder / "acme_memkit", ignore=shutil.ignore_patterns("__pycache__")
    )
    info = folder / f"acme_memkit-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (info / "RECORD").write_text("")
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    paths = [str(install(tmp_path / "site")), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def run(environment: dict[str, str], *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


USES = """
import json, sys
from memkit import Memory
from memkit.registry import availability, names
assert "acme_memkit" not in sys.modules
config = {"vector_store": {"provider": "acme", "config": {"path": sys.argv[2]}}, "embedder": "hash", "llm": None}
with Memory.from_config({"path": sys.argv[1], **config}) as memory:
    memory.add("I like tea.", user_id="ada", infer=False)
    found = memory.search("tea", user_id="ada")
    store = memory.chosen["vector_store"]
try:
    Memory.from_config({"vector_store": {"provider": "acme", "config": {"pth": "x"}}})
except ValueError as error:
    said = str(error)
print(json.dumps({
    "named": "acme" in names("vector_store"), "state": availability("vector_store", "acme"), "store": store,
    "found": [item.memory for item in found.results], "warnings": found.warnings, "said": said,
}))
"""


def test_a_third_partys_store_is_found_by_its_name_and_follows_a_memory(
    environment: dict[str, str], tmp_path: Path
) -> None:
    out = json.loads(run(environment, "-c", USES, str(tmp_path / "store"), str(tmp_path / "acme.db")))
    assert out["named"] and out["state"] == "installed"
    assert out["store"].startswith("acme")
    assert out["found"] == ["I like tea."] and out["warnings"] == []
    assert "Did you mean 'path'?" in out["said"]


def test_without_the_distribution_the_name_is_unknown() -> None:
    from memkit.registry import names

    assert "acme" not in names("vector_store")


OUTSIDE = (
    "-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--strict-markers", "-W", "error",
)  # fmt: skip
"""Nothing of this repository's own settings: warnings are errors, and no mark of ours is registered; of the plugins
only what comes with the extra `testing`."""


def suite(environment: dict[str, str], folder: Path, *options: str) -> str:
    """Run the distribution's tests where no configuration of ours is found."""
    shutil.copy(HERE / "conformance.py", folder)
    return run(environment, "-m", "pytest", str(folder / "conformance.py"), *OUTSIDE, *options)


def test_the_public_suite_is_collected_outside_of_this_repository(
    environment: dict[str, str], tmp_path: Path
) -> None:
    assert "::test_two_processes_see_each_others_writes" in suite(environment, tmp_path, "--collect-only")


@pytest.mark.engine
def test_a_third_partys_store_runs_the_public_suite(environment: dict[str, str], tmp_path: Path) -> None:
    out = suite(environment, tmp_path)
    (passed,) = re.findall(r"(\d+) passed", out)
    assert int(passed) > 290 and "failed" not in out and "skipped" not in out


BREAKS = """
from memkit.testing import EmbedderSuite, FakeEmbedder
class Long(FakeEmbedder):
    def embed(self, texts, *, purpose="document"):
        return 2 * super().embed(texts, purpose=purpose)
class TestLong(EmbedderSuite):
    def make_embedder(self):
        return Long()
"""


def test_a_law_that_is_broken_says_what_it_compared(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_long.py").write_text(BREAKS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(tmp_path), "-k", "unit_length", *OUTSIDE],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "comparison failed" in done.stdout and "2 failed" in done.stdout, done.stdout + done.stderr


def test_a_suite_whose_packages_are_missing_names_the_extra(environment: dict[str, str]) -> None:
    said = run(
        environment,
        "-c",
        "import sys; sys.modules['networkx'] = None\n"
        "from memkit.errors import MissingDependencyError\n"
        "try:\n    from memkit.testing import GraphStoreSuite\n"
        "except MissingDependencyError as error:\n    print(error)",
    )
    assert "memkit.testing.GraphStoreSuite" in said and "memkit-ai[testing]" in said
