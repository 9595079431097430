"""What the engine promises holds over the PostgreSQL ledger: its tests again, in a world whose memories live there."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.engine.faces import Face, Mode, World
from tests.engine.test_extraction import *  # noqa: F403
from tests.engine.test_forgetting import *  # noqa: F403
from tests.engine.test_idempotency import *  # noqa: F403
from tests.engine.test_time import *  # noqa: F403
from tests.engine.test_two_objects import *  # noqa: F403
from tests.engine.test_undo import *  # noqa: F403
from tests.engine.test_verbatim import *  # noqa: F403
from tests.postgres import PostgresServer

_OF_THE_FILE = (
    "test_no_byte_of_a_forgotten_life_stays",
    "test_every_version_of_one_memory_goes_with_it_and_nothing_else",
    "test_the_queue_forgets_what_was_not_learned_yet",
    "test_an_answer_that_came_while_it_was_forgotten_is_not_stored",
    "test_the_receipt_says_when_a_reader_holds_the_last_bytes",
    "test_another_process_brings_nothing_back",
    "test_a_deleted_item_is_gone_with_the_next_repair_close_or_erasure",
)
"""Laws about the bytes of SQLite's file."""
for _name in _OF_THE_FILE:
    del globals()[_name]


@pytest.fixture(scope="module")
def module_database(postgres: PostgresServer) -> Generator[str]:
    with postgres.database() as url:
        yield url


@pytest.fixture
def mode() -> Mode:
    """Awaited only: the ledger's blocking way has the laws of ledgers, and the fault runs."""
    return "async"


@pytest.fixture
def world(tmp_path: Path, mode: Mode, module_database: str) -> Generator[World]:
    made = World(tmp_path, mode, database=module_database)
    yield made
    made.close()


@pytest.fixture
def memory(world: World) -> Face:
    return world.open()
