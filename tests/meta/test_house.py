"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from memkit.registry import PROVIDERS
from tests.meta.tree import ROOT, files, module, name, projects

MAX_LINES = 500
PYTHON = files(".py")
CORE = tuple(path for path in PYTHON if path.is_relative_to(ROOT / "memkit"))

# Written in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
HOSTS = re.compile(
    "pypi" + r"\.org|python" + r"hosted|registry\." + "npmjs|deb" + r"\.debian|files\.python" + "hosted"
)
MACHINE_PATHS = re.compile(r"(?<![\w.~:-])/" + r"(work|root|home/\w|Users/\w|tmp/brief)/")
MOCKS = re.compile(r"unittest\." + r"mock|Magic" + r"Mock|\bmocker\b")
FOREIGN_NAME = re.compile(r"(pip3? install|uv add|uv pip install)( -\S+)* [\"']?memkit" + r"(?![-\w])")

GROUND = {"types", "errors", "filters", "scope", "clock", "pieces"}
# What a room of the core may never import: everything above it. `a/b` stands for memkit.a.b.
ABOVE_PROVIDERS = {"memory", "aio", "engine", "extraction", "ranking", "cli", "bound"}
FORBIDDEN = {
    **dict.fromkeys(
        GROUND,
        ABOVE_PROVIDERS | {"ledger", "vector_stores", "graph_stores", "llms", "embedders", "rerankers"},
    ),
    **dict.fromkeys(
        ("vector_stores", "graph_stores", "llms", "embedders", "rerankers", "ledger"), ABOVE_PROVIDERS
    ),
    "prompts": {"memory", "aio", "engine", "cli"},
    "extraction": {"memory", "aio", "engine", "cli"},
    "ranking": {"memory", "aio", "engine", "cli", "extraction"},
    "engine": {"memory", "aio", "cli"},
    "runtime": {"memory", "aio", "cli", "engine"},
}
# The words of a text and the bytes of a vector: pure functions that a provider may share with the ranking.
SHARED_LEAVES = (
    "memkit.ranking.languages",
    "memkit.ranking.stemmers",
    "memkit.ranking.text",
    "memkit.ranking.vectors",
    "memkit.ranking.words",
)
ENGINE_BANS = {"asyncio", "anyio", "threading", "multiprocessing", "concurrent", "trio"}


def lines_matching(pattern: re.Pattern[str], paths: tuple[Path, ...]) -> list[str]:
    return [
        f"{name(path)}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Each module that a file imports, absolute, with its line; `from a import b` gives `a` and `a.b`."""
    package = module(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, target
            yield from ((node.lineno, f"{target}.{alias.name}") for alias in node.names)


def room_of(target: str) -> str:
    """The room of the core that a module lies in: `memkit.engine.add` lies in `engine`."""
    parts = target.split(".")
    return parts[1] if parts[0] == "memkit" and len(parts) > 1 else ""


def test_no_file_is_over_500_lines() -> None:
    sizes = {name(path): len(path.read_text("utf-8").splitlines()) for path in PYTHON}
    assert {path: size for path, size in sizes.items() if size > MAX_LINES} == {}, "split by responsibility"


def test_nothing_is_left_unfinished() -> None:
    assert lines_matching(UNFINISHED, PYTHON) == []


def test_no_text_names_a_package_registry_host() -> None:
    assert lines_matching(HOSTS, files()) == []


def test_no_text_names_a_path_of_some_machine() -> None:
    assert lines_matching(MACHINE_PATHS, files()) == []


def test_no_text_installs_the_library_that_owns_our_import_name() -> None:
    assert lines_matching(FOREIGN_NAME, files()) == []


def test_nothing_is_mocked() -> None:
    assert lines_matching(MOCKS, PYTHON) == []


def test_the_engine_touches_neither_loops_nor_threads() -> None:
    found = [
        f"{name(path)}:{line}: {target}"
        for path in CORE
        if module(path).startswith("memkit.engine")
        for line, target in imports(path)
        if target.split(".")[0] in ENGINE_BANS or target == "time.sleep"
    ]
    assert found == [], "go through memkit.runtime"


def test_nothing_imports_what_stands_above_it() -> None:
    found = [
        f"{name(path)}:{line}: {target}"
        for path in CORE
        for line, target in imports(path)
        if room_of(target) in FORBIDDEN.get(room_of(module(path)), ())
        and not target.startswith(SHARED_LEAVES)
    ]
    assert found == []


def test_the_shared_leaves_stand_on_the_ground_floor() -> None:
    found = [
        f"{name(path)}:{line}: {target}"
        for path in CORE
        if module(path) in SHARED_LEAVES
        for line, target in imports(path)
        if room_of(target) not in {"", *GROUND} and not target.startswith(SHARED_LEAVES)
    ]
    assert found == []


def test_every_folder_of_the_core_is_a_package() -> None:
    """A type checker finds `py.typed` above a package, and not above a folder without `__init__.py`."""
    assert {name(path.parent) for path in CORE if not (path.parent / "__init__.py").exists()} == set()


def test_a_vendor_is_imported_by_its_own_files_alone() -> None:
    """Those are the files that the registry names with the vendor's extra, and what they are made of."""
    vendors = {
        re.split(r"[\[<>=!;~ ]", requirement)[0].replace("-", "_").lower(): extra
        # Backwards: what `testing` brings of a vendor's, too, is the vendor's.
        for extra, requirements in reversed(projects()[ROOT]["project"]["optional-dependencies"].items())
        for requirement in requirements
        if extra != "all"
    }
    homes = {
        (entry.target.partition(":")[0], entry.extra)
        for table in PROVIDERS.values()
        for entry in table.values()
    }
    found = [
        f"{name(path)}:{line}: {target}"
        for path in CORE
        for line, target in imports(path)
        if (extra := vendors.get(target.split(".")[0]))
        and extra not in f"{path.parent.name}/{path.stem}"
        and (module(path), extra) not in homes
    ]
    assert found == []


def test_all_distributions_share_one_version_and_bound_each_other() -> None:
    metadata = {folder: project["project"] for folder, project in projects().items()}
    version: str = metadata[ROOT]["version"]
    major, minor = (int(part) for part in version.split(".")[:2])
    own = {project["name"] for project in metadata.values()}
    for project in metadata.values():
        assert project["version"] == version, project["name"]
        for requirement in project["dependencies"]:
            bare = re.split(r"[\[<>=!;~ ]", requirement)[0]
            if bare in own:
                assert requirement.endswith(f">={major}.{minor},<{major}.{minor + 1}"), (
                    project["name"],
                    requirement,
                )


def test_every_distribution_is_typed_licensed_and_described() -> None:
    for folder, project in projects().items():
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes(), folder
        assert (folder / project["project"]["readme"]).stat().st_size > 0
        for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
            assert list((folder / package).rglob("py.typed")), f"{package} has no py.typed"
    assert not list(ROOT.glob("integrations/*/llama_index/__init__.py")), "llama_index is a shared namespace"


def test_constraints_hold_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pin = re.compile(r"#.*|[a-z0-9._-]+==[A-Za-z0-9.+!]+( ; [^@:/]+)?")
    assert [line for line in lines if not pin.fullmatch(line)] == []
