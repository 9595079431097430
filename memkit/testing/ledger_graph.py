"""Laws of what a ledger keeps of entities and relations: written with its records, exact in scope, gone with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from memkit.errors import ConfigurationError
from memkit.graph_stores.base import GraphCount, Span, entity_id
from memkit.graph_stores.networkx import NetworkxStore
from memkit.ledger.base import EditRecord, Record
from memkit.ledger.graph import GraphLedger, node_of, projected
from memkit.ledger.records import AliasChange
from memkit.scope import ReadScope, Scope
from memkit.testing.graph_sharing import check_like, everything, said
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    ALICE_BOT,
    BOB,
    DAY,
    EVERYTHING,
    SCOPES,
    T0,
    LedgerLaws,
    add,
    added,
    batch,
    edit,
    new_id,
    read,
    write,
)

ANN_LIKES_BEA: dict[str, Any] = {"entities": [("Ann", "person")], "relations": [("Ann", "likes", "Bea")]}


def graph(ledger: Driver) -> Driver:
    """Return the ledger's own graph, called as the ledger is."""
    assert isinstance(ledger.backend, GraphLedger), "a ledger keeps what memories say"
    return ledger.beside(ledger.backend.graph)


def ann(scope: Scope = ALICE) -> str:
    """Return the id of the person Ann."""
    return entity_id(scope.owner, node_of("Ann", "person").key)


def edited(ledger: Driver, change: EditRecord) -> Record:
    """Change a record and return it."""
    record = write(ledger, change).changes[0].record
    assert record is not None
    return record


def merged(ledger: Driver, key: str, root: str | None, scope: Scope = ALICE) -> str:
    """Let an entity be another one (None: itself again), and return the operation."""
    one = batch(owner=scope.owner, kind="merge", aliases=[AliasChange(scope=scope, key=key, root=root)])
    ledger.call("apply", one)
    return one.operation_id


def holding(ledger: Driver, scope: ReadScope = EVERYTHING) -> list[tuple[Any, ...]]:
    """Return what holds of merged entities, in order."""
    return [(one.scope.user_id, one.scope.run_id, one.key, one.root) for one in ledger.call("aliases", scope)]


class LedgerGraphLaws(LedgerLaws):
    """The laws of entities, relations and merges."""

    def test_what_records_say_is_read_as_the_reference_reads_it(self, ledger: Driver) -> None:
        """Over every scope and time the graph answers like one that was given the same records.

        Troubleshooting: join nodes and edges with the records that say them, for their scope and times.
        """
        records: list[Record] = []
        for n, scope in enumerate(SCOPES):
            pairs = [("Ann", "likes", "Cid"), ("Cid", "knows", f"N{n}"), (f"N{n}", "likes", "Ann")]
            for place, pair in enumerate(pairs):
                times = {"valid_from": T0 + place * DAY, "valid_until": (None, T0 + 4 * DAY)[place % 2]}
                change = add(scope, f"{n} {place}", entities=[("Ann", "person")], relations=[pair], **times)
                records += added(ledger, change)
        oracle = NetworkxStore()
        oracle.upsert([projected(record) for record in records])
        for scope in (EVERYTHING, *map(read, SCOPES)):
            for span in (None, Span.at(T0 + DAY), Span(T0, T0 + 5 * DAY)):
                check_like(graph(ledger), oracle, scope, span, (["Ann"], ["Cid", "N1"]), 3)

    def test_what_a_record_says_changes_goes_and_comes_back_with_it(self, ledger: Driver) -> None:
        """An edit replaces it; a deleted record says nothing, until it is restored.

        Troubleshooting: write nodes and edges in the transaction that writes the record; read those of live ones.
        """
        (record,) = added(ledger, add(**ANN_LIKES_BEA))
        changed = {"entities": [("Ann", "person")], "relations": [("Ann", "likes", "Cid")]}
        record = edited(ledger, edit(record, set_=changed))
        assert everything(graph(ledger)) == {record.id: projected(record)}
        record = edited(ledger, edit(record, "DELETE", set_={"deleted": True}))
        assert graph(ledger).call("count", EVERYTHING) == GraphCount() and everything(graph(ledger)) == {}
        write(ledger, edit(record, "RESTORE", set_={"deleted": False}))
        assert said(graph(ledger).call("neighbours", [ann()], scope=read(ALICE))) == ["Ann likes Cid"]
        write(ledger, add(text="of nothing"))
        assert graph(ledger).call("count", EVERYTHING).memories == 1

    def test_a_record_that_is_added_and_changed_at_once_says_the_last(self, ledger: Driver) -> None:
        """Of two states in one transaction the graph has the later one.

        Troubleshooting: collect by record, and write each once.
        """
        new = add(**ANN_LIKES_BEA)
        later = edit(added(ledger, add(text="another"))[0])
        later.id, later.expected_version = new.id, 1
        later.set = {"relations": [("Ann", "knows", "Cid")]}
        write(ledger, new, later)
        assert said(graph(ledger).call("neighbours", [ann()], scope=read(ALICE))) == ["Ann knows Cid"]
        assert graph(ledger).call("count", EVERYTHING) == GraphCount(memories=1, entities=2, edges=1)

    def test_a_batch_that_is_refused_says_nothing(self, ledger: Driver) -> None:
        """What was not written is not in the graph either.

        Troubleshooting: one transaction.
        """
        (record,) = added(ledger, add(text="known"))
        stale = edit(record, set_={"pinned": True}, expected_version=9)
        assert write(ledger, add(text="new", **ANN_LIKES_BEA), stale).refused
        assert graph(ledger).call("count", EVERYTHING) == GraphCount()

    def test_the_graph_of_a_ledger_is_written_by_its_records_alone(self, ledger: Driver) -> None:
        """Writing to it is refused; it is in the ledger, healthy, and closing it closes nothing.

        Troubleshooting: give `OwnGraph`.
        """
        calls: Sequence[tuple[str, tuple[Any, ...]]] = (("upsert", ([],)), ("remove", (["x"],)), ("drop", ()))
        for method, args in calls:
            with pytest.raises(ConfigurationError):
                graph(ledger).call(method, *args)
        graph(ledger).call("open")
        graph(ledger).call("health")
        graph(ledger).call("close")
        assert getattr(graph(ledger).backend, "in_ledger", False)
        assert graph(ledger).call("info").count == GraphCount()

    def test_a_ledger_that_is_not_there_has_an_empty_graph(self, bare: Driver) -> None:
        """Reads before the first write find nothing and make nothing.

        Troubleshooting: as every read of the ledger.
        """
        store = graph(bare)
        assert store.call("count", EVERYTHING) == GraphCount() and everything(store) == {}
        assert store.call("neighbours", [ann()], scope=EVERYTHING) == []
        assert store.call("find_entities", None, scope=EVERYTHING) == []
        assert store.call("paths", [ann()], [ann(BOB)], scope=EVERYTHING) == []
        assert bare.call("aliases", EVERYTHING) == [] and bare.call("alias_events", new_id()) == []
        assert bare.call("unrelated", 10) == []

    # What is read later.

    def test_records_get_what_is_read_from_them_later(self, ledger: Driver) -> None:
        """Live records that say nothing are listed by rid; they get entities and relations while they are as read.

        No event tells it, and caches of their owner start anew.

        Troubleshooting: compare the version in the statement that writes.
        """
        one, other, changed = added(
            ledger, add(text="Ann likes Bea"), add(BOB, "Cid likes Dee"), add(text="changes meanwhile")
        )
        write(ledger, add(text="knows itself", **ANN_LIKES_BEA))
        gone = added(ledger, add(text="goes"))[0]
        write(ledger, edit(gone, "DELETE", set_={"deleted": True}))
        mark = ledger.call("changes", one.owner, None).mark
        found: Sequence[Record] = ledger.call("unrelated", 10)
        assert [record.id for record in found] == [
            record.id for record in sorted((one, other, changed), key=lambda record: record.rid)
        ]
        assert [record.id for record in ledger.call("unrelated", 1, found[0].rid)] == [found[1].id]
        write(ledger, edit(changed, set_={"text": "was changed"}))
        names = ([("Ann", "person")], [("Ann", "likes", "Bea")])
        ledger.call("relate", [(record, names) for record in (one, other, changed)])
        (now,) = ledger.call("records", [one.id])
        assert (list(now.entities), list(now.relations), now.version) == (*names, 1)
        assert sorted(everything(graph(ledger), read(BOB))) == [other.id]
        assert changed.id not in everything(graph(ledger))
        assert [event.event for event in ledger.call("history", one.id)] == ["ADD"]
        assert ledger.call("changes", one.owner, mark).reset
        ledger.call("relate", [])

    # Merges.

    def test_merges_are_kept_by_scope_and_the_last_one_holds(self, ledger: Driver) -> None:
        """Of each entity, within its scope, what was said last holds; in the order it was said.

        Troubleshooting: append, and read the last row of owner, agent, run and key.
        """
        added(ledger, add(**ANN_LIKES_BEA), add(ALICE_BOT, "in a run", **ANN_LIKES_BEA), add(BOB, "his"))
        merged(ledger, "bea\n", "ann\nperson")
        merged(ledger, "ann\nperson", "cid\n", ALICE_BOT)
        merged(ledger, "bea\n", "dee\n", BOB)
        assert holding(ledger, read(ALICE)) == [
            ("alice", None, "bea\n", "ann\nperson"), ("alice", "r1", "ann\nperson", "cid\n")
        ]  # fmt: skip
        merged(ledger, "bea\n", None)
        assert holding(ledger) == [
            ("alice", "r1", "ann\nperson", "cid\n"), ("bob", "r1", "bea\n", "dee\n"), ("alice", None, "bea\n", None)
        ]  # fmt: skip
        assert holding(ledger, ReadScope(user_id="nobody")) == []

    def test_an_operation_knows_what_it_merged_and_what_came_after(self, ledger: Driver) -> None:
        """`alias_events` tells each change with the root before it, and the next operation on the same entity.

        Troubleshooting: compare agents and runs so that none equals none.
        """
        added(ledger, add(**ANN_LIKES_BEA))
        first = merged(ledger, "bea\n", "ann\nperson")
        merged(ledger, "bea\n", "elsewhere\n", ALICE_BOT)
        second = merged(ledger, "bea\n", "cid\n")
        (event,) = ledger.call("alias_events", first)
        assert (event.change.key, event.change.root, event.before, event.later) == (
            "bea\n", "ann\nperson", None, second
        )  # fmt: skip
        (event,) = ledger.call("alias_events", second)
        assert (event.change.scope, event.before, event.later) == (ALICE, "ann\nperson", None)
        assert ledger.call("operation", first)[0].kind == "merge"

    # Erasure.

    @pytest.mark.parametrize("whole", [True, False], ids=["scope", "ids"])
    def test_forgotten_records_leave_nothing_in_the_graph(self, ledger: Driver, whole: bool) -> None:
        """Nodes, edges and merges that name what no record says any more are gone; other owners' stay.

        Troubleshooting: delete by rid, then the merges whose keys no node has.
        """
        (one,) = added(ledger, add(relations=[("Ann", "likes", "Bea")]))
        added(ledger, add(text="stays", relations=[("Cid", "likes", "Dee")]))
        (his,) = added(ledger, add(BOB, "his", relations=[("Ann", "likes", "Bea")]))
        for scope in (ALICE, BOB):
            merged(ledger, "bea\n", "ann\n", scope)
        merged(ledger, "dee\n", "cid\n")
        given: dict[str, Any] = {"scope": read(ALICE)} if whole else {"ids": [one.id]}
        ledger.call("forget", new_id(), T0, **given)
        left = everything(graph(ledger))
        assert one.id not in left and his.id in left and len(left) == (1 if whole else 2)
        assert graph(ledger).call("find_entities", ["Bea"], scope=read(ALICE)) == []
        kept = [] if whole else [("alice", None, "dee\n", "cid\n")]
        assert sorted(holding(ledger)) == sorted([*kept, ("bob", "r1", "bea\n", "ann\n")])

    def test_a_reset_empties_the_graph(self, ledger: Driver) -> None:
        """Entities, relations and merges are gone.

        Troubleshooting: list their tables with the others.
        """
        added(ledger, add(**ANN_LIKES_BEA))
        merged(ledger, "bea\n", "ann\nperson")
        ledger.call("reset")
        assert graph(ledger).call("count", EVERYTHING) == GraphCount()
        assert holding(ledger) == [] and ledger.call("unrelated", 10) == []
