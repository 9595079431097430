"""Taking memories in that are somewhere else already, with their vectors: from an index that outlived its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from ..errors import ConfigurationError, InvalidInputError
from ..progress import Progress, progress_bar
from ..schemas import Schemas
from ..scope import write_scope
from ..types import KINDS, ImportResult
from ..vector_stores.base import StoreRecord, unit_rows
from .archive import ArchivedMemory
from .core import Engine
from .digests import slot_digest
from .restore import look, restore, scope_of
from .start import ready

if TYPE_CHECKING:
    from ..ledger.records import Vector

_PAGE: Final = 500
_NEEDED: Final = (
    "memory", "kind", "user_id", "agent_id", "run_id", "metadata", "created_at", "updated_at", "valid_from", "origin",
)  # fmt: skip
"""Keys without which a payload does not say what a memory was."""


@dataclass(slots=True)
class Found:
    """What a page of a source holds."""

    memories: list[ArchivedMemory] = field(default_factory=list[ArchivedMemory])
    vectors: dict[str, Vector] = field(default_factory=dict[str, "Vector"])
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    """Ids of what cannot be taken, and why."""


async def take(
    engine: Engine, found: Found, result: ImportResult, *, source: str | None = None, dry_run: bool = False
) -> ImportResult:
    """Store a page of memories, one transaction an owner, and return the result with what became of it."""
    result = result.model_copy()
    result.found += len(found.memories) + len(found.skipped)
    result.skipped = result.skipped | found.skipped
    for memories in _by_owner(found.memories):
        done = (
            await look(engine, [], memories)
            if dry_run
            else await restore(engine, [], memories, vectors=found.vectors, source=source)
        )
        result.imported += done.memories
        result.present += done.present
        result.conflicts = [*result.conflicts, *done.conflicts]
        result.pending = done.pending
        if done.memories and not dry_run:
            result.operations = [*result.operations, done.operation_id]
    return result


def _by_owner(memories: Iterable[ArchivedMemory]) -> list[list[ArchivedMemory]]:
    def owner(item: ArchivedMemory) -> str:
        found = scope_of(item).owner
        return f"{found.kind} {found.id}"

    return [list(group) for _, group in groupby(sorted(memories, key=owner), key=owner)]


async def recover(engine: Engine, *, progress: Progress) -> ImportResult:
    """Take what an index holds, and this ledger does not, into the ledger: what `repair(from_index=True)` does.

    Raises:
        ConfigurationError: There is no external index.
        EmbedderMismatchError: The index holds vectors of another embedder.
        BackendError: The index cannot be reached.
    """
    store = engine.parts.store()
    if store is None:
        raise ConfigurationError(
            "There is no external index to take records from: the ledger holds the vectors itself. Name one with "
            "`vector_store=` (`MEMKIT_VECTOR_STORE`)."
        )
    await ready(engine, write=True, repairing=True)
    embedder = await engine.embedder()
    await engine.ask(store.name, store.open, dim=embedder.dim, embedder=embedder.identity)
    total = (await engine.ask(store.name, store.info)).count
    result, cursor = ImportResult(), None
    with progress_bar(total, f"Reading {store.name}", enabled=progress) as bar:
        while True:
            page = await engine.ask(store.name, store.list, None, _PAGE, cursor)
            found = _read(page.records, store.name, engine.parts.schemas)
            result = await take(engine, found, result, source=store.name)
            bar.advance(len(page.records))
            cursor = page.cursor
            if cursor is None:
                break
    if result.conflicts:
        # The ledger's word counts where both know a memory.
        await engine.call(engine.ledger.enqueue_all, store.name)
    return result


def _read(points: Sequence[StoreRecord], name: str, schemas: Schemas) -> Found:
    found = Found()
    for point in points:
        missing = [key for key in _NEEDED if key not in point.payload]
        if missing:
            found.skipped[point.id] = f"The payload lacks {', '.join(missing)}."
            continue
        try:
            memory = _memory(point.id, point.payload, name, schemas)
        except (ValidationError, InvalidInputError) as error:
            found.skipped[point.id] = f"The payload is no memory: {why(error)}"
            continue
        found.memories.append(memory)
        found.vectors[memory.id] = unit_rows(point.vector[None])[0]
    return found


def _memory(id: str, payload: Mapping[str, Any], name: str, schemas: Schemas) -> ArchivedMemory:
    known = {key: value for key, value in payload.items() if key in ArchivedMemory.model_fields}
    metadata = dict(payload["metadata"])
    data, slot = None, None
    if payload["kind"] not in KINDS and isinstance(metadata.get("data"), dict):
        # The fields of a typed record lie among the metadata, where filters reach them.
        data = metadata.pop("data")
        schema = schemas.named(payload["kind"])
        slot = None if schema is None else slot_digest(schema.kind, schema.key_of(data)).hex()
    memory = ArchivedMemory.model_validate(
        {
            **known, "id": id, "metadata": metadata, "data": data, "slot": slot, "score": None,
            "recorded_at": payload["updated_at"], "reason": f"recovered from the index {name!r}",
        }
    )  # fmt: skip
    write_scope(memory.user_id, memory.agent_id, memory.run_id)
    return memory


def why(error: ValidationError | InvalidInputError) -> str:
    """Return what is wrong with a record, in one sentence."""
    if isinstance(error, InvalidInputError):
        return error.message
    problem = error.errors(include_url=False, include_input=False)[0]
    return f"`{'.'.join(str(part) for part in problem['loc'])}`: {problem['msg']}."
