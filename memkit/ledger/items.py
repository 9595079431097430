"""What a ledger keeps for the key-value store: values under a namespace and a key, found by the texts named for them.

A namespace is its own owner: items lie outside every user's scope. Instants are microseconds in UTC.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Vector

Namespace = tuple[str, ...]
"""Labels from the root down, none empty and none with a NUL. As a prefix it ends between labels; () is above all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRow:
    """One item as the ledger holds it."""

    no: int
    """Stays the same while the item is only changed."""
    namespace: Namespace
    key: str
    value: Any
    """JSON, parsed anew for whoever asks."""
    version: int
    created_at: int
    updated_at: int
    expires_at: int | None
    ttl: int | None
    """Microseconds that a use gives it; None: it does not expire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPut:
    """A value to keep in the place of what is there. The item is found by `texts`, each of which has a vector."""

    namespace: Namespace
    key: str
    value: str
    """JSON."""
    texts: Sequence[str] = ()
    ttl: int | None = None
    was: tuple[int, int, int, int | None] | None = None
    """Version, `created_at`, `updated_at` and `expires_at` that an item which is not there gets, for an import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDrop:
    """An item to erase."""

    namespace: Namespace
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemBatch:
    """One transaction: `used` begin their time to live anew, then `changes` happen in order."""

    at: int
    used: Sequence[int] = ()
    """Numbers of items."""
    changes: Sequence[ItemPut | ItemDrop] = ()
    vectors: Mapping[str, Vector] = field(default_factory=dict[str, "Vector"])
    """Of the texts that their item does not have a present vector of."""
    embedder: tuple[str, int] | None = None
    """Identity and dimension of the embedder of its vectors, remembered with the ledger's first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsApplied:
    """The outcome of an `ItemBatch`."""

    rows: Sequence[ItemRow | None] = ()
    """For each change the item put; of a drop, the item erased, or None where there was none."""
    missing: Sequence[str] = ()
    """Texts without a vector; when there are any, nothing was written."""
    swept: int = 0
    """How many items were erased because they have expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemText:
    """One text that an item is found by, and its place."""

    item: int
    place: int
    text: str


class ItemLedger(ABC):
    """The part of a ledger that keeps items. What has expired is invisible from that instant on, and soon erased."""

    @abstractmethod
    def write_items(self, batch: ItemBatch) -> ItemsApplied:
        """Write a batch as one durable transaction, or nothing of it; erase some of what has expired by then.

        An item put again keeps its number, its `created_at`, and the vectors of texts it keeps; its `updated_at`
        always moves forward.

        Raises:
            EmbedderMismatchError: Its vectors are not of the ledger's embedder.
        """

    @abstractmethod
    def items(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[ItemRow | None]:
        """Return the item of each key as of one moment, None where there is none."""

    @abstractmethod
    def find_items(
        self,
        prefix: Namespace,
        *,
        at: int,
        vector: Vector | None = None,
        where: Callable[[Any], bool] | None = None,
        limit: int,
        offset: int = 0,
    ) -> Sequence[tuple[ItemRow, float | None]]:
        """Return items under a namespace whose value passes `where`, with scores.

        With a vector, those that have vectors of the present embedder come first: by the largest cosine of any of
        them, best first, later items first among equals. Then, and without a vector at all, the others, the last
        changed first, with None for a score.
        """

    @abstractmethod
    def item_namespaces(self, prefix: Namespace, *, at: int) -> Sequence[Namespace]:
        """Return the namespaces under one that hold items, ordered label by label."""

    @abstractmethod
    def known_texts(self, keys: Sequence[tuple[Namespace, str]], *, at: int) -> Sequence[frozenset[str]]:
        """Return for each key the texts that its item has vectors of the present embedder of."""

    @abstractmethod
    def stale_texts(self, limit: int, after: tuple[int, int] | None = None) -> Sequence[ItemText]:
        """Return texts whose vectors are of an earlier embedder, in order, after an (item, place)."""

    @abstractmethod
    def set_item_vectors(
        self, embedder: tuple[str, int], texts: Sequence[ItemText], vectors: Sequence[Vector]
    ) -> None:
        """Give texts that are still there their vectors, in one transaction.

        Raises:
            EmbedderMismatchError: They are not of the ledger's embedder.
        """
