"""Messages in, grounded facts out: one call of the model for each window, and one repair."""

from __future__ import annotations

import json
import re
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from memkit.clock import is_bare_date, to_us
from memkit.errors import ExtractionError, InvalidInputError
from memkit.extraction.dates import mentions
from memkit.extraction.marks import recalled_parts
from memkit.extraction.messages import InputMessage
from memkit.extraction.text import fold
from memkit.extraction.typed import KnownRecord, RecordCandidate, RecordJudge, known_after, origin_of
from memkit.extraction.usage import usage_of
from memkit.extraction.verify import Evidence
from memkit.extraction.windows import OVERLAP_CHARS, WINDOW_CHARS, Window, extractable, tail, turn_of, windows
from memkit.ledger.graph import is_speaker
from memkit.llms.base import LLM, ChatMessage, Completion
from memkit.llms.parsing import parse_as
from memkit.prompts import extract as prompts
from memkit.prompts.extract import ExtractedMemory, Extraction, Turn
from memkit.prompts.records import records_of, response_model, section
from memkit.runtime import Runtime
from memkit.schemas import NO_SCHEMAS, Schemas
from memkit.types import Entity, Kind, Origin, Usage

_EXTRACTED_ORIGINS: Final = ("tool", "document")
_CARRIED: Final = 40
"""Facts of earlier windows, the latest ones, that the model is shown with a label at most."""
_SHOWN: Final = 300
_RELATION_CHARS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A fact that its message proves."""

    text: str
    kind: Kind
    action: prompts.Action
    replaces: int | None
    """Index of the offered memory that it supersedes, retracts or repeats, from 0."""
    follows: int | None = None
    """Index in `Extracted.accepted` of the fact of an earlier window that it supersedes, retracts or repeats."""
    message: int
    """Index of the message it rests on, in what was given, from 0."""
    quote: str
    valid_from: int | None = None
    """Microseconds since 1970 in UTC."""
    valid_until: int | None = None
    entities: tuple[Entity, ...] = ()
    origin: Origin = "user"
    notes: tuple[str, ...] = ()
    """What was left out of it, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What the model returned and its message does not prove."""

    text: str
    reason: str
    message: int | None = None
    """Index of the message it named, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationCandidate:
    """An edge between two entities of an accepted fact."""

    source: str
    relation: str
    target: str
    candidate: int
    """Index in `Extracted.accepted`."""
    source_kind: str | None = None
    target_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """What became of an extraction."""

    accepted: tuple[Candidate, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    relations: tuple[RelationCandidate, ...] = ()
    records: tuple[RecordCandidate, ...] = ()
    usage: Usage = field(default_factory=Usage)


async def extract(
    rt: Runtime,
    llm: LLM,
    messages: Sequence[InputMessage],
    offered: Sequence[str] = (),
    *,
    now: int,
    instructions: str | None = None,
    prompt: str | None = None,
    origin: Origin | None = None,
    echoes: Sequence[str] = (),
    earlier: Sequence[InputMessage] = (),
    schemas: Schemas = NO_SCHEMAS,
    known: Sequence[KnownRecord] = (),
    window_chars: int = WINDOW_CHARS,
) -> Extracted:
    """Return the facts that messages hold, each proved by a quote, and what was rejected, with reasons.

    System prompts and fenced recalled text are never shown to the model; turns of tools only with the origin `tool`
    or `document`. Messages that hold nothing to read cost no call.

    Args:
        rt: Calls the model.
        llm: The model.
        messages: The turns of this call.
        offered: Texts of related current memories, most related first.
        now: The time of messages that have none, in microseconds.
        instructions: What to remember and what not.
        prompt: The same for this call alone.
        origin: Where the messages come from, if not from their roles.
        echoes: Texts that were recalled to the speakers lately.
        earlier: Turns of the same run before these, for names and pronouns.
        schemas: Of which kinds records are wanted beside the facts.
        known: Records on file.
        window_chars: Characters of conversation in one call.

    Raises:
        ExtractionError: The model's answer could not be read twice.
        BackendError: The model failed.
    """
    parts = extractable(messages, now=now, tool_turns=origin in _EXTRACTED_ORIGINS)
    before = tail(
        [turn_of(turn, now) for turn in earlier if turn.role in ("user", "assistant")], OVERLAP_CHARS
    )
    recalled = [*echoes, *(text for message in messages if (text := recalled_parts(message.text)))]
    call = _Call(
        rt=rt,
        llm=llm,
        offered=offered,
        schemas=schemas,
        origin=origin,
        instructions=instructions,
        prompt=prompt,
    )
    result = Extracted()
    for window in windows(parts, limit=window_chars):
        window = replace(window, earlier=window.earlier or before)
        result = await call.read(window, result, known_after(known, result.records), recalled)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What all windows of one extraction share."""

    rt: Runtime
    llm: LLM
    offered: Sequence[str]
    schemas: Schemas
    origin: Origin | None
    instructions: str | None
    prompt: str | None

    async def read(
        self, window: Window, before: Extracted, known: Sequence[KnownRecord], recalled: Sequence[str]
    ) -> Extracted:
        """Return what was extracted before with what a window adds; it is shown the facts of those before it."""
        ended = {fact.follows for fact in before.accepted if fact.action in ("supersede", "retract")}
        carried = [
            n
            for n, fact in enumerate(before.accepted)
            if fact.action in ("add", "supersede") and n not in ended
        ][-_CARRIED:]
        offered = [*self.offered, *(before.accepted[n].text for n in carried)]
        request = prompts.build(
            [part.turn for part in window.parts],
            offered,
            earlier=window.earlier,
            on_file=[record.line for record in known],
            records=section(tuple(self.schemas)),
            instructions=self.instructions,
            prompt=self.prompt,
        )
        answer, usage = await _ask(self.rt, self.llm, request, response_model(self.schemas))
        # Many checks of many words: beside the event loop, where there is one.
        found = await self.rt.work(self._judged, answer, window, offered, known, recalled)
        return _joined(before, _pointing(found, len(self.offered), carried), usage)

    def _judged(
        self,
        answer: Extraction,
        window: Window,
        offered: Sequence[str],
        known: Sequence[KnownRecord],
        recalled: Sequence[str],
    ) -> Extracted:
        """Keep what the window's messages prove."""
        evidence = Evidence([part.turn for part in window.parts], window.earlier, offered, recalled)
        found = _judged(answer, window, evidence, self.origin)
        judge = RecordJudge(self.schemas, evidence, window.parts, known, self.origin)
        records: list[RecordCandidate] = []
        rejected = [
            *found.rejected,
            *(Rejected(text=one.text, reason=one.reason) for one in answer.malformed),
        ]
        for record in records_of(answer):
            judged = judge.judge(record)
            if isinstance(judged, str):
                text = f"{record.kind} {json.dumps(record.data, ensure_ascii=False, default=str)}"
                rejected.append(Rejected(text=text[:_SHOWN], reason=judged))
            else:
                records.append(judged)
        return replace(found, rejected=tuple(rejected), records=tuple(records))


def _pointing(found: Extracted, offered: int, carried: Sequence[int]) -> Extracted:
    """Let labels beyond those of the offered memories mean the facts of earlier windows."""
    if not carried:
        return found
    return replace(
        found,
        accepted=tuple(
            replace(fact, replaces=None, follows=carried[fact.replaces - offered])
            if fact.replaces is not None and fact.replaces >= offered
            else fact
            for fact in found.accepted
        ),
    )


async def _ask(
    rt: Runtime, llm: LLM, messages: list[ChatMessage], schema: type[Extraction]
) -> tuple[Extraction, Usage]:
    usage = Usage()
    completion = Completion(text="")
    problem = ""
    request = messages
    for _ in range(2):
        completion = await rt.call(llm.generate, getattr(llm, "agenerate", None), request, schema=schema)
        usage = usage.plus(usage_of(completion))
        answer, problem = _read(completion, schema)
        if answer is not None:
            return answer, usage
        request = prompts.repair(messages, completion.text, problem)
    raise ExtractionError(
        f"The model {getattr(llm, 'name', type(llm).__name__)!r} answered twice with something that is no extraction: "
        f"{problem}. The messages are kept; `repair()` or the same call again tries once more. "
        "A model with structured output, or a larger `max_tokens`, helps.",
        raw_output=completion.text,
        usage=usage,
    )


def _read(completion: Completion, schema: type[Extraction]) -> tuple[Extraction | None, str]:
    if completion.finish_reason == "length":
        return (
            None,
            "it was cut off at the token limit; write fewer and shorter memories, the most lasting ones",
        )
    if completion.finish_reason == "content_filter":
        return None, "it was stopped by the content filter"
    if isinstance(completion.parsed, schema):
        return completion.parsed, ""
    return parse_as(completion.text, schema)


def _judged(answer: Extraction, window: Window, evidence: Evidence, origin: Origin | None) -> Extracted:
    """Keep the facts that the window's messages prove."""
    accepted: list[Candidate] = []
    rejected: list[Rejected] = []
    places: dict[int, int] = {}
    for index, memory in enumerate(answer.memories):
        number = evidence.number_of(memory)
        message = window.parts[number - 1].index if number is not None else None
        verdict = evidence.check(memory, any_role=origin is not None)
        if not verdict.ok or number is None or message is None:
            rejected.append(Rejected(text=memory.text, reason=verdict.reason, message=message))
            continue
        places[index] = len(accepted)
        role = window.parts[number - 1].turn.role
        accepted.append(_candidate(memory, evidence, window, number, origin or origin_of(role)))
    relations = _relations(answer, accepted, places, evidence)
    return Extracted(accepted=tuple(accepted), rejected=tuple(rejected), relations=tuple(relations))


def _candidate(
    memory: ExtractedMemory, evidence: Evidence, window: Window, number: int, origin: Origin
) -> Candidate:
    notes: list[str] = []
    action = memory.action
    if action == "supersede" and memory.replaces is None:
        notes.append("it supersedes nothing: no label was given")
        action = "add"
    turn = window.parts[number - 1].turn
    start = _instant(memory.valid_from, turn, "valid_from", notes)
    end = _instant(memory.valid_until, turn, "valid_until", notes)
    if (start is not None or end is not None) and not evidence.speaks_of_time(number):
        notes += [
            f"{field} stands in no message"
            for field, value in (("valid_from", start), ("valid_until", end))
            if value is not None
        ]
        start = end = None
    if start is not None and end is not None and end <= start:
        notes.append(f"valid_until {memory.valid_until!r} is not after valid_from {memory.valid_from!r}")
        end = None
    entities = {
        entity.name.strip(): Entity(name=entity.name.strip(), kind=entity.kind.strip() or "thing")
        for entity in memory.entities
        if evidence.names(entity.name, memory, number)
    }
    return Candidate(
        text=memory.text.strip(),
        kind=memory.kind,
        action=action,
        replaces=int(memory.replaces[1:]) - 1 if memory.replaces and action != "add" else None,
        message=window.parts[number - 1].index,
        quote=memory.quote.strip(),
        valid_from=start,
        valid_until=end,
        entities=tuple(entities.values()),
        origin=origin,
        notes=tuple(notes),
    )


def _instant(value: str | None, turn: Turn, field: str, notes: list[str]) -> int | None:
    """Return an instant in the zone of its message; one that ends something includes its day, month or year."""
    if value is None:
        return None
    upper = field == "valid_until"
    try:
        full = _whole(_written(value), upper=upper)
        instant = to_us(full, field=field, end_of_day=upper)
        zoned = not is_bare_date(full) and datetime.fromisoformat(full).tzinfo is not None
    except (InvalidInputError, ValueError):
        notes.append(f"{field} {value!r} is not a date")
        return None
    return instant if zoned else instant - turn.offset_minutes * 60_000_000


def _written(value: str) -> str:
    """Return `March 8, 2025`, `8. März 2025` and `2025/03/08` as 2025-03-08; `08/03/2025` may be two days."""
    if turned := re.fullmatch(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})", value.strip()):
        year, month, day = map(int, turned.groups())
        return f"{year:04}-{month:02}-{day:02}"
    folded = fold(value)
    named = mentions(folded) if any(char.isalpha() for char in value) and not value[:4].isdecimal() else ()
    if len(named) != 1 or named[0].raw != folded or not named[0].year or not named[0].month:
        return value
    month = f"{named[0].year:04}-{named[0].month:02}"
    return f"{month}-{named[0].day:02}" if named[0].day else month


def _whole(value: str, *, upper: bool) -> str:
    """Return `2021` and `2021-05` as their first day, or their last."""
    if re.fullmatch(r"\d{4}", value):
        return f"{value}-12-31" if upper else f"{value}-01-01"
    if month := re.fullmatch(r"(\d{4})-(\d{2})", value):
        last = (
            monthrange(int(month.group(1)), int(month.group(2)))[1] if 1 <= int(month.group(2)) <= 12 else 31
        )
        return f"{value}-{last}" if upper else f"{value}-01"
    return value


def _relations(
    answer: Extraction, accepted: list[Candidate], places: dict[int, int], evidence: Evidence
) -> list[RelationCandidate]:
    """Keep edges of accepted facts between what these name, or the speaker; notes of the fact tell of the others."""
    out: list[RelationCandidate] = []
    for relation in answer.relations:
        index = relation.memory
        if index is None and len(answer.memories) == 1:
            index = 0
        place = places.get(index) if index is not None else None
        ends = (relation.source.strip(), relation.target.strip())
        if index is None or place is None or not all(ends):
            continue
        memory, fact = answer.memories[index], accepted[place]
        number = evidence.number_of(memory)
        assert number is not None, "an accepted fact rests on a message"
        name = relation_name(relation.relation)
        unnamed = [end for end in ends if not is_speaker(end) and not evidence.names(end, memory, number)]
        if unnamed or not name:
            what = f"{unnamed[0]!r} is not named there" if unnamed else "it has no name"
            note = f"the relation {' '.join((ends[0], relation.relation, ends[1]))[:_SHOWN]!r} was left out: {what}"
            accepted[place] = replace(fact, notes=(*fact.notes, note))
            continue
        kinds = {entity.name.casefold(): entity.kind for entity in fact.entities}
        out.append(
            RelationCandidate(
                source=ends[0],
                relation=name,
                target=ends[1],
                candidate=place,
                source_kind=kinds.get(ends[0].casefold()),
                target_kind=kinds.get(ends[1].casefold()),
            )
        )
    return out


def relation_name(text: str) -> str:
    """Return the name of a relation in lower case, its words joined by `_`: `Works at` is `works_at`."""
    return "_".join(re.findall(r"[^\W_]+", text.casefold()))[:_RELATION_CHARS].strip("_")


def _joined(first: Extracted, second: Extracted, usage: Usage) -> Extracted:
    """Put two windows together; the same fact twice is one."""
    known = {_key(candidate) for candidate in first.accepted}
    kept: list[Candidate] = []
    places: dict[int, int] = {}
    for index, candidate in enumerate(second.accepted):
        key = _key(candidate)
        if key not in known:
            known.add(key)
            places[index] = len(first.accepted) + len(kept)
            kept.append(candidate)
    relations = [
        replace(relation, candidate=places[relation.candidate])
        for relation in second.relations
        if relation.candidate in places
    ]
    return Extracted(
        accepted=(*first.accepted, *kept),
        rejected=(*first.rejected, *second.rejected),
        relations=(*first.relations, *relations),
        records=(*first.records, *second.records),
        usage=first.usage.plus(usage),
    )


def _key(candidate: Candidate) -> tuple[str, str, int | None, int | None]:
    return (
        " ".join(candidate.text.casefold().split()),
        candidate.action,
        candidate.replaces,
        candidate.follows,
    )
