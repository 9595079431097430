"""Laws of the items that a ledger keeps for the key-value store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from memkit.errors import EmbedderMismatchError
from memkit.ledger.items import ItemBatch, ItemDrop, ItemPut, ItemRow, ItemsApplied, ItemText
from memkit.testing.laws import Driver
from memkit.testing.ledger_data import (
    ALICE,
    DAY,
    DIM,
    EMBEDDER,
    T0,
    LedgerLaws,
    Vector,
    add,
    added,
    new_id,
    read,
)

NS = ("memories", "alice")
HOSTILE_LABELS = (
    "ann@example.com",
    "a.b",
    "100%",
    "under_score",
    "*",
    "?",
    "[a-z]",
    "o'brien",
    '"; DROP TABLE item; --',
    "line\n",
    "tab\t",
    " lead",
    "ALICE",
    "alice",
    "\u00e9",
    "e\u0301",
    "\u65e5\u672c",
    "\U0001f4a1",
    "\u0001",
    "/",
    "\\",
)


def axis(number: int) -> Vector:
    """Return a unit vector along one axis."""
    row = np.zeros(DIM, np.float32)
    row[number] = 1.0
    return row


def put(
    key: str, value: object = None, *texts: str, ns: tuple[str, ...] = NS, ttl: int | None = None
) -> ItemPut:
    """Return a value to keep."""
    return ItemPut(namespace=ns, key=key, value=json.dumps(value), texts=texts, ttl=ttl)


def write(
    ledger: Driver,
    *changes: ItemPut | ItemDrop,
    at: int = T0,
    vectors: Mapping[str, Vector] | None = None,
    used: tuple[int, ...] = (),
    embedder: tuple[str, int] | None = None,
) -> ItemsApplied:
    """Write one batch."""
    batch = ItemBatch(at=at, changes=changes, vectors=vectors or {}, used=used, embedder=embedder)
    applied: ItemsApplied = ledger.call("write_items", batch)
    return applied


def get(ledger: Driver, key: str, *, ns: tuple[str, ...] = NS, at: int = T0) -> ItemRow | None:
    """Return one item."""
    rows = ledger.call("items", [(ns, key)], at=at)
    assert len(rows) == 1
    row: ItemRow | None = rows[0]
    return row


def found(
    ledger: Driver, prefix: tuple[str, ...] = (), *, at: int = T0, limit: int = 99, **how: Any
) -> list[str]:
    """Return the keys that are found, in order."""
    return [row.key for row, _ in ledger.call("find_items", prefix, at=at, limit=limit, **how)]


def even(value: int) -> bool:
    """Return whether a value is even."""
    return value % 2 == 0


def above_one(value: int) -> bool:
    """Return whether a value is larger than one."""
    return value > 1


class LedgerItems(LedgerLaws):
    """The laws of items."""

    def test_an_item_comes_back_as_it_was_put(self, ledger: Driver) -> None:
        """The value is the same JSON, key order and all; nothing is there under another key or namespace.

        Troubleshooting: keep the JSON text, not a parsed form of the database's own.
        """
        value = {
            "z": 1,
            "a": [1.5, None, True, {"\u65e5": "\U0001f4a1\n"}],
            "big": 2**70,
            "e": 1e-300,
            "": "",
        }
        applied = write(ledger, put("k", value))
        row = get(ledger, "k")
        assert applied.rows == [row] and row is not None
        assert json.dumps(row.value) == json.dumps(value)
        assert (row.namespace, row.key, row.version, row.created_at, row.updated_at) == (NS, "k", 1, T0, T0)
        assert (row.expires_at, row.ttl) == (None, None)
        assert get(ledger, "K") is None and get(ledger, "k", ns=("memories",)) is None

    def test_a_change_keeps_when_the_item_was_made(self, ledger: Driver) -> None:
        """Number and `created_at` stay, the version counts, `updated_at` moves even when the clock does not.

        Troubleshooting: update in place; take the later of the clock and the last change plus one.
        """
        first = write(ledger, put("k", 1)).rows[0]
        second = write(ledger, put("k", 2)).rows[0]
        third = write(ledger, put("k", 3), at=T0 + DAY).rows[0]
        assert first and second and third
        assert first.no == second.no == third.no
        assert [first.created_at, second.created_at, third.created_at] == [T0] * 3
        assert T0 == first.updated_at < second.updated_at < third.updated_at == T0 + DAY
        assert (third.version, third.value) == (3, 3)

    def test_the_last_change_of_a_key_stays(self, ledger: Driver) -> None:
        """Changes of one batch happen in order.

        Troubleshooting: do not sort puts and drops apart.
        """
        rows = write(
            ledger, put("k", 1), put("k", 2), put("gone", 1), ItemDrop(namespace=NS, key="gone")
        ).rows
        assert [row and row.value for row in rows] == [1, 2, 1, 1]
        kept = get(ledger, "k")
        assert kept is not None and (kept.value, kept.version) == (2, 2) and get(ledger, "gone") is None

    def test_a_dropped_item_leaves_nothing(self, ledger: Driver) -> None:
        """It is found neither by key nor by meaning, its namespace is not listed, and put again it is new.

        Troubleshooting: drop its vectors with it.
        """
        old = write(ledger, put("k", 1, "tea"), vectors={"tea": axis(0)}).rows[0]
        dropped, nothing = write(
            ledger, ItemDrop(namespace=NS, key="k"), ItemDrop(namespace=NS, key="k")
        ).rows
        assert dropped is not None and dropped.value == 1 and nothing is None
        assert get(ledger, "k") is None and found(ledger, vector=axis(0)) == []
        assert list(ledger.call("item_namespaces", (), at=T0)) == []
        assert list(ledger.call("known_texts", [(NS, "k")], at=T0)) == [frozenset()]
        again = write(ledger, put("k", 2), at=T0 + 5).rows[0]
        assert old and again and again.no != old.no and (again.version, again.created_at) == (1, T0 + 5)

    def test_namespaces_are_what_they_are(self, ledger: Driver) -> None:
        """No label is read as a pattern, a separator or another case; each comes back as it was written.

        Troubleshooting: encode labels so that they can be taken apart again, and compare bytes.
        """
        spaces = [("root", label) for label in HOSTILE_LABELS]
        write(ledger, *(put("k", n, ns=ns) for n, ns in enumerate(spaces)))
        for n, ns in enumerate(spaces):
            row = get(ledger, "k", ns=ns)
            assert row is not None and (row.value, row.namespace) == (n, ns)
            assert [r.value for r, _ in ledger.call("find_items", ns, at=T0, limit=99)] == [n]
        assert list(ledger.call("item_namespaces", (), at=T0)) == sorted(spaces)

    def test_a_prefix_ends_between_labels(self, ledger: Driver) -> None:
        """("a", "b") is above ("a", "b", "c") and not above ("a", "bc"); the empty one is above all.

        Troubleshooting: end every label with something no label holds.
        """
        spaces = [("a",), ("a", "b"), ("a", "b", "c"), ("a", "bc"), ("a b",), ("b",), ("\U0010ffff",)]
        write(ledger, *(put("/".join(ns), ns=ns) for ns in spaces))
        assert sorted(found(ledger, ("a", "b"))) == ["a/b", "a/b/c"]
        assert sorted(found(ledger, ("a",))) == ["a", "a/b", "a/b/c", "a/bc"]
        assert len(found(ledger)) == len(spaces) and found(ledger, ("c",)) == []
        assert found(ledger, ("\U0010ffff",)) == ["\U0010ffff"]
        assert list(ledger.call("item_namespaces", ("a",), at=T0)) == spaces[:4]

    def test_without_a_vector_the_last_changed_comes_first(self, ledger: Driver) -> None:
        """Pages follow each other without doubles or gaps, and `where` is asked before they are cut.

        Troubleshooting: order by the instant of change, then by number.
        """
        write(ledger, *(put(f"k{n}", n) for n in range(5)))
        write(ledger, put("k1", 1), at=T0 + 1)
        assert found(ledger) == ["k1", "k4", "k3", "k2", "k0"]
        pages = [found(ledger, limit=2, offset=n) for n in (0, 2, 4, 6)]
        assert pages == [["k1", "k4"], ["k3", "k2"], ["k0"], []]
        assert found(ledger, where=even, limit=2, offset=1) == ["k2", "k0"]

    def test_meaning_is_scored_exactly_by_the_best_text(self, ledger: Driver) -> None:
        """Scores are cosines, best first, one for each item; those without vectors follow with None.

        Troubleshooting: take the largest over an item's vectors before cutting the page.
        """
        half = (axis(0) + axis(1)) / np.float32(np.sqrt(2))
        write(
            ledger,
            put("both", 1, "far", "near"),
            put("half", 2, "half"),
            put("none", 3),
            put("other", 4, "far", ns=("elsewhere",)),
            vectors={"far": axis(2), "near": axis(0), "half": half},
        )
        pairs = [
            (row.key, score) for row, score in ledger.call("find_items", NS, at=T0, vector=axis(0), limit=9)
        ]
        assert [key for key, _ in pairs] == ["both", "half", "none"]
        assert pairs[0][1] == pytest.approx(1.0, abs=1e-2) and pairs[2][1] is None
        assert pairs[1][1] == pytest.approx(np.sqrt(0.5), abs=1e-2)
        pages = [found(ledger, NS, vector=axis(0), limit=1, offset=n) for n in range(4)]
        assert pages == [["both"], ["half"], ["none"], []]
        assert found(ledger, NS, vector=axis(0), where=above_one) == ["half", "none"]

    def test_a_text_that_stays_needs_no_vector_again(self, ledger: Driver) -> None:
        """A changed item keeps the vectors of texts it keeps and loses the others; a new text needs one.

        Troubleshooting: write nothing of a batch in which a text has no vector, and name those texts.
        """
        write(ledger, put("k", 1, "tea", "milk"), vectors={"tea": axis(0), "milk": axis(1)})
        assert list(ledger.call("known_texts", [(NS, "k"), (NS, "x")], at=T0)) == [
            {"tea", "milk"},
            frozenset(),
        ]
        assert write(ledger, put("other", 0), put("k", 2, "tea", "jam")).missing == ["jam"]
        old = get(ledger, "k")
        assert old is not None and old.value == 1 and get(ledger, "other") is None
        write(ledger, put("k", 2, "jam", "tea"), vectors={"jam": axis(3)})
        scores = {n: ledger.call("find_items", NS, at=T0, vector=axis(n), limit=1)[0][1] for n in (0, 1, 3)}
        assert scores[0] == pytest.approx(1, abs=1e-2) and scores[3] == pytest.approx(1, abs=1e-2)
        assert scores[1] == pytest.approx(0, abs=1e-2)
        write(ledger, put("k", 3))
        assert ledger.call("find_items", NS, at=T0, vector=axis(0), limit=1)[0][1] is None

    def test_what_has_expired_is_gone_at_that_instant(self, ledger: Driver) -> None:
        """Neither key, search nor namespace shows it; put again it is new; the next write erases it.

        Troubleshooting: compare with `<=`; sweep in the transaction that writes.
        """
        write(ledger, put("k", 1, "tea", ttl=DAY), put("stays", 2, ns=("b",)), vectors={"tea": axis(0)})
        last, gone = T0 + DAY - 1, T0 + DAY
        row = get(ledger, "k", at=last)
        assert row is not None and (row.expires_at, row.ttl) == (gone, DAY)
        assert found(ledger, at=last, vector=axis(0)) == ["k", "stays"]
        assert get(ledger, "k", at=gone) is None and found(ledger, at=gone, vector=axis(0)) == ["stays"]
        assert list(ledger.call("item_namespaces", (), at=gone)) == [("b",)]
        assert list(ledger.call("known_texts", [(NS, "k")], at=gone)) == [frozenset()]
        assert ledger.call("info").items == 2
        assert write(ledger, ItemDrop(namespace=NS, key="k"), at=gone).rows == [None]
        write(ledger, put("k", 1, ttl=DAY))
        again = write(ledger, put("k", 2), at=gone).rows[0]
        assert again is not None and (again.version, again.created_at, again.expires_at) == (1, gone, None)
        write(ledger, put("short", 1, ttl=1))
        assert write(ledger, at=T0 + 1).swept == 1 and ledger.call("info").items == 2

    def test_use_begins_the_time_to_live_anew(self, ledger: Driver) -> None:
        """Of the items named, those that expire and have not yet; nothing else about them changes.

        Troubleshooting: `expires_at` becomes the instant of use plus what the put gave.
        """
        kept, lasting, over = write(ledger, put("a", 1, ttl=DAY), put("b", 2), put("c", 3, ttl=5)).rows
        assert kept and lasting and over
        write(ledger, at=T0 + 10, used=(kept.no, lasting.no, over.no, 99))
        after = get(ledger, "a", at=T0 + DAY + 9)
        assert after is not None and after.expires_at == T0 + DAY + 10
        assert (after.version, after.updated_at) == (1, T0)
        assert get(ledger, "b") == lasting and get(ledger, "c", at=T0 + 10) is None

    def test_vectors_of_an_earlier_embedder_are_never_scored(self, ledger: Driver) -> None:
        """After a rebuild the texts are stale until they get vectors again; those of a text that changed do not.

        Troubleshooting: count embedders, and score only vectors of the present one.
        """
        write(ledger, put("a", 1, "tea"), put("b", 2, "jam"), vectors={"tea": axis(0), "jam": axis(1)})
        assert list(ledger.call("stale_texts", 9)) == []
        ledger.call("replace_embeddings", "other", DIM, [], np.zeros((0, DIM), np.float32))
        rows = ledger.call("find_items", (), at=T0, vector=axis(0), limit=9)
        assert [(row.key, score) for row, score in rows] == [("b", None), ("a", None)]
        assert list(ledger.call("known_texts", [(NS, "a")], at=T0)) == [frozenset()]
        assert write(ledger, put("a", 1, "tea")).missing == ["tea"]
        stale = list(ledger.call("stale_texts", 9))
        assert [text.text for text in stale] == ["tea", "jam"]
        assert list(ledger.call("stale_texts", 9, (stale[0].item, stale[0].place))) == stale[1:]
        changed = ItemText(item=stale[1].item, place=stale[1].place, text="was jam once")
        with pytest.raises(EmbedderMismatchError):
            ledger.call("set_item_vectors", (EMBEDDER, DIM), stale, [axis(2), axis(3)])
        ledger.call("set_item_vectors", ("other", DIM), [stale[0], changed], [axis(2), axis(3)])
        rows = ledger.call("find_items", (), at=T0, vector=axis(2), limit=9)
        assert [row.key for row, _ in rows] == ["a", "b"] and rows[0][1] == pytest.approx(1, abs=1e-2)
        assert rows[1][1] is None

    def test_vectors_of_another_embedder_are_refused(self, bare: Driver) -> None:
        """The first batch with vectors makes the ledger remember their embedder; another one writes nothing.

        Troubleshooting: check inside the transaction.
        """
        write(bare, put("plain", 1))
        assert bare.call("embedder") is None
        write(bare, put("a", 1, "tea"), vectors={"tea": axis(0)}, embedder=("one", DIM))
        assert bare.call("embedder") == ("one", DIM)
        with pytest.raises(EmbedderMismatchError):
            write(bare, put("b", 2, "jam"), vectors={"jam": axis(1)}, embedder=("two", DIM))
        assert get(bare, "b") is None

    def test_items_lie_outside_of_users(self, ledger: Driver) -> None:
        """Forgetting a user of the same name touches none; no read of records shows one; a reset erases them.

        Troubleshooting: items have no owner.
        """
        write(ledger, put("k", 1, "tea", ns=("alice",)), vectors={"tea": axis(0)})
        added(ledger, add(text="tea"))
        ledger.call("forget", new_id(), T0, scope=read(ALICE))
        assert found(ledger, vector=axis(0)) == ["k"] and ledger.call("info").memories == 0
        ledger.call("reset")
        assert found(ledger) == [] and ledger.call("info").items == 0
        assert list(ledger.call("stale_texts", 9)) == []

    def test_items_written_at_once_all_stay(self, ledger: Driver) -> None:
        """Eight writers of one key and of their own lose nothing: the version counts every put.

        Troubleshooting: read the old row inside the write transaction.
        """
        batches = [ItemBatch(at=T0, changes=[put("shared", n), put(f"own{n}", n)]) for n in range(8)]
        ledger.together([("write_items", (batch,)) for batch in batches])
        shared = get(ledger, "shared")
        assert shared is not None and shared.version == 8
        assert sorted(found(ledger)) == [*(f"own{n}" for n in range(8)), "shared"]

    def test_nothing_is_there_before_the_first_write(self, bare: Driver) -> None:
        """Reads of a ledger that was never written give nothing and make nothing.

        Troubleshooting: open with `create=False`.
        """
        assert get(bare, "k") is None and found(bare, vector=axis(0)) == []
        assert list(bare.call("item_namespaces", (), at=T0)) == []
        assert list(bare.call("stale_texts", 9)) == []
        assert bare.call("open", create=False) is False
