"""Each vector store of memkit over its own raw client: the same points, vectors and questions, in one run.

    python -m benchmarks stores [--stores pgvector,chroma,...] [--size 2000] [--rounds 100] [--out FOLDER]

Bulk is one `upsert` of all points into an empty collection, single one point at a time, filtered search the ten nearest
of one of twenty users. Calls of the two take turns, so that other work of the machine is in both; the goals are judged
by the median, of bulk by the best. Of engines inside this process processor time is counted. PostgreSQL is started for
it with its defaults: every commit is on the disk. It is measured twice, as it comes (no index of vectors below 5,000
points, in the raw table neither) and with HNSW in both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks._stores.raw import Raw, RawChroma, RawPgvector, RawQdrant, RawSqlite, new_id
from memkit.filters import Compare
from memkit.testing.store_data import payload, vectors
from memkit.vector_stores.base import StoreRecord, VectorStore

_HERE = Path(__file__).parent
DIM: Final = 384
USERS: Final = 20
LIMIT: Final = 10
BOUND: Final = 1.3
_BULKS: Final = 4

Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Pair:
    """A store and its raw client, both empty."""

    ours: VectorStore
    raw: Raw
    clock: Callable[[], float] = time.process_time
    """What is counted: processor time where the engine runs in this process, else the time that passes."""


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `stores.json` and `stores.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stores", description=__doc__)
    parser.add_argument("--stores", default=",".join(STORES), help="which, with commas between")
    parser.add_argument("--size", type=int, default=2000, help="points of a bulk")
    parser.add_argument("--rounds", type=int, default=100, help="calls of each kind")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args(argv)
    result: dict[str, Any] = {"size": args.size, "rounds": args.rounds, "dim": DIM, "stores": {}, "goals": []}
    for name in args.stores.split(","):
        if name not in STORES:
            raise SystemExit(f"Unknown store {name!r}. Known: {', '.join(STORES)}.")
        figures = _measured(name, args.size // SHARE.get(name, 1), args.rounds)
        result["stores"][name] = figures
        result["goals"] += _goals(name, figures)
        print(_table(result))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "stores.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "stores.md").write_text(_table(result))


# ------------------------------------------------------------------------------------------- the stores


def _pgvector(stack: ExitStack, folder: Path) -> Generator[Pair]:
    for url in _databases(stack):
        from memkit.vector_stores.pgvector import PgvectorStore

        yield Pair(
            PgvectorStore(PgvectorStore.Settings(url=url)),
            RawPgvector(url, DIM, hnsw=False),
            time.perf_counter,
        )


def _pgvector_hnsw(stack: ExitStack, folder: Path) -> Generator[Pair]:
    for url in _databases(stack):
        from memkit.vector_stores.pgvector import PgvectorStore

        store = PgvectorStore(PgvectorStore.Settings(url=url, exact_rows=0))
        yield Pair(_indexed(store), RawPgvector(url, DIM, hnsw=True), time.perf_counter)


def _databases(stack: ExitStack) -> Generator[str]:
    from tests.postgres import PostgresServer

    server: PostgresServer = PostgresServer(settings={})
    stack.callback(server.close)
    while True:
        yield server.url(server.create())


def _indexed(store: VectorStore) -> VectorStore:
    """Have a collection make its index before the bulk, as the raw client's table has one."""
    store.open(dim=DIM, embedder="bench/384")
    store.upsert(_points(-1, 1))
    return store


def _chroma(stack: ExitStack, folder: Path) -> Generator[Pair]:
    from memkit.vector_stores.chroma import ChromaStore

    for path in _folders(folder):
        yield Pair(ChromaStore(ChromaStore.Settings(path=path / "ours")), RawChroma(path / "raw"))


def _qdrant(stack: ExitStack, folder: Path) -> Generator[Pair]:
    from memkit.vector_stores.qdrant import QdrantStore

    while True:
        yield Pair(QdrantStore(QdrantStore.Settings(path=":memory:")), RawQdrant(None, DIM))


def _qdrant_on_disk(stack: ExitStack, folder: Path) -> Generator[Pair]:
    from memkit.vector_stores.qdrant import QdrantStore

    for path in _folders(folder):
        yield Pair(QdrantStore(QdrantStore.Settings(path=str(path / "ours"))), RawQdrant(path / "raw", DIM))


def _sqlite(stack: ExitStack, folder: Path) -> Generator[Pair]:
    from memkit.vector_stores.sqlite import SqliteStore

    for path in _folders(folder):
        yield Pair(SqliteStore(SqliteStore.Settings(path=path / "ours.db")), RawSqlite(path / "raw.db"))


def _folders(folder: Path) -> Generator[Path]:
    number = 0
    while True:
        number += 1
        path = folder / str(number)
        path.mkdir()
        yield path


STORES: Final[dict[str, Callable[[ExitStack, Path], Generator[Pair]]]] = {
    "chroma": _chroma,
    "pgvector": _pgvector,
    "pgvector with HNSW": _pgvector_hnsw,
    "qdrant in memory": _qdrant,
    "qdrant on disk": _qdrant_on_disk,
    "sqlite": _sqlite,
}
SHARE: Final = {"qdrant on disk": 10}
"""Its local mode commits each point by itself: that many times fewer."""


# ---------------------------------------------------------------------------------------- the measuring


def _measured(name: str, size: int, rounds: int) -> Figures:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="memkit-bench-")))
        pairs = STORES[name](stack, folder)
        stack.callback(pairs.close)
        points = _points(0, size)
        bulk: list[tuple[float, float]] = []
        for turn in range(_BULKS):
            with _open(next(pairs)) as pair:
                bulk.append(_bulk(pair, points, turn))
        with _open(next(pairs)) as pair:
            bulk.append(_bulk(pair, points, _BULKS))
            single, search, shared = _calls(pair, size, rounds)
    return {
        "bulk": _seconds([ours for ours, _ in bulk], [raw for _, raw in bulk], best=True),
        "single": single,
        "filtered search": search,
        "hits in common": {"share": shared},
    }


def _bulk(pair: Pair, points: Sequence[StoreRecord], turn: int) -> tuple[float, float]:
    return _both(pair, lambda: pair.ours.upsert(points), lambda: pair.raw.upsert(points), turn)


@contextmanager
def _open(pair: Pair) -> Generator[Pair]:
    pair.ours.open(dim=DIM, embedder="bench/384")
    try:
        yield pair
    finally:
        pair.ours.close()
        pair.raw.close()


def _calls(pair: Pair, size: int, rounds: int) -> tuple[dict[str, float], dict[str, float], float]:
    singles: list[tuple[float, float]] = []
    for turn, point in enumerate(_points(size, rounds)):
        singles.append(
            _both(pair, lambda: pair.ours.upsert([point]), lambda: pair.raw.upsert([point]), turn)  # noqa: B023
        )
    searches: list[tuple[float, float]] = []
    common = 0
    for turn, query in enumerate(vectors(rounds, seed=9, dim=DIM)):
        user = f"user{turn % USERS}"
        found: dict[str, Sequence[str]] = {}

        def ours() -> None:
            hits = pair.ours.search(query, LIMIT, Compare("user_id", "eq", user))  # noqa: B023
            found["ours"] = [hit.id for hit in hits]  # noqa: B023

        def raw() -> None:
            found["raw"] = pair.raw.search(query, LIMIT, user)  # noqa: B023

        searches.append(_both(pair, ours, raw, turn))
        common += len({*found["ours"]} & {*found["raw"]})
    # The first calls of each open connections and plans.
    warm = rounds // 10
    return (
        _seconds([ours for ours, _ in singles[warm:]], [raw for _, raw in singles[warm:]]),
        _seconds([ours for ours, _ in searches[warm:]], [raw for _, raw in searches[warm:]]),
        round(common / (rounds * LIMIT), 4),
    )


def _points(first: int, count: int) -> list[StoreRecord]:
    rows = vectors(count, seed=first + 2, dim=DIM)
    return [
        StoreRecord(
            id=new_id(first + at + 1),
            vector=rows[at],
            payload=payload(
                f"memory number {first + at}", user_id=f"user{at % USERS}", topic="x", stars=at % 5
            ),
            fresh=True,
        )
        for at in range(count)
    ]


def _both(
    pair: Pair, ours: Callable[[], object], raw: Callable[[], object], turn: int
) -> tuple[float, float]:
    """Return the seconds of both, who goes first in turn."""
    if turn % 2:
        second = _time(pair, raw)
        return _time(pair, ours), second
    return _time(pair, ours), _time(pair, raw)


def _time(pair: Pair, call: Callable[[], object]) -> float:
    begin = pair.clock()
    call()
    return pair.clock() - begin


def _seconds(ours: Sequence[float], raw: Sequence[float], *, best: bool = False) -> dict[str, float]:
    pick = min if best else median
    mine, theirs = pick(ours), pick(raw)
    return {
        "ours_ms": round(1000 * mine, 3),
        "raw_ms": round(1000 * theirs, 3),
        "ratio": round(mine / max(theirs, 1e-9), 3),
        "ratio_of_best": round(min(ours) / max(min(raw), 1e-9), 3),
    }


def _goals(name: str, figures: Figures) -> list[dict[str, Any]]:
    return [
        {
            "goal": f"{name}: {kind} over its raw client",
            "bound": BOUND,
            "ratio": figures[kind]["ratio"],
            "met": figures[kind]["ratio"] <= BOUND,
        }
        for kind in ("bulk", "single", "filtered search")
    ]


def _table(result: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {kind} | {row['ours_ms']:.3f} | {row['raw_ms']:.3f} | {row['ratio']:.2f} "
        f"| {row['ratio_of_best']:.2f} | {'met' if row['ratio'] <= BOUND else 'missed'} |"
        for name, figures in result["stores"].items()
        for kind, row in figures.items()
        if "ratio" in row
    ]
    missed = sum(not goal["met"] for goal in result["goals"])
    return (
        f"# Vector stores over their raw clients\n\n{result['size']:,} points of {result['dim']} dimensions (a tenth "
        f"of it for qdrant on disk), {result['rounds']} calls of each kind, by turns. Goal: at most {BOUND} times "
        f"the raw client. {len(result['goals']) - missed} of {len(result['goals'])} met.\n\n"
        "| store | what | ours, ms | raw, ms | ratio | of the best | goal |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | --- |\n" + "\n".join(rows) + "\n"
    )
