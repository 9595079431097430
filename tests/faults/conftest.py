"""A world of its own for every test, in both modes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.faces import Face, Mode, World
from tests.faults.disk import build, why_not
from tests.faults.workers import Nursery


@pytest.fixture
def world(tmp_path: Path, mode: Mode) -> Generator[World]:
    made = World(tmp_path, mode)
    yield made
    made.close()


@pytest.fixture
def memory(world: World) -> Face:
    """Keyless, without a model."""
    return world.open()


@pytest.fixture
def place() -> Generator[Path]:
    """A folder in memory where the platform has one: hundreds of commits, and no disk to wait for."""
    ram = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=ram if os.access(ram, os.W_OK) else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Generator[Nursery]:
    """Where workers come from, with a failing disk where one can be built."""
    folder = tmp_path_factory.mktemp("nursery")
    made = Nursery(folder, None if why_not() else build(folder))
    yield made
    made.close()
