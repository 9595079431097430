"""What a vector store must offer: a few primitives with plural inputs."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from memkit.errors import (
    ConfigurationError,
    EmbedderMismatchError,
    InvalidInputError,
    UnsupportedOperationError,
    did_you_mean,
)
from memkit.filters import Filter, compile_filter
from memkit.filters import comparisons as comparisons_of
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from memkit.ledger.base import Ledger

    Vector = npt.NDArray[np.float32]

_JSON: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
Payload = dict[str, Any]
Capability = Literal["in_ledger", "keyword_search", "native_async", "persistent", "multi_process", "server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecord:
    """One point: a memory's id, its unit vector and its complete payload."""

    id: str
    vector: Vector
    payload: Payload
    """JSON values: `memory`, scope ids, `metadata`, `kind`, times as ISO 8601 text."""
    fresh: bool = False
    """Whether this id never had another payload, so that nothing of an older one has to be taken away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHit:
    """A point found; `score` is `(1 + cosine) / 2`: 1 for the same direction, 0 for the opposite one."""

    id: str
    score: float
    payload: Payload


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePage:
    """One page of points ordered by id; `cursor` is None on the last."""

    records: Sequence[StoreRecord]
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """What a collection says of itself."""

    name: str
    dim: int | None
    count: int
    embedder: str | None
    """Identity of the embedder the vectors came from, where it was stored."""


class StoreSettings(ProviderSettings):
    """What the settings of every vector store have."""

    collection_name: str = "memkit"
    """Name of the collection."""
    patience_s: float = 30.0
    """Seconds without an answer after which a write no longer waits for the index, which then follows later."""
    embedding_model_dims: int | None = None
    """Deprecated: accepted for mem0's configurations and ignored, as the dimension is probed."""


class VectorStore(ABC):
    """An index of vectors with payloads.

    Sync methods are required. Async twins (`asearch`, `aupsert`, ...) are optional: where the base's None
    stands, the engine runs the sync ones in a worker thread. Clients are opened at the first call, never in
    the constructor. `upsert` replaces the whole point. Missing ids are ignored by `get` and `delete`.
    Of a collection that does not exist, reads find nothing and writes are refused.
    A filter is exact: what the backend cannot run natively, the store completes on its side by
    `memkit.filters.matches`, without losing results up to `limit`.
    """

    name: ClassVar[str]
    capabilities: frozenset[Capability] = frozenset()
    patience_s: float = 30.0
    """Seconds without an answer after which a write no longer waits for this index to follow; it follows later."""

    aopen: Callable[..., Coroutine[Any, Any, None]] | None = None
    aupsert: Callable[..., Coroutine[Any, Any, None]] | None = None
    asearch: Callable[..., Coroutine[Any, Any, list[StoreHit]]] | None = None
    aget: Callable[..., Coroutine[Any, Any, list[StoreRecord]]] | None = None
    alist: Callable[..., Coroutine[Any, Any, StorePage]] | None = None
    acount: Callable[..., Coroutine[Any, Any, int]] | None = None
    adelete: Callable[..., Coroutine[Any, Any, None]] | None = None

    @property
    def in_ledger(self) -> bool:
        """Whether the ledger's own table of embeddings is this store, so that it is never opened."""
        return "in_ledger" in self.capabilities

    def place(self, folder: Path) -> None:
        """Take the folder of the memory; a store that was given no place of its own keeps its data there."""
        del folder

    def join(self, ledger: Ledger) -> None:
        """Take the ledger of the memory; a store in that ledger's own database becomes a part of it.

        Raises:
            ConfigurationError: It has no place of its own, and cannot be a part of this ledger.
        """
        del ledger

    @abstractmethod
    def open(self, *, dim: int, embedder: str) -> None:
        """Make or open the collection; it may be called again.

        Raises:
            EmbedderMismatchError: It holds vectors of another dimension or embedder.
        """

    @abstractmethod
    def upsert(self, records: Sequence[StoreRecord]) -> None:
        """Write points; the last of equal ids wins.

        Raises:
            ConfigurationError: A vector of another dimension; nothing was written.
            InvalidInputError: An empty id, a vector that is not finite, a payload that is not JSON.
        """

    @abstractmethod
    def search(self, vector: Vector, limit: int, filter: Filter | None = None) -> list[StoreHit]:
        """Return at most `limit` hits, best first, ties by id."""

    @abstractmethod
    def get(self, ids: Sequence[str]) -> list[StoreRecord]:
        """Return the points that exist, in the order asked."""

    @abstractmethod
    def list(self, filter: Filter | None = None, limit: int = 100, cursor: str | None = None) -> StorePage:
        """Return points ordered by id."""

    @abstractmethod
    def count(self, filter: Filter | None = None) -> int:
        """Return how many points match."""

    @abstractmethod
    def delete(self, ids: Sequence[str]) -> None:
        """Delete points."""

    @abstractmethod
    def info(self) -> StoreInfo:
        """Return what the collection says of itself."""

    @abstractmethod
    def collections(self) -> Sequence[str]:
        """Return the names of all collections of this database, sorted."""

    @abstractmethod
    def drop(self) -> None:
        """Delete the collection; `open` makes a new one."""

    def foreign(self, limit: int = 500, cursor: str | None = None) -> StorePage:
        """Return points of a collection that another program wrote, as they are; nothing is written or locked.

        Raises:
            ConfigurationError: There is no such collection.
            UnsupportedOperationError: This store reads none but its own.
        """
        del limit, cursor
        raise UnsupportedOperationError(
            f"The vector store {self.name!r} reads no collections of other programs."
        )

    @abstractmethod
    def health(self) -> None:
        """Return if the backend answers.

        Raises:
            BackendError: It does not.
        """

    @abstractmethod
    def close(self) -> None:
        """Free everything; may be called twice."""


# ------------------------------------------------------------------------ helpers for those who write one


def check_embedder(where: str, stored: tuple[int, str], given: tuple[int, str]) -> None:
    """Return if a collection's dimension and embedder are the ones it is opened with.

    Raises:
        EmbedderMismatchError: They are not; it names both and the command that rebuilds.
    """
    if stored != given:
        raise EmbedderMismatchError(
            f"{where} holds vectors of {stored[1]!r} ({stored[0]} dimensions), not of {given[1]!r} "
            f"({given[0]}). Use that embedder, or project all anew with `memory.rebuild(embedder=...)`.",
            stored=stored[1],
            given=given[1],
        )


def no_collection(name: str, where: str, known: Sequence[str]) -> ConfigurationError:
    """Return the error for a collection that is to be read and is not there."""
    there = ", ".join(map(repr, known)) or "none"
    return ConfigurationError(
        f"There is no collection {name!r} {where}.{did_you_mean(name, known)} There are: {there}."
    )


def check_limit(limit: int) -> None:
    """Return if a limit is at least 1.

    Raises:
        InvalidInputError: It is not.
    """
    if isinstance(limit, bool) or limit < 1:
        raise InvalidInputError(f"`limit` must be at least 1, not {limit!r}.")


def check_vector(vector: Vector, dim: int | None, what: str = "The query vector") -> Vector:
    """Return a vector as float32.

    Raises:
        ConfigurationError: It has another dimension.
        InvalidInputError: It holds NaN or infinity.
    """
    import numpy as np

    row = _row(vector, dim, what)
    if not np.isfinite(row).all():
        raise InvalidInputError(f"{what} holds NaN or infinity.")
    return row


def check_records(records: Sequence[StoreRecord], dim: int | None) -> list[tuple[StoreRecord, str]]:
    """Return the records to write with their payloads as JSON text, the last of equal ids.

    Raises:
        ConfigurationError: A vector has another dimension.
        InvalidInputError: An id is empty or no text, a vector is not finite, a payload is not JSON.
    """
    checked: dict[str, tuple[StoreRecord, str]] = {}
    rows: list[Vector] = []
    for record in records:
        check_id(record.id)
        vector = _row(record.vector, dim, f"The vector of {record.id!r}")
        rows.append(vector)
        text = dump_payload(record.id, record.payload)
        checked.pop(record.id, None)
        if vector is not record.vector:
            record = replace(record, vector=vector)
        checked[record.id] = record, text
    _check_finite(records, rows)
    return list(checked.values())


def _row(vector: Vector, dim: int | None, what: str) -> Vector:
    """Return a vector as float32 of the right dimension."""
    import numpy as np

    row: Vector = np.asarray(vector, dtype=np.float32)
    if row.ndim != 1 or (dim is not None and row.shape[0] != dim):
        shape = "x".join(str(size) for size in row.shape)
        raise ConfigurationError(
            f"{what} has {shape} dimensions, and the collection {dim}. Use one embedder."
        )
    return row


def _check_finite(records: Sequence[StoreRecord], rows: Sequence[Vector]) -> None:
    import numpy as np

    if not rows:
        return
    # All at once: a call for each takes longer than its numbers do.
    numbers = rows[0] if len(rows) == 1 else np.concatenate(rows)
    if not np.isfinite(numbers).all():
        for record, row in zip(records, rows, strict=True):
            check_vector(row, None, f"The vector of {record.id!r}")


def check_id(id: str) -> None:
    """Return if an id can be stored: any text but an empty one or a lone surrogate.

    Raises:
        InvalidInputError: It cannot.
    """
    if not isinstance(id, str) or not id:  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
        raise InvalidInputError(f"The id of a point must be a non-empty text, not {id!r}.")
    if not id.isascii() and not _is_whole(id):
        raise InvalidInputError(f"The id {id!r} holds a lone surrogate, which cannot be stored.")


def storable_ids(ids: Sequence[str]) -> list[str]:
    """Return the distinct ids that a store can hold at all, in order."""
    return [id for id in dict.fromkeys(ids) if id and (id.isascii() or _is_whole(id))]


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def dump_payload(id: str, payload: Payload) -> str:
    """Return a payload as JSON text in ASCII.

    Raises:
        InvalidInputError: It holds something that JSON has not.
    """
    try:
        return _JSON.encode(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"The payload of {id!r} is not JSON: {error}.") from error


def record_filter(filter: Filter | None) -> Callable[[str, Payload], bool]:
    """Return a function that says whether a point passes, given its id and payload."""
    predicate = compile_filter(filter)
    if any(compare.field == "id" for compare in comparisons_of(filter)):
        return lambda id, payload: predicate({**payload, "id": id})
    return lambda id, payload: predicate(payload)  # noqa: ARG005 (the id is in no comparison)


def unit(vector: Vector) -> Vector:
    """Return a vector brought to unit length; a zero vector stays."""
    import numpy as np

    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector


def unit_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return rows brought to unit length; zero rows stay."""
    import numpy as np

    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    return rows / lengths


def score_of(cosine: float) -> float:
    """Return `(1 + cosine) / 2`, clamped to [0, 1]."""
    return min(1.0, max(0.0, (1.0 + cosine) / 2.0))


def best_first(ids: Sequence[str], cosines: npt.NDArray[np.float32], limit: int) -> list[tuple[int, float]]:
    """Return positions and scores of the best, ties by id.

    Args:
        ids: One per cosine.
        cosines: float[n].
        limit: At most so many are returned.
    """
    import numpy as np

    if len(ids) > limit:
        # Everything as good as the worst that fits is a candidate: ties fall by id, not by position.
        worst = np.partition(cosines, len(ids) - limit)[len(ids) - limit]
        candidates = np.nonzero(cosines >= worst)[0].tolist()
    else:
        candidates = range(len(ids))
    scored = [(int(at), score_of(float(cosines[at]))) for at in candidates]
    return sorted(scored, key=lambda pair: (-pair[1], ids[pair[0]]))[:limit]
