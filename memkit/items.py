"""The key-value store beside the memories: JSON values under namespaces, durable, found by key and by meaning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from .arguments import checks_arguments
from .errors import InvalidInputError
from .facade import Facade
from .item_types import ItemOperation, ItemResult
from .runtime import run_inline


@checks_arguments
class Items(Facade):
    """The part of [`Memory`][memkit.Memory] that keeps values; refused on a bound handle."""

    def items(self, operations: Iterable[ItemOperation]) -> list[ItemResult]:
        """Do a batch of operations on the key-value store; what it changes is one transaction, or nothing of it.

        Reads see the store as it was before the batch, whatever their place; changes happen in order, so the last put
        of a key stays. Items belong to no user: no `search` or `forget` of one ever touches them, and any namespace can
        be read, so the ids in it are the caller's to check.

        Args:
            operations: `GetItem`, `PutItem`, `DeleteItem`, `SearchItems`, `ListNamespaces`.

        Returns:
            For each operation, in order: the item or None, the item as it is now, whether there was one, the items
            found, the namespaces.

        Raises:
            InvalidInputError: Something else than an operation was given.
            ScopeError: The handle is bound to a user.
            EmbedderMismatchError: A text has to be embedded, and the store was made with another embedder.
            BackendError: The embedder or the ledger failed; nothing was changed.
        """
        from .engine.items import run_items

        self._bound.refuse("items")
        return run_inline(run_items(self._engine, _checked(operations)))


@checks_arguments
class AsyncItems(Facade):
    """Async version of `Items`."""

    async def items(self, operations: Iterable[ItemOperation]) -> list[ItemResult]:
        """Async version of `Memory.items`."""
        from .engine.items import run_items

        self._bound.refuse("items")
        return await run_items(self._engine, _checked(operations))


def _checked(operations: object) -> list[ItemOperation]:
    if not isinstance(operations, Iterable):
        raise InvalidInputError(
            f"`operations` must be a list of operations, such as [GetItem(...)], not {operations!r:.80}."
        )
    checked: list[ItemOperation] = []
    for place, operation in enumerate(cast("Iterable[object]", operations)):
        if not isinstance(operation, ItemOperation):
            raise InvalidInputError(
                f"Operation {place} is {operation!r:.80}. Known: GetItem, PutItem, DeleteItem, SearchItems, "
                "ListNamespaces."
            )
        checked.append(operation)
    return checked
