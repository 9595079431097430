"""One agent with one memory, in an environment of its own: plays the turns it is given, and says when each is done.

python -m WORKER SYSTEM BASE_URL FOLDER        turns as JSON on standard input
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

USER = "ada"
EMBEDDING = "text-embedding-3-small"
SYSTEM = "You are a travel assistant."


def lookup_weather(city: str) -> str:
    """Return the weather in a city."""
    return f"It is sunny in {city}."


def _nothing() -> None:
    """Everything is done when the turn is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """An agent that can be spoken to."""

    turn: Callable[[str, str], str]
    """Takes what is said and the name of a thread, and returns the answer."""
    flush: Callable[[], None] = _nothing
    """Waits until what was said is learned."""
    counts: Counter[str] = field(default_factory=Counter[str])
    """`searches` and `adds`, where somebody counts them."""


def play(systems: Mapping[str, Callable[[str, Path], Player]]) -> None:
    """Play the turns, one thread each; print one line of JSON for each."""
    name, base_url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    player = systems[name](base_url, folder)
    print(json.dumps({"ready": True}), flush=True)
    for number, line in enumerate(sys.stdin):
        player.counts.clear()
        started = time.perf_counter()
        answer = player.turn(json.loads(line), f"thread-{number}")
        answered = time.perf_counter() - started
        player.flush()
        done = {"answer": answer, "answered_s": answered, "done_s": time.perf_counter() - started}
        print(json.dumps({"searches": 0, "adds": 0, **player.counts, **done}), flush=True)
