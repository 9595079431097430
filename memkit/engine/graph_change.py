"""Merging entities by hand, and parting them again: operations of their own, that touch no memory."""

from __future__ import annotations

from collections.abc import Sequence

from ..clock import now_us
from ..errors import ConflictError, InvalidInputError
from ..graph_parts import graph_ledger
from ..ledger.base import Batch, Operation
from ..ledger.graph import node_of
from ..ledger.records import AliasChange
from ..scope import Owner, ReadScope, Scope, read_scope, whole_scope, write_scope
from ..types import ChangeResult
from .archive import ArchivedMerge
from .core import Engine, new_id
from .graph import GraphRequest, Reader, open_reader
from .start import ready


async def merge(
    engine: Engine, scope: Scope, name: tuple[str, str | None], into: tuple[str, str | None]
) -> ChangeResult:
    """Let an entity be another one in reads inside the scope.

    Raises:
        InvalidInputError: No memory of the scope names one of them.
    """
    reader = await _reader(engine, scope)
    sources, targets = await _known(reader, *name), await _known(reader, *into)
    target = reader.most_named(targets)
    changes = [
        AliasChange(scope=scope, key=reader.names.known_key(one), root=reader.names.known_key(target))
        for one in sources
        if one != target
    ]
    if not changes:
        return ChangeResult(message="They are one already.", operation_id=new_id())
    return await _write(engine, "merge", scope, changes, "Entities merged.")


async def split(engine: Engine, scope: Scope, name: str) -> ChangeResult:
    """Part an entity from what it was merged into, in reads inside the scope.

    Raises:
        InvalidInputError: No memory of the scope names it.
    """
    reader = await _reader(engine, scope)
    await _known(reader, name, None)
    changes = [AliasChange(scope=scope, key=key, root=None) for key in reader.names.merged_keys(name)]
    if not changes:
        return ChangeResult(message="It was not merged into another one.", operation_id=new_id())
    return await _write(engine, "split", scope, changes, "Entity parted.")


async def undo_merge(engine: Engine, operation: Operation, guard: ReadScope | None) -> ChangeResult | None:
    """Take a merge or a split back; None where it is outside the guard.

    Raises:
        ConflictError: A later operation changed the same entity.
    """
    events = await engine.call(graph_ledger(engine.ledger).alias_events, operation.id)
    scopes = [event.change.scope for event in events]
    if guard is not None and not all(guard.allows(s.user_id, s.agent_id, s.run_id) for s in scopes):
        return None
    later = list(dict.fromkeys(event.later for event in events if event.later is not None))
    if later:
        raise ConflictError(
            f"Later operations changed the same entities: {', '.join(later)}. Undo them first, newest first.",
            operations=later,
            operation_id=operation.id,
        )
    changes = [
        AliasChange(scope=event.change.scope, key=event.change.key, root=event.before) for event in events
    ]
    if not changes:
        return ChangeResult(message="There was nothing to undo.", operation_id=new_id())
    kind = "split" if operation.kind == "merge" else "merge"
    return await _write(engine, kind, scopes[0], changes, "Operation undone.", undoes=operation.id)


async def restore_merges(engine: Engine, merges: Sequence[ArchivedMerge], *, write: bool) -> int:
    """Return how many merges and partings of an export are new here; they are written where that is wanted.

    What was said of the same entity here is left alone.
    """
    if not await ready(engine, write=write):
        return len(merges)
    ledger = graph_ledger(engine.ledger)
    fresh: dict[Owner, list[AliasChange]] = {}
    for merge in merges:
        scope = write_scope(merge.user_id, merge.agent_id, merge.run_id)
        root = None if merge.into is None else node_of(merge.into, merge.into_kind).key
        change = AliasChange(scope=scope, key=node_of(merge.name, merge.kind).key, root=root)
        fresh.setdefault(scope.owner, []).append(change)
    count = 0
    for owner, changes in fresh.items():
        whole = whole_scope(owner)
        known = {(one.scope, one.key) for one in await engine.call(ledger.aliases, whole)}
        new = [one for one in changes if (one.scope, one.key) not in known]
        count += len(new)
        if new and write:
            await _write(engine, "merge", new[0].scope, new, "Merges restored.")
    return count


async def _reader(engine: Engine, scope: Scope) -> Reader:
    request = GraphRequest(scope=read_scope(scope.user_id, scope.agent_id, scope.run_id))
    reader = await open_reader(engine, request, own=True, write=True)
    assert reader is not None, "a ledger that is written to is there"
    return reader


async def _known(reader: Reader, name: str, kind: str | None) -> list[str]:
    found = await reader.find(name, kind)
    if not found:
        raise InvalidInputError(
            f"No memory of this scope names {name!r}. `memory.graph.entities(...)` lists what is named.",
            field="name",
        )
    return found


async def _write(
    engine: Engine,
    kind: str,
    scope: Scope,
    changes: Sequence[AliasChange],
    message: str,
    undoes: str | None = None,
) -> ChangeResult:
    operation_id = new_id()
    await engine.apply(
        Batch(
            operation_id=operation_id,
            kind=kind,
            owner=scope.owner,
            at=now_us(),
            aliases=changes,
            undoes=undoes,
        )
    )
    return ChangeResult(message=message, operation_id=operation_id, count=len(changes))
