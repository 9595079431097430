"""A generated world: people, places and companies, what holds between them, and questions with known evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

_SYLLABLES: Final = (
    "ba be bi bo bra bri da de di dra fa fe fi ga ge gra ha he ja jo ka ke ki kra la le li lo ma me mi mo "
    "na ne ni no pa pe "
    "ra re ri ro sa se si so ta te ti to tra va ve vi vo za ze zo"
).split()
YEARS: Final = range(2016, 2026)


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence, since when it is true and until when."""

    text: str
    since: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question, the facts that answer it together (by place), and for when it is asked."""

    text: str
    evidence: tuple[int, ...]
    as_of: str | None = None


@dataclass(slots=True)
class World:
    """Facts and questions."""

    facts: list[Fact] = field(default_factory=list[Fact])
    questions: dict[str, list[Question]] = field(default_factory=dict[str, list[Question]])

    def say(self, text: str, since: int, until: int | None = None) -> int:
        """Add a fact and return its place."""
        self.facts.append(Fact(text, since, until))
        return len(self.facts) - 1


def make(size: int, asked: int, seed: int = 7) -> World:
    """Return a world of so many facts, and so many questions of each kind."""
    random = Random(seed)
    names = _names(random)
    people = [next(names) for _ in range(size // 5)]
    companies = [
        f"{next(names)} {random.choice(('Labs', 'Works', 'Group', 'Foods'))}" for _ in range(size // 20)
    ]
    cities = [next(names) for _ in range(max(20, size // 40))]
    world = World()
    located = {
        one: (city := random.choice(cities), world.say(f"{one} is located in {city}.", 2010))
        for one in companies
    }
    homes = {one: _changing(world, random, one, "lives in", cities) for one in people}
    jobs = {one: _changing(world, random, one, "works at", companies, moves=0.3) for one in people}
    bosses: dict[str, tuple[str, int]] = {}
    sisters: dict[str, tuple[str, int]] = {}
    while len(world.facts) < size:
        one, other = random.sample(people, 2)
        if one not in bosses and random.random() < 0.5:
            bosses[one] = other, world.say(f"{other} manages {one}.", 2015)
        elif one not in sisters:
            sisters[one] = other, world.say(f"{other} is the sister of {one}.", 2015)
        else:
            thing = random.choice(
                ("chess", "hiking", "opera", "sailing", "pottery", "jazz", "cycling", "gardening")
            )
            world.say(f"{one} likes {thing}.", 2015)
    world.questions = {
        "2 hops": _two(random, asked, jobs, located, sisters, homes),
        "3 hops": _three(random, asked, bosses, sisters, jobs, homes),
        "past": _past(random, asked, homes),
    }
    return world


Lives = dict[str, list[tuple[str, int, int, int | None]]]
"""By person: place, place of the fact, since, until."""


def _names(random: Random) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        name = "".join(random.choices(_SYLLABLES, k=3)).capitalize()
        if name not in seen:
            seen.add(name)
            yield name


def _changing(
    world: World, random: Random, one: str, verb: str, places: list[str], moves: float = 0.5
) -> list[tuple[str, int, int, int | None]]:
    years = sorted(random.sample(YEARS, 2 if random.random() < moves else 1))
    out: list[tuple[str, int, int, int | None]] = []
    for since, until in zip(years, [*years[1:], None], strict=True):
        place = random.choice(places)
        out.append((place, world.say(f"{one} {verb} {place}.", since, until), since, until))
    return out


def _two(
    random: Random,
    asked: int,
    jobs: Lives,
    located: dict[str, tuple[str, int]],
    sisters: dict[str, tuple[str, int]],
    homes: Lives,
) -> list[Question]:
    out: list[Question] = []
    for one in random.sample(sorted(jobs), asked // 2):
        company, fact, _, _ = jobs[one][-1]
        text = f"In which city is the company located that {one} works at?"
        out.append(Question(text, (fact, located[company][1])))
    for one in random.sample(sorted(sisters), min(len(sisters), asked - len(out))):
        other, fact = sisters[one]
        out.append(Question(f"Where does the sister of {one} live?", (fact, homes[other][-1][1])))
    return out


def _three(
    random: Random,
    asked: int,
    bosses: dict[str, tuple[str, int]],
    sisters: dict[str, tuple[str, int]],
    jobs: Lives,
    homes: Lives,
) -> list[Question]:
    both = [one for one in sorted(sisters) if sisters[one][0] in bosses]
    out: list[Question] = []
    for n, one in enumerate(random.sample(both, min(asked, len(both)))):
        sister, first = sisters[one]
        boss, second = bosses[sister]
        what, lives = ("work at", jobs) if n % 2 else ("live", homes)
        text = f"Where does the person {what} who manages the sister of {one}?"
        out.append(Question(text, (first, second, lives[boss][-1][1])))
    return out


def _past(random: Random, asked: int, homes: Lives) -> list[Question]:
    moved = [one for one in sorted(homes) if len(homes[one]) > 1]
    out: list[Question] = []
    for one in random.sample(moved, min(asked, len(moved))):
        _, fact, since, _ = homes[one][0]
        out.append(Question(f"Where did {one} live then?", (fact,), f"{since}-12-30"))
    return out
