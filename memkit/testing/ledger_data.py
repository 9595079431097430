"""What the laws of a ledger are tried on: scopes, batches, and shorthands for them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from memkit.ledger.base import AddRecord, Applied, Batch, Change, EditRecord, Ledger, NewMessage, Record
from memkit.scope import Owner, ReadScope, Scope
from memkit.testing.laws import Driver, Laws, Mode

Vector = npt.NDArray[np.float32]
DIM = 16
EMBEDDER = "test/embedder"
DAY = 86_400_000_000
T0 = 1_767_225_600_000_000
"""2026-01-01 in microseconds; all times of the suite are counted from here."""
LATE = T0 + 1_000 * DAY

ALICE = Scope(user_id="alice")
ALICE_BOT = Scope(user_id="alice", agent_id="bot", run_id="r1")
BOB = Scope(user_id="bob", run_id="r1")
BOT = Scope(agent_id="bot")
BOT_R1 = Scope(agent_id="bot", run_id="r1")
RUN_R1 = Scope(run_id="r1")
SCOPES = (ALICE, ALICE_BOT, BOB, BOT, BOT_R1, RUN_R1)
EVERYTHING = ReadScope(everyone=True)
HOSTILE_IDS = (
    "o'brien",
    'a"b',
    "x;DROP TABLE record",
    "%",
    "_",
    "a\x00b",
    " lead",
    "\uff41lice",
    "ALICE",
    "\u00e9",
    "e\u0301",
    "💡",
)


def tokens(text: str) -> list[str]:
    """Split at white space, in lower case: the tokenizer of a ledger under test."""
    return text.lower().split()


def new_id() -> str:
    """Return a fresh id."""
    return str(uuid.uuid4())


def vector(seed: int) -> Vector:
    """Return a unit vector."""
    row = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return row / np.float32(np.linalg.norm(row))


def add(scope: Scope = ALICE, text: str = "tea is good", **fields: Any) -> AddRecord:
    """Return a record to add."""
    given: dict[str, Any] = {
        "id": new_id(),
        "kind": "fact",
        "vector": vector(len(text)),
        "created_at": T0,
        **fields,
    }
    return AddRecord(scope=scope, text=text, **given)


def edit(record: Record, event: str = "UPDATE", **fields: Any) -> EditRecord:
    """Return an edit of a record as it is now: `set_` becomes `set`."""
    values = fields.pop("set_", {})
    expected = fields.pop("expected_version", record.version)
    return EditRecord(id=record.id, expected_version=expected, event=event, set=values, **fields)


def message(scope: Scope = ALICE, text: str = "hello", **fields: Any) -> NewMessage:
    """Return a turn to keep, dated where a time is given."""
    dated = "created_at" in fields
    given: dict[str, Any] = {"role": "user", "content": text, "created_at": T0, "dated": dated, **fields}
    return NewMessage(scope=scope, text=text, **given)


def batch(*changes: Change, owner: Owner | None = None, at: int = T0, **fields: Any) -> Batch:
    """Return one transaction."""
    given: dict[str, Any] = {"operation_id": new_id(), "kind": "add", **fields}
    return Batch(owner=owner, at=at, changes=changes, **given)


def constantly(result: str) -> Callable[[Applied], str]:
    """Return a `render` that stores the same result whatever became of the batch."""
    return lambda _: result


def read(scope: Scope) -> ReadScope:
    """Return the scope that reads exactly what is stored under a scope's ids."""
    return ReadScope(
        user_id=scope.user_id,
        agents=None if scope.agent_id is None else frozenset((scope.agent_id,)),
        runs=None if scope.run_id is None else frozenset((scope.run_id,)),
    )


class LedgerLaws(Laws):
    """How the laws of a ledger get theirs; `LedgerSuite` has them all."""

    def make_ledger(self, tmp_path: Path) -> Ledger:
        """Return a ledger that is not open yet and splits words by `tokens`; the same path means the same data."""
        raise NotImplementedError

    @pytest.fixture
    def bare(self, mode: Mode, tmp_path: Path) -> Any:
        """A ledger that nothing was stored in."""
        driver = Driver(self.make_ledger(tmp_path), mode)
        yield driver
        driver.call("close")
        driver.close()

    @pytest.fixture
    def ledger(self, bare: Driver) -> Driver:
        """An open, empty ledger that knows its embedder."""
        bare.call("open")
        bare.call("set_embedder", EMBEDDER, DIM)
        return bare


def write(ledger: Driver, *changes: Change, **fields: Any) -> Applied:
    """Apply changes and return the outcome."""
    return ledger.call("apply", batch(*changes, **fields))


def added(ledger: Driver, *changes: AddRecord, **fields: Any) -> list[Record]:
    """Add records and return them."""
    applied = write(ledger, *changes, **fields)
    assert [outcome.status for outcome in applied.changes] == ["applied"] * len(changes)
    return [outcome.record for outcome in applied.changes if outcome.record is not None]


def statuses(applied: Applied) -> list[str]:
    """Return what became of each change."""
    return [outcome.status for outcome in applied.changes]


def texts(records: Sequence[Record]) -> list[str]:
    """Return the texts in order."""
    return [record.text for record in records]


def close_to(one: Vector | None, other: Vector) -> bool:
    """Whether vectors came back as they were given, within what half precision loses."""
    return one is not None and one.shape == other.shape and bool(np.abs(one - other).max(initial=0.0) < 2e-2)
