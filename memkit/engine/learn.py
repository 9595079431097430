"""Learning from kept turns: one model call decides what is new and what it does to what is known.

Nothing is locked while the model thinks. What it decided rests on the versions it was shown; the transaction refuses
a stale one, and what changed meanwhile is decided again without another call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..clock import now_us
from ..errors import ConflictError, EmbedderMismatchError
from ..extraction.extract import Candidate, Extracted, extract
from ..extraction.marks import strip_recalled
from ..extraction.messages import InputMessage
from ..extraction.typed import KnownRecord, RecordCandidate
from ..ledger.base import AddRecord, Applied, Batch, Change, Job, Outlook, Record, SourceRef, StoredMessage
from ..ledger.records import Triple
from ..scope import ReadScope, Scope, read_scope
from ..types import KINDS, AddOutcome, AddResult
from .add_request import result_of
from .core import Engine, Meter, new_id
from .digests import fact_digest, slot_digest
from .embed import embed_queries
from .images import described
from .outbox import drain
from .past import replaced_by, superseded_by
from .relate import relate, with_relations
from .search import SearchRequest, nearest
from .steps import Step, as_written, changes_of, closing, numbered, with_vectors
from .turns import as_inputs, by_newness, prepared, read_job, require_llm, scope_of
from .typed import RecordPlan, Said, embed_new, known_records
from .views import is_current

OFFERED: Final = 40
"""Related memories shown to the model at most: what one person keeps current of herself. "I'm a beekeeper now" need not
share a word with the job it replaces, which is closed only where it is shown."""
_PER_TURN: Final = 5
"""Of them, what each turn finds, however many turns there are; a single one finds all."""
_QUERIES: Final = 64
_EARLIER: Final = 6
_TRIES: Final = 5
_FACTS: Final = frozenset(KINDS) - {"message"}


async def learn(engine: Engine, job: Job, made: Applied | None = None) -> AddResult:
    """Extract, reconcile and store the facts of a job's turns, and finish the job in the same transaction.

    `made` is the batch that has just made the job: what it tells is not read again.
    """
    meter = Meter()
    options = _Options.of(job)
    new, known, inputs, earlier, outlook = await _before(engine, job, options, made)
    if not new:
        return await _finish(engine, job, _Plan(options, [], Extracted(), [], known), meter)
    llm = require_llm(engine)
    inputs = await described(engine, llm, inputs, meter)
    offered = await _related(engine, options, inputs, outlook, meter)
    facts = [record for record in offered if record.data is None][:OFFERED]
    records = [record for record in offered if record.data is not None][:OFFERED]
    records += await _profiles(engine, options)
    extracted = await extract(
        engine.rt,
        llm,
        inputs,
        [record.text for record in facts],
        now=now_us(),
        instructions=_instructions(engine),
        prompt=options.prompt,
        origin=options.origin,  # pyright: ignore[reportArgumentType]
        earlier=earlier,
        schemas=engine.parts.schemas,
        known=[KnownRecord(kind=record.kind, data=dict(record.data or {})) for record in records],
    )
    meter.count(extracted.usage)
    return await _finish(engine, job, _Plan(options, new, extracted, facts, known), meter)


def _instructions(engine: Engine) -> str | None:
    """Return what the caller wants to be remembered, of entities and relations too."""
    wanted = (engine.parts.config.instructions, engine.parts.graph.instructions)
    return "\n".join(text for text in wanted if text) or None


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


class _Read(NamedTuple):
    """What a job needs of the ledger before the model is asked."""

    new: list[StoredMessage]
    known: list[StoredMessage]
    """Turns that the run had already."""
    inputs: list[InputMessage]
    """The new ones, as extraction reads them."""
    earlier: list[InputMessage]
    outlook: Outlook


async def _before(engine: Engine, job: Job, options: _Options, made: Applied | None) -> _Read:
    """Return what a job needs of the ledger, as the batch that made it tells; read where there is more to know."""
    # A run may have earlier turns, and a job that was put off takes in those of others.
    if made is None or made.outlook is None or job.due is not None or options.scope.run_id is not None:
        return await engine.rt.work(_read, engine, job, options)
    turns = {turn.rid: turn for turn in made.messages}
    if any(turn.run_id is not None for turn in turns.values()):
        return await engine.rt.work(_read, engine, job, options)
    return await prepared(engine, len(turns), _kept, job, list(turns.values()), made.outlook)


def _kept(job: Job, turns: Sequence[StoredMessage], outlook: Outlook) -> _Read:
    new, known = by_newness(job, turns)
    return _Read(new, known, as_inputs(new), [], outlook)


def _read(engine: Engine, job: Job, options: _Options) -> _Read:
    new, known = read_job(engine, job)
    earlier = _earlier(engine, new[0]) if new else []
    return _Read(new, known, as_inputs(new), earlier, engine.ledger.outlook(options.read))


async def _related(
    engine: Engine, options: _Options, inputs: Sequence[InputMessage], outlook: Outlook, meter: Meter
) -> list[Record]:
    """Return current facts and records near any of the turns, most related first; one embedding request."""
    texts = [strip_recalled(item.text) for item in inputs if item.role in ("user", "assistant")]
    texts = [text for text in texts if text.strip()]
    together = -(-len(texts) // _QUERIES)
    texts = ["\n".join(texts[n : n + together]) for n in range(0, len(texts), max(1, together))]
    if not texts or outlook.embedder is None:
        return []
    vectors = await embed_queries(engine, texts, meter, stored=outlook.embedder[0])
    kinds = _FACTS.union(schema.kind for schema in engine.parts.schemas)
    limit = max(_PER_TURN, OFFERED // len(texts))
    request = SearchRequest(query="", scope=options.read, kinds=kinds, limit=limit)
    return await engine.rt.work(nearest, engine, request, outlook, texts, list(vectors))


async def _profiles(engine: Engine, options: _Options) -> list[Record]:
    """Return the current records of kinds of which a scope has only one: a turn about them need not resemble them."""
    slots = [slot_digest(schema.kind, []) for schema in engine.parts.schemas if not schema.key]
    found = await known_records(engine, options.scope.owner, options.read, slots)
    return [record for records in found.values() for record in records]


def _earlier(engine: Engine, first: StoredMessage) -> list[InputMessage]:
    """Return the turns of the same run just before, for names and pronouns."""
    if first.run_id is None:
        return []
    scope = read_scope(first.user_id, first.agent_id or [None], first.run_id)
    rows = engine.ledger.messages(scope, limit=_EARLIER, before=first.created_at)
    return as_inputs([row for row in rows if row.rid < first.rid])


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
        self.past: dict[str, list[Record]] = {}
        """Of each known memory that a turn was said before: what it took the place of."""
        self.records = RecordPlan(
            [self._said(record) for record in extracted.records], options.scope.owner, options.read
        )

    async def load(self, engine: Engine) -> None:
        """Read what the steps need to know beside what was offered, as it is now."""
        await self.records.load(engine)
        for candidate in self.extracted.accepted:
            if candidate.action != "supersede" or candidate.replaces is None:
                continue
            old, said = self.offered[candidate.replaces], self.turns[candidate.message].created_at
            if said < old.created_at:
                start = said if candidate.valid_from is None else candidate.valid_from
                self.past[old.id] = await replaced_by(engine, old, start, self.options.read)

    def steps(self, now: int) -> list[Step]:
        """Return the steps against the known records as they are now: facts, then typed records."""
        facts = _Facts(self, now)
        said: dict[int, list[Triple]] = {}
        for edge in self.extracted.relations:
            said.setdefault(edge.candidate, []).append((edge.source, edge.relation, edge.target))
        for place, candidate in enumerate(self.extracted.accepted):
            facts.take(candidate, said.get(place, ()))
        return numbered([*facts.steps, *self.records.steps(now)])

    def outcomes(self, steps: Sequence[Step], applied: Applied) -> list[AddOutcome]:
        """Return what became of every candidate, then what was rejected, then what was known."""
        out = [step.outcome(applied) for step in steps]
        out += [AddOutcome(memory=r.text, event="REJECT", reason=r.reason) for r in self.extracted.rejected]
        out += [
            AddOutcome(memory=m.text, event="NONE", reason="This turn is remembered already.", role=m.role)
            for m in self.known
        ]
        return out

    def _said(self, record: RecordCandidate) -> Said:
        turn, options = self.turns[record.message], self.options
        return Said(
            schema=record.schema,
            values=record.values,
            action=record.action,
            scope=scope_of(turn),
            created_at=turn.created_at,
            dated=turn.dated,
            actor=turn.name,
            role=turn.role,
            origin=options.origin or record.origin,
            sources=[SourceRef(message_id=turn.id, quote=record.quote or None)],
            metadata={**options.metadata, **turn.metadata},
            valid_from=options.valid_from,
            expires_at=options.expires_at,
            notes="; ".join(record.notes) or None,
        )


class _Facts:
    """The steps of the facts of one plan, in order; a later one may build on an earlier one."""

    def __init__(self, plan: _Plan, now: int) -> None:
        self._options = plan.options
        self._turns = plan.turns
        self._offered = plan.offered
        self._past = plan.past
        self._now = now
        self._taken: set[str] = set()
        self._made: list[Record | None] = []
        """For each step, the record that stands for its fact afterwards."""
        self.steps: list[Step] = []

    def take(self, candidate: Candidate, relations: Sequence[Triple]) -> None:
        """Add the step of the next fact, which says these relations."""
        step = self._step(candidate)
        turn = self._turns[candidate.message]
        step.actor, step.role = turn.name, turn.role
        if step.changes and candidate.notes:
            step.reason = "; ".join([*([step.reason] if step.reason else ()), *candidate.notes])
        added = [change for change in step.changes if isinstance(change, AddRecord)]
        for record in added:
            record.relations = list(relations)
        self._made.append(as_written(added[-1], self._now) if added else step.previous)
        self.steps.append(step)

    def _step(self, candidate: Candidate) -> Step:
        text, now = candidate.text, self._now
        old = self._target(candidate)
        if candidate.action == "none":
            return Step(text, "NONE", previous=old, reason="It is known already.")
        reason = None
        if old is not None and candidate.action in ("supersede", "retract"):
            if old.id in self._taken or not is_current(old, max(now, old.valid_from), now):
                old, reason = None, "The memory it replaces changed meanwhile."
            else:
                self._taken.add(old.id)
        if candidate.action == "retract":
            if old is None:
                return Step(text, "NONE", reason=reason or "There is nothing to retract.")
            return self._retract(candidate, old)
        if candidate.action == "supersede" and old is not None:
            if _same(old.text, text):
                return Step(text, "NONE", previous=old, reason="It is known already.")
            return self._supersede(candidate, old)
        words = _plain(text)
        twin = next((r for r in self._offered if _plain(r.text) == words and is_current(r, now, now)), None)
        if twin is not None and twin.id not in self._taken:
            return Step(text, "NONE", previous=twin, reason="It is known already.")
        return Step(text, "ADD", changes=[self._new(candidate)], reason=reason)

    def _target(self, candidate: Candidate) -> Record | None:
        """Return the record that a fact is about: an offered one, or one that an earlier part made."""
        if candidate.follows is not None:
            return self._made[candidate.follows]
        return self._offered[candidate.replaces] if candidate.replaces is not None else None

    def _supersede(self, candidate: Candidate, old: Record) -> Step:
        new = self._new(candidate)
        start = self._now if new.valid_from is None else new.valid_from
        if new.created_at < old.created_at:
            return self._into_past(candidate, old, start)
        close = closing(old, start, superseded_by(new.id), new.actor, self._options.read)
        return Step(candidate.text, "SUPERSEDE", changes=[close, new], previous=old)

    def _into_past(self, candidate: Candidate, old: Record, start: int) -> Step:
        """Keep what was said before what is known now: it holds until the next that is known, and ends the last."""
        until, ended = old.valid_from, None
        for record in self._past.get(old.id, ()):
            if record.valid_from <= start:
                ended = record
                break
            until = record.valid_from
        new = self._new(candidate, until=max(start, until))
        changes: list[Change] = [new]
        if (
            ended is not None
            and ended.id not in self._taken
            and ended.valid_until is not None
            and ended.valid_until > start
        ):
            self._taken.add(ended.id)
            changes.insert(0, closing(ended, start, superseded_by(new.id), new.actor, self._options.read))
        reason = "It was said before what is known now, and is kept as past."
        return Step(candidate.text, "ADD", changes=changes, previous=old, reason=reason)

    def _retract(self, candidate: Candidate, old: Record) -> Step:
        turn, ended = self._turns[candidate.message], candidate.valid_until
        until = ended if ended is not None and ended <= self._now else min(turn.created_at, self._now)
        close = closing(old, until, "retracted", turn.name, self._options.read)
        return Step(
            candidate.text, "SUPERSEDE", changes=[close], previous=old, reason="It is no longer true."
        )

    def _new(self, candidate: Candidate, until: int | None = None) -> AddRecord:
        options, turn = self._options, self._turns[candidate.message]
        start = candidate.valid_from if candidate.valid_from is not None else options.valid_from
        scope = scope_of(turn)
        return AddRecord(
            id=new_id(),
            scope=scope,
            text=candidate.text,
            kind=options.kind or candidate.kind,
            vector=None,
            dedup=None if until is not None else fact_digest(candidate.text, scope),
            metadata={**options.metadata, **turn.metadata},
            created_at=turn.created_at,
            valid_from=min(turn.created_at, self._now) if start is None else start,
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


async def _finish(engine: Engine, job: Job, plan: _Plan, meter: Meter) -> AddResult:
    """Embed, write everything in one transaction, and let indexes follow."""
    vectors: dict[str, Any] = {}
    for _ in range(_TRIES):
        await plan.load(engine)
        now = now_us()
        steps = plan.steps(now)
        changes = changes_of(steps)
        for change in changes:
            if isinstance(change, AddRecord) and change.data is not None:
                relate(engine, change)
        await embed_new(engine, changes, vectors, meter, checked=False)
        results: list[AddResult] = []

        def render(
            applied: Applied, steps: Sequence[Step] = steps, results: list[AddResult] = results
        ) -> str:
            outcomes = plan.outcomes(steps, applied)
            results.append(AddResult(results=outcomes, operation_id=job.id, usage=meter.usage()))
            return results[-1].model_dump_json()

        try:
            applied = await engine.apply(
                Batch(
                    embedder=meter.embedder if vectors else None,
                    operation_id=job.id,
                    kind="add",
                    owner=plan.options.scope.owner,
                    at=now,
                    changes=with_vectors(changes, vectors),
                    finishes=job.id,
                    indexes=engine.parts.index_names(),
                    render=render,
                    worker=engine.parts.worker_id,
                )
            )
        except EmbedderMismatchError:
            # Raises it again, unless the embedder may follow the store to the one it has now.
            await engine.embedder()
            vectors.clear()
            continue
        if applied.replay is not None:
            return result_of(applied.replay)
        if not applied.refused:
            pending = await drain(engine)
            result = results[-1].model_copy(update={"pending": pending}) if pending else results[-1]
            return with_relations(engine, result, applied)
        fresh = {r.id: r for r in await engine.call(engine.ledger.records, [r.id for r in plan.offered])}
        plan.offered = [_as_now(old, fresh.get(old.id)) for old in plan.offered]
    raise ConflictError(
        "The memories this conversation touches kept changing. The turns are kept; try again."
    )


def _as_now(old: Record, fresh: Record | None) -> Record:
    """Return an offered record as it is now; one whose words changed is no longer what the model decided on."""
    if fresh is None or fresh.text != old.text:
        return replace(old, deleted=True)
    return fresh


def _same(first: str, second: str) -> bool:
    return _plain(first) == _plain(second)


@lru_cache(maxsize=256)
def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
