"""Typed records as they are given: no model, one transaction, the same key logic as what is extracted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..clock import now_us
from ..errors import ConflictError, InvalidInputError
from ..ledger.base import AddRecord, Applied, Batch
from ..scope import read_scope
from ..types import AddResult
from .add_request import AddRequest
from .core import Engine, Meter, new_id
from .jobs import stored_result
from .outbox import drain
from .relate import relate, with_relations
from .steps import Step, changes_of, numbered, with_vectors
from .typed import RecordPlan, Said, embed_new

_TRIES: Final = 5


async def add_records(engine: Engine, request: AddRequest) -> AddResult:
    """Store records as they are given, in one transaction and without a model.

    Raises:
        InvalidInputError: A record is none of its schema when it is put together with what is known of it.
        ConflictError: Others kept changing the same records.
    """
    operation_id, scope, now = new_id(), request.scope, now_us()
    plan = RecordPlan(
        [
            Said(
                schema=given.schema,
                values=given.values,
                scope=scope,
                created_at=now,
                origin=request.origin or "user",
                metadata=request.metadata,
                valid_from=request.valid_from,
                expires_at=request.expires_at,
            )
            for given in request.records
        ],
        scope.owner,
        read_scope(scope.user_id, scope.agent_id, scope.run_id),
    )
    meter, vectors = Meter(), dict[str, Any]()
    for _ in range(_TRIES):
        await plan.load(engine)
        steps = numbered(plan.steps(now_us()))
        for step in steps:
            if step.event == "REJECT":
                raise InvalidInputError(str(step.reason))
        changes = changes_of(steps)
        for change in changes:
            if isinstance(change, AddRecord):
                relate(engine, change)
        await embed_new(engine, changes, vectors, meter)
        applied = await engine.apply(
            Batch(
                embedder=meter.embedder,
                operation_id=operation_id,
                kind="add",
                owner=scope.owner,
                at=now,
                changes=with_vectors(changes, vectors),
                key=request.key,
                digest=request.digest() if request.key is not None else None,
                indexes=engine.parts.index_names(),
                render=None
                if request.key is None
                else lambda done, steps=steps: _result(steps, done, operation_id, meter).model_dump_json(),
                worker=engine.parts.worker_id,
            )
        )
        if applied.replay is not None:
            return await stored_result(engine, applied.replay)
        if not applied.refused:
            result = _result(steps, applied, operation_id, meter)
            result = result.model_copy(update={"pending": await drain(engine)})
            return with_relations(engine, result, applied)
    raise ConflictError("The records kept changing while they were stored. Nothing was written; try again.")


def _result(steps: Sequence[Step], applied: Applied, operation_id: str, meter: Meter) -> AddResult:
    return AddResult(
        results=[step.outcome(applied) for step in steps], operation_id=operation_id, usage=meter.usage()
    )
