"""What the graph promises holds over the PostgreSQL ledger: its tests again, in a world whose memories live there."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.faces import Face, Mode, World
from tests.engine.test_graph import *  # noqa: F403
from tests.engine.test_graph import opened
from tests.engine.test_graph_moving import *  # noqa: F403
from tests.engine.test_graph_search import *  # noqa: F403
from tests.postgres import PostgresServer

pytestmark = pytest.mark.engine
# It counts the steps of SQLite; for PostgreSQL `tests/ledger` has one of its own.
del globals()["test_a_step_reads_what_touches_the_entity_and_not_all_that_a_user_has"]


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer) -> Generator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def mode() -> Mode:
    """Awaited only: the blocking way has the laws of ledgers and of graph stores, and `tests/ledger`."""
    return "async"


@pytest.fixture
def world(tmp_path: Path, mode: Mode, module_database: str) -> Generator[World]:
    made = World(tmp_path, mode, database=module_database)
    yield made
    made.close()


@pytest.fixture
def memory(world: World) -> Face:
    return world.open()


@pytest.fixture
def kept(world: World) -> Face:
    """A memory with the graph in the ledger's own tables."""
    return opened(world, "sqlite")


@pytest.fixture
def plain(kept: Face) -> Face:
    return kept
