"""A scope as SQL: which owners may hold its rows, and which of their rows are in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ...scope import ReadScope

_MANY: Final = 400
"""More owners than this are named by their kind instead of one by one."""


def owner_numbers(conn: sqlite3.Connection, scope: ReadScope) -> list[int] | None:
    """Return the numbers of owners that may hold rows of the scope, ascending; None means all of them.

    A scope without a user covers agents' and runs' rows only. A run alone covers the run's own rows and those of
    agents in that run.
    """
    if scope.everyone:
        return None
    if scope.user_id is not None:
        rows = conn.execute("SELECT no FROM owner WHERE kind = 'user' AND id = ?", (scope.user_id,))
        return [row[0] for row in rows]
    found: set[int] = set()
    agents, runs = scope.agents, scope.runs
    if agents is None or None in agents:
        found.update(_run_owners(conn, runs))
    if agents is not None:
        found.update(_named(conn, "agent", [a for a in agents if a is not None]))
    elif runs is None or None in runs:
        found.update(row[0] for row in conn.execute("SELECT no FROM owner WHERE kind = 'agent'"))
    else:
        for run in runs:
            found.update(row[0] for row in conn.execute("SELECT owner FROM agent_run WHERE run = ?", (run,)))
    return sorted(found)


def _run_owners(conn: sqlite3.Connection, runs: frozenset[str | None] | None) -> list[int]:
    if runs is None:
        return [row[0] for row in conn.execute("SELECT no FROM owner WHERE kind = 'run'")]
    return _named(conn, "run", [run for run in runs if run is not None])


def _named(conn: sqlite3.Connection, kind: str, ids: Sequence[str]) -> list[int]:
    sql = "SELECT no FROM owner WHERE kind = ? AND id = ?"
    return [row[0] for one in ids for row in conn.execute(sql, (kind, one))]


def scope_where(
    conn: sqlite3.Connection, scope: ReadScope, table: str, owners: Sequence[int] | None = None
) -> tuple[list[str], list[Any]] | None:
    """Return the conditions and parameters of a scope on `record` or `message`; None when nothing can match."""
    numbers = owner_numbers(conn, scope) if owners is None else owners
    clauses: list[str] = []
    parameters: list[Any] = []
    if numbers is not None:
        if not numbers:
            return None
        if len(numbers) == 1:
            clauses.append(f"{table}.owner = ?")
            parameters.append(numbers[0])
        elif len(numbers) <= _MANY:
            clauses.append(f"{table}.owner IN ({','.join('?' * len(numbers))})")
            parameters.extend(numbers)
        else:
            clauses.append(f"{table}.owner IN (SELECT no FROM owner WHERE kind != 'user')")
    for column, allowed in (("agent", scope.agents), ("run", scope.runs)):
        if allowed is not None:
            clauses.append(_one_of(f"{table}.{column}", allowed, parameters))
    return clauses, parameters


def _one_of(column: str, allowed: frozenset[str | None], parameters: list[Any]) -> str:
    named = sorted(one for one in allowed if one is not None)
    parameters.extend(named)
    if len(named) == 1 and None not in allowed:
        return f"{column} = ?"
    parts = [f"{column} IN ({','.join('?' * len(named))})"] if named else []
    if None in allowed:
        parts.append(f"{column} IS NULL")
    return f"({' OR '.join(parts)})"
