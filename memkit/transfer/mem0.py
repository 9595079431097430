"""Importing collections that mem0 wrote (1.x and 2.x), which are only read: from Qdrant, Chroma and pgvector.

A point of mem0 is a payload with the text under `data`, the scope, the times and the metadata, all side by side. Its
history lies in a SQLite file of its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from pydantic import ValidationError

from ..clock import now_us, to_datetime
from ..config import VectorStoreConfig, as_provider, load_config
from ..engine.archive import ArchivedChange, ArchivedMemory
from ..engine.core import Engine
from ..engine.embed import ask_embedder
from ..engine.recover import Found, take, why
from ..engine.start import ready
from ..errors import ConfigurationError, InvalidInputError
from ..extraction.messages import check_metadata
from ..progress import Progress, progress_bar
from ..scope import write_scope
from ..types import ImportResult
from ..vector_stores.base import StoreRecord, VectorStore, unit, unit_rows

COLLECTION: Final = "mem0"
"""mem0's default name of a collection."""
_FOLDER: Final = "/tmp/qdrant"  # noqa: S108 (where mem0 puts it)
"""mem0's default place of Qdrant."""
_PAGE: Final = 500
_SAMPLE: Final = 8
_SAME: Final = 0.98
"""Cosine above which two vectors of one text are of one embedder; services round a little from call to call."""
_OWN: Final = frozenset({
    "data", "hash", "user_id", "agent_id", "run_id", "actor_id", "role", "created_at", "updated_at", "memory_type",
    "text_lemmatized", "attributed_to", "expiration_date",
})  # fmt: skip
"""Keys of a payload that are mem0's; all others are metadata."""


async def import_mem0(
    engine: Engine,
    source: Any,
    *,
    collection: str | None = None,
    history: str | Path | None = None,
    dry_run: bool = False,
    progress: Progress = False,
) -> ImportResult:
    """Take the memories of a collection of mem0; see `Memory.import_mem0`."""
    store, log = _store(engine, source, collection)
    log = log if history is None else Path(history).expanduser()
    if history is not None and not Path(history).expanduser().is_file():
        raise ConfigurationError(f"There is no history file {str(history)!r}.")
    await ready(engine, write=not dry_run)
    try:
        return await _import(engine, store, log, dry_run=dry_run, progress=progress)
    finally:
        if store is not source:
            await engine.rt.work(store.close)


async def _import(
    engine: Engine, store: VectorStore, log: Path | None, *, dry_run: bool, progress: Progress
) -> ImportResult:
    result, cursor, keeps = ImportResult(dry_run=dry_run), None, None
    with progress_bar(0, "Importing from mem0", enabled=progress) as bar:
        while True:
            page = await engine.ask(store.name, store.foreign, _PAGE, cursor)
            found = _read(page.records, await engine.rt.work(_history, log, page.records))
            if keeps is None and found.memories:
                keeps = await _same_embedder(engine, found)
                result.vectors = "kept" if keeps else "new"
            if not keeps:
                found.vectors = {}
            result = await take(engine, found, result, dry_run=dry_run)
            bar.advance(len(page.records))
            cursor = page.cursor
            if cursor is None:
                return result


async def _same_embedder(engine: Engine, found: Found) -> bool:
    """Return whether mem0's vectors are those of this store's embedder: a few texts are embedded and compared."""
    embedder = await engine.embedder()
    sample = [item for item in found.memories if len(found.vectors.get(item.id, ())) == embedder.dim][
        :_SAMPLE
    ]
    if not sample:
        return False
    # With the line breaks as spaces, as mem0 embeds.
    texts = [item.memory.replace("\n", " ") for item in sample]
    rows = (await ask_embedder(engine, embedder, texts, "document")).vectors
    theirs = unit_rows(np.stack([found.vectors[item.id] for item in sample]))
    close = int((np.einsum("ij,ij->i", rows, theirs) >= _SAME).sum())
    return 4 * close >= 3 * len(sample)


# Where the collection is.


def _store(engine: Engine, source: Any, collection: str | None) -> tuple[VectorStore, Path | None]:
    """Return the store to read, and mem0's history file where its configuration names one that is there."""
    if isinstance(source, VectorStore):
        return source, None
    log: Path | None = None
    given: Any = source
    if isinstance(source, str | Path):
        given = _named(str(source))
        if given is None:
            config = load_config(Path(source))
            given = config.vector_store
            log = None if config.path is None else Path(str(config.path)).expanduser()
    elif isinstance(source, Mapping):
        values = dict(cast("Mapping[str, Any]", source))
        given = values if "provider" in values else values.get("vector_store")
        named = values.get("history_db_path")
        log = None if named is None else Path(str(named)).expanduser()
    wanted = as_provider(given or "qdrant", VectorStoreConfig)
    assert wanted is not None
    settings = dict(cast("Mapping[str, Any]", wanted.config or {}))
    settings["collection_name"] = collection or settings.get("collection_name") or COLLECTION
    if wanted.provider == "qdrant" and not settings.keys() & {"path", "url", "host", "client"}:
        settings["path"] = _FOLDER
    store = engine.parts.make_store(VectorStoreConfig(provider=wanted.provider, config=settings))
    if store is None:
        raise ConfigurationError(
            f"The vector store {wanted.provider!r} is in the ledger; mem0 writes none there."
        )
    if (path := settings.get("path")) is not None and not Path(str(path)).expanduser().is_dir():
        raise ConfigurationError(f"There is no {wanted.provider} database in {str(path)!r}: no such folder.")
    return store, log if log is not None and log.is_file() else None


def _named(source: str) -> dict[str, Any] | None:
    """Return the vector store that a URL or a folder is, None for a configuration file."""
    if source.startswith(("postgres://", "postgresql://")):
        return {"provider": "pgvector", "config": {"url": source}}
    if source.startswith(("http://", "https://")):
        return {"provider": "qdrant", "config": {"url": source}}
    if "://" in source:
        # Whatever it is, a password may be in it.
        scheme = source.partition("://")[0]
        raise ConfigurationError(
            f"No collection of mem0 is read from {scheme!r}. Give a URL of Qdrant ('https://...') or PostgreSQL "
            "('postgresql://...'), a folder of Qdrant or Chroma, or mem0's configuration."
        )
    folder = Path(source).expanduser()
    if not folder.is_dir():
        if folder.is_file():
            return None
        raise ConfigurationError(
            f"{source!r} is no folder of Qdrant or Chroma, no configuration file, and no URL of Qdrant or PostgreSQL."
        )
    if (folder / "chroma.sqlite3").is_file():
        return {"provider": "chroma", "config": {"path": source}}
    if (folder / "meta.json").is_file():
        return {"provider": "qdrant", "config": {"path": source}}
    raise ConfigurationError(f"{source!r} holds neither `meta.json` (Qdrant) nor `chroma.sqlite3` (Chroma).")


# What a point says.


def _read(points: Sequence[StoreRecord], logs: Mapping[str, list[dict[str, Any]]]) -> Found:
    found = Found()
    for point in points:
        try:
            memory = _memory(point.id, point.payload, logs.get(point.id, []))
        except (ValidationError, InvalidInputError) as error:
            found.skipped[point.id] = why(error)
            continue
        found.memories.append(memory)
        if len(point.vector) and np.isfinite(point.vector).all():
            found.vectors[point.id] = unit(point.vector)
    return found


def _memory(id: str, payload: Mapping[str, Any], log: Sequence[dict[str, Any]]) -> ArchivedMemory:
    text = payload.get("data")
    if not isinstance(text, str) or not text.strip():
        raise InvalidInputError("The payload has no text under `data`.")
    metadata = {key: value for key, value in payload.items() if key not in _OWN}
    check_metadata(metadata, "the metadata")
    scope = write_scope(payload.get("user_id"), payload.get("agent_id"), payload.get("run_id"))
    said = payload.get("created_at") or payload.get("updated_at") or None
    created = said or to_datetime(now_us())
    changes = _changes(log, text)
    role = payload.get("role")
    procedure = payload.get("memory_type") == "procedural_memory"
    by_assistant = "assistant" in (role, payload.get("attributed_to"))
    return ArchivedMemory.model_validate(
        {
            **scope.as_dict(), "id": id, "memory": text, "metadata": metadata,
            "kind": "procedure" if procedure else "fact" if role is None else "message",
            "created_at": created, "updated_at": payload.get("updated_at") or created, "valid_from": created,
            "expires_at": _end_of(payload.get("expiration_date")), "dated": said is not None,
            "actor_id": payload.get("actor_id"), "role": role, "origin": "assistant" if by_assistant else "user",
            "reason": "imported from mem0", "changes": changes,
            "recorded_at": log[0]["created_at"] if changes else payload.get("updated_at") or said,
        }
    )  # fmt: skip


def _end_of(day: object) -> datetime | None:
    """Return the instant after the last day on which mem0 shows a memory; None where it is shown for ever."""
    if day is None:
        return None
    try:
        last = date.fromisoformat(str(day)[:10])
    except ValueError as error:
        raise InvalidInputError(f"`expiration_date` is no date: {day!r}.") from error
    if last == date.max:
        return None
    return datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC)


# What the history says.


def _history(log: Path | None, points: Sequence[StoreRecord]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of mem0's history of some memories, oldest first."""
    if log is None:
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with closing(sqlite3.connect(f"{log.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            for row in _rows(connection, [point.id for point in points]):
                found.setdefault(row["memory_id"], []).append(row)
    except sqlite3.Error as error:
        raise ConfigurationError(f"The history file {str(log)!r} of mem0 cannot be read: {error}.") from error
    return found


def _rows(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    marks = ",".join("?" * len(ids))
    sql = (
        "SELECT memory_id, old_memory, new_memory, event, created_at, updated_at FROM history "
        f"WHERE memory_id IN ({marks}) ORDER BY rowid"
    )
    for row in connection.execute(sql, ids):
        yield dict(row)


def _changes(log: Sequence[dict[str, Any]], text: str) -> list[ArchivedChange]:
    """Return the changes after the first version, none where the rows do not lead to the text as it is."""
    events = [row["event"] for row in log]
    if events[:1] != ["ADD"] or set(events[1:]) != {"UPDATE"} or log[-1]["new_memory"] != text:
        return []
    changes: list[ArchivedChange] = []
    for before, row in pairwise(log):
        if row["old_memory"] != before["new_memory"]:
            return []
        changes.append(
            ArchivedChange(
                event="UPDATE",
                at=row["updated_at"] or row["created_at"],
                reason="imported from mem0",
                before={"memory": row["old_memory"]},
            )
        )
    return changes
