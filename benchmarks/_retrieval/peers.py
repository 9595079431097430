"""Peers and yardsticks on the same turns and questions, each in an environment of its own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks._engine.bench import Worker, WorkerError, fast
from benchmarks._retrieval import turns
from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.measured import DEPTH, Asked
from benchmarks._retrieval.run import PEERS, Run
from memkit.ranking.index import Entry

_PLAIN: Final = ("numpy", "bm25s", "PyStemmer")
_LLAMA: Final = ("numpy", "llama-index-core", "llama-index-vector-stores-chroma", "chromadb")
_LANG: Final = ("numpy", "langchain-core", "langgraph", "langmem")
SYSTEMS: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "dense": ("plain", _PLAIN),
    "bm25": ("plain", _PLAIN),
    "rrf": ("plain", _PLAIN),
    "recipe": ("plain", _PLAIN),
    "chroma": ("llama-index", _LLAMA),
    "langchain": ("langgraph", _LANG),
    "langgraph": ("langgraph", _LANG),
    "langmem": ("langgraph", _LANG),
    "llama-index": ("llama-index", _LLAMA),
    "llama-index-block": ("llama-index", _LLAMA),
    "mem0": ("mem0", ("numpy", "mem0ai>=2,<3", "fastembed", "bm25s")),
}
"""Peer -> its environment, and what is installed there."""


def item(entry: Entry) -> dict[str, Any]:
    """Return a turn as peers are given it."""
    speaker = entry.speaker or str(entry.role)
    when = datetime.fromtimestamp(entry.created_at / 1e6, UTC).replace(tzinfo=None)
    return {
        "id": f"{entry.user}/{entry.rid}",
        "text": f"{speaker}: {entry.text}",
        "words": entry.text,
        "speaker": speaker,
        "user": entry.user,
        "session": str(entry.session),
        "date": when.isoformat() if entry.dated else "",
        "seq": entry.rid,
    }


def peers(run: Run) -> None:
    """Every conversation in a store of its own, then all in one; questions are asked as users."""
    for system in run.peers:
        for name, conversations in run.sets.items():
            try:
                _measure(run, system, name, conversations)
            except (WorkerError, subprocess.CalledProcessError) as error:
                lines = str(error).strip().splitlines()
                run.leave_out(f"{system} on {name}: {lines[0]} … {lines[-1]}")


def _measure(run: Run, system: str, name: str, conversations: Sequence[Conversation]) -> None:
    with run.bar(2 * len(conversations), f"{system} {name}") as bar:
        alone: list[Asked] = []
        for conversation in conversations:
            alone += run.kept(lambda c=conversation: asked(run, system, [c]), "peer", system, name, conversation.id,
                              by=PEERS)  # fmt: skip
            bar.advance(1)
        turns.describe(run, "turns", system, name, alone)
        together = run.kept(lambda: asked(run, system, conversations), "peer-one-store", system, name,
                            str(len(conversations)), by=PEERS)  # fmt: skip
        bar.advance(len(conversations))
        turns.describe(run, "isolation", system, name, together)


def asked(run: Run, system: str, conversations: Sequence[Conversation]) -> list[Asked]:
    """Return the answers of a peer that has some conversations in one store."""
    with opened(run, system) as worker:
        add(run, worker, conversations)
        out: list[Asked] = []
        for conversation in conversations:
            out += ask(run, worker, conversation)
        return out


@contextmanager
def opened(run: Run, system: str) -> Generator[Worker]:
    """Give a peer's process with an empty store, then end it and remove what it wrote."""
    environment, packages = SYSTEMS[system]
    dim = run.embedder("minilm").dim
    # Some peers sync a file many times an item: on a disk that is an hour, and none of it is CPU.
    disk = fast(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix="memkit-peer-", dir=disk, ignore_cleanup_errors=True) as scratch:
        worker = run.worker(system, packages, environment, Path(scratch))
        try:
            worker.ask("open", name=system, vectors=str(run.cache.resolve() / "minilm.db"), dim=dim)
            yield worker
            worker.ask("close")
        finally:
            worker.quit()


def add(run: Run, worker: Worker, conversations: Iterable[Conversation], owner: str | None = None) -> float:
    """Give conversations to a peer; return the CPU seconds it took."""
    spent = 0.0
    for conversation in conversations:
        items = [item(entry) for entry in conversation.entries]
        if owner is not None:
            items = [
                {**each, "user": owner, "session": f"{conversation.id}/{each['session']}"} for each in items
            ]
        run.embedder("minilm").embed(worker.ask("needs", items=items)["texts"])
        spent += worker.ask("add", items=items)["cpu_s"]
    return spent


def ask(run: Run, worker: Worker, conversation: Conversation, owner: str | None = None) -> list[Asked]:
    """Ask a peer the questions of a conversation."""
    questions = conversation.questions
    run.embedder("minilm").embed([question.text for question in questions])
    user = owner or conversation.id
    found = worker.ask("search", asked=[(question.text, user) for question in questions], k=DEPTH)
    out: list[Asked] = []
    for question, ids, ms in zip(questions, found["ids"], found["ms"], strict=True):
        rids = [int(each.rsplit("/", 1)[1]) for each in ids]
        own = f"{conversation.id}/"
        out.append(
            {
                "kind": question.category,
                "places": [place for place, rid in enumerate(rids, 1) if rid in question.evidence],
                "evidence": len(question.evidence),
                "leaks": 0 if owner else sum(not each.startswith(own) for each in ids),
                "ms": ms,
                "answerable": None,
                "scores": [],
            }
        )
    return out
