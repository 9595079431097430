"""Conditions on rows that every SQL ledger has, apart from how its dialect spells two things."""

from __future__ import annotations

from typing import Any


def current_at(
    at: int, *, present: bool, include_closed: bool, mark: str = "?", latest: str = "max"
) -> tuple[str, list[Any]]:
    """Return the condition that a live record is current at an instant; expired ones never are.

    At `present` no record is older than its last change, whatever the clock says.

    Args:
        at: The instant.
        present: Whether it is now.
        include_closed: Whether what is not valid then is wanted as well.
        mark: What stands for a parameter.
        latest: The function that gives the later of two instants.
    """
    unexpired = f"(record.expires_at IS NULL OR record.expires_at > {mark})"
    if include_closed:
        return unexpired, [at]
    moment = f"{latest}({mark}, record.updated_at)" if present else mark
    return (
        f"{unexpired} AND coalesce(record.valid_from, record.created_at) <= {moment}"
        f" AND (record.valid_until IS NULL OR record.valid_until > {moment})",
        [at, at, at],
    )
