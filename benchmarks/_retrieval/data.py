"""Conversation sets: JSON files `<name>-dev.json`, read as entries of one owner each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from memkit.embedders.base import Embedder
from memkit.ranking.index import Entry
from memkit.ranking.text import dense_form

# Questions whose premise is false: no memory answers them, so they are negatives.
UNANSWERABLE = {"adversarial"}
ROLES = {"user", "assistant"}
HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    text: str
    category: str
    evidence: frozenset[int]  # rids
    answerable: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    entries: tuple[Entry, ...]
    questions: tuple[Question, ...]

    @property
    def end(self) -> int:
        """An instant after everything that was said."""
        return max(e.created_at for e in self.entries) + HOUR


def names(folder: Path, split: str = "dev") -> list[str]:
    return sorted(p.name.removesuffix(f"-{split}.json") for p in folder.glob(f"*-{split}.json"))


def load(folder: Path, name: str, split: str = "dev", *, role_names: bool = False) -> list[Conversation]:
    raw = json.loads((folder / f"{name}-{split}.json").read_text(encoding="utf-8"))
    return [_conversation(c, n, role_names) for n, c in enumerate(raw["conversations"])]


def _conversation(raw: dict[str, Any], number: int, role_names: bool) -> Conversation:
    first = number * 1_000_000
    entries = tuple(_entry(raw["id"], turn, first + n, role_names) for n, turn in enumerate(raw["turns"]))
    by_turn = {turn["id"]: first + n for n, turn in enumerate(raw["turns"])}
    questions = tuple(
        Question(
            f"{raw['id']}/{n}",
            q["question"],
            q["category"],
            frozenset(by_turn[e] for e in q["evidence"]),
            q["category"] not in UNANSWERABLE and bool(q["evidence"]),
        )
        for n, q in enumerate(raw["questions"])
    )
    return Conversation(raw["id"], entries, questions)


def _entry(conversation: str, turn: dict[str, Any], rid: int, role_names: bool) -> Entry:
    text = turn["text"].rstrip() + (f" [image: {turn['image']}]" if turn.get("image") else "")
    role = turn["speaker"].lower()
    date = turn.get("date")
    created = _micros(date) if date else 0
    return Entry(
        rid=rid,
        order=(created, rid),
        text=text,
        speaker=turn["speaker"] if role_names or role not in ROLES else None,
        role=role if role in ROLES else "user",
        session=f"session-{turn['session']}",
        agent=None,
        user=conversation,
        created_at=created,
        dated=bool(date),
        kind="message",
        valid_from=0,
        valid_until=None,
        expires_at=None,
        vector=None,
    )


def _micros(date: str) -> int:
    when = datetime.fromisoformat(date)
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6)


def with_vectors(conversations: list[Conversation], embedder: Embedder) -> Iterator[Conversation]:
    for c in conversations:
        rows = embedder.embed([dense_form(e.text, e.speaker) for e in c.entries])
        entries = tuple(replace(e, vector=np.asarray(row)) for e, row in zip(c.entries, rows, strict=True))
        yield Conversation(c.id, entries, c.questions)
