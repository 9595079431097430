"""What a search costs in CPU, the query's vector given; what is kept of late interaction costs at ingest."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final, cast

from benchmarks._engine.bench import Worker, WorkerError
from benchmarks._retrieval import measured, peers
from benchmarks._retrieval.cached import Level
from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.run import Run
from memkit import Memory

LARGE: Final = 10_000
ROUNDS: Final = 3
_ASKED: Final = 200
_OF_PEERS: Final = {"recipe": _ASKED, "mem0": 40}
"""Peers that the goals name, and how many questions each is asked: one costs mem0 half a second of CPU."""


def speed(run: Run) -> None:
    """Search scopes of one conversation in one store of all, then one scope of about 10,000 turns.

    All levels and peers take turns, round by round: whatever else the machine does falls on each of them.
    """
    everything = [c for conversations in run.sets.values() for c in conversations]
    small = list(run.sets.get("locomo", everything))
    _side_by_side(run, "600 turns", everything, small, None)
    _side_by_side(run, "10,000 turns", _many(everything, run.quick), small, "everybody")


def _side_by_side(
    run: Run, scope: str, kept: Sequence[Conversation], asks: Sequence[Conversation], owner: str | None
) -> None:
    """Measure the questions of some conversations in a store of others; `owner` None: of each its own."""
    asked = _some([(q.text, owner or c.id) for c in asks for q in c.questions], _ASKED)
    run.embedder("minilm").embed([text for text, _ in asked])
    with ExitStack() as open_now:
        systems: dict[str, Callable[[], Sequence[float]]] = {}
        for level in run.levels:
            opened = open_now.enter_context(measured.memory(run.embedder(level)))
            for conversation in kept:
                measured.fill(opened, [conversation], owner)
            systems[level] = partial(_searched, opened, asked)
        for system in (name for name in _OF_PEERS if name in run.peers):
            with _left_out(run, system):
                worker = open_now.enter_context(peers.opened(run, system))
                peers.add(run, worker, kept, owner)
                systems[system] = partial(_asked, worker, _some(asked, _OF_PEERS[system]))
        times: dict[str, list[float]] = {name: [] for name in systems}
        for number in range(ROUNDS + 1):
            for name, search in systems.items():
                with _left_out(run, name):
                    spent = search()
                    times[name] += spent if number else []
    for name, spent in times.items():
        if spent:
            _note(run, scope, name, spent)


def _some(asked: Sequence[tuple[str, str]], count: int) -> Sequence[tuple[str, str]]:
    """Return about so many questions, from all conversations alike."""
    return asked[:: max(1, len(asked) // count)]


@contextmanager
def _left_out(run: Run, system: str) -> Generator[None]:
    """Say that a peer was left out where it fails."""
    try:
        yield
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


def _searched(opened: Memory, asked: Sequence[tuple[str, str]]) -> list[float]:
    """Return the CPU milliseconds of every search, all vectors known once they were asked before."""
    times: list[float] = []
    for text, user in asked:
        started = time.process_time()
        opened.search(text, user_id=user, limit=measured.DEPTH)
        times.append(1e3 * (time.process_time() - started))
    return times


def _asked(worker: Worker, asked: Sequence[tuple[str, str]]) -> Sequence[float]:
    return cast("list[float]", worker.ask("search", asked=asked, k=measured.DEPTH)["ms"])


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
