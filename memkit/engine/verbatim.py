"""Finishing a verbatim add that could not be embedded at once."""

from __future__ import annotations

from typing import Any

from ..extraction.messages import InputMessage
from ..ledger.base import Job
from ..scope import Scope
from ..types import AddResult
from .add import AddRequest, write_plan
from .core import Engine
from .jobs import as_inputs, job_messages, scope_of


async def finish_verbatim(engine: Engine, job: Job) -> AddResult:
    """Embed and store what a failed add kept: its turns, and the texts that were nobody's turn."""
    data: dict[str, Any] = dict(job.payload)
    scope = Scope(**data["scope"])
    new, known = await job_messages(engine, job)
    turns = sorted([*new, *known], key=lambda row: list(data["messages"]).index(row.rid))
    texts = [
        InputMessage(
            role=None,
            content=text["text"],
            text=text["text"],
            name=text["name"],
            created_at=text["created_at"],
            metadata=text["metadata"],
        )
        for text in data["texts"]
    ]
    request = AddRequest(
        items=[*as_inputs(turns), *texts],
        scopes=[*(scope_of(row) for row in turns), *(scope for _ in texts)],
        scope=scope,
        metadata=data["metadata"],
        infer=bool(data["infer"]),
        kind=data["kind"],
        origin=data["origin"],
        valid_from=data["valid_from"],
        expires_at=data["expires_at"],
    )
    return await write_plan(engine, request, job.id, kept=turns, finishes=job.id)
