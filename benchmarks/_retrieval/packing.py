"""What a context of 1,000 tokens holds: the evidence that search finds, standing wishes, the same bytes every turn."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks._retrieval import measured
from benchmarks._retrieval.cached import Level
from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.run import MEMKIT, Run
from memkit import Memory
from memkit.ranking.tokenizer import ESTIMATE, counter

BUDGET: Final = 1_000
FOUND_AT: Final = 20

Packed = dict[str, Any]


def packing(run: Run) -> None:
    """Pack every question of every conversation; then an agent's hundred turns."""
    for level in run.levels:
        for name, conversations in run.sets.items():
            rows: list[Packed] = []
            with run.bar(len(conversations), f"context {level} {name}") as bar:
                for conversation in conversations:
                    rows += run.kept(
                        lambda c=conversation, n=level: _of(run, n, c), "context", level, name, conversation.id,
                        by=(*MEMKIT, "benchmarks/_retrieval/packing.py"),
                    )  # fmt: skip
                    bar.advance(1)
            _describe(run, level, name, rows)
        for number in range(1 if run.quick else 3):
            kept = run.kept(lambda n=level, s=number: stability(run.embedder(n), s), "stability", level, str(number),
                            by=(*MEMKIT, "benchmarks/_retrieval/packing.py"))  # fmt: skip
            run.note("context", level, "an agent", f"session {number}", **kept)
            print(f"  context {level}, stable part: {kept}", flush=True)


def _of(run: Run, level: Level, conversation: Conversation) -> list[Packed]:
    full = sum(len(entry.text) for entry in conversation.entries) / 4
    with measured.memory(run.embedder(level)) as opened:
        measured.fill(opened, [conversation])
        return [
            {**_packed(opened, conversation.id, q.text, q.evidence), "kind": q.category, "full": full}
            for q in conversation.questions
            if q.answerable
        ]


def _packed(opened: Memory, owner: str, text: str, evidence: frozenset[int]) -> Packed:
    found = opened.search(text, user_id=owner, limit=FOUND_AT)
    started = time.process_time()
    packed = opened.context(text, user_id=owner, max_tokens=BUDGET)
    spent = 1e3 * (time.process_time() - started)
    wanted = evidence & {item.metadata["rid"] for item in found.results}
    held = {item.metadata["rid"] for item in packed.memories} & evidence
    return {
        "found": len(wanted),
        "kept": len(wanted & held),
        "held": len(held),
        "evidence": len(evidence),
        "tokens": packed.tokens,
        "real_tokens": _tokens(str(packed)),
        "ms": spent,
    }


def _tokens(text: str) -> int | None:
    """Return what a model would count, where its table is on this machine."""
    found = counter()
    return None if found.name == ESTIMATE else found.count(text)


def _describe(run: Run, level: Level, name: str, rows: Sequence[Packed]) -> None:
    """Keep the shares of questions whose evidence is held: all that search finds at 20, and all there is."""
    for kind in ("all", *sorted({row["kind"] for row in rows})):
        chosen = [row for row in rows if kind in ("all", row["kind"])]
        found = [row for row in chosen if row["found"]]
        real = [row["real_tokens"] for row in chosen if row["real_tokens"] is not None]
        run.note(
            "context", level, name, kind,
            questions=len(chosen),
            holds_found=_share(row["kept"] == row["found"] for row in found),
            holds_some=_share(row["held"] > 0 for row in chosen),
            holds_all=_share(row["held"] == row["evidence"] for row in chosen),
            tokens=statistics.fmean(row["tokens"] for row in chosen),
            most_tokens=max(real or [row["tokens"] for row in chosen]),
            of_full=statistics.fmean(row["tokens"] / row["full"] for row in chosen),
            cpu_ms=statistics.median(row["ms"] for row in chosen),
        )  # fmt: skip
    held = run.figure("context", level, name, "all", "holds_found") or 0.0
    print(f"  context {level} {name}: holds what search finds for {100 * held:.1f} %", flush=True)


def _share(of: Any) -> float:
    values = [float(each) for each in of]
    return statistics.fmean(values) if values else 0.0


# ----------------------------------------------------------------------------------- the same bytes

_TALK: Final = (
    "How was your day?", "I went to the market and bought far too many tomatoes.", "Can you help me plan Saturday?",
    "My brother called, he is coming over with the kids.", "The train was late again this morning.",
    "What should I cook tonight?", "I finished the book you recommended.", "The garden needs water.",
    "Remind me what we said about the holiday.", "I have a headache since noon.", "Work was quiet for once.",
    "We might get a second cat.", "The new neighbours seem nice.", "Do you know a good podcast about history?",
)  # fmt: skip
_WISHES: Final = (
    "Always answer me in metric units.", "I prefer short answers.", "Please never suggest recipes with nuts.",
    "From now on call me Sam.", "I'd rather have lists than long paragraphs.", "Always mention the source of a number.",
    "Never wake me before eight with a reminder.", "I prefer trains over planes.",
)  # fmt: skip


def stability(embedder: Any, seed: int, turns: int = 100) -> dict[str, float]:
    """Return how much of the stable part stays byte-identical over an agent's turns, while wishes arrive.

    Of two turns that follow each other, the common beginning of both stable parts over the longer one.
    """
    rng = random.Random(seed)
    shares: list[float] = []
    longest = 0
    with measured.memory(embedder) as opened:
        for number, wish in enumerate(_WISHES[:3]):
            opened.add(wish, user_id="sam", kind=("instruction", "preference")[number % 2], infer=False)
        before: str | None = None
        for turn in range(turns):
            said = rng.choice(_TALK) + f" ({turn})"
            opened.add({"role": "user", "content": said}, user_id="sam", run_id="chat", infer=False)
            if turn % 20 == 10:
                wish = _WISHES[3 + turn // 20]
                opened.add(wish, user_id="sam", kind="instruction", infer=False)
            stable = opened.context(said, user_id="sam", max_tokens=BUDGET).stable
            if before is not None and (stable or before):
                shares.append(_common(before.encode(), stable.encode()))
            before = stable
            longest = max(longest, len(stable))
    return {
        "stable": statistics.fmean(shares) if shares else 0.0,
        "turns": len(shares),
        "characters": longest,
    }


def _common(one: bytes, other: bytes) -> float:
    same = next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    return same / max(len(one), len(other))
