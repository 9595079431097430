"""What a search costs in CPU, the query's vector given; what is kept of late interaction costs at ingest."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks._engine.bench import WorkerError
from benchmarks._retrieval import measured, peers
from benchmarks._retrieval.cached import Level
from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.run import Run
from memkit import Memory

LARGE: Final = 10_000
ROUNDS: Final = 3
_ASKED: Final = 200


def speed(run: Run) -> None:
    """Search scopes of one conversation in one store of all, then one scope of about 10,000 turns."""
    everything = [c for conversations in run.sets.values() for c in conversations]
    small = list(run.sets.get("locomo", everything))
    limits = [name for name in ("recipe", "mem0") if name in run.peers]
    for level in run.levels:
        with measured.memory(run.embedder(level)) as opened:
            measured.fill(opened, everything)
            _note(run, "600 turns", level, _searched(run, opened, small))
        with measured.memory(run.embedder(level)) as opened:
            for conversation in _many(everything, run.quick):
                measured.fill(opened, [conversation], "everybody")
            _note(run, "10,000 turns", level, _searched(run, opened, small, "everybody"))
    for system in limits:
        try:
            _peer(run, system, everything, small)
        except (WorkerError, subprocess.CalledProcessError) as error:
            run.leave_out(f"speed of {system}: {str(error).strip().splitlines()[-1]}")


def _many(conversations: Sequence[Conversation], quick: bool) -> list[Conversation]:
    """Return conversations of about 10,000 turns together."""
    out: list[Conversation] = []
    turns = 0
    for conversation in conversations:
        if turns < (1_000 if quick else LARGE):
            out.append(conversation)
            turns += len(conversation.entries)
    return out


def _note(run: Run, scope: str, system: str, times: Sequence[float]) -> None:
    figures = {"cpu_ms": statistics.median(times), "least_ms": min(times)}
    run.note("speed", system, scope, "all", **figures)
    print(f"  speed {system}, {scope}: {figures['cpu_ms']:.2f} ms CPU", flush=True)


def _searched(
    run: Run, opened: Memory, conversations: Sequence[Conversation], owner: str | None = None
) -> list[float]:
    """Return the CPU milliseconds of every search, all vectors known and every scope read once."""
    asked = [(q.text, owner or c.id) for c in conversations for q in c.questions]
    asked = asked[:: max(1, len(asked) // _ASKED)]
    times: list[float] = []
    for number in range(ROUNDS + 1):
        for text, user in asked:
            # The engine keeps recent vectors by their texts, and what was found once is not asked twice.
            started = time.process_time()
            opened.search(text, user_id=user, limit=measured.DEPTH)
            if number:
                times.append(1e3 * (time.process_time() - started))
    return times


def _peer(run: Run, system: str, everything: Sequence[Conversation], small: Sequence[Conversation]) -> None:
    with peers.opened(run, system) as worker:
        peers.add(run, worker, everything)
        _note(run, "600 turns", system, _asked(run, worker, small))
    with peers.opened(run, system) as worker:
        peers.add(run, worker, _many(everything, run.quick), "everybody")
        _note(run, "10,000 turns", system, _asked(run, worker, small, "everybody"))


def _asked(
    run: Run, worker: Any, conversations: Sequence[Conversation], owner: str | None = None
) -> list[float]:
    asked = [(q.text, owner or c.id) for c in conversations for q in c.questions]
    asked = asked[:: max(1, len(asked) // _ASKED)]
    run.embedder("minilm").embed([text for text, _ in asked])
    times: list[float] = []
    for number in range(ROUNDS + 1):
        found = worker.ask("search", asked=asked, k=measured.DEPTH)
        times += found["ms"] if number else []
    return times


def ingest(run: Run) -> None:
    """Keep conversations with and without the vectors of their tokens; the forward pass is in both."""
    from memkit.embedders.minilm import MiniLMEmbedder

    if not {"minilm", "late"} <= set(run.levels):
        return
    for name, conversations in run.sets.items():
        chosen = conversations[:1]
        turns = len(chosen[0].entries)
        least: dict[Level, float] = {}
        for _ in range(ROUNDS):
            for level, late in (("minilm", False), ("late", True)):
                embedder = MiniLMEmbedder(MiniLMEmbedder.Settings(late_interaction=late))
                embedder.embed(["warm"])
                with measured.memory(embedder) as opened:
                    spent = measured.fill(opened, chosen)
                least[level] = min(spent, least.get(level, spent))
        for level, spent in least.items():
            run.note("ingest", level, name, "all", cpu_ms_a_turn=1e3 * spent / turns, turns=turns)
        added = least["late"] / least["minilm"] - 1
        run.note("ingest", "late", name, "all", added=added)
        print(f"  ingest {name}: late adds {100 * added:.1f} %", flush=True)
