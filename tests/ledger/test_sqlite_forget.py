"""After an erasure no byte of what was erased is in the file, its log or its indexes."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from memkit.ledger.base import AddRecord, NewJob, Record, SourceRef
from memkit.ledger.sqlite import SqliteLedger, residue
from memkit.ranking.vectors import encode
from memkit.scope import ReadScope, Scope
from memkit.testing.ledger_data import DIM, EMBEDDER, T0, add, batch, edit, message, new_id, tokens, vector

BOB = Scope(user_id="bob", run_id="r")
NOW = T0 * 2


@pytest.fixture
def ledger(tmp_path: Path) -> SqliteLedger:
    ledger = SqliteLedger(tmp_path / "memory.db", tokenize=tokens, tokenizer_version="1", vector_kind="f32")
    ledger.set_embedder(EMBEDDER, DIM)
    return ledger


def raw(tmp_path: Path) -> bytes:
    return b"".join(
        path.read_bytes() for path in sorted(tmp_path.iterdir()) if path.name.startswith("memory.db")
    )


def sentence(dice: random.Random, name: str) -> str:
    return " ".join(f"{name}{dice.randrange(10**9)}" for _ in range(dice.randrange(3, 60)))


def secret_add(scope: Scope, text: str, seed: int, **fields: object) -> AddRecord:
    """A record with its text in every place that has one."""
    digest, note = text.encode()[:16], {"note": f"{text[:6]}meta{seed}"}
    why, given = f"because {text}", secret_tokens(text)
    return add(
        scope, text, vector=vector(seed), tokens=given, dedup=digest, metadata=note, reason=why, **fields
    )


def secret_tokens(text: str) -> bytes:
    """Tokens, which some pages hold several of and others only a part of."""
    return text.encode() * (1 + len(text) % 23)


def test_no_byte_of_a_forgotten_user_stays(ledger: SqliteLedger, tmp_path: Path) -> None:
    """Many pages of two users' texts, interleaved, edited, moved about; then one of them is forgotten."""
    dice = random.Random(7)
    secret: list[str] = []
    mine: list[Record] = []
    alice = [Scope(user_id="alice", run_id=f"run{n}") for n in range(3)]
    for n in range(60):
        rows = []
        for scope, name in ((alice[n % 3], "secret"), (BOB, "public")):
            text = sentence(dice, name)
            rows.append((scope, text))
            if name == "secret":
                secret.append(text)
        changes = [secret_add(scope, text, n * 2 + k, message=k) for k, (scope, text) in enumerate(rows)]
        applied = ledger.apply(
            batch(*changes, messages=[message(s, t, content=[{"type": "text", "text": t}]) for s, t in rows],
                  owner=alice[0].owner, key=f"key{n} {rows[0][1]}", digest=b"d", render=lambda _, t=rows[0][1]: t)
        )  # fmt: skip
        assert applied.changes[0].record is not None
        mine.append(applied.changes[0].record)
    for record in dice.sample(mine, 20):
        text = sentence(dice, "secret")
        secret.append(text)
        new = edit(record, set_={"text": text}, vector=vector(record.rid % 1000), tokens=secret_tokens(text))
        ledger.apply(batch(new))
    for record in mine[:5]:
        ledger.apply(batch(edit(record, expected_version=None, set_={"deleted": True})))
    job = NewJob(kind="extract", payload={"texts": [secret[0]]}, running=False)
    ledger.apply(batch(job=job, owner=alice[0].owner))
    ledger.changes(None, None)
    vectors = [encode(vector(2 * n), "f32") for n in range(60)]
    assert secret[3].encode() in raw(tmp_path) and vectors[7] in raw(tmp_path)
    counts = ledger.forget(new_id(), NOW, scope=ReadScope(user_id="alice"))
    assert counts.complete and len(counts.memory_ids) == 60 and counts.jobs == 1
    content = raw(tmp_path)
    assert not any(row in content or row[1:33] in content for row in vectors)
    assert b"secret" not in content and b"alice" not in content
    assert len(ledger.listing(ReadScope(user_id="bob"), at=NOW, limit=99)) == 60
    ledger.check()
    ledger.close()
    assert b"secret" not in raw(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("memory.db")) == ["memory.db"]


def test_no_byte_of_a_forgotten_memory_stays_while_others_do(ledger: SqliteLedger, tmp_path: Path) -> None:
    dice = random.Random(3)
    kept: list[str] = []
    ids: list[str] = []
    secret: list[str] = []
    for n in range(80):
        text = sentence(dice, "public" if n % 4 else "secret")
        applied = ledger.apply(batch(add(BOB, text, message=0), messages=[message(BOB, text)]))
        assert applied.changes[0].record is not None
        (kept if n % 4 else secret).append(text)
        if n % 4 == 0:
            ids.append(applied.changes[0].record.id)
    for memory_id in ids:
        assert ledger.forget(new_id(), NOW, ids=[memory_id]).complete
    assert b"secret" not in raw(tmp_path)
    assert all(text.encode() in raw(tmp_path) for text in kept)
    ledger.close()


def test_records_that_stay_lose_what_they_quoted(ledger: SqliteLedger, tmp_path: Path) -> None:
    other = Scope(user_id="bob", run_id="other")
    kept = ledger.apply(batch(messages=[message(BOB, "secretword one", id="given"), message(BOB, "secretword two"), message(other, "public")]))  # fmt: skip
    quotes = [SourceRef(message_id=m.id, quote=m.text) for m in kept.messages]
    applied = ledger.apply(batch(add(other, "A fact.", sources=quotes)))
    assert applied.changes[0].record is not None
    changed = (
        ledger.apply(batch(edit(applied.changes[0].record, set_={"sources": quotes[:2]}))).changes[0].record
    )
    assert changed is not None
    assert ledger.forget(new_id(), NOW, scope=ReadScope(user_id="bob", runs=frozenset({"r"}))).messages == 2
    assert b"secretword" not in raw(tmp_path) and b"given" not in raw(tmp_path)
    assert [r.sources for r in ledger.records([changed.id])] == [()]
    assert [e.before.sources for e in ledger.history(changed.id) if e.before] == [(quotes[2],)]
    ledger.close()


def test_without_access_to_the_file_every_page_is_written_anew(
    ledger: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residue, "SUPPORTED", False)
    texts = [sentence(random.Random(n), "secret" if n % 2 else "public") for n in range(80)]
    for n, text in enumerate(texts):
        ledger.apply(batch(add(Scope(user_id=f"u{n % 2}"), text)))
    assert ledger.forget(new_id(), NOW, scope=ReadScope(user_id="u1")).complete
    assert b"secret" not in raw(tmp_path) and raw(tmp_path).count(b"public") > 80
    ledger.close()


def test_a_page_that_makes_no_sense_is_left_as_it_is(ledger: SqliteLedger, tmp_path: Path) -> None:
    for n in range(30):
        ledger.apply(batch(add(BOB, sentence(random.Random(n), "public"))))
    ledger.close()
    path = tmp_path / "memory.db"
    data = bytearray(path.read_bytes())
    data[8192 * 3 : 8192 * 3 + 8] = bytes([13, 0, 0, 255, 255, 0, 9, 0])
    path.write_bytes(data)
    assert not residue.wipe(path) and path.read_bytes() == bytes(data)
    residue.close_unused([])
    other = tmp_path / "other.txt"
    other.write_bytes(b"no database" * 2000)
    assert not residue.wipe(other) and other.read_bytes() == b"no database" * 2000
    residue.close_unused([])


def test_a_file_that_pages_were_zeroed_in_is_let_go_with_the_last_ledger(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    second = SqliteLedger(tmp_path / "memory.db", tokenize=tokens, tokenizer_version="1")
    ledger.apply(batch(add(BOB, "secretword")))
    second.open()
    ledger.forget(new_id(), NOW, scope=ReadScope(user_id="bob"))
    here = (tmp_path / "memory.db").stat()
    assert (here.st_dev, here.st_ino) in residue.held()
    ledger.close()
    assert (here.st_dev, here.st_ino) in residue.held(), "closing it would drop the locks of the other"
    second.close()
    assert (here.st_dev, here.st_ino) not in residue.held()


def test_an_erasure_that_a_reader_holds_up_is_finished_later(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.apply(batch(add(BOB, "secretword")))
    reader = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM record").fetchone()
    ledger.erasure_wait_s = 0.2
    try:
        assert not ledger.forget(new_id(), NOW, scope=ReadScope(user_id="bob")).complete
        assert b"secretword" in raw(tmp_path)
    finally:
        reader.execute("COMMIT")
        reader.close()
    ledger.close()
    assert b"secretword" not in raw(tmp_path)


def test_a_reset_leaves_no_byte(ledger: SqliteLedger, tmp_path: Path) -> None:
    ledger.apply(batch(add(BOB, "secretword", message=0), messages=[message(BOB, "secretword")]))
    ledger.reset()
    assert b"secretword" not in raw(tmp_path) and b"bob" not in raw(tmp_path)
    ledger.close()
