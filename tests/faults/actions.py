"""What workers do beyond the methods of `Memory`, and how the state of a memory is told without ids and times."""

from __future__ import annotations

from typing import Any

from memkit import Memory
from memkit.item_types import DeleteItem, GetItem, PutItem, SearchItems
from memkit.transfer.archive import export_lines, import_archive, read_archive


def everything(memory: Memory) -> None:
    """Use every part once, so that all of it is loaded."""
    memory.add("My number is 1.", user_id="u")
    done = memory.add([{"role": "user", "content": "warm"}, "up"], user_id="u", infer=False)
    memory.search("warm", user_id="u", explain=True)
    memory.context("warm", user_id="u")
    memory.update(done.results[0].id or "", "warmer")
    memory.undo(memory.delete(done.results[0].id or "").operation_id or "")
    memory.keep([{"role": "user", "content": "kept"}], user_id="u", run_id="r")
    put_item(memory, "k", {"x": 1}, ["some text"])
    find_item(memory, "text")
    bring_in(memory, export(memory))
    memory.repair()
    memory.rebuild()
    memory.forget(user_id="u")
    state(memory)


def put_item(memory: Memory, key: str, value: Any, texts: list[str]) -> None:
    """Put a value into the key-value store."""
    memory.items([PutItem(namespace=("room", "a"), key=key, value=value, texts=texts)])


def move_item(memory: Memory, key: str, other: str) -> None:
    """Delete one value and put another, as one batch."""
    found = memory.items([GetItem(namespace=("room", "a"), key=key)])[0]
    memory.items(
        [
            DeleteItem(namespace=("room", "a"), key=key),
            PutItem(namespace=("room", "b"), key=other, value=getattr(found, "value", None)),
        ]
    )


def find_item(memory: Memory, query: str) -> list[str]:
    """Return the keys of items found by meaning, best first."""
    found: Any = memory.items([SearchItems(query=query, limit=100)])[0]
    return [item.key for item in found]


def export(memory: Memory) -> list[Any]:
    """Return the lines of an export of everything."""
    return list(export_lines(memory, None))


def bring_in(memory: Memory, lines: list[Any]) -> dict[str, Any]:
    """Import the lines of an export."""
    return import_archive(memory, read_archive(lines, "a test")).as_dict()


def state(memory: Memory) -> dict[str, Any]:
    """Return all that a memory holds, without ids and times, so that two can be compared."""
    stats = (
        memory.stats()
    )  # First: what is unfinished now may be finished in the background while the rest is read.
    memories: list[Any] = []
    for item in memory.get_all(allow_global=True, include_closed=True, limit=10_000).results:
        events = memory.history(item.id)
        memories.append(
            [
                [item.user_id, item.agent_id, item.run_id],
                item.memory,
                item.kind,
                dict(item.metadata),
                item.version,
                item.valid_until is None,
                [[e.event, e.before and e.before.memory, e.after and e.after.memory] for e in events],
            ]
        )
    turns: list[Any] = []
    for kind in ("user", "agent", "run"):
        for owner in memory.scopes(kind=kind, limit=1000).results:
            scope: Any = {f"{kind}_id": owner.id}
            turns += [
                [kind, owner.id, m.run_id, m.role, m.content, m.status]
                for m in memory.messages(**scope, status=None)
            ]
    values: Any = memory.items([SearchItems(limit=1000)])[0]
    return {
        "memories": sorted(memories, key=repr),
        "turns": turns,
        "items": sorted([list(i.namespace), i.key, i.value, i.version] for i in values),
        "unfinished": stats.unfinished,
    }


def found_by_their_words(memory: Memory) -> list[str]:
    """Return which of the newest and the oldest memories a search for their own words does not find."""
    lost: list[str] = []
    current = memory.get_all(allow_global=True, limit=10_000).results
    for item in current if len(current) <= 16 else [*current[:8], *current[-8:]]:
        scope: Any = (
            {"user_id": item.user_id} if item.user_id else {"agent_id": item.agent_id, "run_id": item.run_id}
        )
        if item.id not in {hit.id for hit in memory.search(item.memory, **scope, limit=50).results}:
            lost.append(item.memory)
    return lost


def in_index(memory: Memory) -> dict[str, list[str]]:
    """Return the ids in the external index and those that the ledger wants there."""
    store: Any = memory._engine.parts.store()  # pyright: ignore[reportPrivateUsage]
    wanted = memory.get_all(allow_global=True, include_closed=True, limit=10_000).results
    return {
        "index": sorted(point.id for point in store.list(limit=10_000).records),
        "ledger": sorted(item.id for item in wanted),
    }


def look(memory: Memory, ids: list[str]) -> dict[str, Any]:
    """Return what is live, what happened to some memories, and what was said, by user."""
    live = memory.get_all(allow_global=True, include_closed=True, limit=10_000).results
    users = [owner.id for owner in memory.scopes(limit=1000).results]
    return {
        "live": {item.id: [item.user_id, item.memory] for item in live},
        "history": {id: [[e.event, e.after and e.after.memory] for e in memory.history(id)] for id in ids},
        "said": {user: [m.content for m in memory.messages(user_id=user)] for user in users},
        "unfinished": memory.stats().unfinished,
    }
