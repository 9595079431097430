"""Processes that write one file at the same time, each in a run of its own, until they are killed; each checks itself."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memkit import Memory
from memkit.errors import ConflictError
from tests.engine.test_forgetting import Talk

USER = "everybody"


@dataclass(slots=True)
class Own:
    """What one process was told is there."""

    live: dict[str, str] = field(default_factory=dict[str, str])
    said: list[str] = field(default_factory=list[str])
    undoable: list[tuple[str, dict[str, str | None]]] = field(default_factory=list[Any])
    """Operations with what their memories were before."""
    gone: list[str] = field(default_factory=list[str])
    """What no file may hold any more."""
    ever: list[str] = field(default_factory=list[str])

    def is_there(self, live: dict[str, str], said: list[str]) -> bool:
        """Return whether that is what a ledger says; ids of an answer that was lost are not known."""
        known = {id: text for id, text in self.live.items() if not id.startswith("new ")}
        return (
            sorted(self.live.values()) == sorted(live.values())
            and known.items() <= live.items()
            and self.said == said
        )


class Actor:
    """One process's part: a random life in one run, told line by line before and after each call."""

    def __init__(self, memory: Memory, seed: int, person: int, run: str, log: Path) -> None:
        self.memory, self.dice, self.talk, self.person = memory, random.Random(seed), Talk(seed), person
        self.scope: Any = {"user_id": USER, "run_id": run}
        self.own = Own()
        self.undos = set[str]()
        """Operations that took another back: so may the one before that."""
        self.log = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def tell(self, **line: Any) -> None:
        os.write(self.log, json.dumps(line).encode() + b"\n")

    def text(self) -> str:
        return self.talk.text(self.person)

    def live(self) -> None:
        while True:
            name = self.dice.choices([*WEIGHTS], [*WEIGHTS.values()])[0]
            getattr(self, name)()

    # ------------------------------------------------------------------------------------- writes

    def add(self) -> None:
        texts = [self.text() for _ in range(self.dice.choice((1, 1, 3, 30)))]
        self.tell(begin="add", texts=texts)
        done = self.memory.add_many(texts, **self.scope)
        self.tell(ids=[o.id for o in done.results], op=done.operation_id)
        added(self.own, texts, [o.id for o in done.results], done.operation_id)

    def turn(self) -> None:
        text = self.text()
        self.tell(begin="turn", text=text)
        done = self.memory.add([{"role": "user", "content": text}], infer=False, **self.scope)
        self.tell(ids=[o.id for o in done.results], op=done.operation_id)
        added(self.own, [text], [o.id for o in done.results], done.operation_id, said=[text])

    def learn(self) -> None:
        text = f"{self.talk.word(self.person).title()} works at {self.talk.word(self.person).title()}."
        self.tell(begin="learn", text=text)
        done = self.memory.add([{"role": "user", "content": text}], **self.scope)
        self.tell(ids=[o.id for o in done.results], op=done.operation_id)
        added(self.own, [text], [o.id for o in done.results], done.operation_id, said=[text])

    def update(self) -> None:
        if self.own.live:
            id, text = self.dice.choice([*self.own.live]), self.text()
            self.tell(begin="update", id=id, text=text)
            done = self.memory.update(id, text)
            self.tell(op=done.operation_id)
            updated(self.own, id, text, done.operation_id)

    def delete(self) -> None:
        if self.own.live:
            id = self.dice.choice([*self.own.live])
            self.tell(begin="delete", id=id)
            done = self.memory.delete(id)
            self.tell(op=done.operation_id)
            deleted(self.own, [id], done.operation_id)

    def delete_all(self) -> None:
        if self.own.live:
            ids = [*self.own.live]
            self.tell(begin="delete_all")
            done = self.memory.delete_all(**self.scope)
            self.tell(op=done.operation_id)
            assert done.count == len(ids), (done.count, len(ids))
            deleted(self.own, ids, done.operation_id)

    def undo(self) -> None:
        if self.own.undoable:
            self.tell(begin="undo")
            done = self.memory.undo(self.own.undoable[-1][0])
            self.tell(op=done.operation_id)
            undone(self.own, done.operation_id)
            self.undos.add(done.operation_id)

    def undo_twice(self) -> None:
        """What was changed since cannot be taken back, unless that change was."""
        ops = self.own.undoable
        if len(ops) > 1 and {*ops[-1][1]} & {*ops[-2][1]} and ops[-1][0] not in self.undos:
            try:
                self.memory.undo(ops[-2][0])
            except ConflictError:
                return
            raise AssertionError("undone in spite of a later change")

    def forget(self) -> None:
        self.tell(begin="forget")
        self.memory.forget(**self.scope)
        self.tell(done=True)
        forgotten(self.own)

    # ------------------------------------------------------------------------------------- of everybody

    def repair(self) -> None:
        self.memory.repair()

    def rebuild(self) -> None:
        self.memory.rebuild()

    # ------------------------------------------------------------------------------------- what is seen

    def look(self) -> None:
        memory, own = self.memory, self.own
        found = {item.id: item.memory for item in memory.get_all(**self.scope, limit=10_000).results}
        assert found == own.live, ("get_all", differ(found, own.live))
        assert memory.count(**self.scope) == len(own.live)
        said = [m.content for m in memory.messages(**self.scope)]
        assert said == own.said, ("messages", said, own.said)

    def search(self) -> None:
        own = self.own
        if own.live:
            id = self.dice.choice([*own.live])
            hits = self.memory.search(own.live[id], **self.scope, limit=1000).results
            assert {hit.id for hit in hits} <= {*own.live}, "one that is gone"
            assert hits[0].id == id or own.live[id] in {h.memory for h in hits}, "not found"
            wide = self.memory.search(own.live[id], user_id=USER, limit=10).results
            assert id in {hit.id for hit in wide}, "not found among all"


WEIGHTS = {
    "add": 6, "turn": 4, "learn": 3, "update": 6, "delete": 3, "delete_all": 0.4, "undo": 4, "undo_twice": 1,
    "forget": 0.7, "repair": 0.5, "rebuild": 0.3, "look": 3, "search": 4,
}  # fmt: skip


def differ(a: dict[str, str], b: dict[str, str]) -> Any:
    return {k: (a.get(k), b.get(k)) for k in {*a, *b} if a.get(k) != b.get(k)}


# ------------------------------------------------------------------------------------- what a call does


def added(own: Own, texts: Sequence[str], ids: Sequence[Any], op: Any, said: Sequence[str] = ()) -> None:
    own.live.update(zip(ids, texts, strict=True))
    own.said.extend(said)
    own.ever.extend(texts)
    own.undoable.append((op, dict.fromkeys(ids)))


def updated(own: Own, id: str, text: str, op: Any) -> None:
    own.undoable.append((op, {id: own.live[id]}))
    own.live[id] = text
    own.ever.append(text)


def deleted(own: Own, ids: Sequence[str], op: Any) -> None:
    own.undoable.append((op, {id: own.live.pop(id) for id in ids}))


def undone(own: Own, op: Any) -> None:
    before = own.undoable.pop()[1]
    own.undoable.append((op, {id: own.live.get(id) for id in before}))
    for id, text in before.items():
        own.live.pop(id, None)
        if text is not None:
            own.live[id] = text


def forgotten(own: Own) -> None:
    own.gone += own.ever
    own.live.clear()
    own.said.clear()
    own.undoable.clear()
    own.ever.clear()


def replay(log: Path) -> list[Own]:
    """Return what may be there after a log: one state, or two where the last call was not answered."""
    own, begun = Own(), None
    lines = [json.loads(line) for line in log.read_bytes().splitlines()] if log.exists() else []
    for line in lines:
        if "begin" in line:
            begun = line
        else:
            assert begun is not None
            apply(own, begun, line)
            begun = None
    if begun is None:
        return [own]
    after = deepcopy(own)
    texts = begun.get("texts") or [begun.get("text")]
    apply(after, begun, {"ids": [f"new {text}" for text in texts], "op": "lost"})
    return [own, after]


def apply(own: Own, begun: dict[str, Any], done: dict[str, Any]) -> None:
    how, op = begun["begin"], done.get("op")
    if how == "add":
        added(own, begun["texts"], done["ids"], op)
    elif how in ("turn", "learn"):
        added(own, [begun["text"]], done["ids"], op, said=[begun["text"]])
    elif how == "update":
        updated(own, begun["id"], begun["text"], op)
    elif how == "delete":
        deleted(own, [begun["id"]], op)
    elif how == "delete_all":
        deleted(own, [*own.live], op)
    elif how == "undo":
        undone(own, op)
    else:
        forgotten(own)


# ------------------------------------------------------------------------------------- for workers


def live_in_the_crowd(memory: Memory, seed: int, person: int, run: str, log: str, threads: int) -> None:
    """Write until the process is killed, in threads of one memory."""
    from concurrent.futures import ThreadPoolExecutor

    actors = [Actor(memory, seed * 10 + n, person, f"{run}.{n}", Path(f"{log}.{n}")) for n in range(threads)]
    if threads == 1:
        actors[0].live()
    with ThreadPoolExecutor(threads) as pool:
        for ended in [pool.submit(actor.live) for actor in actors]:
            ended.result()
