"""A fact is kept only if its message proves it: the quote stands there, and licenses what the fact says.

No model is asked. What is compared, and where a name, a number, a date or a negation may come from, is written out at
each check; the rates of error over several languages are measured by `tests/extraction/test_verify_rates.py`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, timezone
from functools import cached_property
from typing import Final

from memkit.clock import to_datetime
from memkit.extraction.align import Words, find_quote, words_of
from memkit.extraction.amounts import unlicensed_amount
from memkit.extraction.dates import WEEKDAYS, Calendar, Mention, calendar_of, mentions
from memkit.extraction.names import UNSPACED_PLAIN, unlicensed_name
from memkit.extraction.negation import content
from memkit.extraction.polarity import agrees, contradiction
from memkit.extraction.text import fold, keys, language, number_meanings, numbers, tokens
from memkit.extraction.words import (
    FIRST_PERSON,
    FIRST_PERSON_UNSPACED,
    OF_MEMORY,
)
from memkit.prompts.extract import ExtractedMemory, Turn

MAX_FACT_CHARS: Final = 4_000
_WINDOW: Final = 600
_TURNS_FOR_NAMES: Final = 6
_TURNS_FOR_NUMBERS: Final = 2
_ASSISTANT: Final = re.compile(
    r"assist|asist|ассистент|асистент|アシスタント|助手|助理|어시스턴트|비서|مساعد|עוזר|सहायक|\bagent|\bbot\b|yardimci|ผู้ช่วย"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a fact is proved, and if not, why."""

    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What one fact may rest on."""

    number: int
    turn: Turn
    quote: str
    """Folded, up to the ends of its clause."""
    near: str
    """Folded: the message around the quote."""
    words: Words
    """What may license a name: the message around the quote, earlier turns, speakers, the memory it replaces."""
    said: str
    """Folded: what may license a number or a date."""

    @property
    def numbers(self) -> frozenset[str]:
        """The numbers that may be meant."""
        return number_meanings(self.said)

    @property
    def calendar(self) -> Calendar:
        """The dates that may be meant."""
        return calendar_of(self.said, said_on(self.turn))


def verify(
    candidate: ExtractedMemory,
    messages: Sequence[Turn],
    offered: Sequence[str] = (),
    echoes: Sequence[str] = (),
    *,
    earlier: Sequence[Turn] = (),
) -> Verdict:
    """Return whether numbered messages prove a fact.

    Args:
        candidate: What the model returned.
        messages: The turns it was shown with numbers, in order.
        offered: Texts of the memories it was shown as `m1`, `m2`, ...
        echoes: Texts recalled to the speakers lately.
        earlier: Turns before them.
    """
    return Evidence(messages, earlier, offered, echoes).check(candidate)


class Evidence:
    """The turns of one call, against which its facts are checked."""

    def __init__(
        self,
        turns: Sequence[Turn],
        earlier: Sequence[Turn] = (),
        offered: Sequence[str] = (),
        echoes: Sequence[str] = (),
    ) -> None:
        self._turns = turns
        self._earlier = earlier
        self._offered = offered
        self._recalled = [*offered, *echoes]
        self._folded: dict[int, str] = {}
        self._said: dict[tuple[int, int, int, str | None], tuple[Words, str]] = {}
        self._of_time: dict[int, bool] = {}
        self._named: dict[int, Words] = {}

    @cached_property
    def _speakers(self) -> str:
        return " . ".join({turn.name for turn in (*self._earlier, *self._turns) if turn.name})

    @cached_property
    def _others(self) -> frozenset[str]:
        """The words of the names of all who speak here; none where only one is named."""
        names = {turn.name for turn in (*self._earlier, *self._turns) if turn.name}
        return frozenset[str]().union(*map(keys, names)) if len(names) > 1 else frozenset()

    def number_of(self, memory: ExtractedMemory) -> int | None:
        """Return the number of the message a fact rests on; without one, the first user's that holds the quote."""
        if memory.message:
            return memory.message if 1 <= memory.message <= len(self._turns) else None
        quote = fold(memory.quote)
        for number, turn in enumerate(self._turns, 1):
            if turn.role != "assistant" and find_quote(quote, self._fold(number)):
                return number
        return None

    def check(self, memory: ExtractedMemory, *, any_role: bool = False) -> Verdict:
        """Return whether the turns prove a fact; `any_role` when the caller said where they come from."""
        reason = self._label(memory) or self._form(memory)
        if reason or memory.action == "none":
            return Verdict(ok=not reason, reason=reason or "")
        ground = self.ground(memory, any_role=any_role)
        return self._licensed(memory, ground) if isinstance(ground, Ground) else _no(ground)

    def ground(self, memory: ExtractedMemory, *, any_role: bool = False) -> Ground | str:
        """Return what a fact may rest on, or why its quote gives it nothing."""
        number = self.number_of(memory)
        if number is None:
            named = f"message [{memory.message}]" if memory.message else "any message"
            return f"the quote does not stand in {named}; there are {len(self._turns)}"
        turn = self._turns[number - 1]
        if turn.role == "assistant" and not any_role and not self._about_assistant(memory.text, turn):
            return "only the assistant said it"
        if not memory.quote.strip():
            return "no quote was given"
        span = find_quote(fold(memory.quote), self._fold(number))
        if span is None:
            return f"the quote does not stand in message [{number}]"
        return self._ground(memory, number, span)

    def ends(self, text: str, old: str, ground: Ground) -> bool:
        """Return whether a message speaks of an old memory that it is said to end.

        A word of the memory was said, or the text ties the two together: it shares a word with each. Words about
        remembering and forgetting tie nothing to anything, so an order to delete all memories ends none.
        """
        wanted = content(fold(old))
        turns = [turn.text[-4_000:] for turn in self._before(ground.number, _TURNS_FOR_NAMES)]
        said = Words(" . ".join([ground.turn.text[:20_000], *turns]))
        if not wanted or not _one_language(fold(old), said.folded):
            return True
        if any(_supported(word, said) for word in wanted) or _signs(fold(old)).intersection(said.folded):
            return True
        new = content(fold(text))
        shares_old = any(_supported(word, words_of(old)) for word in new)
        return shares_old and any(word not in OF_MEMORY and _supported(word, said) for word in new)

    def unsaid(self, text: str, said: Words) -> bool:
        """Return whether a folded text is of several words, in the language spoken, of which none was said."""
        wanted = content(text)
        return (
            len(wanted) >= 2
            and not any(_supported(word, said) for word in wanted)
            and _one_language(text, said.folded)
        )

    def names(self, name: str, memory: ExtractedMemory, number: int) -> bool:
        """Return whether an entity is named by the fact, or by what it rests on."""
        if number not in self._named:
            self._named[number] = Words(f"{self._turns[number - 1].text[:20_000]} . {self._speakers}")
        said, fact = self._named[number], words_of(memory.text)
        found = [token for token in tokens(name) if token.key]
        if not found:
            return _is_sign(name) and name.strip() in f"{memory.text} {self._turns[number - 1].text[:20_000]}"
        return all(
            said.has_name(token, inflecting=True) or fact.has_name(token, inflecting=True) for token in found
        )

    def speaks_of_time(self, number: int) -> bool:
        """Return whether a message or the two before it name a time at all."""
        if number not in self._of_time:
            before = [turn.text[-2_000:] for turn in self._before(number, _TURNS_FOR_NUMBERS)]
            text = fold(" . ".join([*before, self._turns[number - 1].text[:20_000]]))
            self._of_time[number] = calendar_of(text, said_on(self._turns[number - 1])).speaks_of_time
        return self._of_time[number]

    def _label(self, memory: ExtractedMemory) -> str | None:
        label = memory.replaces
        if label is None:
            return "it retracts nothing: no label was given" if memory.action == "retract" else None
        number = re.fullmatch(r"m(\d{1,6})", label)
        if number is None or not 1 <= int(number.group(1)) <= len(self._offered):
            return f"it replaces {label!r}, which was not offered"
        return None

    def _form(self, memory: ExtractedMemory) -> str | None:
        if not memory.text.strip():
            return "it is empty"
        if len(memory.text) > MAX_FACT_CHARS:
            return f"it is longer than {MAX_FACT_CHARS} characters"
        try:
            memory.text.encode("utf-8")
        except UnicodeEncodeError:
            return "it holds a lone surrogate"
        return None

    def _about_assistant(self, text: str, turn: Turn) -> bool:
        beginning = fold(text)[:60]
        return _ASSISTANT.search(beginning) is not None or bool(turn.name and fold(turn.name) in beginning)

    def _fold(self, number: int) -> str:
        if number not in self._folded:
            self._folded[number] = fold(self._turns[number - 1].text)
        return self._folded[number]

    def _before(self, number: int, count: int) -> list[Turn]:
        return [*self._earlier, *self._turns[: number - 1]][-count:]

    def _replaced(self, memory: ExtractedMemory) -> str:
        return self._offered[int(memory.replaces[1:]) - 1] if memory.replaces else ""

    def _ground(self, memory: ExtractedMemory, number: int, span: tuple[int, int]) -> Ground:
        turn = self._turns[number - 1]
        message = self._fold(number)
        start, end = max(0, span[0] - _WINDOW), min(len(message), span[1] + _WINDOW)
        near = message[start:end]
        key = (number, start, end, memory.replaces)
        if key not in self._said:  # most facts of a message have the same surroundings
            replaced = self._replaced(memory)
            for_names = [turn.text[-4_000:] for turn in self._before(number, _TURNS_FOR_NAMES)]
            for_numbers = [fold(turn.text[-1_000:]) for turn in self._before(number, _TURNS_FOR_NUMBERS)]
            said = " . ".join([*for_numbers, near, fold(replaced)])
            # The original, where it is short, has the capitals and line breaks that folding takes away.
            raw = turn.text if len(message) <= len(near) else near
            self._said[key] = (
                Words(" . ".join([raw, *for_names, self._speakers, replaced])),
                said,
            )
        words, said = self._said[key]
        return Ground(
            number=number,
            turn=turn,
            quote=_clause(message, span),
            near=near,
            words=words,
            said=said,
        )

    def _licensed(self, memory: ExtractedMemory, ground: Ground) -> Verdict:
        text = fold(memory.text)
        reason = (
            unlicensed(memory, ground)
            or self._of_another(memory, ground)
            or contradiction(
                text, ground.quote, ground.near, ends_something=self._ends_something(memory, text)
            )
            or self._echo(memory, text, ground)
        )
        return _no(reason) if reason else Verdict(ok=True)

    def _ends_something(self, memory: ExtractedMemory, text: str) -> bool:
        if memory.action == "retract":
            return True
        replaced = set(content(fold(self._replaced(memory))))
        return memory.action == "supersede" and bool(replaced.intersection(content(text)))

    def _of_another(self, memory: ExtractedMemory, ground: Ground) -> str | None:
        """What speakers say of themselves is about nobody else who speaks."""
        others = self._others and self._others - keys(ground.turn.name or "")
        if not others:
            return None
        subject = next((token.key for token in tokens(memory.text)[:2] if token.key in others), None)
        if subject is None or subject in keys(ground.turn.text):
            return None
        if not FIRST_PERSON.isdisjoint(keys(ground.quote)) or FIRST_PERSON_UNSPACED.search(ground.quote):
            return f"{ground.turn.name or ground.turn.role} said it of themselves, not of {subject!r}"
        return None

    def _echo(self, memory: ExtractedMemory, text: str, ground: Ground) -> str | None:
        """A fact that repeats recalled text, or that shares no word with what was said, is not from the message."""
        if memory.action == "retract":
            told = self.ends(memory.text, self._replaced(memory), ground)
            return None if told else "the message says nothing of what it ends"
        wanted = content(text)
        if not wanted:
            return None
        if text.isascii() and len(ground.words.keys.intersection(wanted)) * 2 > len(wanted):
            return None
        said = [word for word in wanted if _supported(word, ground.words)]
        if len(said) * 2 > len(wanted):
            return None
        spoken = Words(
            " . ".join([ground.turn.text[:20_000], *(turn.text for turn in self._before(ground.number, 1))])
        )
        here = [word for word in wanted if _supported(word, spoken)]
        for recalled in self._recalled:
            known = words_of(recalled)
            repeated = [word for word in wanted if _supported(word, known)]
            if (
                len(repeated) * 10 >= len(wanted) * 8
                and len(here) * 10 < len(wanted) * 4
                and not _brings_value(memory.text, spoken, known)
            ):
                return "it repeats what was recalled, and the message does not say it"
        tied = any(char.isdigit() for char in text) or any(
            token.capital and not token.initial and token.key in ground.words.keys
            for token in tokens(memory.text)
        )
        if not said and not tied and len(wanted) >= 2 and _one_language(text, ground.words.folded):
            if agrees(text, ground.near):
                return None
            return "the message says nothing of it"
        return None


def unlicensed(memory: ExtractedMemory, ground: Ground) -> str | None:
    """Return a date, a number, an address or a name of a text that nobody said, or None."""
    text = fold(memory.text)
    rest, dated = _without_dates(text)
    return (
        _unlicensed_date(text, dated, ground)
        or unlicensed_amount(rest, ground.said, ground.numbers, ground.words, ground.calendar)
        or _unlicensed_address(text, ground)
        or unlicensed_name(memory, ground.words)
    )


def said_on(turn: Turn) -> date:
    """Return the day of a message, in its own zone."""
    return to_datetime(turn.at).astimezone(timezone(timedelta(minutes=turn.offset_minutes))).date()


def _no(reason: str) -> Verdict:
    return Verdict(ok=False, reason=reason)


_CLAUSE_ENDS: Final = re.compile(r"[,;:.!?。，、！？；\n]")


def _clause(message: str, span: tuple[int, int]) -> str:
    """Return a quote with the rest of its clause, so that a negation just before it is not lost."""
    start, end = span
    before = [match.end() for match in _CLAUSE_ENDS.finditer(message, max(0, start - 100), start)]
    after = _CLAUSE_ENDS.search(message, max(start, end - 1), end + 100)
    return message[before[-1] if before else max(0, start - 100) : after.start() if after else end + 100]


def _without_dates(text: str) -> tuple[str, Sequence[Mention]]:
    dated = mentions(text)
    for mention in reversed(dated):
        start, end = mention.span
        text = text[:start] + " " * (end - start) + text[end:]
    return text, dated


def _unlicensed_date(text: str, dated: Sequence[Mention], ground: Ground) -> str | None:
    """A date must be named by the message, or be what a relative word meant on its day."""
    for mention in dated:
        bare = re.sub(r"\W+", "", mention.raw)
        if (
            not ground.calendar.licenses(mention)
            and mention.raw not in ground.near
            and bare not in ground.words.squashed
        ):
            return f"the date {mention.raw!r} is neither said nor meant"
    if WEEKDAYS.keys().isdisjoint(keys(text)):
        return None
    for token in tokens(text):
        day = WEEKDAYS.get(token.key)
        if day is None or len(token.key) <= 3 or ground.words.has_word(token.key):
            continue
        if any(
            mention.day and (first := mention.first(said_on(ground.turn).year)) and first.weekday() + 1 == day
            for mention in dated
        ):
            continue
        if not ground.calendar.licenses_weekday(day):
            return f"the day {token.raw!r} is neither said nor meant"
    return None


_ADDRESS: Final = re.compile(r"""https?://[^\s<>"']+|[^\s<>()\[\]"'|,;:]*@[^\s<>()\[\]"'|,;:]+""")


def _unlicensed_address(text: str, ground: Ground) -> str | None:
    """An address must stand in the message or the two before it, letter by letter."""
    for found in _ADDRESS.findall(text):
        address = found.strip("@.!?)")
        if address not in ground.said:
            return f"the address {address!r} was not said"
    return None


_COUNTING: Final = re.compile(
    "[一二三四五六七八九十百千万两兩几幾只隻個个条條匹头頭辆輛台本枚冊册名位件份次]"
)


def _signs(text: str) -> set[str]:
    """Return the Chinese characters that mean something alone; a word is often a single one."""
    plain = _COUNTING.sub("", UNSPACED_PLAIN.sub("", text))
    return {char for char in plain if "\u4e00" <= char <= "\u9fff"}


def _supported(word: str, words: Words) -> bool:
    return (
        word in words.folded
        if words.folded and not word.isascii() and len(word) <= 2
        else words.has_word(word)
    )


def _brings_value(text: str, spoken: Words, known: Words) -> bool:
    """Return whether a number or a name of a text was said now and not before: the new value of what was known."""
    said, before = number_meanings(spoken.folded), number_meanings(known.folded)
    return any(forms & said and not forms & before for _, forms in numbers(fold(text))) or any(
        token.capital and not token.initial and token.key in spoken.keys and token.key not in known.keys
        for token in tokens(text)
    )


def _one_language(text: str, said: str) -> bool:
    """Return whether both are written in one script, and not in two languages that can be told apart."""
    if text.isascii() != said.isascii() and (_latin(text) != _latin(said)):
        return False
    one, other = language(keys(text)), language(keys(said))
    return one is None or other is None or one == other


def _latin(text: str) -> bool:
    letters = [char for char in text if char.isalpha()]
    return sum(char < "\u0250" for char in letters) * 2 > len(letters)


def _is_sign(name: str) -> bool:
    """Return whether a name without words is one that somebody may mean by it: an emoji, and no mere punctuation."""
    return any(unicodedata.category(char) == "So" for char in name)
