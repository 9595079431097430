"""Which messages an extraction reads, and how long ones are split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from memkit.extraction.marks import strip_recalled
from memkit.extraction.messages import InputMessage
from memkit.pieces import split
from memkit.prompts.extract import Turn

WINDOW_CHARS: Final = 24_000
"""Characters of conversation in one call; about 6,000 tokens of English."""
OVERLAP_CHARS: Final = 2_000
"""Characters of the window before that are shown again, only to be understood."""
_LINE_CHARS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A turn to extract from, or a piece of a long one."""

    index: int
    """Of the message in what was given, from 0."""
    turn: Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What one call reads: parts that are numbered from 1, and turns before them."""

    parts: tuple[Part, ...]
    earlier: tuple[Turn, ...] = ()


def extractable(messages: Sequence[InputMessage], *, now: int, tool_turns: bool = False) -> list[Part]:
    """Return the turns that memories may rest on: what users and assistants said, without recalled text.

    Args:
        messages: The messages; bare texts count as the user's.
        now: The time of messages that have none, in microseconds.
        tool_turns: Whether what tools returned counts too.
    """
    parts: list[Part] = []
    for index, message in enumerate(messages):
        turn = turn_of(message, now)
        if turn.role == "system" or (turn.role == "tool" and not tool_turns) or not turn.text.strip():
            continue
        parts.append(Part(index=index, turn=turn))
    return parts


def turn_of(message: InputMessage, now: int) -> Turn:
    """Return a message as the prompt shows it."""
    return Turn(
        role=message.role or "user",
        text=strip_recalled(message.text),
        at=now if message.created_at is None else message.created_at,
        offset_minutes=message.offset_minutes,
        name=message.name,
    )


def windows(
    parts: Sequence[Part], *, limit: int = WINDOW_CHARS, overlap: int = OVERLAP_CHARS
) -> list[Window]:
    """Return the parts in groups of at most `limit` characters, split between turns where possible.

    The last turns before a window, up to `overlap` characters, come along as its `earlier`.
    """
    out: list[Window] = []
    current: list[Part] = []
    size = 0
    for part in _pieces(parts, limit):
        cost = len(part.turn.text) + _LINE_CHARS
        if current and size + cost > limit:
            out.append(_window(current, out, overlap))
            current, size = [], 0
        current.append(part)
        size += cost
    if current:
        out.append(_window(current, out, overlap))
    return out


def _window(parts: list[Part], before: list[Window], overlap: int) -> Window:
    earlier = tail([part.turn for window in before[-1:] for part in window.parts], overlap)
    return Window(parts=tuple(parts), earlier=earlier)


def tail(turns: Sequence[Turn], chars: int) -> tuple[Turn, ...]:
    """Return the last turns that fit, the first of them cut at its beginning where need be."""
    kept: list[Turn] = []
    for turn in reversed(turns):
        if len(turn.text) > chars:
            if chars > 80:
                cut = turn.text[-chars:]
                kept.append(_with_text(turn, cut[cut.find(" ") + 1 :]))
            break
        kept.append(turn)
        chars -= len(turn.text)
    return tuple(reversed(kept))


def _pieces(parts: Sequence[Part], limit: int) -> list[Part]:
    room = max(1, limit - _LINE_CHARS)
    out: list[Part] = []
    for part in parts:
        if len(part.turn.text) <= room:
            out.append(part)
        else:
            out.extend(
                Part(index=part.index, turn=_with_text(part.turn, piece))
                for piece in split(part.turn.text, room)
            )
    return out


def _with_text(turn: Turn, text: str) -> Turn:
    return Turn(role=turn.role, text=text, at=turn.at, offset_minutes=turn.offset_minutes, name=turn.name)
