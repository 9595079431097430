"""Memories, names and strategies that the laws of graph stores are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st

from memkit.graph_stores.base import GraphNode, GraphRecord, GraphTriple, Span, entity_id, fold_name
from memkit.scope import Owner, ReadScope

ALICE: Final = ReadScope(user_id="alice")
EVERYONE: Final = ReadScope(everyone=True)
OWNER: Final = Owner("user", "alice")
NOON: Final = 1_772_366_400_000_000
"""2026-03-01 12:00 UTC."""
HOUR: Final = 3_600_000_000

HOSTILE_TEXTS: Final[Sequence[str]] = (
    "O'Brien",
    'say "hi"',
    "`) DETACH DELETE n //",
    "'}) MATCH (n) DETACH DELETE n //",
    "\\' OR 1=1 --",
    "$param {curly} }{ ${x}",
    "two\nlines\r\nand\ttabs",
    "nul\x00inside",
    "\x1e\x1f\x85\u2028line ends",
    "🦜 Zoë محمد 東京",
    "ﬁ É e\u0301",
    "%_*?[]^~",
    "null",
    "-1",
    "{}",
    "x" * 10_000,
)
"""Texts that a query, a key or an index may trip over."""

HOSTILE_IDS: Final[Sequence[str]] = (
    "u",
    "U",
    "u ",
    " u",
    "u\n",
    "ü",
    "u\u0308",
    "1",
    "01",
    "null",
    "u'",
    "🦜",
)
"""Ids that are all different; a database that folds, trims or normalises takes some for others."""


def node(name: str, kind: str = "person") -> GraphNode:
    """Return a mention whose key is its folded name and kind."""
    return GraphNode(f"{fold_name(name)}|{kind}", name, kind)


def id_of(name: str, kind: str = "person", owner: Owner = OWNER) -> str:
    """Return the id of a node's entity."""
    return entity_id(owner, node(name, kind).key)


def triple(said: str) -> GraphTriple:
    """Return `"Bob likes Acme"` as an edge."""
    source, relation, target = said.split()
    return GraphTriple(node(source), relation, node(target))


def memory(id: str, *said: str | GraphTriple, names: Sequence[str] = (), **fields: Any) -> GraphRecord:
    """Return a memory of alice's that says edges and names entities."""
    values: dict[str, Any] = {"user_id": "alice", "created_at": NOON, "valid_from": NOON, **fields}
    edges = tuple(triple(edge) if isinstance(edge, str) else edge for edge in said)
    return GraphRecord(memory_id=id, edges=edges, entities=tuple(node(name) for name in names), **values)


_NAMES = st.sampled_from(["Ann", "Bob", "Cid", "Dee", "Eve", "Fay"])
_NODES = st.builds(node, _NAMES, st.sampled_from(["person", "person", "place"]))
_TRIPLES = st.builds(GraphTriple, _NODES, st.sampled_from(["likes", "knows"]), _NODES)
MEMORY_IDS: Final = st.sampled_from([f"m{n}" for n in range(8)])
_TIMES = st.integers(0, 6).map(lambda hours: NOON + hours * HOUR)
_USERS = st.sampled_from(["alice", "alice", "bob", None])
_AGENTS = st.sampled_from([None, "bot", "cat"])


def _record(
    id: str, ids: tuple[str | None, str | None, str | None], times: Sequence[int | None], **said: Any
) -> GraphRecord:
    user, agent, run = ids
    if user is None and agent is None and run is None:
        run = "r"
    return GraphRecord(
        memory_id=id,
        user_id=user,
        agent_id=agent,
        run_id=run,
        created_at=NOON,
        valid_from=times[0] or NOON,
        valid_until=times[1],
        expires_at=times[2],
        **said,
    )


RECORDS: Final[st.SearchStrategy[GraphRecord]] = st.builds(
    _record,
    MEMORY_IDS,
    st.tuples(_USERS, _AGENTS, st.sampled_from([None, "r"])),
    st.tuples(_TIMES, st.none() | _TIMES, st.none() | _TIMES),
    entities=st.lists(_NODES, max_size=2).map(tuple),
    edges=st.lists(_TRIPLES, max_size=3).map(tuple),
)
_SETS = st.none() | st.frozensets(st.sampled_from([None, "bot", "cat"]), min_size=1, max_size=2)
SCOPES: Final[st.SearchStrategy[ReadScope]] = st.one_of(
    st.just(EVERYONE),
    st.just(ALICE),
    st.builds(
        ReadScope,
        user_id=_USERS,
        agents=_SETS,
        runs=st.none() | st.sampled_from([frozenset(("r",)), frozenset((None,))]),
    ),
)
SPANS: Final[st.SearchStrategy[Span | None]] = st.one_of(
    st.none(), _TIMES.map(Span.at), st.tuples(_TIMES, _TIMES).map(lambda ends: Span(min(ends), max(ends)))
)
QUESTIONS: Final = st.tuples(
    SCOPES,
    SPANS,
    st.lists(_NAMES, min_size=1, max_size=2),
    st.lists(_NAMES, min_size=1, max_size=2),
    st.integers(1, 4),
)
OPERATIONS: Final[st.SearchStrategy[list[tuple[str, Any]]]] = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.lists(RECORDS, min_size=1, max_size=4)),
        st.tuples(st.just("upsert"), st.lists(RECORDS, min_size=1, max_size=4)),
        st.tuples(st.just("remove"), st.lists(MEMORY_IDS, max_size=3)),
        st.tuples(st.just("drop"), SCOPES),
        st.tuples(st.just("ask"), QUESTIONS),
    ),
    max_size=8,
)
"""What may happen to a graph, one after the other."""
