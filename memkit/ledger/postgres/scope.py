"""A scope as PostgreSQL's SQL: which owners may hold its rows, and which of their rows are in it."""

from __future__ import annotations

from typing import Any

from ...scope import ReadScope
from ..wheres import current_at

Condition = tuple[str, list[Any]]
"""Text with its parameters."""


def owners_select(scope: ReadScope) -> Condition | None:
    """Return the statement that gives the numbers of owners that may hold rows of a scope; None means all of them.

    A scope without a user covers agents' and runs' rows only. A run alone covers the run's own rows and those of
    agents in that run.
    """
    if scope.everyone:
        return None
    if scope.user_id is not None:
        return "SELECT no FROM owner WHERE kind = 'user' AND id = %s", [scope.user_id]
    agents, runs = scope.agents, scope.runs
    parts: list[str] = []
    parameters: list[Any] = []
    if agents is None or None in agents:
        parts.append("kind = 'run'")
        if runs is not None:
            parts[-1] += " AND id = ANY(%s)"
            parameters.append(_named(runs))
    if agents is not None:
        parts.append("kind = 'agent' AND id = ANY(%s)")
        parameters.append(_named(agents))
    elif runs is None or None in runs:
        parts.append("kind = 'agent'")
    else:
        parts.append("no IN (SELECT owner FROM agent_run WHERE run = ANY(%s))")
        parameters.append(_named(runs))
    return " UNION ALL ".join(f"SELECT no FROM owner WHERE {part}" for part in parts), parameters


def scope_where(scope: ReadScope, table: str) -> tuple[list[str], list[Any]]:
    """Return the conditions and parameters of a scope on `record` or `message`."""
    clauses: list[str] = []
    parameters: list[Any] = []
    owners = owners_select(scope)
    if owners is not None:
        only_one = scope.user_id is not None
        clauses.append(f"{table}.owner {'=' if only_one else 'IN'} ({owners[0]})")
        parameters += owners[1]
    for column, allowed in (("agent", scope.agents), ("run", scope.runs)):
        if allowed is not None:
            clauses.append(_one_of(f"{table}.{column}", allowed, parameters))
    return clauses, parameters


def live_where(scope: ReadScope, at: int, *, present: bool, include_closed: bool) -> Condition:
    """Return the condition that a record is in a scope, live, and current at an instant."""
    clauses, parameters = scope_where(scope, "record")
    current, more = current_at(
        at, present=present, include_closed=include_closed, mark="%s", latest="greatest"
    )
    return " AND ".join([*clauses, "record.deleted = 0", current]), [*parameters, *more]


def _named(allowed: frozenset[str | None]) -> list[str]:
    return sorted(one for one in allowed if one is not None)


def _one_of(column: str, allowed: frozenset[str | None], parameters: list[Any]) -> str:
    parameters.append(_named(allowed))
    named = f"{column} = ANY(%s)"
    return f"({named} OR {column} IS NULL)" if None in allowed else named
