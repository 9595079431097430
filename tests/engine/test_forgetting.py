"""What is forgotten is gone: from the file, its log and its indexes, from history, the queue and the results."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, ConflictError, MemoryNotFoundError, OperationNotFoundError
from memkit.item_types import DeleteItem, GetItem, PutItem
from memkit.llms.fake import FakeLLM
from memkit.ranking.text import tokens
from tests.engine.faces import Face, World, answer, fact

RUNS = ("r1", "r2", "r3")


class DenseEmbedder:
    """Vectors without zeros, so that any piece of one can be looked for in a file."""

    identity, dim = "dense/v1", 48

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        seeds = (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") for text in texts)
        return np.stack([np.random.default_rng(seed).normal(size=self.dim) for seed in seeds]).astype("f4")


class Talk:
    """Makes texts that can be told apart in a file: each person's words are of letters nobody else uses."""

    ALPHABETS = ("abcdefgh", "ijklmnopq", "rstuvwxyz")

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)

    def word(self, person: int) -> str:
        letters = "".join(self.dice.choices(self.ALPHABETS[person], k=11))
        return letters.title() if self.dice.random() < 0.3 else letters

    def text(self, person: int) -> str:
        words = [self.word(person) for _ in range(self.dice.randrange(2, 40))]
        start = 0x4E00 + 0x400 * person
        words.append("".join(chr(start + self.dice.randrange(0x400)) for _ in range(9)))
        return " ".join(words)


_LATIN = re.compile(rb"[a-z]{7,}", re.IGNORECASE)
_HAN = re.compile(rb"(?:[\xe4\xe5][\x80-\xbf]{2}){2,}")


def pieces(data: bytes) -> set[bytes]:
    """Every seven letters of every word, and every two ideographs: half a word is found as well."""
    found: set[bytes] = set()
    for pattern, size, step in ((_LATIN, 7, 1), (_HAN, 6, 3)):
        for word in set(pattern.findall(data)):
            found.update(word[at : at + size].lower() for at in range(0, len(word) - size + 1, step))
    return found


def needles(texts: Sequence[str]) -> set[bytes]:
    """What to look for: words as they were said, and as the keyword index holds them."""
    return pieces("\n".join([*texts, *(" ".join(tokens(text)) for text in texts)]).encode())


def content(world: World) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(world.path.iterdir()))


def stored_vectors(world: World, user: str) -> list[bytes]:
    """The vectors of a user's memories, deleted ones too, as bytes of the file."""
    conn = sqlite3.connect(world.path / "memory.db")
    (number,) = conn.execute("SELECT no FROM owner WHERE kind = 'user' AND id = ?", (user,)).fetchone()
    span = (number << 32, (number + 1) << 32)
    sql = "SELECT e FROM vec WHERE rid BETWEEN ? AND ?"
    rows = conn.execute(f"{sql} UNION ALL {sql.replace('vec', 'vec_gone')}", (*span, *span)).fetchall()
    conn.close()
    return [row[0] for row in rows]


def left(world: World, wanted: set[bytes]) -> set[bytes]:
    return pieces(content(world)) & wanted


def vectors_left(world: World, vectors: Sequence[bytes]) -> int:
    """How many eight-byte pieces of vectors are anywhere in the files."""
    data = content(world)
    parts = np.unique(
        np.concatenate(
            [np.frombuffer(v[at : at + len(v) // 8 * 8 - 8], "i8") for v in vectors for at in (0, 2)]
        )
    )
    whole = [np.frombuffer(data[at : at + (len(data) - at) // 8 * 8], "i8") for at in range(8)]
    return int(sum(np.isin(view, parts).sum() for view in whole))


def terms(world: World) -> set[str]:
    """Every term of the keyword index; those that share a beginning are not whole in the file's bytes."""
    conn = sqlite3.connect(world.path / "memory.db")
    conn.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('main', 'fts', 'row')")
    found = {row[0] for row in conn.execute("SELECT term FROM temp.terms")}
    conn.close()
    return found


class Life:
    """A random life of three people in one store, and what each of them said."""

    def __init__(self, memory: Face, seed: int) -> None:
        self.memory, self.talk = memory, Talk(seed)
        self.dice = self.talk.dice
        self.said: dict[tuple[int, str], list[str]] = {(p, run): [] for p in range(3) for run in RUNS}
        self.known: list[tuple[int, str, str]] = []
        self.operations: list[str] = []

    def say(self, person: int, run: str) -> str:
        text = self.talk.text(person)
        self.said[person, run].append(text)
        return text

    def step(self) -> None:
        person, run = self.dice.randrange(3), self.dice.choice(RUNS)
        scope: dict[str, Any] = {"user_id": f"user{person}", "run_id": run}
        choice = self.dice.random()
        if choice < 0.35:
            turn = {
                "role": "user",
                "content": [{"type": "text", "text": self.say(person, run)}],
                "name": self.say(person, run).split()[0],
                "metadata": {"note": self.say(person, run)},
            }
            self.added(
                person, run, self.memory.add([turn], idempotency_key=self.say(person, run)[:90], **scope)
            )
        elif choice < 0.5:
            texts = [self.say(person, run) for _ in range(self.dice.randrange(1, 30))]
            self.added(person, run, self.memory.add_many(texts, **scope))
        elif choice < 0.6:
            self.memory.keep([{"role": "assistant", "content": self.say(person, run)}], **scope)
        elif self.known:
            self.change(*self.dice.choice(self.known))

    def added(self, person: int, run: str, result: Any) -> None:
        self.known += [(person, run, o.id) for o in result.results if o.id is not None]
        self.operations.append(result.operation_id)

    def change(self, person: int, run: str, id: str) -> None:
        choice = self.dice.random()
        try:
            if choice < 0.6:
                done = self.memory.update(id, self.say(person, run), metadata={"n": self.say(person, run)})
            else:
                done = self.memory.delete(id)
        except MemoryNotFoundError:
            return
        if self.dice.random() < 0.3:
            self.memory.undo(done.operation_id)

    def words(self, person: int, runs: Sequence[str] = RUNS) -> set[bytes]:
        return needles([text for run in runs for text in self.said[person, run]])


@pytest.mark.parametrize("seed", [1, *(pytest.param(n, marks=pytest.mark.engine) for n in range(2, 6))])
def test_no_byte_of_a_forgotten_life_stays(world: World, seed: int) -> None:
    memory = world.open(embedder=DenseEmbedder())
    life = Life(memory, seed)
    for _ in range(45):
        life.step()
    before, vectors = content(world), stored_vectors(world, "user0")
    assert len(life.words(0) & pieces(before)) > 100 and vectors_left(world, vectors) > 20

    busy = max(RUNS, key=lambda run: len(life.said[1, run]))
    run = memory.forget(user_id="user1", run_id=busy)
    assert run.indexes == {"sqlite": "erased from file"} and run.memories + run.messages > 0
    assert not left(world, life.words(1, [busy]) - life.words(1, [run for run in RUNS if run != busy]))
    for _ in range(20):
        life.step()
    vectors += stored_vectors(world, "user0")
    assert memory.forget(user_id="user0").indexes == {"sqlite": "erased from file"}
    words = life.words(0)
    assert not left(world, words) and not vectors_left(world, vectors) and b"user0" not in content(world)
    assert memory.count(user_id="user0") == 0 and memory.messages(user_id="user0") == []
    said = " ".join(" ".join(tokens(text)) for run in RUNS for text in life.said[0, run])
    assert not terms(world) & set(said.split())
    for operation in life.operations:
        with suppress(ConflictError, OperationNotFoundError):
            memory.undo(operation)
    memory.close()
    assert not left(world, words) and not vectors_left(world, vectors) and b"user0" not in content(world)
    again = world.open(embedder=DenseEmbedder())
    assert again.health().ok and again.count(user_id="user2") > 0
    again.forget(allow_global=True)
    assert not left(world, life.words(1) | life.words(2))
    again.close()
    assert (world.path / "memory.db").stat().st_size < len(before) / 2, "the space is given back"


def test_every_version_of_one_memory_goes_with_it_and_nothing_else(world: World) -> None:
    memory = world.open(embedder=DenseEmbedder())
    talk = Talk(4)
    mine, others = [talk.text(0) for _ in range(4)], [talk.text(1) for _ in range(60)]
    memory.add_many(others[:30], user_id="u")
    first = memory.add([{"role": "user", "content": mine[0]}], user_id="u")
    id = first.results[0].id
    memory.add_many(others[30:], user_id="u")
    for text in mine[1:]:
        memory.update(id, text)
    memory.undo(memory.delete(id).operation_id)
    receipt = memory.forget(memory_id=id)
    assert (receipt.memories, receipt.messages) == (1, 1) and receipt.events >= 5
    assert not left(world, needles(mine))
    assert len(left(world, needles(others))) == len(needles(others)), "theirs stay"
    assert [e.event for e in memory.history(id)] == ["FORGET"]
    assert memory.found(mine[-1], user_id="u") != [mine[-1]] and memory.get(id) is None


def test_the_queue_forgets_what_was_not_learned_yet(world: World) -> None:
    memory = world.open(llm=FakeLLM([BackendUnavailableError("down", backend="llm")]))
    with pytest.raises(BackendUnavailableError):
        memory.add("Bcdgfgdcbcd is my secret.", user_id="u")
    assert memory.stats().unfinished == 1
    receipt = memory.forget(user_id="u")
    assert receipt.jobs == 1 and memory.stats().unfinished == 0
    assert not left(world, needles(["Bcdgfgdcbcd"]))


def test_an_answer_that_came_while_it_was_forgotten_is_not_stored(world: World) -> None:
    def reply(_: Any) -> Any:
        with Memory(world.path, llm=None, embedder="hash") as other:
            assert other.forget(user_id="u").jobs == 1
        return answer(fact("The secret is Bcdgfgdcbcd.", quote="secret is Bcdgfgdcbcd"))

    learning = world.open(llm=FakeLLM(reply))
    with pytest.raises(ConflictError) as error:
        learning.add("My secret is Bcdgfgdcbcd.", user_id="u")
    assert "Bcdgfgdcbcd" not in str(error.value)
    assert learning.count(user_id="u") == 0 and not left(world, needles(["Bcdgfgdcbcd"]))


# ------------------------------------------------------------------------------------- others at the same time


def test_the_receipt_says_when_a_reader_holds_the_last_bytes(world: World) -> None:
    memory = world.open()
    memory.add("Bcdgfgdcbcd.", user_id="u", infer=False)
    memory.raw._engine.ledger.erasure_wait_s = 0.1
    reader = sqlite3.connect(world.path / "memory.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM record").fetchone()
    try:
        assert memory.forget(user_id="u").indexes == {"sqlite": "pending"}
        assert memory.count(user_id="u") == 0 and memory.found("Bcdgfgdcbcd", user_id="u") == []
        assert memory.repair().pending == ["sqlite"]
    finally:
        reader.close()
    assert memory.repair().pending == []
    assert not left(world, needles(["Bcdgfgdcbcd"]))


def test_another_process_brings_nothing_back(world: World) -> None:
    """A second writer holds pages in memory on which the erased rows still lie, and writes to them afterwards."""
    talk = Talk(9)
    secret, public = [talk.text(0) for _ in range(15)], [talk.text(1) for _ in range(75)]
    memory, other = world.open(), world.open()
    for n, text in enumerate(secret):
        memory.add(text, user_id="a", infer=False)
        other.add_many(public[5 * n : 5 * n + 5], user_id="b")
    assert len(other.get_all(user_id="b", limit=500).results) == 75
    memory.forget(user_id="a")
    for item in other.get_all(user_id="b", limit=30).results:
        other.update(item.id, talk.text(1))
    other.add_many([talk.text(1) for _ in range(60)], user_id="b")
    assert not left(world, needles(secret))
    memory.close()
    other.close()
    assert not left(world, needles(secret))


# ------------------------------------------------------------------------------------- items


@pytest.mark.parametrize("how", ["repair", "close", "forget"])
def test_a_deleted_item_is_gone_with_the_next_repair_close_or_erasure(world: World, how: str) -> None:
    memory, talk = world.open(embedder=DenseEmbedder()), Talk(5)
    secret = [talk.text(0) for _ in range(30)]
    space = ("files",)
    memory.items(
        [
            PutItem(namespace=space, key=f"k{n}", value={"v": text}, texts=[text])
            for n, text in enumerate(secret)
        ]
    )
    memory.items([PutItem(namespace=space, key=f"p{n}", value={"v": talk.text(1)}) for n in range(30)])
    assert memory.items([DeleteItem(namespace=space, key=f"k{n}") for n in range(30)]) == [True] * 30
    memory.add("Something.", user_id="u", infer=False)
    if how == "repair":
        assert memory.repair().pending == []
    elif how == "close":
        memory.close()
    else:
        memory.forget(user_id="u")
    assert not left(world, needles(secret))
    if how != "close":
        assert all(memory.items([GetItem(namespace=space, key=f"p{n}") for n in range(30)]))
