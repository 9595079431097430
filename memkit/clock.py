"""Instants: microseconds since 1970 in UTC inside, `datetime` with a zone outside."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from .errors import InvalidInputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000_000
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)

Instant = datetime | date | str | int | float
"""What callers may give: a datetime (naive is UTC), a date, ISO 8601 text, or seconds since 1970."""


def now_us() -> int:
    """Return the present instant in microseconds."""
    return time.time_ns() // 1000


def to_us(value: Instant, *, field: str = "time", end_of_day: bool = False) -> int:
    """Return an instant in microseconds; a bare date is its first moment, or its last with `end_of_day`.

    Raises:
        InvalidInputError: The value is not an instant or does not exist in the calendar.
    """
    moment, bare = _parse(value, field)
    us = (moment - _EPOCH) // timedelta(microseconds=1)
    us += _DAY - 1 if bare and end_of_day else 0
    if not _FIRST <= us <= _LAST:
        raise InvalidInputError(f"`{field}` is outside the years 1 to 9999 in UTC: {value!r}.", field=field)
    return us


def as_of_us(value: Instant) -> int:
    """Return the instant whose truth is asked for; of a bare date it is its last but one.

    What holds until that day ends with its last, and an end is exclusive.

    Raises:
        InvalidInputError: The value is not an instant or does not exist in the calendar.
    """
    us = to_us(value, field="as_of", end_of_day=True)
    return us - 1 if is_bare_date(value) else us


def to_datetime(us: int) -> datetime:
    """Return microseconds as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=us)


def to_iso(us: int) -> str:
    """Return microseconds as ISO 8601 text in UTC."""
    return to_datetime(us).isoformat()


def offset_minutes(value: Instant | None) -> int:
    """Return the zone offset that the value itself carries, in minutes; 0 where it has none."""
    if value is None:
        return 0
    moment, _ = _parse(value, "time")
    delta = moment.utcoffset()
    return int(delta.total_seconds() // 60) if delta else 0


def is_bare_date(value: object) -> bool:
    """Return whether the value names a day and no time of day."""
    if isinstance(value, datetime):
        return False
    if isinstance(value, date):
        return True
    try:
        return isinstance(value, str) and len(text := value.strip()) <= 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _parse(value: Instant, field: str) -> tuple[datetime, bool]:
    bare = is_bare_date(value)
    try:
        if isinstance(value, bool):
            raise TypeError("a bool is not an instant")
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
        else:
            moment = _EPOCH + timedelta(seconds=value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInputError(
            f"`{field}` is not an instant: {value!r}. Give a datetime, a date, or ISO 8601 text "
            "such as '2026-03-01T09:30:00+01:00'.",
            field=field,
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), bare
