"""memkit as it is measured: its public API, turns kept as they are, no model."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks._retrieval.data import Conversation
from memkit import Memory
from memkit.embedders.base import Embedder
from memkit.ranking.index import Entry

DEPTH = 50

Asked = dict[str, Any]
"""One question's figures: its kind, the places of its evidence, milliseconds, scores. No text."""


@contextmanager
def memory(embedder: Embedder | str, llm: Any = None) -> Generator[Memory]:
    """Give a memory in a folder of its own, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="memkit-retrieval-"))
    try:
        with Memory(folder, embedder=embedder, llm=llm) as opened:
            yield opened
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def message(entry: Entry) -> dict[str, Any]:
    """Return a turn as a caller would give it."""
    when = datetime.fromtimestamp(entry.created_at / 1e6, UTC) if entry.dated else None
    return {
        "role": entry.role,
        "name": entry.speaker,
        "content": entry.text,
        "created_at": when,
        "run_id": f"{entry.user}/{entry.session}",
        "metadata": {"rid": entry.rid},
    }


def fill(opened: Memory, conversations: Iterable[Conversation], owner: str | None = None) -> float:
    """Keep conversations, each as its own user's unless an owner is named; return the CPU seconds it took."""
    started = time.process_time()
    for conversation in conversations:
        turns = [message(entry) for entry in conversation.entries]
        opened.add_many(turns, user_id=owner or conversation.id)
    return time.process_time() - started


def ask(
    opened: Memory, text: str, owner: str, evidence: frozenset[int], kind: str, own: frozenset[int]
) -> Asked:
    """Ask one question.

    Args:
        own: All rids of the owner; what else is returned is a leak.
    """
    started = time.process_time()
    found = opened.search(text, user_id=owner, limit=DEPTH)
    spent = 1e3 * (time.process_time() - started)
    rids = [item.metadata["rid"] for item in found.results]
    return {
        "kind": kind,
        "places": [place for place, rid in enumerate(rids, 1) if rid in evidence],
        "evidence": len(evidence),
        "leaks": sum(rid not in own for rid in rids),
        "ms": spent,
        "answerable": found.answerable,
        "scores": [round(float(item.score or 0.0), 4) for item in found.results],
    }


def ask_all(
    opened: Memory, conversation: Conversation, owner: str | None = None, own: frozenset[int] | None = None
) -> list[Asked]:
    """Ask the questions of a conversation; those with a false premise are of the kind "adversarial"."""
    rids = own or frozenset(entry.rid for entry in conversation.entries)
    return [
        ask(opened, q.text, owner or conversation.id, q.evidence, q.category, rids)
        for q in conversation.questions
    ]


def ask_strangers(opened: Memory, conversation: Conversation, others: Sequence[Conversation]) -> list[Asked]:
    """Ask what was asked of another user, with the names of this one's people in the place of that one's."""
    rids = frozenset(entry.rid for entry in conversation.entries)
    at = [c.id for c in others].index(conversation.id)
    stranger = others[(at + 1) % len(others)]
    names = list(zip(people(stranger), people(conversation), strict=False))
    out: list[Asked] = []
    for question in stranger.questions:
        text = question.text
        for theirs, ours in names:
            text = text.replace(theirs, ours)
        if question.answerable:
            out.append(ask(opened, text, conversation.id, frozenset(), "foreign", rids))
    return out


def people(conversation: Conversation) -> list[str]:
    """Return who speaks, in the order of their first turns."""
    return list(dict.fromkeys(entry.speaker for entry in conversation.entries if entry.speaker))
