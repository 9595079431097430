"""What `MemkitStore` reads in a value: the texts it is found by, and whether it passes a filter."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from langgraph.store.base import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
    get_text_at_path,
    tokenize_path,
)

from memkit.errors import ConfigurationError, FilterError

Test = Callable[[Any], bool]
_WHOLE: Final = "$"


# ------------------------------------------------------------------------------------------- texts


def checked_paths(paths: object, where: str) -> Sequence[str]:
    """Return a list of paths.

    Raises:
        ConfigurationError: It is something else.
    """
    listed = cast("Sequence[object]", paths) if isinstance(paths, list | tuple) else None
    if listed is None or not all(isinstance(path, str) and path for path in listed):
        raise ConfigurationError(
            f"{where} must be a list of paths, such as ['text', 'messages[*].content'], not {paths!r:.80}."
        )
    return cast("Sequence[str]", listed)


def texts_at(value: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    """Return the texts at some paths, each once; `$` is the whole value as JSON, unless it is empty."""
    found: dict[str, None] = {}
    for path in paths if value else ():
        whole = path == _WHOLE
        found.update(dict.fromkeys(get_text_at_path(value, path if whole else tokenize_path(path))))
    return list(found)


# ------------------------------------------------------------------------------------------- filters


def compiled(filters: object) -> Test | None:
    """Return the test that a filter is: every key has to hold.

    A key is one of the value, or a path into it with dots. A missing key is the same as None: it equals None alone and
    differs (`$ne`) from everything else, and is neither less nor greater. A bool is no number. Texts that are both ISO
    dates compare as instants, other texts as texts; values of different kinds are never less or greater.

    Raises:
        FilterError: An operator is unknown, or an operand has no order.
    """
    if filters is None:
        return None
    if not isinstance(filters, Mapping):
        raise FilterError(f"`filter` must be a dict, such as {{'color': 'red'}}, not {filters!r:.80}.")
    wanted = cast("Mapping[object, object]", filters)
    for key in wanted:
        if not isinstance(key, str) or key.startswith("$"):
            raise FilterError(
                f"`filter` has the key {key!r}. Name a field of the value first: {{'stars': {{'$gte': 3}}}}."
            )
    return _all_of(cast("Mapping[str, object]", wanted)) if wanted else None


def _all_of(wanted: Mapping[str, object]) -> Test:
    tests = [(key, _test(key, operand)) for key, operand in wanted.items()]
    return lambda value: all(test(_at(value, key)) for key, test in tests)


def _test(key: str, operand: object) -> Test:
    if not isinstance(operand, Mapping):
        return lambda value: _same(value, operand)
    inner = cast("Mapping[str, object]", operand)
    if not any(str(name).startswith("$") for name in inner):
        nested = _all_of(inner)
        return lambda value: isinstance(value, Mapping) and nested(value)
    tests = [_operator(key, name, given) for name, given in inner.items()]
    return lambda value: all(test(value) for test in tests)


def _operator(key: str, name: str, operand: object) -> Test:
    if name == "$eq":
        return lambda value: _same(value, operand)
    if name == "$ne":
        return lambda value: not _same(value, operand)
    test = _ORDER.get(name)
    if test is None:
        raise FilterError(
            f"The filter on {key!r} has the unknown operator {name!r}. Known: $eq, $ne, $gt, $gte, $lt, $lte."
        )
    if _kind(operand) is None:
        raise FilterError(
            f"{name} on {key!r} needs a number or a text (an ISO date is one), not {operand!r:.80}."
        )
    return lambda value: _kind(value) == _kind(operand) and test(*_comparable(value, operand))


_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def _kind(value: object) -> str | None:
    """Return what a value can be less or greater than: a number or a text."""
    if isinstance(value, bool):
        return None
    return "number" if isinstance(value, int | float) else "text" if isinstance(value, str) else None


def _comparable(value: Any, operand: Any) -> tuple[Any, Any]:
    """Return two values of one kind as they compare."""
    if isinstance(value, str):
        one, other = _instant(value), _instant(operand)
        if one is not None and other is not None:
            return one, other
    return value, operand


_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def _instant(text: str) -> datetime | None:
    if not _DATE.match(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _same(value: object, operand: object) -> bool:
    """Compare as JSON does: a bool is no number, 1 is 1.0, and the order of keys does not matter."""
    if isinstance(value, bool) or isinstance(operand, bool):
        return value is operand
    if isinstance(value, list | tuple) and isinstance(operand, list | tuple):
        one, other = cast("Sequence[object]", value), cast("Sequence[object]", operand)
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(value, Mapping) and isinstance(operand, Mapping):
        mine, theirs = cast("Mapping[str, object]", value), cast("Mapping[str, object]", operand)
        return mine.keys() == theirs.keys() and all(_same(mine[key], theirs[key]) for key in mine)
    return value == operand


def _at(value: object, key: str) -> object:
    """Return what is at a key, or at a path with dots; None where nothing is."""
    if not isinstance(value, Mapping):
        return None
    known = cast("Mapping[str, object]", value)
    if key in known:
        return known[key]
    head, dot, rest = key.partition(".")
    while dot:
        if head in known and (found := _at(known[head], rest)) is not None:
            return found
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return None
