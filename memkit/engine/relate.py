"""What memories say of their entities where no model says it: read from their words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from ..clock import to_datetime
from ..graph_parts import graph_ledger
from ..graph_stores.base import GraphTriple, fold_name
from ..ledger.base import AddRecord, Applied, Record
from ..ledger.graph import is_speaker, projected
from ..types import AddResult, Relation
from .core import Engine

if TYPE_CHECKING:
    from ..extraction.relations import Related

_PAGE: Final = 500


def relate(engine: Engine, add: AddRecord) -> None:
    """Give a new record what its words say, where a graph is kept and nothing else was said."""
    if engine.parts.graph.on and not add.entities and not add.relations:
        add.entities, add.relations = _read(add.text, add.role, add.actor_id)


def with_relations(engine: Engine, result: AddResult, applied: Applied) -> AddResult:
    """Return the result of an add with what the memories it added say, where a graph is kept."""
    if not engine.parts.graph.on:
        return result
    said: dict[tuple[str, str, str], Relation] = {}
    for change in applied.changes:
        record = change.record
        if change.status == "applied" and record is not None and record.relations and record.version == 1:
            for edge in projected(record).edges:
                key = (edge.source.key, edge.relation, edge.target.key)
                known = said.setdefault(key, _relation(edge, record))
                if record.id not in known.memory_ids:
                    known.memory_ids.append(record.id)
    return result.model_copy(update={"relations": list(said.values())}) if said else result


def _relation(edge: GraphTriple, record: Record) -> Relation:
    return Relation(
        source=edge.source.name,
        relation=edge.relation,
        target=edge.target.name,
        source_kind=edge.source.kind,
        target_kind=edge.target.kind,
        valid_from=to_datetime(record.valid_from),
        valid_until=None if record.valid_until is None else to_datetime(record.valid_until),
        memory_ids=[record.id],
    )


def corrected(engine: Engine, record: Record, text: str) -> dict[str, Any]:
    """Return the entities and relations of a memory whose text is corrected, as far as they change.

    What its new text no longer names is gone; what it says now is read from it, where a graph is kept.
    """
    if not (record.entities or record.relations or engine.parts.graph.on):
        return {}
    folded = fold_name(text)

    def named(name: str) -> bool:
        return is_speaker(name) or fold_name(name) in folded

    entities = [(name, kind) for name, kind in record.entities if named(name)]
    relations = [edge for edge in record.relations if named(edge[0]) and named(edge[2])]
    if engine.parts.graph.on:
        found = _read(text, record.role, record.actor_id)
        known = {fold_name(name) for name, _ in entities}
        entities += [one for one in found.entities if fold_name(one[0]) not in known]
        relations += [edge for edge in found.relations if edge not in relations]
    changed: dict[str, Any] = {}
    if entities != list(record.entities):
        changed["entities"] = entities
    if relations != list(record.relations):
        changed["relations"] = relations
    return changed


async def read_relations(engine: Engine) -> None:
    """Read what live memories say that were kept while there was no graph; no model is called."""
    ledger = graph_ledger(engine.ledger)
    after = -1
    while records := await engine.call(ledger.unrelated, _PAGE, after):
        await engine.call(ledger.relate, await engine.rt.work(_read_all, records))
        if len(records) < _PAGE:
            return
        after = records[-1].rid


def _read_all(records: Sequence[Record]) -> list[tuple[Record, Related]]:
    found = [(record, _read(record.text, record.role, record.actor_id)) for record in records]
    return [(record, said) for record, said in found if said.entities or said.relations]


def _read(text: str, role: str | None, actor: str | None) -> Related:
    """Return what a text says; of an assistant without a name, nothing is a user's fact."""
    from ..extraction.relations import Related, relations_in  # late: most memories are kept without a graph

    if role in ("assistant", "tool", "system") and actor is None:
        return Related([], [])
    return relations_in(text)
