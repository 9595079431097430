"""A memory with every part in use at once, for workers: dense vectors and tokens, a model, a schema, a graph, a clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, Field

from memkit import Memory
from memkit.embedders.base import TokenCodes
from memkit.errors import MemoryNotFoundError
from memkit.item_types import DeleteItem, PutItem, SearchItems
from memkit.llms.fake import FakeLLM
from tests.engine.faces import answer, fact
from tests.engine.test_typed import record

if TYPE_CHECKING:
    from tests.faults.victim import Killer

QUERY = "something"


class Pet(BaseModel):
    """An animal that lives with somebody."""

    name: str = Field(json_schema_extra={"key": True})
    age: int | None = None


class Dense:
    """Vectors and token codes without zeros, so that any piece of one can be looked for in a file."""

    dim = 48

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.identity = f"dense/{number}"

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        return np.stack([self._row(text, self.dim) for text in texts]).astype("f4")

    def embed_codes(self, texts: Sequence[str], *, purpose: str = "document") -> Any:
        return self.embed(texts), [self._codes(text) for text in texts]

    def _row(self, text: str, width: int) -> Any:
        digest = blake2b(f"{self.number} {text}".encode(), digest_size=8).digest()
        row = np.random.default_rng(int.from_bytes(digest, "big")).normal(size=width)
        return row / np.linalg.norm(row)

    def _codes(self, text: str) -> TokenCodes:
        found = list(re.finditer(r"\w+", text))
        table = np.array([self._row(match[0], 16) for match in found]).reshape(-1, 16)
        spans = np.array([match.span() for match in found], np.int32).reshape(-1, 2)
        return TokenCodes(np.rint(127 * table).astype(np.int8), spans)


_SAID = re.compile(r"^\[(\d+)\] user .*?: (.*)$", re.MULTILINE)
_ON_FILE = re.compile(r"^(m\d+): The number of (\w+) is \d+\.$", re.MULTILINE)


def script(killer: Killer | None = None) -> FakeLLM:
    """A model that understands three sentences: `My pet X is 3.`, `The number of X is 3.` and `X works at Y.`"""

    def reply(messages: Any) -> Any:
        if killer is not None:
            killer("model")
        prompt = str(messages[-1]["content"])
        known = {name: label for label, name in _ON_FILE.findall(prompt)}
        facts, records, relations = list[Any](), list[Any](), list[Any]()
        for number, text in _SAID.findall(prompt):
            n = int(number)
            if found := re.search(r"My pet (\w+) is (\d+)", text):
                records.append(record("pet", found[0], n, name=found[1], age=int(found[2])))
            for found in re.finditer(r"The number of (\w+) is \d+\.", text):
                old = known.get(found[1])
                how: Any = {"action": "supersede", "replaces": old} if old else {}
                facts.append(fact(found[0], n, **how))
            for found in re.finditer(r"(\w+) works at (\w+)\.", text):
                entities = [{"name": found[1], "kind": "person"}, {"name": found[2], "kind": "organization"}]
                relations.append(
                    {"source": found[1], "relation": "works_at", "target": found[2], "memory": len(facts)}
                )
                facts.append(fact(found[0], n, entities=entities))
        return {**answer(*facts, relations=relations), "records": records}

    return FakeLLM(reply)


def rich(
    path: Path | str,
    ledger: Any,
    killer: Killer | None,
    *,
    embedder: int,
    store: Any,
    graph: Any,
    hashed: bool = False,
) -> Memory:
    """Open a memory with all of it."""
    return Memory(
        path,
        ledger=ledger,
        vector_store=store,
        embedder="hash" if hashed and not embedder else Dense(embedder),
        llm=script(killer),
        graph_store=graph,
        schemas=[Pet],
    )


# ------------------------------------------------------------------------------------- what it does


def everything(memory: Memory) -> None:
    """Use every part once, so that all of it is loaded."""
    said = "My pet Rex is 3. The number of Bo is 4. Ann works at Acme."
    memory.add(said, user_id="u")
    memory.add("The number of Bo is 5.", user_id="u", expires_at="2031-01-01", valid_from="2020-01-01")
    embed_with(memory, 1)
    put(memory, "a", "b", "c")
    whole(memory, ["2020-06-01"])
    answers(memory, [["u", "Bo"]])


def embed_with(memory: Memory, number: int) -> None:
    """Change the embedder."""
    memory.rebuild(embedder=Dense(number))


def forget_id(memory: Memory, id: str) -> None:
    """Forget one memory, if it is there."""
    with suppress(MemoryNotFoundError):
        memory.forget(memory_id=id)


def put(memory: Memory, room: str, key: str, value: str) -> None:
    memory.items([PutItem(namespace=(room,), key=key, value={"v": value}, texts=[value])])


def drop(memory: Memory, room: str, key: str) -> bool:
    return bool(memory.items([DeleteItem(namespace=(room,), key=key)])[0])


# ------------------------------------------------------------------------------------- what it holds


def ids(memory: Memory) -> list[list[str | None]]:
    """Return id, user and text of all that is live."""
    found = memory.get_all(allow_global=True, include_closed=True, limit=10_000).results
    return [[item.id, item.user_id, item.memory] for item in found]


def whole(memory: Memory, times: Sequence[str]) -> dict[str, Any]:
    """Return all that a memory holds, without ids and times, so that two memories can be compared."""
    stats = memory.stats()
    items = memory.get_all(allow_global=True, include_closed=True, limit=10_000).results
    texts = {item.id: item.memory for item in items}
    users = sorted(owner.id for owner in memory.scopes(limit=1000).results)
    kept: Any = memory.items([SearchItems(limit=1000)])[0]
    found: Any = memory.items([SearchItems(limit=1000, query=QUERY)])[0]
    return {
        "memories": sorted(
            (
                [
                    *(item.user_id, item.run_id, item.memory, item.kind, dict(item.metadata), item.data, item.version),
                    *(item.pinned, item.valid_until is None, str(item.expires_at)),
                    sorted((e.name, e.kind) for e in item.entities),
                    [s.quote for s in item.sources],
                    [[e.event, e.before and e.before.memory, e.after and e.after.memory] for e in memory.history(item.id)],
                ]
                for item in items
            ),
            key=repr,
        ),
        "current": {u: sorted(i.memory for i in memory.get_all(user_id=u, limit=1000).results) for u in users},
        "counted": {u: memory.count(user_id=u) for u in users},
        "then": {
            t: sorted(i.memory for i in memory.get_all(allow_global=True, as_of=t, limit=1000).results)
            for t in times
        },
        "found": {
            u: sorted(hit.memory for hit in memory.search(QUERY, user_id=u, limit=1000).results)
            for u in users
        },
        "found then": {
            u: sorted(hit.memory for hit in memory.search(QUERY, user_id=u, as_of=times[0], limit=1000).results)
            for u in users
        },
        "turns": {
            u: [[m.run_id, m.role, m.content, m.status] for m in memory.messages(user_id=u, status=None)]
            for u in users
        },
        "items": sorted([list(i.namespace), i.key, i.value, i.version] for i in kept),
        "items found": sorted([list(i.namespace), i.key] for i in found),
        "relations": {
            u: sorted(
                [r.source, r.relation, r.target, sorted(texts.get(id, "?") for id in r.memory_ids)]
                for r in memory.graph.relations(user_id=u, limit=1000)
            )
            for u in users
        },
        "stats": [stats.unfinished, stats.embedder],
    }  # fmt: skip


def whole_now(memory: Memory) -> dict[str, Any]:
    """Return all that a memory holds at present."""
    return whole(memory, ["2020-06-01"])


def answers(memory: Memory, queries: Sequence[Sequence[str]]) -> list[Any]:
    """Return what searches find, in order and with scores: two processes must say the same."""
    return [
        [[hit.id, round(hit.score or 0, 9)] for hit in memory.search(text, user_id=user, limit=50).results]
        for user, text in queries
    ]
