"""memkit's own export: JSON lines, first a header, then for each owner its messages and its memories.

```text
{"type": "header", "format": "memkit", "format_version": 1, "memkit": "0.1.0", "embedder": "hash/...", ...}
{"type": "message", "id": ..., "role": ..., "content": ..., "created_at": ..., "user_id": ..., ...}
{"type": "memory", "id": ..., "memory": ..., "kind": ..., "created_at": ..., "valid_until": ..., ...}
```
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from .. import __version__
from ..errors import InvalidInputError
from ..runtime import run_inline
from ..transcripts import EXPORT_FORMAT

if TYPE_CHECKING:
    from ..engine.core import Engine
    from ..engine.restore import ArchivedMemory, ArchivedMessage
    from ..memory import Memory
    from ..types import MemoryItem, Message, OwnerInfo

FORMAT_VERSION: Final = 1
CHUNK: Final = 500
"""Records in one transaction of an import."""
_PAGE: Final = 1000

Line = dict[str, Any]
Archived: TypeAlias = "ArchivedMessage | ArchivedMemory"
R = TypeVar("R", "ArchivedMessage", "ArchivedMemory")
ScopeIds = Mapping[str, str]


# Writing.


def export_lines(memory: Memory, scope: ScopeIds | None) -> Iterator[Line]:
    """Yield the lines of an export, the header first.

    Args:
        memory: Where from.
        scope: `user_id, agent_id, run_id`, as in `Memory.get_all`; None for all owners.
    """
    stats = memory.stats()
    yield {
        "type": "header",
        "format": EXPORT_FORMAT,
        "format_version": FORMAT_VERSION,
        "memkit": __version__,
        "embedder": stats.embedder,
        "dim": stats.dim,
        "scope": "all" if scope is None else dict(scope),
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    scopes: Iterable[dict[str, Any]] = _owners(memory) if scope is None else [dict(scope)]
    for one in scopes:
        yield from _lines(memory, memory.messages(**one), [])
        yield from _lines(memory, [], _memories(memory, one))


def _lines(memory: Memory, messages: Sequence[Message], memories: Sequence[MemoryItem]) -> Iterator[Line]:
    from ..engine.restore import archived

    for start in range(0, max(len(messages), len(memories)), CHUNK):
        piece = slice(start, start + CHUNK)
        turns, items = run_inline(archived(_engine(memory), messages[piece], memories[piece]))
        yield from ({"type": "message", **turn.model_dump(mode="json", exclude={"seq"})} for turn in turns)
        yield from ({"type": "memory", **item.model_dump(mode="json", exclude={"score"})} for item in items)


def _memories(memory: Memory, scope: dict[str, Any]) -> list[MemoryItem]:
    """Return memories oldest first, as they were stored; pages come newest first."""
    items: list[MemoryItem] = []
    cursor: str | None = None
    while True:
        page = memory.get_all(**scope, include_closed=True, limit=_PAGE, cursor=cursor)
        items += page.results
        cursor = page.next_cursor
        if cursor is None:
            return items[::-1]


def _owners(memory: Memory) -> Iterator[dict[str, Any]]:
    """Yield the scope of every owner; together they hold every record once."""
    for kind in ("user", "agent", "run"):
        cursor: str | None = None
        while True:
            page = memory.scopes(kind=kind, cursor=cursor, limit=_PAGE)
            yield from (_whole(owner) for owner in page.results)
            cursor = page.next_cursor
            if cursor is None:
                break


def _whole(owner: OwnerInfo) -> dict[str, Any]:
    if owner.kind == "run":
        return {"run_id": owner.id, "agent_id": [None]}
    return {f"{owner.kind}_id": owner.id}


# Reading.


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveReport:
    """What an import of an export did, or would do."""

    format: str = EXPORT_FORMAT
    dry_run: bool = False
    memories: int = 0
    """Memories stored, or to be stored."""
    messages: int = 0
    present: int = 0
    """Memories that were there already."""
    owners: list[str] = field(default_factory=list[str])
    operations: list[str] = field(default_factory=list[str])
    pending: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def read_archive(entries: Iterable[object], name: str) -> list[Archived]:
    """Return the messages and memories of an export, in its order.

    Raises:
        InvalidInputError: A line has the wrong shape, or a newer memkit wrote the file; it names the line.
    """
    from ..engine.restore import ArchivedMemory, ArchivedMessage

    found: list[Archived] = []
    for number, entry in enumerate(entries, 1):
        line = cast("Line", entry) if isinstance(entry, dict) else {}
        kind = line.get("type")
        if kind == "header":
            _check_header(line, name)
        elif kind == "message":
            found.append(_parsed(ArchivedMessage, line, name, number))
        elif kind == "memory":
            found.append(_parsed(ArchivedMemory, line, name, number))
        else:
            raise InvalidInputError(
                f"Line {number} of {name!r} is no header, message or memory: {entry!s:.80}"
            )
    return found


def import_archive(
    memory: Memory,
    records: Iterable[Archived],
    *,
    scope: ScopeIds | None = None,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda _: None,
) -> ArchiveReport:
    """Store what an export holds, with the ids of before; what is there already is left alone.

    Args:
        memory: Where to.
        records: As `read_archive` returns them.
        scope: Ids that replace those in the file; None keeps them.
        dry_run: True writes nothing and says what would be stored.
        advance: Told how many records are done.
    """
    from ..engine.restore import present_ids, restore

    engine = _engine(memory)
    report = ArchiveReport(dry_run=dry_run)
    owners: dict[str, None] = {}
    for messages, memories in _chunks(_rescoped(record, scope) for record in records):
        owners[_title(messages, memories)] = None
        if dry_run:
            present = run_inline(present_ids(engine, memories))
            report = replace(
                report,
                memories=report.memories + len(memories) - present,
                messages=report.messages + len(messages),
                present=report.present + present,
            )
        else:
            done = run_inline(restore(engine, messages, memories))
            wrote = bool(done.memories or done.messages)
            report = replace(
                report,
                memories=report.memories + done.memories,
                messages=report.messages + done.messages,
                present=report.present + done.present,
                operations=[*report.operations, done.operation_id] if wrote else report.operations,
                pending=done.pending,
            )
        advance(len(messages) + len(memories))
    return replace(report, owners=list(owners))


def _engine(memory: Memory) -> Engine:
    return memory._engine  # pyright: ignore[reportPrivateUsage]  # ids cannot be set through the public API


def _rescoped(record: Archived, scope: ScopeIds | None) -> Archived:
    return record if scope is None else record.model_copy(update=dict(scope))


def _chunks(
    records: Iterable[Archived],
) -> Iterator[tuple[list[ArchivedMessage], list[ArchivedMemory]]]:
    """Yield pieces of at most `CHUNK` records of one owner."""
    from ..engine.restore import ArchivedMessage, scope_of

    messages: list[ArchivedMessage] = []
    memories: list[ArchivedMemory] = []
    owner: object = None
    for record in records:
        now = scope_of(record).owner
        if (messages or memories) and (now != owner or len(messages) + len(memories) == CHUNK):
            yield messages, memories
            messages, memories = [], []
        owner = now
        if isinstance(record, ArchivedMessage):
            messages.append(record)
        else:
            memories.append(record)
    if messages or memories:
        yield messages, memories


def _title(messages: list[ArchivedMessage], memories: list[ArchivedMemory]) -> str:
    from ..engine.restore import scope_of

    owner = scope_of((messages or memories)[0]).owner
    return f"{owner.kind} {owner.id}"


def _check_header(line: Line, name: str) -> None:
    version = line.get("format_version")
    if version != FORMAT_VERSION:
        raise InvalidInputError(
            f"{name!r} has the format version {version!r}; this memkit ({__version__}) reads {FORMAT_VERSION}. "
            f"It was written by memkit {line.get('memkit')}: use that version or a newer one."
        )


def _parsed(model: type[R], line: Line, name: str, number: int) -> R:
    from pydantic import ValidationError

    from ..extraction.messages import check_metadata
    from ..scope import write_scope

    data = {key: value for key, value in line.items() if key != "type"}
    try:
        record = model.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the line"
        raise InvalidInputError(f"Line {number} of {name!r}: `{where}`: {problem['msg']}.") from error
    write_scope(record.user_id, record.agent_id, record.run_id)
    check_metadata(record.metadata, f"`metadata` in line {number} of {name!r}")
    return record


def dumps(line: Mapping[str, Any]) -> str:
    """Return a line of an export as text."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
