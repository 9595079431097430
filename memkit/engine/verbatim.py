"""Finishing a verbatim add that could not be embedded at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..extraction.messages import InputMessage
from ..ledger.base import Job, StoredMessage
from ..scope import Scope
from ..types import AddResult
from .add import AddRequest, write_plan
from .core import Engine
from .jobs import as_inputs, job_messages, scope_of


async def finish_verbatim(engine: Engine, job: Job) -> AddResult:
    """Embed and store what a failed add kept, in the order given: its turns, and texts that were nobody's turn."""
    data: dict[str, Any] = dict(job.payload)
    scope = Scope(**data["scope"])
    new, known = await job_messages(engine, job)
    rows = {row.rid: row for row in (*new, *known)}
    rids = iter(data["messages"])
    items: list[InputMessage] = []
    scopes: list[Scope] = []
    kept: dict[int, StoredMessage] = {}
    for given in data["items"]:
        if "text" in given:
            items.append(InputMessage(role=None, content=given["text"], **given))
            scopes.append(scope)
        elif (row := rows.get(next(rids))) is not None:
            kept[len(items)] = row
            items.append(_as_given(row, given))
            scopes.append(scope_of(row))
    request = AddRequest(
        items=items,
        scopes=scopes,
        scope=scope,
        metadata=data["metadata"],
        infer=bool(data["infer"]),
        kind=data["kind"],
        origin=data["origin"],
        valid_from=data["valid_from"],
        expires_at=data["expires_at"],
    )
    return await write_plan(engine, request, job.id, kept=kept, finishes=job.id)


def _as_given(row: StoredMessage, given: Mapping[str, Any]) -> InputMessage:
    """Return a kept turn without the id and the time that nobody gave: they are no part of what makes it the same."""
    item = as_inputs([row])[0]
    return replace(item, id=given["id"], created_at=row.created_at if given["dated"] else None)
