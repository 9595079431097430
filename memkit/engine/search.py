"""Finding again: words, meaning, neighbours, people and time on one scale, checked against the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any, cast

from ..clock import now_us
from ..errors import BackendError, LedgerMismatchError
from ..filters import And, Filter, scope_filter
from ..ledger.base import Outlook, OwnerMark, Record
from ..ranking.asked import content
from ..ranking.cache import MAX_ROWS
from ..ranking.index import RankQuery
from ..ranking.late import Tokens
from ..ranking.query import sanitise
from ..ranking.result import SCORE_DECIMALS, Ranking
from ..ranking.weights import weights_for
from ..rerankers.base import patience
from ..scope import ReadScope
from ..types import Relation, SearchResult, unchecked
from .core import Engine, Meter
from .current import Reading
from .embed import embed_question
from .index import look_without_ledger, store_for_search
from .large import Candidates
from .start import ready
from .views import is_current, memory_item, record_test, row_test

_WALK = 64
_READS = 40
"""A row of a ranking that is read costs as much as so many that the ledger tests."""
_TRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A checked `search`."""

    query: str
    scope: ReadScope
    filter: Filter | None = None
    limit: int = 10
    threshold: float | None = None
    rerank: bool | None = None
    kinds: frozenset[str] | None = None
    as_of: int | None = None
    explain: bool = False


@dataclass(slots=True)
class Found:
    """What ranking one owner gave."""

    record: Record
    score: float
    signals: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Local:
    """The outcome of the local part of a search."""

    hits: list[Found] = field(default_factory=list["Found"])
    answerable: float | None = None


async def search(engine: Engine, request: SearchRequest, meter: Meter | None = None) -> SearchResult:
    """Return the memories that answer a query best; one embedding request, no model call."""
    meter = Meter() if meter is None else meter
    if not await ready(engine, write=False):
        warnings = await look_without_ledger(engine)
        return SearchResult(warnings=warnings, usage=meter.usage(), explain=[] if request.explain else None)
    text = sanitise(request.query)
    warnings: list[str] = []
    vector: Any = None
    asked: Tokens | None = None
    outlook = await engine.call(engine.ledger.outlook, request.scope)
    if outlook.embedder is not None:
        about = content(text)
        if _may_address(outlook, outlook.embedder[0]):
            about = await engine.rt.work(_embedded, engine, request, outlook, outlook.embedder, text)
        vector, asked = await embed_question(engine, about, meter, stored=outlook.embedder[0])
    near: Sequence[str] | None = None
    store, down = await store_for_search(engine)
    if down is not None:
        warnings.append(down)
    if store is not None and vector is not None and _is_large(outlook):
        try:
            hits = await engine.ask(store.name, store.search, vector, _pool(request), _store_filter(request))
            near = [hit.id for hit in hits]
        except LedgerMismatchError:
            raise
        except BackendError as error:
            engine.parts.vectors.ready = False
            warnings.append(
                f"The index {store.name!r} failed ({error.message}); the ledger's own vectors were searched."
            )
            store = None
    local = await engine.rt.work(search_ledger, engine, request, outlook, text, vector, asked, near)
    hits = await _reranked(engine, request, text, local.hits, warnings)
    relations: list[Relation] = []
    if engine.parts.graph.on:
        from .graph_search import around

        first = [hit.record for hit in hits[: request.limit]]
        found = await around(engine, outlook, request.scope, request.as_of, text, first)
        hits = await _with_connected(engine, request, hits, found.connected)
        relations, warnings = found.relations, [*warnings, *found.warnings]
    if request.threshold is not None:
        hits = [hit for hit in hits if hit.score >= request.threshold]
    hits = hits[: request.limit]
    explain = [{"id": hit.record.id, **(hit.signals or {})} for hit in hits] if request.explain else None
    return unchecked(
        SearchResult,
        {
            "results": [memory_item(hit.record, hit.score) for hit in hits],
            "relations": relations,
            "answerable": local.answerable,
            "warnings": warnings,
            "usage": meter.usage(),
            "explain": explain,
        },
    )


def _may_address(outlook: Outlook, embedder: str) -> bool:
    """Return whether speakers that a query names may be "you" in what is embedded of it."""
    weights = weights_for(embedder)
    return len(outlook.owners) == 1 and not _is_large(outlook) and (weights.chat or weights).address


def _embedded(
    engine: Engine, request: SearchRequest, outlook: Outlook, embedder: tuple[str, int], text: str
) -> str:
    """Return what of a query is embedded for the one owner in scope."""
    (owner,) = outlook.owners
    with engine.parts.caches.index(owner.number, embedder, owner.event) as (memories, *_):
        return memories.embedded(_rank_query(request, text, None, now_us()))


def _is_large(outlook: Outlook) -> bool:
    """Return whether a scope is too large to be ranked as a whole, so that an index has to name candidates."""
    return any(owner.memories > MAX_ROWS for owner in outlook.owners)


def _pool(request: SearchRequest) -> int:
    """Return how many candidates an index is asked for."""
    return max(50, 4 * request.limit)


def _store_filter(request: SearchRequest) -> Filter | None:
    """Return the user's filter with the scope ANDed last."""
    scope = scope_filter(request.scope)
    parts = [part for part in (request.filter, scope) if part is not None]
    return None if not parts else parts[0] if len(parts) == 1 else And(tuple(parts))


def search_ledger(
    engine: Engine,
    request: SearchRequest,
    outlook: Outlook,
    text: str,
    vector: Any,
    asked: Tokens | None,
    near: Sequence[str] | None,
) -> Local:
    """Rank every owner in scope, walk down each ranking until enough rows pass, and merge by score."""
    if vector is not None and outlook.embedder is not None and len(vector) != outlook.embedder[1]:
        outlook = engine.ledger.outlook(request.scope)  # another embedder since the query was embedded
    query = _rank_query(request, text, vector, now_us(), asked)
    passes = _checker(request, query)
    out = Local()
    if outlook.embedder is None:
        return out
    for owner in outlook.owners:
        found, answerable = _search_owner(engine, request, query, outlook.embedder, owner, passes, near)
        out.hits += found
        if answerable is not None:
            out.answerable = max(out.answerable or 0.0, answerable)
    if len(outlook.owners) > 1:
        out.hits.sort(key=lambda hit: (-hit.score, -hit.record.created_at, -hit.record.rid))
    return out


def nearest(
    engine: Engine, request: SearchRequest, outlook: Outlook, texts: Sequence[str], vectors: Sequence[Any]
) -> list[Record]:
    """Return what each of several queries finds, best first and each record once, over one reading of the ledger.

    `request` says what all of them may see; its own query is not asked.
    """
    now = now_us()
    queries = [_rank_query(request, text, row, now) for text, row in zip(texts, vectors, strict=True)]
    best: dict[int, Found] = {}
    for owner in outlook.owners:
        for hit in _near_in_owner(engine, request, queries, outlook.embedder, owner):
            rid = hit.record.rid
            if rid not in best or hit.score > best[rid].score:
                best[rid] = hit
    return [hit.record for hit in sorted(best.values(), key=lambda hit: (-hit.score, hit.record.rid))]


def _near_in_owner(
    engine: Engine,
    request: SearchRequest,
    queries: Sequence[RankQuery],
    embedder: tuple[str, int] | None,
    owner: OwnerMark,
) -> list[Found]:
    if embedder is None or not queries:
        return []
    passes = _checker(request, queries[0])
    out: list[Found] = []
    if owner.memories > MAX_ROWS:
        for query in queries:
            out += _search_owner(engine, request, query, embedder, owner, passes, None)[0]
        return out
    with engine.parts.caches.index(owner.number, embedder, owner.event) as (index, mark, held):
        rankings = [index.rank(query) for query in queries]
        reading = Reading(engine.ledger, owner.number, mark, held)
        heads = [ranking.hits(0, request.limit) for ranking in rankings]
        rids = list(dict.fromkeys(rid for head in heads for rid, _ in head))
        rows = reading.rows(rids)
        for ranking, head in zip(rankings, heads, strict=True):
            found = [Found(rows[rid], score) for rid, score in head if rid in rows and passes(rows[rid])]
            if len(found) < len(head):
                found = _walk(engine, request, ranking.hits, request.limit, passes, owner.memories, reading)
            out += found
    return out


def _rank_query(
    request: SearchRequest, text: str, vector: Any, now: int, asked: Tokens | None = None
) -> RankQuery:
    return RankQuery(
        text=text,
        vector=vector,
        at=now if request.as_of is None else request.as_of,
        now=now,
        agents=request.scope.agents,
        runs=request.scope.runs,
        users=None if request.scope.everyone else frozenset({request.scope.user_id}),
        tokens=asked,
    )


def _search_owner(
    engine: Engine,
    request: SearchRequest,
    query: RankQuery,
    embedder: tuple[str, int],
    known: OwnerMark,
    passes: Callable[[Record], bool],
    near: Sequence[str] | None,
) -> tuple[list[Found], float | None]:
    reranks = request.rerank is not False and engine.parts.config.reranker is not None
    wanted = _pool(request) if reranks else request.limit
    owner = known.number
    if known.memories > MAX_ROWS:
        return _search_large(engine, request, query, embedder, known, passes, near, wanted)
    for attempt in range(_TRIES):
        event = None if attempt else known.event
        with engine.parts.caches.index(owner, embedder, event) as (index, mark, held):
            ranking = index.rank(query)
            answerable = ranking.answerable
            explain = ranking.explain if request.explain else None
            reading = Reading(engine.ledger, owner, mark, held)
            hits = _walk(engine, request, ranking.hits, wanted, passes, known.memories, reading, explain)
        if not reading.moved or attempt == _TRIES - 1:
            return hits, answerable
    return [], None


def _search_large(
    engine: Engine,
    request: SearchRequest,
    query: RankQuery,
    embedder: tuple[str, int],
    owner: OwnerMark,
    passes: Callable[[Record], bool],
    near: Sequence[str] | None,
    wanted: int,
) -> tuple[list[Found], float | None]:
    """Rank what words and vectors find; where too few of it pass, what they find among the rows that may."""
    candidates = Candidates(engine, query, owner.number, owner.memories, embedder, near, wanted)

    def walk(hits: list[tuple[int, float]], ranking: Ranking) -> list[Found]:
        explain = ranking.explain if request.explain else None
        return _walk(
            engine, request, lambda start, stop: hits[start:stop], wanted, passes, owner.memories,
            Reading(engine.ledger), explain,
        )  # fmt: skip

    hits, ranking = candidates.of_all()
    found = walk(hits, ranking)
    if len(found) < wanted:
        hits, ranking = candidates.of_these(request.scope, row_test(request.filter, request.kinds))
        found = walk(hits, ranking)
    return found, ranking.answerable


def _walk(
    engine: Engine,
    request: SearchRequest,
    hits_between: Callable[[int, int], list[tuple[int, float]]],
    wanted: int,
    passes: Callable[[Record], bool],
    size: int,
    reading: Reading,
    explain: Callable[[int], Mapping[str, Any]] | None = None,
) -> list[Found]:
    """Go down a ranking, re-check every row against the ledger, and stop when enough have passed.

    Where so few pass that many of the `size` rows would be read, the ledger says which rows may pass at all.
    """
    found: list[Found] = []
    start, step = 0, wanted
    test = row_test(request.filter, request.kinds)
    may: frozenset[int] | None = None
    while hits := hits_between(start, start + step):
        start, last = start + step, len(hits) < step
        if may is not None:
            hits = [hit for hit in hits if hit[0] in may]
        rows = reading.rows([rid for rid, _ in hits])
        found += [Found(rows[rid], score) for rid, score in hits if rid in rows and passes(rows[rid])]
        missing = wanted - len(found)
        if missing <= 0 or last:
            break
        step = max(_WALK, 4 * step)
        if test is not None and may is None:
            step = 2 + int(1.5 * missing * start / max(len(found), 0.5))
            if step > max(_WALK, size // _READS):
                may = frozenset(engine.ledger.passing(request.scope, test, at=now_us()))
                step = max(_WALK, int(1.5 * missing * size / max(1, len(may))))
            if may is not None and not may:
                break
    found = found[:wanted]
    if explain is not None:
        for hit in found:
            hit.signals = explain(hit.record.rid)
    return found


def _checker(request: SearchRequest, query: RankQuery) -> Callable[[Record], bool]:
    """Return the check every row must pass, whatever gave it: scope last, and never widened."""
    scope, kinds = request.scope, request.kinds
    accepts = None if request.filter is None else record_test(request.filter)

    def passes(record: Record) -> bool:
        return (
            (kinds is None or record.kind in kinds)
            and is_current(record, query.at, query.now)
            and (accepts is None or accepts(record))
            and scope.allows(record.user_id, record.agent_id, record.run_id)
        )

    return passes


async def _with_connected(
    engine: Engine, request: SearchRequest, hits: list[Found], connected: Sequence[int]
) -> list[Found]:
    """Let memories that hang together with what the question names take the last places, half of them at most."""
    first = hits[: request.limit]
    known = {hit.record.rid for hit in first}
    wanted = [rid for rid in connected if rid not in known]
    if not wanted or not first:
        return hits
    if request.filter is None and request.kinds is None:
        wanted = wanted[: request.limit // 2]
    passes = _checker(request, _rank_query(request, "", None, now_us()))
    fetched = await engine.call(engine.ledger.fetch, wanted)
    joined = [record for record in fetched.records if passes(record)][: request.limit // 2]
    kept = first[: request.limit - len(joined)]
    score = kept[-1].score
    return [*kept, *(Found(record, score, {"graph": True}) for record in joined)]


async def _reranked(
    engine: Engine, request: SearchRequest, text: str, hits: list[Found], warnings: list[str]
) -> list[Found]:
    """Return hits in the reranker's order; without one, or when it fails, in their own."""
    if request.rerank is False or not hits:
        return hits
    reranker = await engine.reranker()
    if reranker is None:
        if request.rerank:
            warnings.append("rerank=True has no effect: no reranker is configured (`Memory(reranker=...)`).")
        return hits
    try:
        pairs = await engine.ask_within(
            reranker.name,
            patience(reranker),
            reranker.rerank,
            text,
            [hit.record.text for hit in hits],
            len(hits),
        )
    except BackendError as error:
        warnings.append(f"The reranker {reranker.name!r} failed ({error.message}); the own order is kept.")
        return hits
    good, odd = _usable(pairs, len(hits))
    if odd:
        warnings.append(
            f"The reranker {reranker.name!r} must return pairs of an index and a score in 0 to 1, each index once; "
            f"what else it returned ({odd}) is left out."
        )
    ranked = sorted(good, key=lambda n: -good[n])
    out = [Found(hits[n].record, good[n], {**(hits[n].signals or {}), "rerank": good[n]}) for n in ranked]
    floor = out[-1].score if out else 1.0
    out += [
        Found(hit.record, min(hit.score, floor), hit.signals) for n, hit in enumerate(hits) if n not in good
    ]
    return out


def _usable(answer: object, count: int) -> tuple[dict[int, float], int]:
    """Return the score of each place that a reranker gave one, the first where it gave several, and what was none."""
    good: dict[int, float] = {}
    odd = 0
    for pair in cast("list[Any]", answer if isinstance(answer, list | tuple) else [answer]):
        try:
            given, score = pair
            place, worth = -1 if isinstance(pair, Mapping) else index(given), float(score)
        except (OverflowError, TypeError, ValueError):
            place, worth = -1, 0.0
        if 0 <= place < count and 0 <= worth <= 1 and place not in good:
            good[place] = round(worth, SCORE_DECIMALS)
        else:
            odd += 1
    return good, odd
