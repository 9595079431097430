"""Checked calls of `memory.graph`: what callers may give, and in which scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .bound import Bound
from .clock import Instant, as_of_us, to_us
from .errors import InvalidInputError
from .filters import Filter, parse_filter
from .graph_stores.base import Span
from .graph_stores.support import check_hops
from .requests import optional_text, positive, required_text
from .scope import IdLike, ReadIds, Scope
from .types import GraphEntity

if TYPE_CHECKING:
    from .engine.graph import GraphRequest


class GraphRequests:
    """Checks what is given to the graph of one handle."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound

    def read(
        self,
        user_id: ReadIds,
        agent_id: ReadIds,
        run_id: ReadIds,
        *,
        as_of: Instant | None = None,
        between: object = None,
        limit: int = 100,
        allow_global: bool = False,
    ) -> GraphRequest:
        """Return where, when and how much is read."""
        from .engine.graph import GraphRequest

        if not isinstance(allow_global, bool):  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
            raise InvalidInputError(
                f"`allow_global` must be True or False, not {allow_global!r}.", field="allow_global"
            )
        if as_of is not None and between is not None:
            raise InvalidInputError("Give `as_of` or `between`, not both.", field="between")
        span = None if between is None else _span(between)
        if as_of is not None:
            span = Span.at(as_of_us(as_of))
        return GraphRequest(
            scope=self._bound.read(user_id, agent_id, run_id, allow_global=allow_global),
            span=span,
            limit=positive("limit", limit),
        )

    def write(self, user_id: IdLike | None, agent_id: IdLike | None, run_id: IdLike | None) -> Scope:
        """Return the scope that a merge holds in."""
        return self._bound.write(user_id, agent_id, run_id)

    def name(self, field: str, given: object, kind: str | None = None) -> tuple[str, str | None]:
        """Return the name and the kind of an entity."""
        if isinstance(given, GraphEntity):
            known = None if given.kind == "thing" else given.kind
            return required_text(field, given.name), kind or known
        return required_text(field, given), optional_text("kind", kind)

    def hops(self, field: str, value: int) -> int:
        """Return how far a walk may go."""
        check_hops(value, field)
        return value

    def filter(self, filters: Mapping[str, Any] | None) -> Filter | None:
        """Return a parsed filter."""
        return parse_filter(filters)

    def cursor(self, cursor: str | None) -> str | None:
        """Return the place that a cursor names."""
        if cursor is None:
            return None
        text = required_text("cursor", cursor)
        if len(text) != 32 or not all(char in "0123456789abcdef" for char in text):
            raise InvalidInputError(
                f"`cursor` is not one of ours: {text!r:.80}. Pass the `next_cursor` of a page.",
                field="cursor",
            )
        return text


def _span(between: object) -> Span:
    if isinstance(between, str | bytes) or not isinstance(between, Sequence):
        raise InvalidInputError(
            f"`between` is two instants, `between=(first, last)`, not {between!r:.80}.", field="between"
        )
    given = list(cast("Sequence[Instant]", between))
    if len(given) != 2:
        raise InvalidInputError(
            f"`between` is two instants, `between=(first, last)`, not {len(given)}.", field="between"
        )
    first = to_us(given[0], field="between")
    last = to_us(given[1], field="between", end_of_day=True)
    if last < first:
        raise InvalidInputError(
            f"`between` ends before it begins: {given[0]!r}, {given[1]!r}.", field="between"
        )
    return Span(first, last)
