"""Turns: from what a caller gives to what is kept, and back again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from ..errors import ConfigurationError
from ..extraction.messages import InputMessage
from ..ledger.base import Job, NewMessage, StoredMessage
from ..ranking.text import dense_form
from ..scope import Scope
from .core import Engine

_MANY = 64
P = ParamSpec("P")
R = TypeVar("R")


async def prepared(
    engine: Engine, count: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Return what a function makes of so many turns: beside the event loop, where they are many."""
    return await engine.rt.work(function, *args, **kwargs) if count > _MANY else function(*args, **kwargs)


def embedded_text(text: str, kind: str, speaker: str | None) -> str:
    """Return the text that is embedded for a memory: a turn as a sentence with its speaker, others as they are."""
    return dense_form(text, speaker) if kind == "message" else text


def new_message(
    item: InputMessage,
    scope: Scope,
    now: int,
    *,
    learned: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> NewMessage:
    """Return an input as a turn to keep; `metadata` is that of the whole call."""
    return NewMessage(
        scope=scope,
        role=item.role or "user",
        content=item.content,
        text=item.text,
        id=item.id,
        name=item.name,
        created_at=now if item.created_at is None else item.created_at,
        offset_minutes=item.offset_minutes,
        dated=item.created_at is not None,
        metadata={**(metadata or {}), **item.metadata},
        learned=learned,
        payload=item.payload,
    )


def why_ignored(item: InputMessage, text: str) -> str | None:
    """Return why a turn makes no memory, or None if it may."""
    if item.role == "system":
        return "System prompts are never remembered as memories."
    if not text.strip():
        if item.text.strip():
            return "It holds nothing but recalled memories."
        return "It holds no text."
    return None


def require_llm(engine: Engine) -> Any:
    """Return the model an unfinished extraction needs.

    Raises:
        ConfigurationError: There is none now.
    """
    llm = engine.parts.llm()
    if llm is None:
        raise ConfigurationError(
            "An extraction is unfinished and there is no model now. Pass `llm=` to finish it."
        )
    return llm


async def job_messages(engine: Engine, job: Job) -> tuple[list[StoredMessage], list[StoredMessage]]:
    """Return the turns of a job that were new, and those the run had already."""
    return await engine.rt.work(read_job, engine, job)


def read_job(engine: Engine, job: Job) -> tuple[list[StoredMessage], list[StoredMessage]]:
    """Do the work of `job_messages`."""
    return by_newness(job, engine.ledger.messages_by_rid(list(dict.fromkeys(job.payload["messages"]))))


def by_newness(job: Job, turns: Iterable[StoredMessage]) -> tuple[list[StoredMessage], list[StoredMessage]]:
    """Return those turns of a job that were new, and those the run had already."""
    new_of: dict[int, bool] = {}
    for rid, new in zip(job.payload["messages"], job.payload["new"], strict=True):
        new_of[rid] = new or new_of.get(rid, False)  # one id given twice is new the first time only
    rows = list(turns)
    return [row for row in rows if new_of[row.rid]], [row for row in rows if not new_of[row.rid]]


def as_inputs(rows: Sequence[StoredMessage]) -> list[InputMessage]:
    """Return kept turns in the shape that extraction reads."""
    return [
        InputMessage(
            role=row.role,  # pyright: ignore[reportArgumentType]
            content=row.content if isinstance(row.content, str) else [dict(block) for block in row.content],
            text=row.text,
            name=row.name,
            created_at=row.created_at,
            offset_minutes=row.offset_minutes,
            metadata=dict(row.metadata),
            run_id=row.run_id,
            id=row.id,
            has_images=not isinstance(row.content, str)
            and any("image" in str(block.get("type", "")) for block in row.content),
        )
        for row in rows
    ]


def scope_of(row: StoredMessage) -> Scope:
    """Return the scope a turn is stored under."""
    return Scope(user_id=row.user_id, agent_id=row.agent_id, run_id=row.run_id)
