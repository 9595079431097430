"""A checked `add`, and the result that is stored for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..extraction.messages import InputMessage
from ..ledger.base import Operation
from ..schemas import Data, Schema
from ..scope import Scope
from ..types import AddResult
from .digests import content_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRecord:
    """A typed record as it is given: the fields that were set."""

    schema: Schema
    values: Data


@dataclass(slots=True, kw_only=True)
class AddRequest:
    """A checked `add`, which nobody changes from then on; `scopes` holds the scope of each item."""

    items: Sequence[InputMessage]
    scopes: Sequence[Scope]
    scope: Scope
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    infer: bool = True
    kind: str | None = None
    procedural: bool = False
    prompt: str | None = None
    origin: str | None = None
    valid_from: int | None = None
    expires_at: int | None = None
    key: str | None = None
    background: bool = False
    after_seconds: float | None = None
    progress: bool = False
    records: Sequence[GivenRecord] = ()
    """Typed records in place of items."""

    def options(self) -> dict[str, Any]:
        """Return everything but the content, as JSON for the durable queue."""
        return {
            "scope": self.scope.as_dict(),
            "metadata": dict(self.metadata),
            "kind": self.kind,
            "procedural": self.procedural,
            "prompt": self.prompt,
            "origin": self.origin,
            "valid_from": self.valid_from,
            "expires_at": self.expires_at,
        }

    def digest(self) -> bytes:
        """Return what recognises the same call made again."""
        content: list[list[Any]] = [
            [i.role, i.content, i.name, i.created_at, i.metadata, scope.as_dict(), i.id]
            for i, scope in zip(self.items, self.scopes, strict=True)
        ]
        content += [[given.schema.kind, given.values] for given in self.records]
        return content_digest([content, self.options(), self.infer])


def result_of(operation: Operation) -> AddResult:
    """Return the result of a finished operation; without outcomes where an erasure took them."""
    if operation.result is None:
        return AddResult(operation_id=operation.id)
    return AddResult.model_validate_json(operation.result)
