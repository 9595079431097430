"""Installs the wheels of dist/ in a clean environment, where they alone may serve our names, and uses them.

The public index serves everything else. It also has a library called memkit, and may one day have other
projects under our names: the resolver's own report must show that each of ours came from dist/.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
MAX_DISTRIBUTIONS = 18
MAX_MEGABYTES = 130

ROUND_TRIP = """
import pathlib, sys, tempfile
import {packages}
for name in {packages_list}:
    where = pathlib.Path(sys.modules[name].__file__).resolve()
    assert where.is_relative_to(pathlib.Path(sys.prefix).resolve()), where
with tempfile.TemporaryDirectory() as folder:
    with memkit.Memory(folder, llm=None, embedder="hash") as memory:
        memory.add("The spare key is under the blue pot.", user_id="ada", infer=False)
    with memkit.Memory(folder, llm=None, embedder="hash") as memory:
        found = memory.search("Where is the spare key?", user_id="ada")
        assert "blue pot" in found.results[0].memory, found
        assert not memory.search("spare key", user_id="bob").results
print("works:", *{packages_list})
"""


def main() -> int:
    projects = [tomllib.loads(path.read_text("utf-8")) for path in manifests()]
    names = [project["project"]["name"] for project in projects]
    packages = [name for path in manifests() for name in packages_of(path)]
    wheels = [wheel_of(name) for name in names]
    for project, wheel in zip(projects, wheels, strict=True):
        check_contents(project, wheel)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        requirements = [
            f"{project['project']['name']}=={project['project']['version']}" for project in projects
        ]
        check_sources(python, names, requirements, folder / "report.json")

        pip(python, "install", "-qq", "-c", str(ROOT / "constraints.txt"), str(wheels[0]))
        check_size(python, folder / "venv")
        pip(python, "install", "-qq", "-c", str(ROOT / "constraints.txt"), *map(str, wheels))
        pip(python, "check")

        outside = folder / "outside"
        outside.mkdir()
        code = ROUND_TRIP.format(packages=", ".join(packages), packages_list=packages)
        subprocess.run([python, "-I", "-c", code], cwd=outside, check=True)
        subprocess.run(
            [python.parent / "memkit", "--help"], cwd=outside, check=True, stdout=subprocess.DEVNULL
        )
        assert not list(outside.iterdir()), "using it left files in the working folder"
    return 0


def manifests() -> list[Path]:
    """The core first."""
    return [ROOT / "pyproject.toml", *sorted(ROOT.glob("integrations/*/pyproject.toml"))]


def packages_of(manifest: Path) -> list[str]:
    """The packages of a distribution; of a namespace that others share, those inside it that are ours."""
    project = tomllib.loads(manifest.read_text("utf-8"))
    found: list[str] = []
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        top = manifest.parent / package
        typed = [top] if (top / "__init__.py").exists() else sorted(p.parent for p in top.rglob("py.typed"))
        found += [".".join(path.relative_to(manifest.parent).parts) for path in typed]
    return found


def wheel_of(name: str) -> Path:
    found = sorted(DIST.glob(f"{name.replace('-', '_')}-*.whl"))
    if len(found) != 1:
        raise SystemExit(f"dist/ holds {len(found)} wheels of {name}; run `make dist`")
    return found[0]


def check_contents(project: dict[str, Any], wheel: Path) -> None:
    """A wheel holds its packages and its own metadata, and no test, recipe or benchmark."""
    packages: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for name in zipfile.ZipFile(wheel).namelist():
        own = any(name.startswith(f"{package}/") for package in packages)
        if not own and ".dist-info/" not in name:
            raise SystemExit(f"{wheel.name} holds {name}")
    print(f"contents of {wheel.name}: only {', '.join(packages)}", flush=True)


def check_sources(python: Path, names: list[str], requirements: list[str], report: Path) -> None:
    """Ask the resolver where it would take each name from, before anything is installed."""
    options = ("--dry-run", "-qq", "--report", str(report), "--find-links", str(DIST))
    pip(python, "install", *options, "-c", str(ROOT / "constraints.txt"), *requirements)
    items = json.loads(report.read_text("utf-8"))["install"]
    sources = {canonical(item["metadata"]["name"]): item["download_info"]["url"] for item in items}
    for name in names:
        source = sources[canonical(name)]
        if not source.startswith(DIST.as_uri()):
            raise SystemExit(f"{name} would come from {source}, not from dist/")
        print(f"{name}: from dist/", flush=True)


def check_size(python: Path, environment: Path) -> None:
    """The core alone, with all it depends on, stays small."""
    listing = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    count = len([item for item in json.loads(listing) if item["name"] not in {"pip", "setuptools", "wheel"}])
    tools = re.compile(r"/(pip|setuptools|pkg_resources|_distutils_hack)(-[\d.]+\.dist-info)?/")
    total = sum(
        path.stat().st_size
        for path in environment.rglob("*")
        if path.is_file() and not path.is_symlink() and not tools.search(path.as_posix())
    )
    print(f"the core alone: {count} distributions, {total / 1e6:.0f} MB", flush=True)
    if count > MAX_DISTRIBUTIONS or total > MAX_MEGABYTES * 1e6:
        raise SystemExit(f"more than {MAX_DISTRIBUTIONS} distributions or {MAX_MEGABYTES} MB")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pip(python: Path, *arguments: str) -> None:
    subprocess.run([python, "-m", "pip", *arguments], check=True)


if __name__ == "__main__":
    sys.exit(main())
