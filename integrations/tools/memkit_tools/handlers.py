"""What each tool does, written once as `async def` over a bound memory that may or may not suspend."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from memkit import MemoryItem
from memkit.errors import InvalidInputError
from memkit.extraction.marks import fence
from memkit.types import HistoryEvent

from . import arguments as of
from .answers import (
    LONGER_ID,
    SHORT_ID,
    RefusedError,
    ToolResult,
    clip,
    contradictions,
    listing,
    one_line,
    rows,
)
from .awaited import AwaitedMemory
from .conflicts import may_contradict, page_size, related
from .once import store_once

log: Final = logging.getLogger("memkit_tools")

MIN_PREFIX: Final = 4
"""Characters of an id that a model must give at least."""
_PAGE: Final = 20
_FULL_ID: Final = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a handler works with."""

    memory: AwaitedMemory
    """Bound to a scope, which it re-checks on every call."""
    name: Callable[[str], str]
    """What the model knows a tool as."""
    max_results: int


async def search_memories(call: Call, arguments: of.SearchMemories) -> ToolResult:
    """Return the memories that answer a query best, best first."""
    limit = min(arguments.limit or of.DEFAULT_LIMIT, call.max_results)
    found = await call.memory.search(arguments.query, limit=limit)
    for warning in found.warnings:
        log.warning("memkit: %s", warning)
    if not found.results:
        note = "No saved memories match."
        return ToolResult(note, {"results": [], "note": note})
    return ToolResult(listing(found.results), {"results": rows(found.results)}, memories=tuple(found.results))


async def add_memory(call: Call, arguments: of.AddMemory) -> ToolResult:
    """Store texts as given, in one transaction; those that are stored already are left alone.

    Texts that differ in white space alone say the same, and look the same to a model.
    """
    first: dict[str, str] = {}
    for text in arguments.text:
        first.setdefault(one_line(text), text)
    texts = list(first.values())
    known, near = await _known_and_near(call.memory, texts)
    new = [text for text in texts if text not in known]
    stored, mine = await store_once(call.memory, new)
    items, saved = known | stored, set(new if mine else ())
    results = [
        {
            "status": "added" if text in saved else "unchanged",
            "id": items[text].id[:SHORT_ID],
            "memory": items[text].memory,
        }
        for text in texts
    ]
    said = _said(results)
    against = may_contradict(texts[0], near) if len(saved) == len(texts) == 1 else []
    data: dict[str, Any] = results[0] if len(texts) == 1 else {"results": results}
    if against:
        data, said = data | {"may_contradict": rows(against)}, contradictions(said, against)
    return ToolResult(said, data, memories=tuple(items[text] for text in texts))


def _said(results: Sequence[Mapping[str, str]]) -> str:
    """Return which ids were saved and which were there, for the model."""
    saved = ", ".join(f"[{row['id']}]" for row in results if row["status"] == "added")
    there = ", ".join(f"[{row['id']}]" for row in results if row["status"] == "unchanged")
    parts = (f"Saved {saved}." if saved else "", f"Unchanged {there}: stored already." if there else "")
    return " ".join(part for part in parts if part)


async def _known_and_near(
    memory: AwaitedMemory, texts: Sequence[str]
) -> tuple[dict[str, MemoryItem], list[MemoryItem]]:
    """Return the current memory of each text that is stored already, and those that share words with the texts.

    One pass over the scope answers both, where a search would embed each text a second time.
    """
    same = {"memory": list({form for text in texts for form in (text, text.strip(), one_line(text))})}
    wanted = related(texts) if len(texts) == 1 else None
    filters = same if wanted is None else {"OR": [same, *wanted["OR"]]}
    page = await memory.get_all(filters=filters, limit=page_size())
    found = {one_line(item.memory): item for item in reversed(page.results)}
    if page.next_cursor is not None and any(one_line(text) not in found for text in texts):
        rest = await memory.get_all(filters=same, limit=page_size())
        found |= {one_line(item.memory): item for item in rest.results}
    known = {text: found[line] for text in texts if (line := one_line(text)) in found}
    lines = {one_line(text) for text in known}
    return known, [item for item in page.results if one_line(item.memory) not in lines]


async def update_memory(call: Call, arguments: of.UpdateMemory) -> ToolResult:
    """Replace the text of one memory; its history keeps the old one."""
    item = await _find(call, arguments.memory_id)
    short = item.id[:SHORT_ID]
    data = {"status": "updated", "id": short, "memory": arguments.text, "previous": item.memory}
    if item.memory == arguments.text:
        return ToolResult(
            f"Unchanged [{short}]: it says so already.", data | {"status": "unchanged"}, memories=(item,)
        )
    await call.memory.update(item.id, arguments.text)
    now = await call.memory.get(item.id)
    return ToolResult(f"Updated [{short}].", data, memories=() if now is None else (now,))


async def delete_memory(call: Call, arguments: of.DeleteMemory) -> ToolResult:
    """Remove one memory from recall."""
    item = await _find(call, arguments.memory_id)
    short = item.id[:SHORT_ID]
    await call.memory.delete(item.id)
    data = {"status": "removed", "id": short, "memory": item.memory}
    return ToolResult(f"Removed [{short}]; an operator can undo it.", data, memories=(item,))


async def get_memories(call: Call, arguments: of.GetMemories) -> ToolResult:
    """Return a page of memories, newest first."""
    limit = min(arguments.limit or _PAGE, max(call.max_results, _PAGE))
    try:
        page = await call.memory.get_all(limit=limit, cursor=arguments.cursor)
    except InvalidInputError as error:
        raise RefusedError(
            "invalid_arguments", "`cursor` is not one of ours; leave it out to begin anew."
        ) from error
    if not page.results:
        note = "No memories are saved." if arguments.cursor is None else "No more memories."
        return ToolResult(note, {"results": [], "next_cursor": None, "note": note})
    more = "" if page.next_cursor is None else f"\nMore: cursor={page.next_cursor}"
    data = {"results": rows(page.results), "next_cursor": page.next_cursor}
    return ToolResult(listing(page.results) + more, data, memories=tuple(page.results))


async def get_memory(call: Call, arguments: of.GetMemory) -> ToolResult:
    """Return one memory, a closed one too."""
    item = await _find(call, arguments.memory_id, closed=True)
    data = rows([item])[0] | {"kind": item.kind, "version": item.version}
    if item.valid_until is not None:
        data["valid_until"] = item.valid_until.isoformat()
    return ToolResult(listing([item]), data, memories=(item,))


async def get_memory_history(call: Call, arguments: of.GetMemoryHistory) -> ToolResult:
    """Return every change of a memory, oldest first; by its full id a removed one too."""
    given = _clean(arguments.memory_id)
    events = await call.memory.history(given) if len(given) >= _FULL_ID else []
    if not events:
        item = await _find(call, given, closed=True)
        events = await call.memory.history(item.id)
    states = [event.after or event.before for event in events]
    known = [state for state in states if state is not None]
    lines = "\n".join(_change(event) for event in events)
    data = {"id": given[:SHORT_ID], "events": [_event(event) for event in events]}
    return ToolResult(fence(lines), data, memories=tuple(known[-1:]))


def _change(event: HistoryEvent) -> str:
    """Return one change on one line."""
    state = event.after or event.before
    text = "" if state is None else f": {one_line(state.memory)}"
    return f"{event.event} ({event.at:%Y%m%d}){text}"


def _event(event: HistoryEvent) -> dict[str, Any]:
    return {
        "event": event.event,
        "date": f"{event.at:%Y-%m-%d}",
        "before": event.old_memory,
        "after": event.new_memory,
    }


async def delete_all_memories(call: Call, arguments: of.DeleteAllMemories) -> ToolResult:
    """Remove every memory of the scope from recall."""
    del arguments
    done = await call.memory.delete_all()
    data = {"status": "removed", "count": done.count}
    return ToolResult(f"Removed {done.count} memories; an operator can undo it.", data)


async def _find(call: Call, memory_id: str, *, closed: bool = False) -> MemoryItem:
    """Return the memory that an id, or the unique beginning of one, names within the scope."""
    given = _clean(memory_id)
    if len(given) < MIN_PREFIX:
        raise RefusedError(
            "invalid_arguments",
            f"`memory_id` needs at least {MIN_PREFIX} characters; copy it from the brackets.",
        )
    item = await call.memory.get(given)
    if item is None and len(given) < _FULL_ID:
        page = await call.memory.get_all(
            filters={"id": {"gte": given, "lt": f"{given}\U0010ffff"}}, limit=3, include_closed=closed
        )
        if len(page.results) > 1:
            choice = ", ".join(item.id[:LONGER_ID] for item in page.results)
            raise RefusedError("ambiguous", f"{clip(given)!r} begins several ids: {choice}. Give more of it.")
        item = page.results[0] if page.results else None
    if item is None:
        search = call.name("search_memories")
        raise RefusedError(
            "not_found", f"No memory {clip(given)!r} for this user. Call {search} to get valid ids."
        )
    return item


def _clean(memory_id: str) -> str:
    """Return an id without the brackets it was shown in."""
    return memory_id.strip().strip("[]").strip().lower()
