"""Random writes against a ledger and a model of a few dictionaries, compared after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from memkit.ledger.base import Delta, EditRecord, Mark, Record
from memkit.scope import Scope
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import T0, LedgerLaws, add, batch, edit, new_id, read, vector

_TEXTS = ("tea", "coffee", "milk")
_VALUES = st.one_of(
    st.fixed_dictionaries({"text": st.sampled_from(_TEXTS)}),
    st.fixed_dictionaries({"valid_until": st.sampled_from((None, T0 + 1, T0 + 9))}),
    st.fixed_dictionaries({"expires_at": st.sampled_from((None, T0 + 3))}),
    st.fixed_dictionaries({"deleted": st.booleans()}),
    st.fixed_dictionaries(
        {"metadata": st.dictionaries(st.sampled_from("ab"), st.integers(0, 9), max_size=2)}
    ),
    st.fixed_dictionaries({"pinned": st.booleans(), "kind": st.sampled_from(("fact", "event"))}),
)
_ADD = st.tuples(st.just("add"), st.integers(0, 2), st.sampled_from(_TEXTS), st.integers(0, 3), st.booleans())
_EDIT = st.tuples(st.just("edit"), st.integers(0, 9), _VALUES, st.booleans())
_BATCHES = st.lists(
    st.lists(st.one_of(_ADD, _EDIT, _EDIT), min_size=1, max_size=4) | st.just([("forget",)]), max_size=12
)
_NUMBERS = count()


class _Model:
    """What the ledger should hold, as the laws say."""

    def __init__(self, scopes: list[Scope]) -> None:
        self.scopes = scopes
        self.records: dict[str, Record] = {}
        self.digests: dict[str, bytes] = {}
        self.events: dict[str, list[tuple[str, Record | None, Record | None]]] = {}

    def duplicate(self, scope: Scope, digest: bytes | None, at: int) -> str | None:
        """Return what stands for a digest; what stood for it and has expired makes way."""
        for memory_id, record in list(self.records.items()):
            same = record.user_id == scope.user_id and self.digests.get(memory_id) == digest
            if digest is not None and same and not record.deleted and record.valid_until is None:
                if record.expires_at is None or record.expires_at > at:
                    return memory_id
                gone = replace(record, deleted=True, version=record.version + 1, updated_at=at)
                self.note("EXPIRE", record, gone)
        return None

    def current(self, scope: Scope, at: int, *, closed: bool) -> list[Record]:
        found = [
            record
            for record in self.records.values()
            if record.user_id == scope.user_id
            and not record.deleted
            and (record.expires_at is None or record.expires_at > at)
            and (
                closed
                or (record.valid_from <= at and (record.valid_until is None or record.valid_until > at))
            )
        ]
        return sorted(found, key=lambda record: (record.created_at, record.rid), reverse=True)

    def note(self, event: str, before: Record | None, after: Record) -> None:
        old = None if before is None or before.deleted else before
        new = None if after.deleted else after
        self.events.setdefault(after.id, []).append((event, old, new))
        self.records[after.id] = after


def _event(values: Mapping[str, Any]) -> str:
    return {True: "DELETE", False: "RESTORE", None: "UPDATE"}[values.get("deleted")]


class LedgerModelLaws(LedgerLaws):
    """The law that covers the others: whatever is written, the ledger and the model agree."""

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=(HealthCheck.function_scoped_fixture, HealthCheck.too_slow),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    @given(batches=_BATCHES)
    def test_any_writes_agree_with_the_model(self, ledger: Driver, batches: list[list[Any]]) -> None:
        """Random batches leave what the model holds: records, listings, counts, history, caches by changes.

        Troubleshooting: run the falsifying example alone; the batch it prints last is the one that disagrees.
        """
        name = f"model-{next(_NUMBERS)}"
        model = _Model([Scope(user_id=f"{name}-{n}") for n in range(3)])
        caches: dict[int, tuple[Mark | None, dict[int, Record]]] = {}
        for step, changes in enumerate(batches):
            if changes[0][0] == "forget":
                self._forget(ledger, model)
            else:
                self._write(ledger, model, changes, step)
            self._compare(ledger, model, caches)

    def _write(self, ledger: Driver, model: _Model, changes: list[Any], step: int) -> None:
        planned: list[Any] = []
        change: tuple[Any, ...]
        for change in changes:
            if change[0] == "add":
                _, owner, text, created, unique = change
                digest = text.encode() if unique else None
                planned.append(add(model.scopes[int(owner)], text, created_at=T0 + created, dedup=digest))
            elif model.records:
                _, place, values, stale = change
                record: Record = list(model.records.values())[int(place) % len(model.records)]
                row = vector(3) if "text" in values else None
                expected = record.version + 1 if stale and place == 0 else None
                planned.append(
                    edit(record, _event(values), set_=values, vector=row, expected_version=expected)
                )
        trial, expected_statuses = self._predict(model, planned, T0 + step)
        applied = ledger.call("apply", batch(*planned, at=T0 + step))
        assert applied.refused == (trial is None)
        if trial is None:
            return
        assert [outcome.status for outcome in applied.changes] == expected_statuses
        for change, outcome in zip(planned, applied.changes, strict=True):
            if outcome.status == "applied":
                self._commit(model, change, outcome.record, T0 + step)

    def _predict(self, model: _Model, planned: list[Any], at: int) -> tuple[bool | None, list[str]]:
        """Return None when the batch must be refused, and what should become of each change."""
        trial = _Model(model.scopes)
        trial.records, trial.digests = dict(model.records), dict(model.digests)
        outcomes: list[str] = []
        for change in planned:
            if isinstance(change, EditRecord):
                record = trial.records[change.id]
                stale = change.expected_version not in (None, record.version)
                if stale or (record.deleted and change.set.get("deleted") is not False):
                    return None, []
                trial.records[change.id] = replace(record, **change.set, version=record.version + 1)
                _redigest(trial, change, record)
                outcomes.append("applied")
            elif trial.duplicate(change.scope, change.dedup, at):
                outcomes.append("duplicate")
            else:
                outcomes.append("applied")
                trial.records[change.id] = _pretend(change)
                if change.dedup:
                    trial.digests[change.id] = change.dedup
        return True, outcomes

    def _commit(self, model: _Model, change: Any, record: Record, at: int) -> None:
        if isinstance(change, EditRecord):
            before = model.records[change.id]
            after = replace(before, **change.set, version=before.version + 1, updated_at=at)
            assert record == after
            model.note(change.event, before, after)
            _redigest(model, change, before)
        else:
            assert (record.text, record.version, record.created_at) == (change.text, 1, change.created_at)
            assert model.duplicate(change.scope, change.dedup, at) is None
            model.note("ADD", None, record)
            if change.dedup:
                model.digests[change.id] = change.dedup

    def _forget(self, ledger: Driver, model: _Model) -> None:
        for memory_id in list(model.records)[:1]:
            assert list(ledger.call("forget", new_id(), T0, ids=[memory_id]).memory_ids) == [memory_id]
            del model.records[memory_id]
            model.digests.pop(memory_id, None)
            model.events[memory_id] = [("FORGET", None, None)]

    def _compare(
        self, ledger: Driver, model: _Model, caches: dict[int, tuple[Mark | None, dict[int, Record]]]
    ) -> None:
        assert list(ledger.call("records", list(model.records))) == list(model.records.values())
        for scope in model.scopes:
            for at, closed in ((T0, False), (T0 + 4, False), (T0 + 4, True)):
                expected = model.current(scope, at, closed=closed)
                assert (
                    list(ledger.call("listing", read(scope), at=at, limit=99, include_closed=closed))
                    == expected
                )
                assert ledger.call("count", read(scope), at=at, include_closed=closed) == len(expected)
            number = ledger.call("owner_number", scope.owner)
            if number is not None:
                mark, cache = caches.get(number, (None, {}))
                caches[number] = _follow(ledger.call("changes", number, mark), cache)
                live = {
                    r.rid: r for r in model.records.values() if r.user_id == scope.user_id and not r.deleted
                }
                assert caches[number][1] == live
                assert ledger.call("size", number) == len(live)
                self._compare_words(ledger, number, live)
        for memory_id, events in model.events.items():
            found = ledger.call("history", memory_id)
            assert [(event.event, event.before, event.after) for event in found] == events

    def _compare_words(self, ledger: Driver, number: int, live: dict[int, Record]) -> None:
        for text in _TEXTS:
            holders = sorted((rid for rid, record in live.items() if record.text == text), reverse=True)
            assert list(ledger.call("keyword_candidates", [number], [text], 99)) == holders


def _pretend(change: Any) -> Record:
    """Return a record good enough to predict what follows in the same batch."""
    names = ("id", "text", "kind", "metadata", "created_at", "valid_until", "expires_at", "pinned")
    known: dict[str, Any] = {name: getattr(change, name) for name in names}
    return Record(
        rid=0, user_id=change.scope.user_id, agent_id=None, run_id=None, version=1, updated_at=0,
        valid_from=change.created_at, dated=False, actor_id=None, role=None, origin="user", sources=(), entities=(),
        deleted=False, **known,
    )  # fmt: skip


def _redigest(model: _Model, change: EditRecord, before: Record) -> None:
    """Rewording drops the digest; coming back to a state whose digest is taken drops it as well."""
    if change.set.get("text", before.text) != before.text:
        model.digests.pop(change.id, None)
    after = model.records[change.id]
    digest = model.digests.get(change.id)
    if digest is None or after.deleted or after.valid_until is not None:
        return
    others = (i for i in model.records if i != change.id and model.digests.get(i) == digest)
    if any(
        model.records[i].user_id == after.user_id
        and not model.records[i].deleted
        and model.records[i].valid_until is None
        for i in others
    ):
        model.digests.pop(change.id)


def _follow(delta: Delta, cache: dict[int, Record]) -> tuple[Mark, dict[int, Record]]:
    """Bring a cache up to date as an engine does."""
    cache = {} if delta.reset else dict(cache)
    for rid in delta.removed:
        cache.pop(rid, None)
    cache.update({record.rid: record for record in delta.records})
    return delta.mark, cache
