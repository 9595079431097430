"""What is near, found by the ledger's own column of pgvector: exactly and by HNSW, for one owner and for everybody.

Vectors lie around centres, as those of texts about the same things do: where they point anywhere at random, no graph
finds its way. One owner has half of all memories, the others share the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Final, cast

from memkit import Memory
from memkit.ledgers import make_ledger
from memkit.scope import Owner

if TYPE_CHECKING:
    import numpy as np

    from memkit.ledger.postgres import PostgresLedger

_DIM: Final = 384
_CENTRES: Final = 500
_SPREAD: Final = 0.9
"""How long the part of a vector is that is its own, the centre's being 1."""
_LIMIT: Final = 10
_EVERY: Final = 1_000
_EXACT: Final = 1_000
"""Owners of so many memories at most are scanned whatever index there is."""
_NEVER: Final = 1 << 60
_LARGE: Final = "large"


class Clustered:
    """An embedder whose texts are numbers: every one lies around one of the centres."""

    symmetric = True
    identity = "clustered/384"
    dim = _DIM

    def embed(self, texts: Sequence[str], *, purpose: str = "document") -> np.ndarray:
        """Return a unit row for each text."""
        import numpy as np

        centres = np.random.default_rng(1).standard_normal((_CENTRES, _DIM)) / math.sqrt(_DIM)
        rows = np.empty((len(texts), _DIM), np.float32)
        for place, text in enumerate(texts):
            number = int(text.rpartition(" ")[2])
            own = np.random.default_rng([2, number]).standard_normal(_DIM) * _SPREAD / math.sqrt(_DIM)
            rows[place] = centres[number % _CENTRES] + own
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def measure(url: str, size: int, owners: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return milliseconds and recall of each way, with the seconds that the index took to be made."""
    ledger = cast(
        "PostgresLedger",
        make_ledger({"provider": "postgresql", "config": {"url": url, "schema_name": "nearest"}}, None),
    )
    embedder = Clustered()
    with Memory(ledger=ledger, llm=None, embedder=embedder) as memory:
        memory.reset()
        _fill(memory, size, owners)
        asked = list(embedder.embed([f"asked {_NEVER + n}" for n in range(rounds)]))
        scopes = {"of one user": "user-0", "of a user with half of all": _LARGE, "of everybody": None}
        numbers = {name: _numbers(ledger, user) for name, user in scopes.items()}
        ledger.index_vectors(exact_rows=_NEVER, ef_search=100, hnsw=False)
        # As many as make the column be looked after again.
        memory.add_many([f"more {size + n}" for n in range(_EXACT + 1)], user_id="more")
        exact = {name: _asked(ledger, asked, of) for name, of in numbers.items()}
        ledger.index_vectors(exact_rows=_EXACT, ef_search=100, hnsw=True)
        begun = time.perf_counter()
        memory.add(f"last {size + _EXACT + 1}", user_id="more")
        built = time.perf_counter() - begun
        graph = {name: _asked(ledger, asked, of) for name, of in numbers.items()}
    figures: dict[str, dict[str, float]] = {}
    for name in scopes:
        what = f"{size:,} in the ledger's own column, {name}"
        figures[f"{what}, exact"] = exact[name][0]
        recall = _recall(exact[name][1], graph[name][1])
        figures[f"{what}, HNSW"] = {**graph[name][0], "recall": recall, "build_s": built}
    return figures


def _fill(memory: Memory, size: int, owners: int) -> None:
    half = size // 2
    for user, numbers in (
        (_LARGE, range(half)),
        *((f"user-{owner}", range(half + owner, size, owners)) for owner in range(owners)),
    ):
        for start in range(0, len(numbers), 5_000):
            memory.add_many([f"thing {n}" for n in numbers[start : start + 5_000]], user_id=user)


def _numbers(ledger: PostgresLedger, user: str | None) -> list[int] | None:
    number = None if user is None else ledger.owner_number(Owner(kind="user", id=user))
    return None if number is None else [number]


def _asked(
    ledger: PostgresLedger, asked: Sequence[np.ndarray], owners: list[int] | None
) -> tuple[dict[str, float], list[Sequence[int]]]:
    taken: list[float] = []
    found: list[Sequence[int]] = []
    for vector in asked:
        begun = time.perf_counter()
        near = ledger.closest(owners, vector, _LIMIT, _EVERY)
        taken.append(1e3 * (time.perf_counter() - begun))
        assert near is not None, "the column is there"
        found.append(near[0])
    ordered = sorted(taken)
    last = min(len(ordered) - 1, math.ceil(0.95 * len(ordered)))
    return {"p10": ordered[len(ordered) // 10], "p50": median(ordered), "p95": ordered[last]}, found


def _recall(exact: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    hits = sum(len(set(one) & set(other)) for one, other in zip(exact, found, strict=True))
    return hits / max(1, sum(len(one) for one in exact))
