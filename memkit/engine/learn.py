"""Learning from kept turns: one model call decides what is new and what it does to what is known.

Nothing is locked while the model thinks. What it decided rests on the versions it was shown; the transaction refuses
a stale one, and what changed meanwhile is decided again without another call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from ..clock import now_us
from ..errors import ConflictError
from ..extraction.extract import Candidate, Extracted, extract
from ..extraction.marks import strip_recalled
from ..extraction.messages import InputMessage
from ..ledger.base import AddRecord, Applied, Batch, Change, EditRecord, Job, Record, SourceRef, StoredMessage
from ..scope import ReadScope, Scope, read_scope
from ..types import KINDS, AddOutcome, AddResult
from .add_request import result_of
from .core import Engine, Meter, new_id
from .digests import fact_digest
from .embed import embed_documents, embed_queries
from .images import described
from .outbox import drain
from .search import SearchRequest, search_ledger
from .turns import as_inputs, job_messages, require_llm, scope_of
from .views import is_current

OFFERED: Final = 15
"""Related memories shown to the model at most."""
_PER_TURN: Final = 5
_QUERIES: Final = 64
_EARLIER: Final = 6
_TRIES: Final = 5
_FACTS: Final = frozenset(KINDS) - {"message"}


async def learn(engine: Engine, job: Job) -> AddResult:
    """Extract, reconcile and store the facts of a job's turns, and finish the job in the same transaction."""
    meter = Meter()
    new, known = await job_messages(engine, job)
    options = _Options.of(job)
    if not new:
        return await _finish(engine, job, _Plan(options, [], Extracted(), [], known), meter)
    llm = require_llm(engine)
    inputs = await described(engine, llm, as_inputs(new), meter)
    offered = await _related(engine, options, inputs, meter)
    extracted = await extract(
        engine.rt,
        llm,
        inputs,
        [record.text for record in offered],
        now=now_us(),
        instructions=engine.parts.config.instructions,
        prompt=options.prompt,
        origin=options.origin,  # pyright: ignore[reportArgumentType]
        earlier=await _earlier(engine, new[0]),
    )
    meter.llm_calls += extracted.usage.llm_calls
    meter.input_tokens += extracted.usage.input_tokens
    meter.output_tokens += extracted.usage.output_tokens
    return await _finish(engine, job, _Plan(options, new, extracted, offered, known), meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What the call said, read back from the queue."""

    scope: Scope
    metadata: Mapping[str, Any]
    kind: str | None
    prompt: str | None
    origin: str | None
    valid_from: int | None
    expires_at: int | None

    @classmethod
    def of(cls, job: Job) -> _Options:
        data = job.payload
        return cls(
            scope=Scope(**data["scope"]),
            metadata=data["metadata"],
            kind=data["kind"],
            prompt=data["prompt"],
            origin=data["origin"],
            valid_from=data["valid_from"],
            expires_at=data["expires_at"],
        )

    @property
    def read(self) -> ReadScope:
        """What the call may see and change."""
        return read_scope(self.scope.user_id, self.scope.agent_id, self.scope.run_id)


async def _related(
    engine: Engine, options: _Options, inputs: Sequence[InputMessage], meter: Meter
) -> list[Record]:
    """Return current facts near any of the turns, most related first; one embedding request."""
    texts = [strip_recalled(item.text) for item in inputs if item.role in ("user", "assistant")]
    texts = [text for text in texts if text.strip()][-_QUERIES:]
    if not texts or await engine.call(engine.ledger.embedder) is None:
        return []
    vectors = await embed_queries(engine, texts, meter)
    best: dict[int, tuple[float, Record]] = {}
    for n, text in enumerate(texts):
        request = SearchRequest(query=text, scope=options.read, kinds=_FACTS, limit=_PER_TURN)
        local = await engine.rt.call(search_ledger, None, engine, request, text, vectors[n], (), False)
        for hit in local.hits:
            if hit.record.rid not in best or hit.score > best[hit.record.rid][0]:
                best[hit.record.rid] = (hit.score, hit.record)
    ranked = sorted(best.values(), key=lambda pair: (-pair[0], pair[1].rid))
    return [record for _, record in ranked[:OFFERED]]


async def _earlier(engine: Engine, first: StoredMessage) -> list[InputMessage]:
    """Return the turns of the same run just before, for names and pronouns."""
    if first.run_id is None:
        return []
    scope = read_scope(first.user_id, first.agent_id or [None], first.run_id)
    rows = await engine.call(engine.ledger.messages, scope, limit=_EARLIER, before=first.created_at)
    return as_inputs([row for row in rows if row.rid < first.rid])


@dataclass(slots=True)
class _Step:
    """One accepted candidate: the changes it makes, or why it makes none."""

    candidate: Candidate
    event: str
    changes: list[Change] = field(default_factory=list[Change])
    first: int = 0
    previous: Record | None = None
    reason: str | None = None


class _Plan:
    """What the model decided, turned into changes against the records as they are now."""

    def __init__(
        self,
        options: _Options,
        turns: Sequence[StoredMessage],
        extracted: Extracted,
        offered: Sequence[Record],
        known: Sequence[StoredMessage],
    ) -> None:
        self.options = options
        self.turns = turns
        self.extracted = extracted
        self.offered = list(offered)
        self.known = known
        self.vectors: Any = None

    def texts(self) -> list[str]:
        """Return the texts to embed, one per accepted candidate."""
        return [candidate.text for candidate in self.extracted.accepted]

    def steps(self, now: int) -> list[_Step]:
        """Return the steps against the offered records as they are now."""
        taken: set[str] = set()
        steps = [self._step(n, candidate, taken, now) for n, candidate in enumerate(self.extracted.accepted)]
        place = 0
        for step in steps:
            step.first = place
            place += len(step.changes)
        return steps

    def _step(self, n: int, candidate: Candidate, taken: set[str], now: int) -> _Step:
        old = self.offered[candidate.replaces] if candidate.replaces is not None else None
        if candidate.action == "none":
            return _Step(candidate, "NONE", previous=old, reason="It is known already.")
        reason = None
        if old is not None and candidate.action in ("supersede", "retract"):
            if old.id in taken or not is_current(old, now, now):
                old, reason = None, "The memory it replaces changed meanwhile."
            else:
                taken.add(old.id)
        if candidate.action == "retract":
            if old is None:
                return _Step(candidate, "NONE", reason=reason or "There is nothing to retract.")
            return self._retract(candidate, old, now)
        if candidate.action == "supersede" and old is not None:
            if _same(old.text, candidate.text):
                return _Step(candidate, "NONE", previous=old, reason="It is known already.")
            return self._supersede(n, candidate, old, now)
        twin = next(
            (r for r in self.offered if _same(r.text, candidate.text) and is_current(r, now, now)), None
        )
        if twin is not None and twin.id not in taken:
            return _Step(candidate, "NONE", previous=twin, reason="It is known already.")
        return _Step(candidate, "ADD", [self._new(n, candidate, now)], reason=reason)

    def _supersede(self, n: int, candidate: Candidate, old: Record, now: int) -> _Step:
        new = self._new(n, candidate, now)
        start = new.valid_from or now
        if new.created_at < old.created_at:
            closed = self._new(n, candidate, now, until=max(start, old.valid_from))
            reason = "It was said before what is known now, and is kept as past."
            return _Step(candidate, "ADD", [closed], previous=old, reason=reason)
        close = self._close(candidate, old, max(start, old.valid_from), f"superseded by {new.id}")
        return _Step(candidate, "SUPERSEDE", [close, new], previous=old)

    def _retract(self, candidate: Candidate, old: Record, now: int) -> _Step:
        said = min(self.turns[candidate.message].created_at, now)
        until = (
            candidate.valid_until
            if candidate.valid_until is not None and candidate.valid_until <= now
            else said
        )
        return _Step(
            candidate, "SUPERSEDE", [self._close(candidate, old, max(until, old.valid_from), "retracted")],
            previous=old, reason="It is no longer true.",
        )  # fmt: skip

    def _close(self, candidate: Candidate, old: Record, until: int, reason: str) -> EditRecord:
        return EditRecord(
            id=old.id,
            expected_version=old.version,
            event="SUPERSEDE",
            set={"valid_until": until},
            reason=reason,
            actor=self.turns[candidate.message].name,
            scope=self.options.read,
        )

    def _new(self, n: int, candidate: Candidate, now: int, until: int | None = None) -> AddRecord:
        options, turn = self.options, self.turns[candidate.message]
        start = candidate.valid_from if candidate.valid_from is not None else options.valid_from
        scope = scope_of(turn)
        return AddRecord(
            id=new_id(),
            scope=scope,
            text=candidate.text,
            kind=options.kind or candidate.kind,
            vector=self.vectors[n],
            dedup=None if until is not None else fact_digest(candidate.text, scope),
            metadata={**options.metadata, **turn.metadata},
            created_at=turn.created_at,
            valid_from=min(turn.created_at, now) if start is None else start,
            valid_until=candidate.valid_until if until is None else until,
            expires_at=options.expires_at,
            dated=turn.dated,
            actor_id=turn.name,
            role=turn.role,
            origin=options.origin or candidate.origin,
            sources=[SourceRef(message_id=turn.id, quote=candidate.quote or None)],
            entities=[(entity.name, entity.kind) for entity in candidate.entities],
            reason="; ".join(candidate.notes) or None,
            actor=turn.name,
        )

    def outcomes(self, steps: Sequence[_Step], applied: Applied) -> list[AddOutcome]:
        """Return what became of every candidate, then what was rejected, then what was known."""
        out = [self._outcome(step, applied) for step in steps]
        out += [AddOutcome(memory=r.text, event="REJECT", reason=r.reason) for r in self.extracted.rejected]
        out += [
            AddOutcome(memory=m.text, event="NONE", reason="This turn is remembered already.", role=m.role)
            for m in self.known
        ]
        return out

    def _outcome(self, step: _Step, applied: Applied) -> AddOutcome:
        event, reason = step.event, step.reason
        record = step.previous
        if step.changes:
            last = applied.changes[step.first + len(step.changes) - 1]
            record = last.record
            if last.status == "duplicate" and event == "ADD":
                event, reason = "NONE", "It is known already."
        turn = self.turns[step.candidate.message]
        return AddOutcome(
            id=None if record is None else record.id,
            memory=step.candidate.text,
            event=event,  # pyright: ignore[reportArgumentType]
            previous_memory=step.previous.text
            if step.previous is not None and event == "SUPERSEDE"
            else None,
            reason=reason,
            actor_id=turn.name,
            role=turn.role,
        )


async def _finish(engine: Engine, job: Job, plan: _Plan, meter: Meter) -> AddResult:
    """Embed, write everything in one transaction, and let indexes follow."""
    plan.vectors = await embed_documents(engine, plan.texts(), meter) if plan.texts() else None
    for _ in range(_TRIES):
        now = now_us()
        steps = plan.steps(now)
        applied = await engine.apply(
            Batch(
                embedder=None if plan.vectors is None else meter.embedder,
                operation_id=job.id,
                kind="add",
                owner=plan.options.scope.owner,
                at=now,
                changes=[change for step in steps for change in step.changes],
                finishes=job.id,
                indexes=engine.parts.index_names(),
                render=_renderer(plan, steps, job.id, meter),
                worker=engine.parts.worker_id,
            )
        )
        if applied.replay is not None:
            return result_of(applied.replay)
        if not applied.refused:
            result = _result(plan, steps, applied, job.id, meter)
            return result.model_copy(update={"pending": await drain(engine)})
        fresh = {r.id: r for r in await engine.call(engine.ledger.records, [r.id for r in plan.offered])}
        plan.offered = [_as_now(old, fresh.get(old.id)) for old in plan.offered]
    raise ConflictError(
        "The memories this conversation touches kept changing. The turns are kept; try again."
    )


def _renderer(
    plan: _Plan, steps: Sequence[_Step], operation_id: str, meter: Meter
) -> Callable[[Applied], str]:
    return lambda applied: _result(plan, steps, applied, operation_id, meter).model_dump_json()


def _result(
    plan: _Plan, steps: Sequence[_Step], applied: Applied, operation_id: str, meter: Meter
) -> AddResult:
    return AddResult(results=plan.outcomes(steps, applied), operation_id=operation_id, usage=meter.usage())


def _as_now(old: Record, fresh: Record | None) -> Record:
    """Return an offered record as it is now; one whose words changed is no longer what the model decided on."""
    if fresh is None or fresh.text != old.text:
        return replace(old, deleted=True)
    return fresh


def _same(first: str, second: str) -> bool:
    return " ".join(first.casefold().split()) == " ".join(second.casefold().split())
