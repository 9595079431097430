"""Lines of a context: how much of which memory is shown, within a number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..extraction.marks import fence
from ..ranking.excerpt import Terms, excerpt
from ..types import MemoryItem

Count = Callable[[str], int]

_FIRST: Final = 20
"""Hits that have a place before one is shown at length."""
_SHARE: Final = 36
"""Tokens of a line that is worth its place; a shorter budget shows fewer."""
_WHOLE: Final = 48
"""Tokens up to which a line is not cut: little would be won."""
_MOST: Final = (0.2, 0.16, 0.13, 0.1, 0.1)
"""Of the room, what the first hits may take; the others, as the last of these."""
_LETTERS: Final = 8
"""More than a token has in any text that matters here."""
_MARKS: Final = ".,;:!?…\"'“”‘’()[]*_~"
_FILLERS: Final = frozenset(
    ("a", "an", "the", "so", "well", "oh", "hey", "hi", "yes", "yeah", "ok", "okay", "please", "just")
)


@dataclass(slots=True)
class Line:
    """A memory as a context may show it.

    Attributes:
        item: The memory.
        text: Its words.
        start: Where in them the telling part begins, where that is known; they are one sentence then.
    """

    item: MemoryItem
    text: str
    start: int | None = None

    @property
    def head(self) -> str:
        """What stands before the words."""
        item = self.item
        who = f"{item.actor_id}: " if item.actor_id and item.kind == "message" else ""
        return f"- [{item.id[:8]}] {item.valid_from:%Y-%m-%d} {who}"

    def within(self, room: int, terms: Terms, count: Count) -> str:
        """Return the line cut to a number of tokens; empty where none of its words fit."""
        if len(self.text) <= _LETTERS * room:
            whole = self.head + " ".join(self.text.split())
            if count(whole) <= room:
                return whole
        words = excerpt(self.text, terms, room - count(self.head), count, self.start)
        return self.head + words if words else ""

    def cost(self, most: int, count: Count) -> int:
        """Return the tokens of the whole line, or `most` where it has more."""
        return min(most, count(self.head + self.text[: _LETTERS * most]))


def line_of(item: MemoryItem) -> Line:
    """Return a memory as a line."""
    return Line(item, item.memory)


def different(lines: Iterable[Line], shown: Iterable[Line] = ()) -> list[Line]:
    """Return lines without those that say what one before them says: the same words, or the turn a fact came from.

    Case, marks and fillers make no difference between words; whatever else does, does.
    """
    kept: list[Line] = []
    words: set[tuple[str, ...]] = set()
    facts: set[str] = set()
    given = list(shown)
    for place, line in enumerate([*given, *lines]):
        own = _telling(line.text)
        sources = {source.message_id for source in line.item.sources}
        is_turn = line.item.kind == "message"
        if place >= len(given) and (own in words or (is_turn and sources and sources <= facts)):
            continue
        words.add(own)
        if not is_turn:
            facts |= sources
        if place >= len(given):
            kept.append(line)
    return kept


def _telling(text: str) -> tuple[str, ...]:
    words = (word.strip(_MARKS) for word in text.casefold().split())
    return tuple(word for word in words if word and word not in _FILLERS)


def section(head: str, lines: Sequence[str], budget: int, count: Count) -> tuple[str, int]:
    """Return a fenced section of the first lines that fit a budget, and how many they are."""
    taken = len(lines)
    while taken:
        text = fence("\n".join([head, *lines[:taken]]))
        over = count(text) - budget
        if over <= 0:
            return text, taken
        # A line has at least its head, so that few steps reach the budget.
        taken -= max(1, min(taken - 1, over // (4 * _SHARE)))
    return "", 0


def fair(lines: Sequence[Line], room: int, terms: Terms, count: Count) -> list[tuple[Line, str]]:
    """Return lines and their texts that fit: a place for each of the first, the best of them at length, then others."""
    out: list[tuple[Line, str]] = []
    left = room
    shares = _shares(lines, room, count)
    for place, line in enumerate(lines):
        if place < len(shares):
            share = shares[place] + left - sum(shares[place:])
        elif left < _SHARE // 2:
            break
        else:
            share = min(left, max(_SHARE, line.cost(_WHOLE, count) + 1))
        if place >= len(shares) and share < _SHARE and line.cost(_SHARE, count) >= share:
            continue
        text = line.within(share - 1, terms, count)
        if text:
            out.append((line, text))
            left -= count(text) + 1
    return out


def _shares(lines: Sequence[Line], room: int, count: Count) -> list[int]:
    """Return what each of the first lines gets: little for all of them, then more from the best on."""
    most = [int(room * _MOST[min(n, len(_MOST) - 1)]) for n in range(_FIRST)]
    costs = [line.cost(max(_WHOLE, most[n]), count) + 1 for n, line in enumerate(lines[:_FIRST])]
    shares: list[int] = []
    left = room
    for cost in costs:
        share = cost if cost <= _WHOLE else _SHARE
        if share > left:
            break
        shares.append(share)
        left -= share
    if not shares and costs:
        return [room]
    for place, share in enumerate(shares):
        more = min(left, costs[place] - share)
        shares[place] += more
        left -= more
    return shares
