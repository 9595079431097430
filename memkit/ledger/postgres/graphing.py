"""The part of the PostgreSQL ledger that is about entities and relations, and the graph that it gives to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from ...graph_stores.base import GraphStore
from ...postgres.session import Session
from ...runtime import run_inline
from ...scope import Owner, ReadScope, Scope
from ..graph import Alias, AliasEvent, GraphLedger, OwnGraph, Related
from ..records import AliasChange, Record
from ..rows import dump, stored_id, unpack_id
from .base import PostgresBase, reading, writing
from .graph import put_graph
from .graph_reads import PostgresGraphReads, Work
from .rebuild import lock_owners, reset_caches
from .rows import RECORDS, owned_records
from .scope import owners_select

R = TypeVar("R")

_SAME: Final = (
    "a.owner = alias.owner AND a.key = alias.key"
    " AND a.agent IS NOT DISTINCT FROM alias.agent AND a.run IS NOT DISTINCT FROM alias.run"
)
_ALIAS: Final = "owner.kind, owner.id, alias.agent, alias.run, alias.key, alias.root"
_ALIASES: Final = f"""
SELECT {_ALIAS} FROM (
    SELECT DISTINCT ON (owner, agent, run, key) * FROM alias {{where}} ORDER BY owner, agent, run, key, no DESC
) alias JOIN owner ON owner.no = alias.owner ORDER BY alias.no"""
_ALIAS_EVENTS: Final = f"""
SELECT {_ALIAS},
    (SELECT a.root FROM alias a WHERE {_SAME} AND a.no < alias.no ORDER BY a.no DESC LIMIT 1),
    (SELECT o.id FROM alias a JOIN operation o ON o.no = a.op
     WHERE {_SAME} AND a.no > alias.no AND a.op != alias.op ORDER BY a.no LIMIT 1)
FROM alias JOIN owner ON owner.no = alias.owner
WHERE alias.op = (SELECT no FROM operation WHERE id = %s) ORDER BY alias.no"""

_RELATE: Final = """
UPDATE record SET entities = said.entities, relations = said.relations
FROM unnest(%s::bigint[], %s::integer[], %s::text[], %s::text[]) AS said (rid, version, entities, relations)
WHERE record.rid = said.rid AND record.version = said.version AND record.deleted = 0 RETURNING record.rid"""


class LedgerGraph(OwnGraph, PostgresGraphReads):
    """The graph that a ledger keeps in its own tables; it is written by the ledger alone."""

    saying = " AND EXISTS (SELECT 1 FROM node WHERE node.rid = record.rid)"

    def __init__(self, ledger: PostgresGraphing) -> None:
        self._ledger = ledger

    def _look(self, work: Work[R], empty: Callable[[], R]) -> R:
        return self._ledger.read_graph(work, empty)

    async def _alook(self, work: Work[R], empty: Callable[[], R]) -> R:
        return await self._ledger.aread_graph(work, empty)


class PostgresGraphing(PostgresBase, GraphLedger):
    """The part of a ledger that is about entities and relations."""

    @property
    def graph(self) -> GraphStore:
        """What live records say, read from the ledger's own rows."""
        return LedgerGraph(self)

    def read_graph(self, work: Work[R], empty: Callable[[], R]) -> R:
        """Run a read of the graph; return what `empty` gives while there is no ledger."""
        return run_inline(self._look(self._pools.blocking(), work, empty, snapshot=False))

    async def aread_graph(self, work: Work[R], empty: Callable[[], R]) -> R:
        """Run a read like `read_graph` without blocking the event loop."""
        return await self._look(self._pools.awaited(), work, empty, snapshot=False)

    @reading(list[Alias])
    async def aliases(self, s: Session, scope: ReadScope) -> Sequence[Alias]:
        """Return what holds of merged entities of the owners in a scope, in the order it was said."""
        found = owners_select(scope)
        where, args = ("", []) if found is None else (f"WHERE owner IN ({found[0]})", found[1])
        rows = await s.rows(_ALIASES.format(where=where), args)
        return [Alias(scope=_scope(Owner(*row[:2]), row[2], row[3]), key=row[4], root=row[5]) for row in rows]

    @reading(list[AliasEvent])
    async def alias_events(self, s: Session, operation_id: str) -> Sequence[AliasEvent]:
        """Return what an operation merged or parted, in order."""
        return [
            AliasEvent(
                AliasChange(scope=_scope(Owner(*row[:2]), row[2], row[3]), key=row[4], root=row[5]),
                row[6],
                None if row[7] is None else unpack_id(row[7]),
            )
            for row in await s.rows(_ALIAS_EVENTS, (stored_id(operation_id),))
        ]

    @reading(list[Record])
    async def unrelated(self, s: Session, limit: int, after: int = -1) -> Sequence[Record]:
        """Return live records with neither entities nor relations, by rid, after a rid."""
        rows = await s.rows(
            f"{RECORDS}WHERE record.rid > %s AND record.deleted = 0 AND record.entities IS NULL"
            " AND record.relations IS NULL ORDER BY record.rid LIMIT %s",
            (after, limit),
        )
        return owned_records(rows, self._book.salt)

    @writing(again=True)
    async def relate(self, s: Session, found: Sequence[tuple[Record, Related]]) -> None:
        """Give records that are still as they were read their entities and relations, as one transaction.

        Every cache of their owners starts anew.
        """
        await lock_owners(s, [record.owner for record, _ in found])
        rows = await s.rows(
            _RELATE,
            (
                [record.rid for record, _ in found],
                [record.version for record, _ in found],
                [dump(named) for _, (named, _) in found],
                [dump(said) for _, (_, said) in found],
            ),
        )
        same = {row[0] for row in rows}
        written = [
            replace(record, entities=tuple(named), relations=tuple(said))
            for record, (named, said) in found
            if record.rid in same
        ]
        await put_graph(s, [(record.rid, record) for record in written])
        await reset_caches(s, sorted({record.owner for record in written}))


def _scope(owner: Owner, agent: str | None, run: str | None) -> Scope:
    return Scope(user_id=owner.id if owner.kind == "user" else None, agent_id=agent, run_id=run)
