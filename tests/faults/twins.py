"""Two lives with the same calls: one shared by processes that are killed and run out of disk, one left in peace."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from memkit.ranking.text import tokens
from tests.engine.test_forgetting import Talk
from tests.faults.audit import broken_laws
from tests.faults.workers import ENDINGS, Killed, Nursery, Refusal, Worker

HOUR, DAY = 3600.0, 86400.0
RUNS: Final = (None, "r1", "r2")
STEPS: Final = (
    "begin",
    "messages",
    "records",
    "commit",
    "committed",
    "model",
    "erased",
    "scrubbed",
    "switched",
)
TIMES: Final = ["2020-06-01", "2031-01-01", "2500-01-01"]
DISK: Final = ("full", "broken", "broken sync")


_LATIN: Final = re.compile(rb"[a-z]{10,}", re.IGNORECASE)


def pieces(data: bytes) -> set[bytes]:
    """Every ten letters of every word: nine of them meet by chance where two columns do."""
    words = set(_LATIN.findall(data))
    return {word[at : at + 10].lower() for word in words for at in range(len(word) - 9)}


def needles(texts: Sequence[str]) -> set[bytes]:
    """What to look for: words as they were said, and as the keyword index holds them."""
    return pieces("\n".join([*texts, *(" ".join(tokens(text)) for text in texts)]).encode())


class Difference(AssertionError):
    """The life with faults is not the one without."""


class Twins:
    """Random calls on both; `log` says what was done."""

    def __init__(
        self,
        nursery: Nursery,
        folder: Path,
        seed: int,
        *,
        opened: dict[str, Any],
        disk: bool,
        workers: int = 3,
    ) -> None:
        self.dice, self.talk = random.Random(seed), Talk(seed)
        self.nursery, self.opened, self.disk = nursery, opened, disk
        self.path, self.peace = folder / "faults", folder / "peace"
        self.embedder, self.base = 0, 0.0
        self.live: list[tuple[str | None, str]] = []
        self.log: list[str] = []
        self.workers = [self.open(self.path) for _ in range(workers)]
        self.twin = self.open(self.peace)
        self.ids: dict[str, tuple[str, str]] = {}
        """By text: the id in the life with faults, and in the other."""
        self.operations: list[tuple[str, str]] = []
        self.said: dict[tuple[int, str | None], list[str]] = {}
        self.numbers = 0
        self.exports: list[tuple[Any, Any]] = []

    def open(self, path: Path) -> Worker:
        worker = self.nursery.worker()
        rich = {"graph": "sqlite", **self.opened.get("rich", {}), "embedder": self.embedder}
        worker.do("open", path=str(path), index=self.opened.get("index", False), rich=rich)
        worker.do("clock", seconds=self.base)
        return worker

    def leave_all(self) -> None:
        """Hang up."""
        for worker in [*self.workers, self.twin]:
            worker.leave()

    # ------------------------------------------------------------------------------------- one call

    def fault(self) -> dict[str, Any] | None:
        chance = self.dice.random()
        if chance < 0.6:
            return None
        if chance < 0.75:
            return {"step": self.dice.choice(STEPS), "nth": self.dice.randint(1, 3)}
        if not self.disk or chance < 0.9:
            return {"fault": "kill", "nth": self.dice.randint(1, 80)} if self.disk else None
        return {"fault": self.dice.choice(DISK), "nth": self.dice.randint(1, 60)}

    def both(
        self,
        method: str,
        mine: Sequence[Any] = (),
        others: Sequence[Any] | None = None,
        *,
        parts: bool = False,
        **kwargs: Any,
    ) -> tuple[Any, Any] | None:
        """Make a call in both lives; return both results, or None where it was not done, or its result is lost."""
        others = mine if others is None else others
        p, arm = self.dice.randrange(len(self.workers)), self.fault()
        jump = self.base + self.dice.choice((0, 0, 0, -DAY, -HOUR, HOUR, DAY))
        said = "" if method == "bring_in" else [*mine]
        self.log.append(f"{len(self.log)}: {p} {method} {said} {kwargs} {arm} clock {jump - self.base}")
        self.workers[p].do("clock", seconds=jump)
        self.twin.do("clock", seconds=jump)
        try:
            done = self.workers[p].call(method, *mine, arm=arm, **kwargs)
        except Killed:
            self.log.append("   killed")
            self.workers[p].leave()
            self.workers[p] = self.open(self.path)
            return self.perhaps(p, jump, method, mine, others, parts=parts, **kwargs)
        except Refusal as refusal:
            self.log.append(f"   refused: {refusal.args}")
            if arm is not None and refusal.kind == "BackendUnavailableError":
                return self.perhaps(p, jump, method, mine, others, parts=parts, **kwargs)
            try:
                self.twin.call(method, *others, **kwargs)
            except Refusal as other:
                if other.kind == refusal.kind:
                    return None
                raise Difference(f"refused otherwise: {refusal.args} {other.args}") from other
            raise Difference(f"refused: {refusal.args}") from refusal
        told = self.twin.call(method, *others, **kwargs)
        self.learn(done, told)
        return done, told

    def learn(self, done: Any, told: Any) -> None:
        """Note the ids of an operation and of what it made."""
        if not isinstance(done, dict):
            return
        if done.get("operation_id") and told.get("operation_id"):
            self.operations.append((done["operation_id"], told["operation_id"]))
        self.learn_ids()

    def learn_ids(self) -> None:
        one, other = (
            {(user, text): id for id, user, text in worker.call("ids")}
            for worker in (self.workers[0], self.twin)
        )
        for key in one.keys() & other.keys():
            self.ids[str(key)] = (one[key], other[key])
        self.live = sorted(one.keys() & other.keys(), key=repr)

    def perhaps(
        self, p: int, jump: float, method: str, mine: Any, others: Any, *, parts: bool, **kwargs: Any
    ) -> None:
        """After a fault: as before the call, or as after it; what is several transactions is done again until it is."""
        if parts:
            self.log.append("   again")
            self.workers[p].call(method, *mine, **kwargs)
            self.twin.call(method, *others, **kwargs)
            self.settle(self.workers[p])
        else:
            self.settle(self.workers[p])
            seen = self.workers[0].call("whole", TIMES)
            if seen != (before := self.twin.call("whole", TIMES)):
                self.twin.do("clock", seconds=jump)
                self.twin.call(method, *others, **kwargs)
                self.settle()
                after = self.twin.call("whole", TIMES)
                if seen != after:
                    raise Difference(
                        f"half done: {method}: {differences(seen, before)} | {differences(seen, after)}"
                    )
        self.learn_ids()

    def settle(self, first: Worker | None = None) -> None:
        for worker in [*self.workers, self.twin]:
            worker.do("clock", seconds=self.base)
        # Another may not take what the first could not give back when the disk was full, or still have another embedder.
        report = (first or self.dice.choice(self.workers)).call("repair")
        if report["failed"] or report["pending"]:
            raise Difference(f"repair: {report}")
        self.twin.call("repair")

    # ------------------------------------------------------------------------------------- the calls

    def who(self) -> tuple[int, dict[str, Any], str | None]:
        person, run = self.dice.randrange(3), self.dice.choice(RUNS)
        scope = {"user_id": f"user{person}"}
        return person, scope if run is None else {**scope, "run_id": run}, run

    def say(self, person: int, run: str | None) -> str:
        self.numbers += 1
        text = f"{self.talk.text(person)} something {self.numbers}"
        self.said.setdefault((person, run), []).append(text)
        return text

    def some(self) -> tuple[int, str, tuple[str, str]] | None:
        live = self.live
        if not live:
            return None
        key = self.dice.choice(live)
        if key[0] is None:
            return None
        return int(key[0][4:]), key[1], self.ids[str(key)]

    def add_many(self) -> None:
        person, scope, run = self.who()
        self.both(
            "add_many", [[self.say(person, run) for _ in range(self.dice.choice((1, 2, 5, 40)))]], **scope
        )

    def add(self) -> None:
        person, scope, run = self.who()
        more: dict[str, Any] = (
            {"metadata": {"note": self.say(person, run)}} if self.dice.random() < 0.3 else {}
        )
        if self.dice.random() < 0.4:
            more["expires_at"] = self.dice.choice(("2030-01-01", "2032-01-01", "2600-01-01"))
        if self.dice.random() < 0.3:
            more["valid_from"] = "2020-01-01"
        if self.dice.random() < 0.3:
            more["idempotency_key"] = self.say(person, run)[:60]
        self.both("add", [self.say(person, run)], infer=False, **scope, **more)

    def turns(self) -> None:
        person, scope, run = self.who()
        turns = [
            {"role": role, "content": self.say(person, run), "name": self.talk.word(person)}
            for role in ("user", "assistant")
        ]
        self.said[person, run] += [turn["name"] for turn in turns]
        self.both("add", [turns], infer=False, **scope)

    def keep(self) -> None:
        person, scope, run = self.who()
        self.both("keep", [[{"role": "user", "content": self.say(person, run)}]], **scope)

    def learn_something(self) -> None:
        person, scope, run = self.who()
        self.numbers += 1
        name = self.talk.word(person).lower().title()
        known = [text for text in self.said.get((person, run), ()) if text.istitle() and " " not in text]
        if known and self.dice.random() < 0.6:
            name = self.dice.choice(known)
        text = self.dice.choice(
            (
                f"My pet {name} is {self.numbers}",
                f"The number of {name} is {self.numbers}.",
                f"{name} works at {self.talk.word(person).lower().title()}.",
            )
        )
        self.said.setdefault((person, run), []).extend([text, name])
        self.both("add", [[{"role": "user", "content": text}]], **scope)

    def update(self) -> None:
        if found := self.some():
            person, _, (mine, other) = found
            run = self.run_of(found[1], person)
            change: dict[str, Any] = self.dice.choice(
                (
                    {"text": self.say(person, run)},
                    {"text": self.say(person, run), "metadata": {"note": self.say(person, run)}},
                    {"pinned": True},
                    {"expires_at": "2030-01-01"},
                    {"valid_until": "2031-06-01"},
                )
            )
            self.both("update", [mine], [other], **change)

    def run_of(self, text: str, person: int) -> str | None:
        return next((run for (p, run), texts in self.said.items() if p == person and text in texts), None)

    def delete(self) -> None:
        if found := self.some():
            self.both("delete", [found[2][0]], [found[2][1]])

    def delete_all(self) -> None:
        _, scope, _ = self.who()
        self.both("delete_all", **scope)

    def undo(self) -> None:
        if self.operations:
            mine, other = self.operations[-self.dice.randint(1, min(4, len(self.operations)))]
            self.both("undo", [mine], [other])

    def forget(self) -> None:
        person, scope, run = self.who()
        vectors = self.vectors(scope["user_id"]) if run is None else set[bytes]()
        self.both("forget", parts=True, **scope)
        self.settle()
        keys = [key for key in self.said if key[0] == person and run in (None, key[1])]
        gone = [text for key in keys for text in self.said.pop(key)]
        self.scan(needles(gone) - self.others(), vectors, f"forget {scope}")

    def others(self) -> set[bytes]:
        """What others said, or says itself."""
        return needles(["something", *(text for texts in self.said.values() for text in texts)])

    def forget_one(self) -> None:
        if found := self.some():
            _, text, (mine, other) = found
            self.both("forget_id", [mine], [other], parts=True)
            self.settle()
            for texts in self.said.values():
                texts[:] = [one for one in texts if one != text]
            self.scan(needles([text]) - self.others(), [], f"forget {text!r}")

    def items(self) -> None:
        person, _, _ = self.who()
        if self.dice.random() < 0.7:
            self.both(
                "put", [f"room{person}", self.dice.choice("abc"), f"{self.talk.word(person)} something"]
            )
        else:
            self.both("drop", [f"room{person}", self.dice.choice("abc")])

    def repair(self) -> None:
        self.settle()

    def time(self) -> None:
        """Years go by, at most twice: what expires meanwhile is gone."""
        self.base = self.dice.choice((0.0, 0.0, 6 * 365 * DAY, 5 * 365 * DAY))
        self.settle()

    def rebuild(self) -> None:
        if self.dice.random() < 0.4:
            self.both("rebuild", parts=True)
            return
        self.embedder += 1
        self.both("embed_with", [self.embedder], parts=True)
        for p, worker in enumerate(self.workers):
            if self.dice.random() < 0.5:
                try:
                    worker.call("add", "as before", user_id="user0", infer=False)
                except Refusal as refusal:
                    if refusal.kind != "EmbedderMismatchError":
                        raise
                else:
                    self.twin.call("add", "as before", user_id="user0", infer=False)
            worker.end("close")
            self.workers[p] = self.open(self.path)

    def export(self) -> None:
        self.exports.append((self.workers[0].call("export"), self.twin.call("export")))

    def bring_in(self) -> None:
        if self.exports:
            mine, other = self.dice.choice(self.exports)
            self.both("bring_in", [mine], [other], parts=True)

    def leave(self) -> None:
        p = self.dice.randrange(len(self.workers))
        how = self.dice.choice(ENDINGS)
        self.log.append(f"{len(self.log)}: {p} {how}")
        self.workers[p].end(how)
        self.workers[p] = self.open(self.path)

    def compare(self) -> None:
        """Every process sees the twin's life, and all of them, and one that has just come, find the same."""
        self.settle()
        expected = self.twin.call("whole", TIMES)
        some = self.dice.sample(self.live, min(6, len(self.live)))
        queries = [
            *([user, text] for user, text in some if user),
            ["user0", "something"],
            ["user1", "My pet"],
        ]
        fresh = self.open(self.path)
        told = fresh.call("answers", queries)
        fresh.do("close")
        fresh.leave()
        for p, worker in enumerate(self.workers):
            seen = worker.call("whole", TIMES)
            if seen != expected:
                raise Difference(f"process {p}: {differences(seen, expected)}")
            found = worker.call("answers", queries)
            if wrong := [each for each in zip(queries, found, told, strict=True) if not alike(*each[1:])]:
                raise Difference(f"process {p} finds otherwise: {wrong[:2]}")
        if self.opened.get("index"):
            there = self.workers[0].call("in_index")
            if there["index"] != there["ledger"]:
                raise Difference(f"index: {there}")
        if (self.path / "memory.db").exists() and (broken := broken_laws(self.path / "memory.db")):
            raise Difference(f"laws: {broken}")

    # ------------------------------------------------------------------------------------- bytes

    def vectors(self, user: str) -> set[bytes]:
        """Return pieces of vectors and of tokens that only this user's memories have."""
        mine, theirs = list[bytes](), list[bytes]()
        if (self.path / "memory.db").exists():
            with closing(sqlite3.connect(self.path / "memory.db")) as conn:
                row = conn.execute("SELECT no FROM owner WHERE kind = 'user' AND id = ?", (user,)).fetchone()
                for table in ("vec", "vec_gone", "tokens"):
                    for rid, blob in conn.execute(f"SELECT rid, e FROM {table}"):
                        (mine if row is not None and rid >> 32 == row[0] else theirs).append(blob)
        found = {blob[at : at + 24] for blob in mine for at in range(4, min(len(blob) - 24, 300), 40)}
        rest = b"".join(theirs)
        return {piece for piece in found if len(set(piece)) > 12 and piece not in rest}

    def scan(self, words: set[bytes], vectors: set[bytes], why: str) -> None:
        """No file of the ledger holds any of it."""
        for path in sorted(self.path.glob("memory.db*")):
            data = path.read_bytes()
            if left := pieces(data) & words:
                self.where(left)
                raise Difference(f"{why}: {path.name} holds {sorted(left)[:5]} of {len(left)}")
            if count := sum(piece in data for piece in vectors):
                raise Difference(f"{why}: {path.name} holds {count} pieces of {len(vectors)} of vectors")

    def where(self, left: set[bytes]) -> None:
        """Note which rows still say it, and who said it."""
        one = sorted(left)[0].decode()
        with closing(sqlite3.connect(self.path / "memory.db")) as conn:
            for table in (
                "record",
                "message",
                "event",
                "operation",
                "job",
                "node",
                "edge",
                "alias",
                "words",
                "item",
                "item_vec",
                "meta",
                "owner",
                "agent_run",
            ):
                for row in conn.execute(f"SELECT * FROM {table}"):
                    if one in repr(row).lower():
                        self.log.append(f"   {one} in {table}: {row!r}"[:290])
        for line in [line for line in self.log if one in line.lower()]:
            at = line.lower().index(one)
            self.log.append(f"   said: {line[:60]} ... {line[max(0, at - 100) : at + 100]} ... {line[-60:]}")

    # ------------------------------------------------------------------------------------- a life

    WEIGHTS: Final = {
        "add_many": 6, "add": 8, "turns": 5, "keep": 3, "learn_something": 8, "update": 8, "delete": 4, "delete_all": 1,
        "undo": 6, "forget": 2, "forget_one": 2, "items": 3, "repair": 1, "time": 1, "rebuild": 1.5, "export": 1,
        "bring_in": 1.5, "leave": 3, "compare": 4,
    }  # fmt: skip

    def live_for(self, steps: int) -> None:
        try:
            for _ in range(steps):
                name = self.dice.choices([*self.WEIGHTS], [*self.WEIGHTS.values()])[0]
                getattr(self, name)()
            self.compare()
        except BaseException as error:
            error.add_note("\n".join(line[:300] for line in self.log[-25:]))
            raise


def alike(found: list[Any], told: list[Any]) -> bool:
    """Return whether two searches found the same; a cache that grew sums in another order, to the sixth digit."""
    return [id for id, _ in found] == [id for id, _ in told] and all(
        abs(mine - other) < 1e-5 for (_, mine), (_, other) in zip(found, told, strict=True)
    )


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[Any]:
    """Return what is in one and not in the other."""
    found: list[Any] = []
    for key in a:
        x, y = a[key], b[key]
        if x == y:
            continue
        if isinstance(x, dict):
            for k in sorted({*x, *y}):
                if x.get(k) != y.get(k):
                    p, q = x.get(k), y.get(k)
                    if isinstance(p, list) and isinstance(q, list):
                        found.append((key, k, [i for i in p if i not in q], [i for i in q if i not in p]))
                    else:
                        found.append((key, k, p, q))
        else:
            found.append((key, [i for i in x if i not in y], [i for i in y if i not in x]))
    return [str(f)[:1500] for f in found]
