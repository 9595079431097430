"""What a graph store must offer: what memories say of entities, kept so that it can be walked.

A store is a projection. The unit is a memory with all it says (`GraphRecord`), written as often as it changes; a node
lives while a memory names it, an edge while a memory says it. Instants are microseconds in UTC.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from memkit.scope import Owner, ReadScope, Scope
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from memkit.ledger.base import Ledger

Capability = Literal["in_ledger", "native_async", "persistent", "multi_process", "server"]

MAX_HOPS: Final = 10
"""How far a walk may go: beyond it, everything is a neighbour of everything."""
UNKNOWN_KIND: Final = "thing"
"""The kind of an entity of which nobody said more."""
_ARTICLES: Final = ("the ",)
"""Not "a" and "an": An and A are names, too."""
_STOPS: Final = frozenset(".,;:!?\"'`…·¡¿、。！？")
_AROUND: Final = frozenset(("Ps", "Pe", "Pi", "Pf", "Pd", "Zs", "Zl", "Zp", "Cc"))


@dataclass(frozen=True, slots=True)
class GraphNode:
    """An entity as one memory names it."""

    key: str
    """What makes two mentions of one owner the same entity; the store compares it and reads nothing in it."""
    name: str
    kind: str = UNKNOWN_KIND


@dataclass(frozen=True, slots=True)
class GraphTriple:
    """What one memory says of two entities."""

    source: GraphNode
    relation: str
    target: GraphNode


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRecord:
    """One memory with all it says: the unit that is written, replaced and removed."""

    memory_id: str
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    entities: Sequence[GraphNode] = ()
    edges: Sequence[GraphTriple] = ()
    """Their ends need not be among `entities`; they are mentions all the same."""
    created_at: int
    valid_from: int
    valid_until: int | None = None
    expires_at: int | None = None

    @property
    def owner(self) -> Owner:
        """Whose entities these are: keys of two owners are never the same entity."""
        return Scope(user_id=self.user_id, agent_id=self.agent_id, run_id=self.run_id).owner

    def mentions(self) -> list[GraphNode]:
        """Return every entity it names, ends of edges too, once per key: first the listed ones, in order."""
        ends = (end for edge in self.edges for end in (edge.source, edge.target))
        found: dict[str, GraphNode] = {}
        for node in (*self.entities, *ends):
            found.setdefault(node.key, node)
        return list(found.values())


@dataclass(frozen=True, slots=True)
class Span:
    """A time of which any instant will do, from `first` to `last`, both included."""

    first: int
    last: int

    @classmethod
    def at(cls, instant: int) -> Span:
        """Return the span of one instant."""
        return cls(instant, instant)

    def meets(self, valid_from: int, valid_until: int | None, expires_at: int | None) -> bool:
        """Return whether something is true and not expired at some instant of it; both ends are exclusive."""
        return valid_from <= self.last and all(
            end is None or (end > self.first and end > valid_from) for end in (valid_until, expires_at)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEdge:
    """An edge as one memory says it; several memories that say the same give several."""

    memory_id: str
    position: int
    """Its place among the edges of that memory."""
    source: GraphNode
    relation: str
    target: GraphNode
    source_id: str
    target_id: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    valid_from: int
    valid_until: int | None
    expires_at: int | None
    hop: int = field(default=1, compare=False)
    """How many steps from where a walk began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphEntity:
    """An entity found, with the memories of the scope that name it, by id."""

    id: str
    owner: Owner
    key: str
    name: str
    """The name that most of these memories use, then the first by text; `kind` likewise, known kinds first."""
    kind: str
    memory_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class GraphPath:
    """A way from one entity to another that visits none twice."""

    entities: Sequence[str]
    """Ids, both ends included."""
    edges: Sequence[Sequence[GraphEdge]]
    """For each step everything that connects its two entities, in either direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPage:
    """One page of memories; `cursor` is None on the last."""

    records: Sequence[GraphRecord]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCount:
    """How much of a scope there is."""

    memories: int = 0
    entities: int = 0
    edges: int = 0
    """One per memory that says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInfo:
    """What a graph says of itself."""

    name: str
    count: GraphCount


class GraphStoreSettings(ProviderSettings):
    """What the settings of every graph store have."""

    collection_name: str = "memkit"
    """Name of this graph; graphs of other names in the same database are left alone."""
    patience_s: float = 30.0
    """Seconds without an answer after which a write no longer waits for the graph, which then follows later."""


class GraphStore(ABC):
    """What memories say of entities.

    Sync methods are required. Async twins (`aupsert`, `aneighbours`, ...) are optional: where the base's None stands,
    the engine runs the sync ones in a worker thread. Clients are opened at the first call, never in the constructor.
    Reads of a graph that does not exist find nothing. A scope is exact: what a read returns was said by memories that
    `scope.allows`. `during` leaves out what was not true, or had expired, at every instant of it; None leaves out
    nothing.
    """

    name: ClassVar[str]
    capabilities: frozenset[Capability] = frozenset()
    patience_s: float = 30.0
    """Seconds without an answer after which a write no longer waits for this graph to follow; it follows later."""

    aopen: Callable[..., Coroutine[Any, Any, None]] | None = None
    aupsert: Callable[..., Coroutine[Any, Any, None]] | None = None
    aremove: Callable[..., Coroutine[Any, Any, None]] | None = None
    afind_entities: Callable[..., Coroutine[Any, Any, list[GraphEntity]]] | None = None
    aneighbours: Callable[..., Coroutine[Any, Any, list[GraphEdge]]] | None = None
    apaths: Callable[..., Coroutine[Any, Any, list[GraphPath]]] | None = None
    acount: Callable[..., Coroutine[Any, Any, GraphCount]] | None = None
    aexport: Callable[..., Coroutine[Any, Any, GraphPage]] | None = None
    adrop: Callable[..., Coroutine[Any, Any, None]] | None = None
    ainfo: Callable[..., Coroutine[Any, Any, GraphInfo]] | None = None
    ahealth: Callable[..., Coroutine[Any, Any, None]] | None = None

    @property
    def in_ledger(self) -> bool:
        """Whether the ledger itself keeps this graph, so that it is never opened."""
        return "in_ledger" in self.capabilities

    def place(self, folder: Path) -> None:
        """Take the folder of the memory; a store that was given no place of its own keeps its data there."""
        del folder

    def join(self, ledger: Ledger) -> None:
        """Take the ledger of the memory; a store without a place of its own is the part of it that is about entities.

        Raises:
            ConfigurationError: It has no place of its own, and cannot be a part of this ledger.
        """
        del ledger

    @abstractmethod
    def open(self) -> None:
        """Make or open the graph; it may be called again."""

    @abstractmethod
    def upsert(self, records: Sequence[GraphRecord]) -> None:
        """Replace what these memories said; the last of equal ids wins.

        Raises:
            InvalidInputError: An empty id, name or relation, or a text that cannot be stored; nothing was written.
        """

    @abstractmethod
    def remove(self, memory_ids: Sequence[str]) -> None:
        """Take back what these memories said, with the entities that no memory names any more."""

    @abstractmethod
    def find_entities(
        self,
        names: Sequence[str] | None,
        *,
        scope: ReadScope,
        during: Span | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> list[GraphEntity]:
        """Return entities that a memory of the scope calls by one of these names, by id, after an id.

        Args:
            names: Compared as `fold_name` leaves them; None for all entities of the scope.
        """

    @abstractmethod
    def neighbours(
        self,
        entity_ids: Sequence[str],
        *,
        scope: ReadScope,
        depth: int = 1,
        during: Span | None = None,
        limit: int = 100,
    ) -> list[GraphEdge]:
        """Return the edges that a walk of `depth` steps in either direction meets, each once.

        Nearest first, then the latest `valid_from`, then by memory id and position.
        """

    @abstractmethod
    def paths(
        self,
        a: Sequence[str],
        b: Sequence[str],
        *,
        scope: ReadScope,
        max_hops: int = 3,
        during: Span | None = None,
        limit: int = 10,
    ) -> list[GraphPath]:
        """Return ways between any of `a` and any of `b` that visit no entity twice; edges lead both ways.

        Shortest first, then by ids. An entity in both ends none and begins none.
        """

    @abstractmethod
    def count(self, scope: ReadScope) -> GraphCount:
        """Return how much of the scope there is."""

    @abstractmethod
    def export(self, scope: ReadScope, *, limit: int = 1000, cursor: str | None = None) -> GraphPage:
        """Return what the memories of the scope say, exactly as written, each once, in an order of the store's own."""

    @abstractmethod
    def drop(self, scope: ReadScope | None = None) -> None:
        """Take back what the memories of the scope said; None: this whole graph, and nothing of another one."""

    @abstractmethod
    def info(self) -> GraphInfo:
        """Return what the graph says of itself."""

    @abstractmethod
    def health(self) -> None:
        """Return if the backend answers.

        Raises:
            BackendError: It does not.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything; may be called twice."""


# ------------------------------------------------------------------------------------------------ names and ids


def fold_name(name: str) -> str:
    """Return a name as names are compared: NFKC, case folded, single blanks, no article and no marks around it.

    What is folded already stays as it is.
    """
    folded = " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())
    while True:
        shorter = _without_article(_without_marks(folded))
        if shorter == folded:
            return folded
        folded = shorter


def _without_article(text: str) -> str:
    return next((text[len(article) :] for article in _ARTICLES if text.startswith(article)), text)


def _without_marks(text: str) -> str:
    """Return a text without brackets, quotes, stops and blanks around it; a text of nothing else stays."""
    if text[:1].isalnum() and text[-1].isalnum():
        return text
    first, last = 0, len(text)
    while first < last and _is_mark(text[first]):
        first += 1
    while last > first and _is_mark(text[last - 1]):
        last -= 1
    return text[first:last] or text


def _is_mark(char: str) -> bool:
    # Not all punctuation: C and C#, and 5 and 5%, are different things.
    return char in _STOPS or unicodedata.category(char) in _AROUND


def entity_id(owner: Owner, key: str) -> str:
    """Return the id of an owner's entity: a digest, so that nothing can be read from it once it is forgotten."""
    return digest(owner.kind, owner.id, key)


def digest(*parts: str) -> str:
    """Return a digest of texts, of which no two lists have the same: 32 characters."""
    made = blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        made.update(len(data).to_bytes(8, "big") + data)
    return made.hexdigest()
