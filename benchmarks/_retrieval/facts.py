"""A generated world of facts that change, a model that reads it by rule, and what is found of it afterwards."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from benchmarks._retrieval import measured
from benchmarks._retrieval.run import MEMKIT, Run
from memkit import Memory
from memkit.clock import to_us
from memkit.extraction.verify import verify
from memkit.llms.fake import FakeLLM
from memkit.prompts.extract import ExtractedMemory, Turn

_FIRST: Final = datetime(2025, 1, 6, 9, tzinfo=UTC)
_PEOPLE: Final = (
    "Anna", "Bruno", "Chloe", "Dmitri", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Katya", "Liam", "Mona",
    "Nadia", "Oscar", "Petra", "Quentin", "Rosa", "Stefan", "Tamara",
)  # fmt: skip
_CITIES: Final = (
    "Lisbon", "Oslo", "Kyoto", "Porto", "Hamburg", "Lyon", "Seville", "Turin", "Krakow", "Ghent", "Bergen", "Zagreb",
)  # fmt: skip
_FIRMS: Final = (
    "Acme", "Initech", "Globex", "Umbra", "Northwind", "Contoso", "Vandelay", "Hooli", "Soylent", "Wonka",
)  # fmt: skip
_DISHES: Final = (
    "ramen",
    "paella",
    "lasagne",
    "goulash",
    "couscous",
    "pierogi",
    "moussaka",
    "risotto",
    "laksa",
)
_CARS: Final = ("Fiat", "Volvo", "Skoda", "Mazda", "Saab", "Lancia", "Subaru", "Opel")
_NUMBERS: Final = ("3", "5", "8", "12", "15", "21", "30", "42")


@dataclass(frozen=True, slots=True)
class _Matter:
    """Something about a person that has one value at a time; `{P}` is the person, `{V}` the value."""

    values: Sequence[str]
    said: Sequence[str]
    fact: str
    denied: str
    asked: str


_MATTERS: Final = (
    _Matter(
        _CITIES,
        ("{P} lives in {V}.", "{P} has moved and lives in {V} now.", "Big news: {P} lives in {V} these days."),
        "{P} lives in {V}.",
        "{P} does not live in {V}.",
        "Where does {P} live?",
    ),
    _Matter(
        _FIRMS,
        ("{P} works at {V}.", "{P} changed jobs and works at {V} now.", "By the way, {P} works at {V} since Monday."),
        "{P} works at {V}.",
        "{P} does not work at {V}.",
        "Which company does {P} work for?",
    ),
    _Matter(
        _CARS,
        ("{P} drives a {V}.", "{P} sold the old car and drives a {V} now.", "{P} drives a {V}, can you believe it?"),
        "{P} drives a {V}.",
        "{P} does not drive a {V}.",
        "What car does {P} drive?",
    ),
    _Matter(
        _NUMBERS,
        ("{P} runs {V} km every week.", "{P} trains more and runs {V} km every week now.",
         "After the doctor's advice {P} runs {V} km every week."),
        "{P} runs {V} km every week.",
        "{P} does not run {V} km every week.",
        "How far does {P} run in a week?",
    ),
    _Matter(
        _DISHES,
        ("{P}'s favourite dish is {V}.", "These days {P}'s favourite dish is {V}.",
         "It used to be something else, but {P}'s favourite dish is {V} now."),
        "{P}'s favourite dish is {V}.",
        "{P}'s favourite dish is not {V}.",
        "What is {P}'s favourite dish?",
    ),
)  # fmt: skip
_SMALL_TALK: Final = (
    "The weather was awful again today.", "I could not sleep last night.", "Thanks, that helped a lot!",
    "Can you remind me how to boil an egg?", "I am so tired of these meetings.", "What a game that was yesterday!",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """One message, and the value that it gives to a matter of a person."""

    user: str
    person: str
    matter: int
    value: str
    message: str
    quote: str
    at: datetime
    number: int
    """0 for the first value, then the updates."""

    @property
    def fact(self) -> str:
        """What a good model writes down."""
        return self._of(_MATTERS[self.matter].fact)

    @property
    def question(self) -> str:
        """What is asked later."""
        return self._of(_MATTERS[self.matter].asked)

    def _of(self, text: str) -> str:
        return text.replace("{P}", self.person).replace("{V}", self.value)


def world(updates: int = 500, seed: int = 3) -> list[Said]:
    """Return what is said, in order of time: every matter gets a first value and two updates."""
    rng = random.Random(seed)
    slots = updates // 2
    each = len(_MATTERS) * 10
    out: list[Said] = []
    for slot in range(slots):
        user, within = f"user-{slot // each}", slot % each
        person, matter = (
            _PEOPLE[(within // len(_MATTERS) + 10 * (slot // each)) % len(_PEOPLE)],
            within % len(_MATTERS),
        )
        values = rng.sample(_MATTERS[matter].values, 3)
        for number, value in enumerate(values):
            form = _MATTERS[matter].said[number]
            text = form.replace("{P}", person).replace("{V}", value)
            talk = rng.choice(_SMALL_TALK)
            at = _FIRST + timedelta(days=90 * number, minutes=7 * slot)
            out.append(Said(user, person, matter, value, f"{talk} {text}", text, at, number))
    return sorted(out, key=lambda said: said.at)


# -------------------------------------------------------------------------------------- the model


def model(known: Sequence[Said]) -> FakeLLM:
    """Return a model that writes down what was said and replaces what it is shown to be older, and knows no more."""
    by_message = {said.message: said for said in known}

    def reply(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        prompt = str(messages[-1]["content"])
        memories: list[dict[str, Any]] = []
        for number, text in re.findall(r"^\[(\d+)\] user \([^)]*\): (.*)$", prompt, re.M):
            said = by_message.get(text)
            if said is not None:
                memories.append(
                    {"text": said.fact, "quote": said.quote, "message": int(number), **_step(said, prompt)}
                )
        return {"memories": memories, "relations": []}

    return FakeLLM(reply)


def _step(said: Said, prompt: str) -> dict[str, str]:
    before, _, after = _MATTERS[said.matter].fact.replace("{P}", said.person).partition("{V}")
    offered = re.search(rf"^(m\d+): {re.escape(before)}\S+{re.escape(after)}$", prompt, re.M)
    return {"action": "supersede", "replaces": offered.group(1)} if offered else {"action": "add"}


# ------------------------------------------------------------------------------------ what is found


def measure(updates: int = 500, embedder: Any = "hash") -> dict[str, float]:
    """Return rates: the newest value first, no old one found, the old one first with `as_of`."""
    said = world(updates)
    with measured.memory(embedder, llm=model(said)) as opened:
        newest: list[tuple[bool, bool]] = []
        for each in said:
            opened.add({"role": "user", "content": each.message, "created_at": each.at}, user_id=each.user)
            if each.number:
                newest.append(_newest(opened, each))
        past = [_then(opened, each) for each in said if each.number < 2]
    return {
        "updates": len(newest),
        "newest_first": sum(first for first, _ in newest) / len(newest),
        "no_old_one": sum(clean for _, clean in newest) / len(newest),
        "as_of_first": sum(past) / len(past),
    }


def _newest(opened: Memory, said: Said) -> tuple[bool, bool]:
    """Return whether the value just said is the first that is found, and whether no older one is found."""
    found = opened.search(said.question, user_id=said.user)
    before, _, after = _MATTERS[said.matter].fact.replace("{P}", said.person).partition("{V}")
    values = [
        item.memory.removeprefix(before).removesuffix(after)
        for item in found.results
        if item.memory.startswith(before) and item.memory.endswith(after)
    ]
    return bool(found.results) and found.results[0].memory == said.fact, set(values) <= {said.value}


def _then(opened: Memory, said: Said) -> bool:
    """Return whether an old value is the first that is found as of its own time."""
    found = opened.search(said.question, user_id=said.user, as_of=said.at + timedelta(days=30))
    return bool(found.results) and found.results[0].memory == said.fact


def verdicts(updates: int = 500) -> dict[str, float]:
    """Return rates of the check of quotes: true facts accepted, changed ones rejected, by what was changed."""
    rng = random.Random(4)
    counts: dict[str, list[bool]] = {"true": [], "name": [], "number": [], "negation": []}
    for said in world(updates):
        for kind, fact in _changed(said, rng):
            memory = ExtractedMemory(text=fact, quote=said.quote, message=1)
            at = to_us(said.at.isoformat())
            ok = verify(memory, [Turn(role="user", text=said.message, at=at)]).ok
            counts[kind].append(ok if kind == "true" else not ok)
    return {kind: sum(right) / len(right) for kind, right in counts.items()}


def _changed(said: Said, rng: random.Random) -> Iterator[tuple[str, str]]:
    matter = _MATTERS[said.matter]
    yield "true", said.fact
    yield "negation", matter.denied.replace("{P}", said.person).replace("{V}", said.value)
    stranger = rng.choice([name for name in _PEOPLE if name != said.person])
    yield "name", matter.fact.replace("{P}", stranger).replace("{V}", said.value)
    other = rng.choice([value for value in matter.values if value != said.value])
    kind = "number" if matter.values is _NUMBERS else "name"
    if matter.values is not _DISHES:
        yield kind, matter.fact.replace("{P}", said.person).replace("{V}", other)


_BY: Final = (*MEMKIT, "benchmarks/_retrieval/facts.py")


def facts(run: Run) -> None:
    """Measure a world of 500 updates, keyless and with the model's vectors, and the check of quotes."""
    updates = 60 if run.quick else 500
    for level in run.levels:
        found = run.kept(
            lambda n=level: measure(updates, run.embedder(n)), "facts", level, str(updates), by=_BY
        )
        run.note("facts", level, "world", "all", **found)
        print(f"  facts {level}: {found}", flush=True)
    rates = run.kept(lambda: verdicts(updates), "verdicts", str(updates), by=_BY)
    run.note("facts", "memkit", "quotes", "all", **rates)
    print(f"  quotes: {rates}", flush=True)
