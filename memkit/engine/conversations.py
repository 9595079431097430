"""Turns as turns: kept, read back, counted and marked; no model and no embedder has a part in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..clock import now_us, to_us
from ..errors import InvalidInputError
from ..extraction.messages import InputMessage
from ..ledger.base import Batch, StoredMessage
from ..scope import ReadScope, Scope
from ..types import MESSAGE_STATUSES, Message
from .core import Engine, new_id
from .start import ready
from .turns import new_message
from .views import message_item


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRequest:
    """A checked `keep`; `scopes` holds the scope of each item."""

    items: Sequence[InputMessage]
    scopes: Sequence[Scope]
    scope: Scope
    read: ReadScope
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagesRequest:
    """Checked `messages`, `count_messages` or `mark_messages`."""

    scope: ReadScope
    limit: int | None = None
    before: str | int | None = None
    """A message's id, an instant, or a text that may be either."""
    offset: int = 0
    statuses: Sequence[str] = MESSAGE_STATUSES
    ids: Sequence[str] | None = None


async def keep(engine: Engine, request: KeepRequest) -> list[Message]:
    """Keep turns in one transaction; with `replace` the active ones of the scope give way to them."""
    await ready(engine, write=True)
    replaced: Sequence[StoredMessage] = ()
    if request.replace:
        replaced = await engine.call(engine.ledger.messages, request.read, limit=None, statuses=("active",))
    if not request.items and not replaced:
        return []
    now = now_us()
    applied = await engine.apply(
        Batch(
            operation_id=new_id(),
            kind="keep",
            owner=request.scope.owner,
            at=now,
            messages=[
                new_message(item, scope, now, learned=False, metadata=request.metadata)
                for item, scope in zip(request.items, request.scopes, strict=True)
            ],
            statuses=[(row.rid, "deleted") for row in replaced],
            worker=engine.parts.worker_id,
        )
    )
    return [message_item(row) for row in applied.messages]


async def messages(engine: Engine, request: MessagesRequest) -> list[Message]:
    """Return the newest turns of a scope, oldest first; those asked for by id in the order of the ids."""
    return [message_item(row) for row in await _rows(engine, request)]


async def count_messages(engine: Engine, request: MessagesRequest) -> int:
    """Return how many turns of some statuses a scope has."""
    if not await ready(engine, write=False):
        return 0
    return await engine.call(engine.ledger.message_count, request.scope, request.statuses)


async def mark_messages(engine: Engine, request: MessagesRequest, status: str) -> int:
    """Give turns of the scope another status in one transaction; return how many there were."""
    rows = await _rows(engine, request)
    changed = [(row.rid, status) for row in rows if row.status != status]
    if changed:
        await ready(engine, write=True)
        await engine.apply(
            Batch(operation_id=new_id(), kind="mark", owner=None, at=now_us(), statuses=changed)
        )
    return len(rows)


async def runs(engine: Engine, scope: ReadScope, limit: int | None, after: str | None) -> list[str]:
    """Return the runs that a scope has turns of, ordered by id."""
    if not await ready(engine, write=False):
        return []
    return list(await engine.call(engine.ledger.runs, scope, limit=limit, after=after))


async def _rows(engine: Engine, request: MessagesRequest) -> list[StoredMessage]:
    if not await ready(engine, write=False):
        return []
    scope, before = request.scope, request.before
    if request.ids is not None:
        rows = await engine.call(engine.ledger.messages_by_id, request.ids, scope)
        rows = [row for row in rows if row.status in request.statuses]
    else:
        if isinstance(before, str) and not await engine.call(engine.ledger.messages_by_id, [before], scope):
            before = _instant_of(before)
        rows = await engine.call(
            engine.ledger.messages,
            scope,
            limit=request.limit,
            before=before,
            statuses=request.statuses,
            offset=request.offset,
        )
    return [row for row in rows if scope.allows(row.user_id, row.agent_id, row.run_id)]


def _instant_of(before: str) -> str | int:
    """Return an instant given as text; anything else is an id, which the ledger will say it does not know."""
    try:
        return to_us(before, field="before")
    except InvalidInputError:
        return before
