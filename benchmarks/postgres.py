"""memkit on PostgreSQL beside bare SQL that does the same, on the same server and in the same run.

    python -m benchmarks postgres [--size 100000] [--rounds 300] [--url URL] [--out FOLDER]

Without a URL it starts a server of its own with PostgreSQL's defaults: every commit is on the disk. Calls of the two
take turns, so that other work of the machine is in both. Vectors are a stub's, made before: no figure holds their
making.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks import postgres_nearest
from benchmarks._engine.worker import workload
from memkit import Memory

if TYPE_CHECKING:
    import numpy as np
    import psycopg

_HERE = Path(__file__).parent
_WORD: Final = re.compile(r"[a-z0-9]+")
_SPAN: Final = 1 << 32
_ASKED: Final = 5
"""Owners that searches go to, in turn."""
_IN_LEDGER: Final = 20_000
"""Memories among which the ledger's own column is asked: making the index of more takes minutes."""
_POOL: Final = 50
_LIMIT: Final = 10
_ADDS_FROM: Final = 10_000_000
"""Texts from this number on are added one by one."""
BOUND: Final = 1.5

Figures = dict[str, dict[str, float]]


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `postgres.json` and `postgres.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks postgres", description=__doc__)
    parser.add_argument(
        "--size", type=int, default=100_000, help="memories, of as many users as make 1,000 each"
    )
    parser.add_argument("--each", type=int, default=1_000, help="memories of one user")
    parser.add_argument("--rounds", type=int, default=300, help="calls of each kind")
    parser.add_argument("--url", help="a database with the extension `vector` that may be filled")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args(argv)
    with _database(args.url) as url:
        result = _run(url, args.size, max(1, args.size // args.each), args.rounds)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "postgres.json").write_text(json.dumps(result, indent=1) + "\n")
    table = _table(result)
    (args.out / "postgres.md").write_text(table)
    print(table)


@contextmanager
def _database(url: str | None) -> Generator[str]:
    if url is not None:
        yield url
        return
    from tests.postgres import PostgresServer

    server = PostgresServer(settings={})
    try:
        with server.database() as made:
            yield made
    finally:
        server.close()


def _run(url: str, size: int, owners: int, rounds: int) -> dict[str, Any]:
    import psycopg

    embedder = workload.Embedder()
    embedder.cheap = True
    with (
        psycopg.connect(url, autocommit=True) as conn,
        Memory(ledger=url, llm=None, embedder=embedder) as memory,
    ):
        bare = Bare(conn)
        filled = _fill(memory, bare, embedder, size, owners)
        conn.execute("VACUUM ANALYZE")
        figures = {
            **_searches(memory, bare, embedder, owners, rounds),
            **_adds(memory, bare, embedder, owners, rounds),
            **_indexes(bare, owners, rounds),
            **postgres_nearest.measure(url, min(size, _IN_LEDGER), owners, max(10, rounds // 3)),
        }
        version = conn.execute("SHOW server_version").fetchone()
    return {
        "server": version[0] if version else "",
        "size": size,
        "owners": owners,
        "rounds": rounds,
        "bulk": filled,
        "milliseconds": figures,
        "goals": _goals(figures),
    }


# ------------------------------------------------------------------------------------------- bare SQL


class Bare:
    """What somebody would write who needs no more than this: rows, vectors and words of one's own."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn = conn
        self._next: dict[int, int] = {}
        for statement in _TABLES:
            self.run(statement)

    def fill(self, numbers: Sequence[int], owners: int) -> None:
        """Copy memories with their vectors and words in one transaction."""
        rids = [self._rid(number % owners) for number in numbers]
        texts = [workload.text(number) for number in numbers]
        with self._conn.transaction(), self._conn.cursor() as cursor:
            for table, rows in (
                ("bare.record", [(r, uuid.uuid4(), t, "{}", 0) for r, t in zip(rids, texts, strict=True)]),
                ("bare.vec", [(r, _literal(v)) for r, v in zip(rids, workload.vectors(texts), strict=True)]),
                ("bare.posting", [(w, r) for r, t in zip(rids, texts, strict=True) for w in _words(t)]),
            ):
                with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                    for row in rows:
                        copy.write_row(row)

    def add(self, number: int, owner: int, vector: str) -> None:
        """Write the rows that one memory has in memkit's ledger, in one transaction, a statement for each table.

        Vectors of single calls come as PostgreSQL reads them: making that text is not in the figures.
        """
        conn, text, rid = self._conn, workload.text(number), self._rid(owner)
        with conn.transaction():
            conn.execute("SELECT event FROM bare.owner WHERE no = %s FOR UPDATE", (owner,))
            conn.execute(
                "INSERT INTO bare.record (rid, id, text, metadata, created_at) VALUES (%s, %s, %s, '{}', 0)",
                (rid, uuid.uuid4(), text),
            )
            conn.execute("INSERT INTO bare.vec (rid, e) VALUES (%s, %s)", (rid, vector))
            words = _words(text)
            conn.execute("INSERT INTO bare.posting SELECT unnest(%s::text[]), %s", (words, rid))
            conn.execute("INSERT INTO bare.event (rid, at) VALUES (%s, 0)", (rid,))
            conn.execute("INSERT INTO bare.operation (id, at) VALUES (%s, 0)", (uuid.uuid4(),))
            conn.execute(
                "UPDATE bare.owner SET event = event + 1, memories = memories + 1 WHERE no = %s", (owner,)
            )

    def search(self, text: str, vector: str, owner: int) -> list[tuple[Any, ...]]:
        """Return ten rows of an owner by nearness and by words, ranks added up."""
        span = (owner * _SPAN, owner * _SPAN + _SPAN - 1)
        near = self._conn.execute(_NEAR, (*span, vector, _POOL)).fetchall()
        held = self._conn.execute(_HELD, (_words(text), *span, _POOL)).fetchall()
        scores: dict[int, float] = {}
        for found in (near, held):
            for place, row in enumerate(found):
                scores[row[0]] = scores.get(row[0], 0.0) + 1 / (60 + place)
        best = sorted(scores, key=lambda rid: -scores[rid])[:_LIMIT]
        rows = {row[0]: row for row in self._conn.execute(_ROWS, (best,))}
        for row in rows.values():
            json.loads(row[3])
        return [rows[rid] for rid in best]

    def nearest(self, vector: str, owner: int | None) -> list[int]:
        """Return the ten rows nearest to a vector, of an owner or of all."""
        if owner is None:
            rows = self._conn.execute(_NEAREST, (vector, _LIMIT))
        else:
            span = (owner * _SPAN, owner * _SPAN + _SPAN - 1)
            rows = self._conn.execute(_NEAR, (*span, vector, _LIMIT))
        return [row[0] for row in rows]

    def server_seconds(self) -> list[float]:
        """Return the processor's seconds of the server's processes for memkit and for this; 0 where it is elsewhere."""
        own = self._conn.info.backend_pid
        rows = self._conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'memkit' AND datname = current_database()"
        )
        return [sum(_seconds_of(row[0]) for row in rows), _seconds_of(own)]

    def run(self, statement: str) -> None:
        """Run a statement that gives nothing."""
        self._conn.execute(statement.encode())

    def _rid(self, owner: int) -> int:
        if owner not in self._next:
            self._next[owner] = 0
            self._conn.execute("INSERT INTO bare.owner VALUES (%s, 0, 0)", (owner,))
        self._next[owner] += 1
        return owner * _SPAN + self._next[owner]


_TABLES: Final = (
    "DROP SCHEMA IF EXISTS bare CASCADE",
    "CREATE SCHEMA bare",
    "CREATE TABLE bare.owner (no bigint PRIMARY KEY, event bigint NOT NULL, memories bigint NOT NULL)",
    "CREATE TABLE bare.record (rid bigint PRIMARY KEY, id uuid UNIQUE, text text, metadata text, created_at bigint)",
    "CREATE INDEX ON bare.record (created_at)",
    f"CREATE TABLE bare.vec (rid bigint PRIMARY KEY, e vector({workload.DIM}))",
    'CREATE TABLE bare.posting (token text COLLATE "C", rid bigint, PRIMARY KEY (token, rid))',
    "CREATE TABLE bare.event (seq bigserial PRIMARY KEY, rid bigint, at bigint)",
    "CREATE TABLE bare.operation (no bigserial PRIMARY KEY, id uuid UNIQUE, at bigint)",
)
_NEAR: Final = "SELECT rid FROM bare.vec WHERE rid BETWEEN %s AND %s ORDER BY e <=> %s::vector LIMIT %s"
_NEAREST: Final = "SELECT rid FROM bare.vec ORDER BY e <=> %s::vector LIMIT %s"
_HELD: Final = (
    "SELECT rid, count(*) FROM bare.posting WHERE token = ANY(%s) AND rid BETWEEN %s AND %s"
    " GROUP BY rid ORDER BY 2 DESC, rid DESC LIMIT %s"
)
_ROWS: Final = "SELECT rid, id, text, metadata, created_at FROM bare.record WHERE rid = ANY(%s)"


def _words(text: str) -> list[str]:
    return sorted(set(_WORD.findall(text.lower())))


def _literal(vector: np.ndarray) -> str:
    return "[" + ",".join(map(str, vector.tolist())) + "]"


def _seconds_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ------------------------------------------------------------------------------------------- scenarios


def _fill(
    memory: Memory, bare: Bare, embedder: workload.Embedder, size: int, owners: int
) -> dict[str, float]:
    """Store as many memories in both, one owner after the other; return how many a second each took."""
    ours = theirs = 0.0
    for owner in range(owners):
        numbers = range(owner, size, owners)
        texts = [workload.text(number) for number in numbers]
        embedder.known = {}
        embedder.announce(texts)
        start = time.perf_counter()
        memory.add_many(texts, user_id=workload.owner(owner, owners))
        ours += time.perf_counter() - start
        start = time.perf_counter()
        bare.fill(numbers, owners)
        theirs += time.perf_counter() - start
    return {"memkit_per_second": size / ours, "bare_per_second": size / theirs}


def _searches(memory: Memory, bare: Bare, embedder: workload.Embedder, owners: int, rounds: int) -> Figures:
    asked = [(workload.query(number), number % min(_ASKED, owners)) for number in range(rounds)]
    embedder.announce([query for query, _ in asked])
    ours: list[Callable[[], object]] = []
    theirs: list[Callable[[], object]] = []
    for query, owner in asked:
        user, vector = workload.owner(owner, owners), _literal(embedder.known[query])
        ours.append(lambda q=query, u=user: memory.search(q, user_id=u, limit=_LIMIT))
        theirs.append(lambda q=query, v=vector, o=owner: bare.search(q, v, o))
    return _in_turn("search", bare, ours, theirs)


def _adds(memory: Memory, bare: Bare, embedder: workload.Embedder, owners: int, rounds: int) -> Figures:
    numbers = [_ADDS_FROM + n for n in range(rounds)]
    texts = [workload.text(number) for number in numbers]
    embedder.announce(texts)
    ours: list[Callable[[], object]] = []
    theirs: list[Callable[[], object]] = []
    for number, text in zip(numbers, texts, strict=True):
        owner, vector = number % owners, _literal(embedder.known[text])
        user = workload.owner(owner, owners)
        ours.append(lambda t=text, u=user: memory.add(t, user_id=u, infer=False))
        theirs.append(lambda n=number, o=owner, v=vector: bare.add(n, o, v))
    return _in_turn("add", bare, ours, theirs)


def _indexes(bare: Bare, owners: int, rounds: int) -> Figures:
    """Compare the exact scan of one owner's vectors with an index over everybody's."""
    some = [
        (_literal(workload.vector(workload.query(number))), number % owners)
        for number in range(max(10, rounds // 3))
    ]
    exact = [bare.nearest(vector, owner) for vector, owner in some]
    figures: Figures = {
        "vectors of one user, exact": _alone([lambda v=v, o=o: bare.nearest(v, o) for v, o in some])
    }
    everything = [bare.nearest(vector, None) for vector, _ in some[:10]]
    slow = _alone([lambda v=v: bare.nearest(v, None) for v, _ in some[:10]])
    start = time.perf_counter()
    bare.run("CREATE INDEX bare_hnsw ON bare.vec USING hnsw (e vector_cosine_ops)")
    built = time.perf_counter() - start
    bare.run("SET hnsw.iterative_scan = strict_order")
    bare.run("SET enable_indexscan = on")
    found = [bare.nearest(vector, None) for vector, _ in some[:10]]
    fast = _alone([lambda v=v: bare.nearest(v, None) for v, _ in some[:10] * 5])
    figures["vectors of everybody, exact"] = slow
    figures["vectors of everybody, HNSW"] = {**fast, "recall": _recall(everything, found), "build_s": built}
    # What a planner does that takes the index for one user's rows, too.
    bare.run("SET enable_sort = off")
    bare.run("SET plan_cache_mode = force_custom_plan")
    scoped = [bare.nearest(vector, owner) for vector, owner in some]
    figures["vectors of one user, HNSW"] = {
        **_alone([lambda v=v, o=o: bare.nearest(v, o) for v, o in some[:10]]),
        "recall": _recall(exact, scoped),
    }
    return figures


def _recall(exact: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    hits = sum(len(set(one) & set(other)) for one, other in zip(exact, found, strict=True))
    return hits / max(1, sum(len(one) for one in exact))


# ------------------------------------------------------------------------------------------- figures


def _in_turn(
    name: str, bare: Bare, ours: Sequence[Callable[[], object]], theirs: Sequence[Callable[[], object]]
) -> Figures:
    """Time calls of both in turn, after a tenth of them that do not count.

    `cpu` is what a call takes of this process and of the server's; other work of the machine is not in it.
    """
    first = len(ours) // 10
    figures: Figures = {}
    taken: tuple[list[float], list[float]] = ([], [])
    busy = [0.0, 0.0]
    server = [0.0, 0.0]
    for place, pair in enumerate(zip(ours, theirs, strict=True)):
        if place == first:
            server = bare.server_seconds()
        for at, call in enumerate(pair):
            start, cpu = time.perf_counter(), time.process_time()
            call()
            if place >= first:
                busy[at] += time.process_time() - cpu
                taken[at].append(time.perf_counter() - start)
    for at, who in enumerate(("memkit", "bare SQL")):
        spent = busy[at] + bare.server_seconds()[at] - server[at]
        figures[f"{name}, {who}"] = {**_summed(taken[at]), "cpu": 1e3 * spent / len(taken[at])}
    return figures


def _alone(calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    taken: list[float] = []
    for call in calls:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return _summed(taken)


def _summed(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        "p10": 1e3 * ordered[len(ordered) // 10],
        "p50": 1e3 * median(ordered),
        "p95": 1e3 * ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)))],
    }


def _goals(figures: Figures) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, text in (("search", "scoped search over bare SQL"), ("add", "durable add over bare SQL")):
        ours, theirs = figures[f"{name}, memkit"], figures[f"{name}, bare SQL"]
        ratio, cpu = ours["p50"] / theirs["p50"], ours["cpu"] / theirs["cpu"]
        rows.append({"goal": text, "bound": BOUND, "ratio": ratio, "cpu_ratio": cpu, "met": ratio <= BOUND})
    return rows


def _table(result: dict[str, Any]) -> str:
    head = (
        f"# memkit on PostgreSQL {result['server']} beside bare SQL\n\n"
        f"{result['size']:,} memories of {result['owners']} users, {workload.DIM} numbers a vector, "
        f"{result['rounds']} calls of each kind in turn, one process, commits on the disk. Bare SQL: own tables with "
        "the same rows, pgvector, exact scan of one user's vectors.\n"
    )
    goals = "\n".join(
        f"| {row['goal']} | {row['ratio']:.2f} | {row['cpu_ratio']:.2f} | ≤ {row['bound']} |"
        f" {'met' if row['met'] else 'missed'} |"
        for row in result["goals"]
    )
    rows = "\n".join(
        f"| {name} | {one['p10']:.2f} | {one['p50']:.2f} | {one['p95']:.2f} | {_cpu(one)} | {_rest(one)} |"
        for name, one in result["milliseconds"].items()
    )
    bulk = result["bulk"]
    return (
        f"{head}\n| goal | ratio of medians | of processor time | bound | |\n| --- | ---: | ---: | ---: | --- |\n"
        f"{goals}\n\n"
        f"| ms | p10 | p50 | p95 | processor | |\n| --- | ---: | ---: | ---: | ---: | --- |\n{rows}\n\n"
        f"Filling: memkit {bulk['memkit_per_second']:,.0f} memories a second, bare SQL by COPY "
        f"{bulk['bare_per_second']:,.0f}.\n\n"
        "In the ledger's own column vectors lie around 500 centres, and one user has half of all; users of up to 1,000 "
        "memories are scanned whatever index there is.\n"
    )


def _cpu(one: dict[str, float]) -> str:
    return f"{one['cpu']:.2f}" if "cpu" in one else ""


def _rest(one: dict[str, float]) -> str:
    told = [f"recall at ten {one['recall']:.3f}"] if "recall" in one else []
    return ", ".join([*told, *([f"built in {one['build_s']:.1f} s"] if "build_s" in one else [])])


if __name__ == "__main__":
    main()
