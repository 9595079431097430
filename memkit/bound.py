"""The scope of a handle: what `bind` fixed, and what a call may still say; and the schemas of its memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from .errors import ScopeError
from .schemas import NO_SCHEMAS, Schemas
from .scope import ReadIds, ReadScope, Scope, one_id, read_scope, write_scope


class Bound:
    """The scope of a handle: nothing that is passed to it can leave it."""

    def __init__(self, scope: Scope | None, schemas: Schemas = NO_SCHEMAS) -> None:
        self.scope = scope
        self.schemas = schemas

    @property
    def guard(self) -> ReadScope | None:
        """What by-id calls re-check; None on an unbound memory."""
        if self.scope is None:
            return None
        return read_scope(self.scope.user_id, self.scope.agent_id, self.scope.run_id)

    def write(self, user_id: Any, agent_id: Any, run_id: Any) -> Scope:
        """Return the scope to store under."""
        if self.scope is None:
            return write_scope(user_id, agent_id, run_id)
        return write_scope(
            self._same("user_id", user_id),
            self._inside("agent_id", one_id(agent_id, "agent_id")),
            self._inside("run_id", one_id(run_id, "run_id")),
        )

    def read(
        self, user_id: ReadIds, agent_id: ReadIds, run_id: ReadIds, *, allow_global: bool = False
    ) -> ReadScope:
        """Return the scope to read in."""
        if self.scope is None:
            return read_scope(user_id, agent_id, run_id, allow_global=allow_global)
        if allow_global:
            raise ScopeError("`allow_global` is refused on a bound handle; use the memory it came from.")
        return read_scope(
            self._same("user_id", user_id), self._inside("agent_id", agent_id), self._inside("run_id", run_id)
        )

    def refuse(self, method: str) -> None:
        """Raise `ScopeError` when an operator's call is made on a bound handle."""
        if self.scope is not None:
            raise ScopeError(
                f"`{method}` is for operators and refused on a bound handle; use the memory it came from."
            )

    def _same(self, field: str, given: Any) -> str | None:
        fixed = None if self.scope is None else getattr(self.scope, field)
        if given is not None and one_id(given, field) != fixed:
            raise _outside(field, given, fixed)
        return fixed

    def _inside(self, field: str, given: Any) -> Any:
        fixed = None if self.scope is None else getattr(self.scope, field)
        if fixed is None:
            return given
        wanted = (
            list(cast("Iterable[object]", given))
            if isinstance(given, list | tuple | set | frozenset)
            else [given]
        )
        for value in wanted:
            if given is not None and (value is None or one_id(value, field) != fixed):
                raise _outside(field, wanted, fixed)
        return fixed


def _outside(field: str, given: object, fixed: object) -> ScopeError:
    return ScopeError(
        f"This handle is bound to {field}={fixed!r}; {field}={given!r} is outside of it.", field=field
    )
