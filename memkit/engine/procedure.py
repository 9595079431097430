"""Procedural memory: a run summarised into how it is done, for an agent."""

from __future__ import annotations

from ..clock import now_us
from ..ledger.base import AddRecord, Batch, Job, SourceRef
from ..scope import Scope
from ..types import AddOutcome, AddResult
from .core import Engine, Meter, new_id
from .embed import embed_memories
from .images import described
from .outbox import drain
from .turns import as_inputs, job_messages, require_llm


async def learn_procedure(engine: Engine, job: Job) -> AddResult:
    """Summarise a job's turns into one procedure and finish the job in the same transaction."""
    from ..extraction.procedural import summarise_procedure

    meter, data = Meter(), job.payload
    new, known = await job_messages(engine, job)
    turns = sorted([*new, *known], key=lambda row: list(data["messages"]).index(row.rid))
    llm = require_llm(engine)
    inputs = await described(engine, llm, as_inputs(turns), meter)
    text, usage = await summarise_procedure(
        engine.rt, llm, inputs, instructions=engine.parts.config.instructions, prompt=data["prompt"]
    )
    meter.count(usage)
    embedded = await embed_memories(engine, [text], meter)
    scope, now = Scope(**data["scope"]), now_us()
    said = max((turn.created_at for turn in turns), default=now)
    record = AddRecord(
        id=new_id(),
        scope=scope,
        text=text,
        kind=data["kind"] or "procedure",
        vector=embedded.vectors[0],
        tokens=embedded.tokens(0),
        metadata=data["metadata"],
        created_at=said,
        valid_from=min(said, now) if data["valid_from"] is None else data["valid_from"],
        expires_at=data["expires_at"],
        dated=any(turn.dated for turn in turns),
        origin=data["origin"] or "assistant",
        sources=[SourceRef(message_id=turn.id) for turn in turns],
    )
    result = AddResult(
        results=[AddOutcome(id=record.id, memory=text, event="ADD")], operation_id=job.id, usage=meter.usage()
    )
    await engine.apply(
        Batch(
            embedder=meter.embedder,
            operation_id=job.id,
            kind="add",
            owner=scope.owner,
            at=now,
            changes=[record],
            finishes=job.id,
            indexes=engine.parts.index_names(),
            render=lambda _: result.model_dump_json(),
            worker=engine.parts.worker_id,
        )
    )
    return result.model_copy(update={"pending": await drain(engine)})
