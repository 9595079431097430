"""The vectors of memories, for whoever compares memories with each other: diversity, clusters, a picture."""

from __future__ import annotations

from collections.abc import Iterable

from .arguments import checks_arguments
from .errors import InvalidInputError
from .facade import Facade
from .requests import memory_id_of
from .runtime import run_inline


@checks_arguments
class Vectors(Facade):
    """The part of [`Memory`][memkit.Memory] that gives vectors."""

    def vectors(self, ids: Iterable[str]) -> dict[str, list[float]]:
        """Return the unit vectors of memories by id, in the order asked; nothing is embedded.

        Args:
            ids: Those of memories, as a search gave them. Unknown, deleted and expired ones, and those outside the
                bound handle, are left out.
        """
        from .engine.read import vectors

        return run_inline(vectors(self._engine, _checked(ids), self._bound.guard))


@checks_arguments
class AsyncVectors(Facade):
    """Async version of `Vectors`."""

    async def vectors(self, ids: Iterable[str]) -> dict[str, list[float]]:
        """Async version of `Memory.vectors`."""
        from .engine.read import vectors

        return await vectors(self._engine, _checked(ids), self._bound.guard)


def _checked(ids: object) -> list[str]:
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise InvalidInputError(f"`ids` must be a list of memory ids, not {ids!r:.80}.", field="ids")
    return list(dict.fromkeys(memory_id_of(one) for one in ids))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
