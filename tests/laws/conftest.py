"""A world of its own for every test, in both modes."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.faces import Face, Mode, World


@pytest.fixture
def world(tmp_path: Path, mode: Mode) -> Generator[World]:
    made = World(tmp_path, mode)
    yield made
    made.close()


@pytest.fixture
def memory(world: World) -> Face:
    """Keyless, without a model."""
    return world.open()
