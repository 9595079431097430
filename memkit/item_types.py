"""Items of the key-value store, and the operations that `memory.items` takes.

An item is a JSON value under a namespace and a key. Items lie outside users' scopes: no `search`, `get_all`, `history`
or `forget` of a user ever touches them, and only `DeleteItem`, their time to live and `reset` end them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from .errors import InvalidInputError
from .types import Model

Namespace = tuple[str, ...]


class StoreItem(Model):
    """One item of the key-value store."""

    namespace: Namespace
    key: str
    value: Any
    """JSON, as it was given; nothing else holds on to it."""
    version: int
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    score: float | None = None
    """In a search by meaning: the cosine, in [0, 1]; None where the item is not found by any text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetItem:
    """Gives the `StoreItem`, or None.

    Args:
        refresh: Begin the item's time to live anew.
    """

    namespace: Sequence[str]
    key: str
    refresh: bool = False

    def __post_init__(self) -> None:
        """Check what was given."""
        _set(self, "namespace", checked_namespace(self.namespace))
        _check_text("key", self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutItem:
    """Keeps a value in the place of what is there, and gives the `StoreItem`.

    Args:
        value: JSON: None, a bool, a finite number, a text, a list, or a dict with texts for keys. It is copied.
        texts: What a search by meaning finds the item by, each text for itself; the best one counts.
        ttl: Seconds until it expires; None keeps it.
    """

    namespace: Sequence[str]
    key: str
    value: Any
    texts: Sequence[str] = ()
    ttl: float | None = None
    encoded: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check what was given, and take the value as it is now."""
        _set(self, "namespace", checked_namespace(self.namespace))
        _check_text("key", self.key)
        _set(self, "encoded", encoded_json(self.value))
        _set(self, "texts", _checked_texts(self.texts))
        if self.ttl is not None:
            _check_ttl(self.ttl)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteItem:
    """Erases an item, and gives whether there was one."""

    namespace: Sequence[str]
    key: str

    def __post_init__(self) -> None:
        """Check what was given."""
        _set(self, "namespace", checked_namespace(self.namespace))
        _check_text("key", self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchItems:
    """Gives the items under a namespace as a list of `StoreItem`.

    With a query the best first, after them those that are not found by any text; else the last changed first.

    Args:
        prefix: The labels that the namespace begins with, each whole; none of them is everything.
        query: What to look for by meaning; None or blank lists.
        where: Only items whose value it returns True for. It must not call the memory.
        refresh: Begin the time to live of every item found anew.
    """

    prefix: Sequence[str] = ()
    query: str | None = None
    where: Callable[[Any], bool] | None = None
    limit: int = 10
    offset: int = 0
    refresh: bool = False

    def __post_init__(self) -> None:
        """Check what was given."""
        _set(self, "prefix", checked_namespace(self.prefix, "prefix"))
        if self.query is not None:
            _check_text("query", self.query)
        _check_page(self.limit, self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNamespaces:
    """Gives the namespaces that hold items as a list of tuples, ordered label by label.

    Args:
        prefix: The labels that they begin with.
        where: Only namespaces it returns True for; it sees them whole.
        max_depth: Cut deeper ones to so many labels, and give each once.
    """

    prefix: Sequence[str] = ()
    where: Callable[[Namespace], bool] | None = None
    max_depth: int | None = None
    limit: int = 100
    offset: int = 0

    def __post_init__(self) -> None:
        """Check what was given."""
        _set(self, "prefix", checked_namespace(self.prefix, "prefix"))
        _check_page(self.limit, self.offset)
        if self.max_depth is not None and not _is_count(self.max_depth, 1):
            raise InvalidInputError(
                f"`max_depth` must be a whole number from 1 on, not {self.max_depth!r}.", field="max_depth"
            )


ItemOperation = GetItem | PutItem | DeleteItem | SearchItems | ListNamespaces
ItemResult = StoreItem | list[StoreItem] | list[Namespace] | bool | None


def checked_namespace(namespace: object, name: str = "namespace") -> Namespace:
    """Return a namespace as a tuple; only a prefix may be empty.

    Raises:
        InvalidInputError: It is no sequence of labels, or a label is empty or cannot be stored.
    """
    if isinstance(namespace, str | bytes | Mapping) or not isinstance(namespace, Iterable):
        raise InvalidInputError(
            f"`{name}` must be a tuple of labels, such as ('memories', 'alice'), not {namespace!r:.80}.",
            field=name,
        )
    labels = tuple(cast("Iterable[str]", namespace))
    for label in labels:
        _check_text(name, label, f"a label of `{name}` {labels!r:.80}")
        if not label or "\0" in label:
            raise InvalidInputError(
                f"A label of `{name}` {labels!r:.80} is empty or holds a NUL. Name every level.", field=name
            )
    if not labels and name == "namespace":
        raise InvalidInputError(
            "`namespace` is empty. Give at least one label, such as ('memories',).", field=name
        )
    return labels


def encoded_json(value: object) -> str:
    """Return a value as JSON that gives the same value back; tuples become lists.

    Raises:
        InvalidInputError: It holds what JSON cannot: NaN, a key that is no text, an object; or it holds itself.
    """
    try:
        _check_keys(value)
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"`value` cannot be kept as JSON: {error}. Give dicts with texts for keys, lists, texts, finite numbers, "
            "bools and None.",
            field="value",
        ) from error
    return (
        text
        if _storable(text)
        else json.dumps(value, allow_nan=False, separators=(",", ":"), default=_as_dict)
    )


def _checked_texts(texts: object) -> tuple[str, ...]:
    """Return what can be embedded: a blank text has no meaning to be found by, a lone surrogate no bytes."""
    if not isinstance(texts, list | tuple) or not all(
        isinstance(text, str) for text in cast("Sequence[object]", texts)
    ):
        raise InvalidInputError(f"`texts` must be a list of texts, not {texts!r:.80}.", field="texts")
    given = cast("Sequence[str]", texts)
    return tuple(text.encode("utf-8", "replace").decode() for text in given if text.strip())


def _check_keys(value: object) -> None:
    if isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is no text")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in cast("Sequence[object]", value):
            _check_keys(inner)


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise TypeError(f"{type(value).__name__} is no JSON")


def _set(operation: object, name: str, value: object) -> None:
    object.__setattr__(operation, name, value)


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_text(name: str, value: object, what: str | None = None) -> None:
    if not isinstance(value, str) or not _storable(value):
        raise InvalidInputError(
            f"{what or f'`{name}`'} must be a text without lone surrogates, not {value!r:.80}.", field=name
        )


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 1 << 31


def _check_page(limit: object, offset: object) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if not _is_count(value, 0):
            raise InvalidInputError(
                f"`{name}` must be a whole number from 0 to 2,147,483,647, not {value!r}.", field=name
            )


_LONGEST_TTL = 1_000 * 366 * 86_400.0


def _check_ttl(ttl: object) -> None:
    if (
        isinstance(ttl, bool)
        or not isinstance(ttl, int | float)
        or not math.isfinite(ttl)
        or not 0 <= ttl <= _LONGEST_TTL
    ):
        raise InvalidInputError(
            f"`ttl` must be seconds from 0 to a thousand years, or None, not {ttl!r}.", field="ttl"
        )
