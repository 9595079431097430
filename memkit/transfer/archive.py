"""memkit's own export: JSON lines, a header, for each owner its messages, memories and merges, then the items.

```text
{"type": "header", "format": "memkit", "format_version": 3, "memkit": "0.1.0", "holds": {"messages": 1, ...}, ...}
{"type": "message", "id": ..., "role": ..., "content": ..., "created_at": ..., "user_id": ..., ...}
{"type": "memory", "id": ..., "memory": ..., "kind": ..., "valid_until": ..., "changes": [...], "deleted": false, ...}
{"type": "merge", "user_id": ..., "name": ..., "kind": ..., "into": ..., "into_kind": ...}
{"type": "item", "namespace": [...], "key": ..., "value": ..., ...}
```

Both ways work on a few hundred lines at a time, whatever the size of the file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from .. import __version__
from ..errors import InvalidInputError
from ..runtime import run_inline
from ..transcripts import EXPORT_FORMAT

if TYPE_CHECKING:
    from ..engine.archive import ArchivedItem, ArchivedMemory, ArchivedMerge, ArchivedMessage
    from ..engine.core import Engine
    from ..memory import Memory
    from ..scope import ReadScope
    from ..types import OwnerInfo

FORMAT_VERSION: Final = 3
READABLE: Final = (1, 2, 3)
"""Version 1 had no items, no history, and did not say what it holds; version 2 had no merges of entities."""
CHUNK: Final = 500
"""Records in one transaction of an import."""
_PAGE: Final = 1000

Line = dict[str, Any]
Archived: TypeAlias = "ArchivedMessage | ArchivedMemory | ArchivedMerge | ArchivedItem"
R = TypeVar("R", "ArchivedMessage", "ArchivedMemory", "ArchivedMerge", "ArchivedItem")
ScopeIds = Mapping[str, str]


# Writing.


def export_lines(memory: Memory, scope: ScopeIds | None) -> Iterator[Line]:
    """Yield the lines of an export, the header first.

    Args:
        memory: Where from.
        scope: `user_id, agent_id, run_id`, as in `Memory.get_all`; None for all owners, and the items.
    """
    from ..engine.archive import holdings

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
        "holds": run_inline(holdings(_engine(memory), None if scope is None else _read_scope(scope))),
    }
    scopes: Iterable[dict[str, Any]] = _owners(memory) if scope is None else [dict(scope)]
    for one in scopes:
        yield from _lines(memory, one)
    if scope is None:
        yield from _item_lines(memory)


def _lines(memory: Memory, ids: dict[str, Any]) -> Iterator[Line]:
    """Yield the messages and then the memories of a scope, as they were stored one after the other."""
    from ..engine.archive import memory_page, merges, message_page

    engine, scope = _engine(memory), _read_scope(ids)
    after = -1
    while True:
        messages, after = run_inline(message_page(engine, scope, after, CHUNK))
        if not messages:
            break
        yield from ({"type": "message", **turn.model_dump(mode="json", exclude={"seq"})} for turn in messages)
    after = -1
    while True:
        memories, after = run_inline(memory_page(engine, scope, after, CHUNK))
        if not memories:
            break
        yield from (
            {"type": "memory", **item.model_dump(mode="json", exclude={"score"})} for item in memories
        )
    yield from ({"type": "merge", **one.model_dump(mode="json")} for one in run_inline(merges(engine, scope)))


def _read_scope(ids: Mapping[str, Any]) -> ReadScope:
    from ..scope import read_scope

    return read_scope(ids.get("user_id"), ids.get("agent_id"), ids.get("run_id"))


def _item_lines(memory: Memory) -> Iterator[Line]:
    from ..engine.archive import item_page

    after = -1
    while True:
        items, after = run_inline(item_page(_engine(memory), after, CHUNK))
        if not items:
            return
        yield from ({"type": "item", **item.model_dump(mode="json")} for item in items)


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
    merges: int = 0
    """Entities merged or parted by hand."""
    items: int = 0
    present: int = 0
    """Memories and items that were there already."""
    conflicts: list[str] = field(default_factory=list[str])
    """Ids of what is there with other content, and was left as it is."""
    owners: list[str] = field(default_factory=list[str])
    operations: list[str] = field(default_factory=list[str])
    pending: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def is_archive(path: Path) -> bool:
    """Return whether a file begins like an export of memkit."""
    try:
        with path.open("rb") as stream:
            first = json.loads(stream.readline(1 << 20))
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and cast("Line", first).get("format") == EXPORT_FORMAT


def file_lines(path: Path) -> Iterator[object]:
    """Yield the JSON values of the lines of a file, None for a blank one.

    Raises:
        InvalidInputError: A line is not JSON; it names the line.
    """
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                yield json.loads(raw) if raw.strip() else None
            except ValueError as error:
                raise InvalidInputError(
                    f"Line {number} of {path.name!r} is not JSON ({error}). Export again, or take the line out."
                ) from error


def read_archive(entries: Iterable[object], name: str) -> Iterator[Archived]:
    """Yield the messages, memories, merges and items of an export, in its order.

    Raises:
        InvalidInputError: A line has the wrong shape, lines are missing, or a newer memkit wrote the file; it names
            the line.
    """
    from ..engine.archive import ArchivedItem, ArchivedMemory, ArchivedMerge, ArchivedMessage

    counts = Counter[str]()
    holds: Mapping[str, int] = {}
    number = 0
    for number, entry in enumerate(entries, 1):
        if entry is None:
            continue
        line = cast("Line", entry) if isinstance(entry, dict) else {}
        kind = line.get("type")
        if kind == "header":
            _check_whole(holds, counts, name, number)
            holds = _check_header(line, name)
            counts.clear()
        elif kind == "message":
            counts["messages"] += 1
            yield _parsed(ArchivedMessage, line, name, number)
        elif kind == "memory":
            counts["memories"] += 1
            yield _parsed(ArchivedMemory, line, name, number)
        elif kind == "merge":
            yield _parsed(ArchivedMerge, line, name, number)
        elif kind == "item":
            counts["items"] += 1
            yield _parsed(ArchivedItem, line, name, number)
        else:
            raise InvalidInputError(
                f"Line {number} of {name!r} is no header, message, memory, merge or item: {entry!s:.80}"
            )
    _check_whole(holds, counts, name, number)


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
        records: As `read_archive` yields them.
        scope: Ids that replace those in the file; None keeps them. Items, which belong to no user, are passed over.
        dry_run: True writes nothing and says what would be stored.
        advance: Told how many records are done.
    """
    from ..engine.graph_change import restore_merges
    from ..engine.restore import look, restore, restore_items

    engine = _engine(memory)
    report = ArchiveReport(dry_run=dry_run)
    owners: dict[str, None] = {}
    for messages, memories, merges, items in _chunks(records, scope):
        if merges:
            stored = run_inline(restore_merges(engine, merges, write=not dry_run))
            report = replace(report, merges=report.merges + stored)
        elif items:
            done = run_inline(restore_items(engine, items)) if not dry_run else None
            stored = len(items) if done is None else done.memories
            report = replace(
                report,
                items=report.items + stored,
                present=report.present + len(items) - stored,
                conflicts=report.conflicts + (done.conflicts if done is not None else []),
            )
        else:
            owners[_title(messages, memories)] = None
            done = run_inline((look if dry_run else restore)(engine, messages, memories))
            wrote = bool(done.memories or done.messages) and not dry_run
            report = replace(
                report,
                memories=report.memories + done.memories,
                messages=report.messages + done.messages,
                present=report.present + done.present,
                conflicts=report.conflicts + done.conflicts,
                operations=[*report.operations, done.operation_id] if wrote else report.operations,
                pending=done.pending,
            )
        advance(len(messages) + len(memories) + len(items))
    return replace(report, owners=list(owners))


def _engine(memory: Memory) -> Engine:
    return memory._engine  # pyright: ignore[reportPrivateUsage]  # ids cannot be set through the public API


Piece: TypeAlias = (
    "tuple[list[ArchivedMessage], list[ArchivedMemory], list[ArchivedMerge], list[ArchivedItem]]"
)


def _chunks(records: Iterable[Archived], scope: ScopeIds | None) -> Iterator[Piece]:
    """Yield pieces of at most `CHUNK` records: of one owner, of merges alone, or of items alone."""
    from ..engine.archive import ArchivedItem, ArchivedMerge, ArchivedMessage
    from ..engine.restore import scope_of

    piece: Piece = ([], [], [], [])
    owner: object = None
    for record in records:
        if isinstance(record, ArchivedItem):
            now: object = "items"
            if scope is not None:
                continue
        else:
            record = record if scope is None else record.model_copy(update=dict(scope))
            now = "merges" if isinstance(record, ArchivedMerge) else scope_of(record).owner
        if now != owner or sum(map(len, piece)) == CHUNK:
            if any(piece):
                yield piece
            piece = ([], [], [], [])
        owner = now
        if isinstance(record, ArchivedItem):
            piece[3].append(record)
        elif isinstance(record, ArchivedMerge):
            piece[2].append(record)
        elif isinstance(record, ArchivedMessage):
            piece[0].append(record)
        else:
            piece[1].append(record)
    if any(piece):
        yield piece


def _title(messages: list[ArchivedMessage], memories: list[ArchivedMemory]) -> str:
    from ..engine.restore import scope_of

    owner = scope_of((messages or memories)[0]).owner
    return f"{owner.kind} {owner.id}"


def _check_header(line: Line, name: str) -> Mapping[str, int]:
    """Return how many lines of what the export says it holds."""
    version = line.get("format_version")
    if version not in READABLE:
        raise InvalidInputError(
            f"{name!r} has the format version {version!r}; this memkit ({__version__}) reads "
            f"{' and '.join(map(str, READABLE))}. It was written by memkit {line.get('memkit')}: use that version or a "
            "newer one."
        )
    holds = line.get("holds")
    return cast("Mapping[str, int]", holds) if isinstance(holds, dict) else {}


def _check_whole(holds: Mapping[str, int], counts: Counter[str], name: str, number: int) -> None:
    for what, count in holds.items():
        if counts[what] < count:
            raise InvalidInputError(
                f"{name!r} has {counts[what]} {what} up to line {number}, and should have {count}: the export was cut "
                "off, or something was forgotten while it was written. Export again."
            )


def _parsed(model: type[R], line: Line, name: str, number: int) -> R:
    from pydantic import ValidationError

    from ..engine.archive import ArchivedItem, ArchivedMerge
    from ..extraction.messages import check_metadata
    from ..scope import write_scope

    data = {key: value for key, value in line.items() if key != "type"}
    try:
        record = model.model_validate(data)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the line"
        raise InvalidInputError(f"Line {number} of {name!r}: `{where}`: {problem['msg']}.") from error
    if isinstance(record, ArchivedItem):
        return record
    write_scope(record.user_id, record.agent_id, record.run_id)
    if isinstance(record, ArchivedMerge):
        return record
    check_metadata(record.metadata, f"`metadata` in line {number} of {name!r}")
    return record


def dumps(line: Mapping[str, Any]) -> str:
    """Return a line of an export as text."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))
