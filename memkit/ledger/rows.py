"""Rows to objects and back: ids as bytes, defaults as NULL; the same for every SQL ledger."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from ..scope import Owner
from .base import OWNER_SHIFT, Job, Operation, Record, SourceRef, StoredMessage
from .records import Triple

Row = Sequence[Any]
"""One row as the driver gives it."""

CODES: Final = {
    "ADD": 1,
    "UPDATE": 2,
    "SUPERSEDE": 3,
    "DELETE": 4,
    "RESTORE": 5,
    "EXPIRE": 6,
    "FORGET": 7,
}
NAMES: Final = {code: name for name, code in CODES.items()}
ADD: Final = CODES["ADD"]
EXPIRE: Final = CODES["EXPIRE"]
FORGET: Final = CODES["FORGET"]

N_MASK: Final = (1 << OWNER_SHIFT) - 1

# ------------------------------------------------------------------------------------------- ids


def ledger_salt() -> int:
    """Return 59 random bits with the version of a UUID (8: custom) in place; message ids begin with them."""
    return (secrets.randbits(63) & ~0xF000) | 0x8000


def message_id(salt: int, rid: int) -> str:
    """Return the id of a message that was given none: a UUID of the ledger's salt and the rid."""
    high, low = f"{salt:016x}", f"{(2 << 62) | rid:016x}"
    return f"{high[:8]}-{high[8:12]}-{high[12:]}-{low[:4]}-{low[4:]}"


def message_rid(salt: int, text: str) -> int | None:
    """Return the rid inside an id that this ledger made, else None."""
    raw = pack_id(text)
    if isinstance(raw, str):
        return None
    high, low = int.from_bytes(raw[:8], "big"), int.from_bytes(raw[8:], "big")
    return low & ((1 << 62) - 1) if high == salt and low >> 62 == 2 else None


def pack_id(text: str) -> bytes | str:
    """Return an id as 16 bytes when it is a UUID in its usual spelling, else as it is."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        bare = text.replace("-", "")
        if len(bare) == 32 and bare.isascii() and bare.isalnum() and bare == bare.lower():
            try:
                return bytes.fromhex(bare)
            except ValueError:
                return text
    return text


_NO_UUID: Final = b"\xff"
"""Ends the bytes of a text that is no UUID; no UTF-8 holds it."""


def stored_id(text: str) -> bytes:
    """Return an id as bytes, for a column that holds nothing else: 16 of them are a UUID."""
    raw = pack_id(text)
    if isinstance(raw, bytes):
        return raw
    given = raw.encode() + _NO_UUID
    return given + _NO_UUID if len(given) == 16 else given


def unpack_id(raw: bytes | str) -> str:
    """Return the text of a stored id."""
    if isinstance(raw, str):
        return raw
    if len(raw) != 16:
        return raw.rstrip(_NO_UUID).decode()
    bare = raw.hex()
    return f"{bare[:8]}-{bare[8:12]}-{bare[12:16]}-{bare[16:20]}-{bare[20:]}"


def owner_range(number: int) -> tuple[int, int]:
    """Return the first and the last rid an owner can have."""
    return number << OWNER_SHIFT, (number << OWNER_SHIFT) | N_MASK


# ------------------------------------------------------------------------------------------- JSON


_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dump(value: Mapping[str, Any] | Sequence[Any] | None) -> str | None:
    """Return compact JSON, None for what is empty."""
    return _ENCODE(value) if value else None


def dump_data(value: Mapping[str, Any] | None) -> str | None:
    """Return the fields of a typed record as compact JSON; None for a record that is not typed."""
    return None if value is None else _ENCODE(value)


_DECODE: Final = json.JSONDecoder().raw_decode


def _load_rows(text: str | None) -> tuple[tuple[str, ...], ...]:
    """Return the rows of `dump`; what was written compactly needs no look for blanks."""
    if not text:
        return ()
    rows = cast("list[list[str]]", _DECODE(text)[0])
    return tuple(map(tuple, rows))


def load_map(text: str | None) -> dict[str, Any]:
    """Return the mapping of `dump`."""
    return cast("dict[str, Any]", json.loads(text)) if text else {}


def dump_sources(salt: int, sources: Sequence[SourceRef]) -> str | None:
    """Return sources as JSON pairs; a message this ledger numbered is its rid."""
    pairs: list[list[object]] = []
    for source in sources:
        rid = message_rid(salt, source.message_id)
        pair: list[object] = [source.message_id if rid is None else rid]
        pairs.append(pair if source.quote is None else [*pair, source.quote])
    return dump(pairs)


def load_sources(
    salt: int, text: str | None, message: int | None, given: str | None
) -> tuple[SourceRef, ...]:
    """Return sources; none written means the message whose words the record is."""
    if text is not None:
        return tuple(
            SourceRef(
                message_id=message_id(salt, pair[0]) if isinstance(pair[0], int) else pair[0],
                quote=pair[1] if len(pair) > 1 else None,
            )
            for pair in json.loads(text)
        )
    return () if message is None else (SourceRef(message_id=given or message_id(salt, message)),)


def sources_left(sources: str | None, gone: set[int | str]) -> str | None:
    """Return stored sources without those that rest on messages that are gone."""
    if not sources:
        return sources
    pairs = json.loads(sources)
    left = [pair for pair in pairs if pair[0] not in gone]
    return sources if len(left) == len(pairs) else dump(left) or "[]"


# ------------------------------------------------------------------------------------------- records

RECORD_COLUMNS: Final = (
    "rid", "id", "owner", "seq", "text", "message", "kind", "agent", "run", "metadata", "version", "created_at",
    "updated_at", "valid_from", "valid_until", "expires_at", "dated", "actor", "role", "origin", "sources",
    "entities", "pinned", "deleted", "expired", "dedup", "data", "slot", "relations",
)  # fmt: skip
_AT: Final = {name: place for place, name in enumerate(RECORD_COLUMNS)}
_WIDTH: Final = len(RECORD_COLUMNS)

RECORD_SELECT: Final = (
    "SELECT "
    + ", ".join(f"record.{name}" for name in RECORD_COLUMNS)
    + ", message.text, message.id, message.zone"
    " FROM record LEFT JOIN message ON message.rid = record.message "
)
"""Every column, then words, given id and zone of the message a verbatim record points at."""


def column(row: Row, name: str) -> Any:
    """Return one column of a `RECORD_SELECT` row."""
    return row[_AT[name]]


def live_text(row: Row) -> str:
    """Return the words of a `RECORD_SELECT` row."""
    text = row[4]
    return text if text is not None else (row[_WIDTH] or "")


def ids_of(row: Row, owner: Owner) -> tuple[str | None, str | None, str | None]:
    """Return user, agent and run of a `RECORD_SELECT` row."""
    return owner.id if owner.kind == "user" else None, row[_AT["agent"]], row[_AT["run"]]


def record_of(row: Row, owner: Owner, salt: int) -> Record:
    """Return the record of a `RECORD_SELECT` row."""
    (
        rid, raw_id, _owner, _seq, text, message, kind, agent, run, metadata, version, created_at, updated_at,
        valid_from, valid_until, expires_at, dated, actor, role, origin, sources, entities, pinned, deleted,
        _expired, _dedup, data, slot, relations, words, given, zone,
    ) = row  # fmt: skip
    return Record(
        rid=rid,
        id=unpack_id(raw_id),
        text=text if text is not None else (words or ""),
        kind=kind,
        user_id=owner.id if owner.kind == "user" else None,
        agent_id=agent,
        run_id=run,
        metadata=json.loads(metadata) if metadata else {},
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        valid_from=created_at if valid_from is None else valid_from,
        valid_until=valid_until,
        expires_at=expires_at,
        dated=bool(dated),
        actor_id=actor,
        role=role,
        origin=origin,
        sources=load_sources(salt, sources, message, given),
        entities=cast("tuple[tuple[str, str], ...]", _load_rows(entities)),
        pinned=bool(pinned),
        deleted=bool(deleted),
        data=json.loads(data) if data else None,
        slot=slot,
        relations=cast("tuple[Triple, ...]", _load_rows(relations)),
        offset_minutes=zone or 0,
    )


def edited_columns(values: Mapping[str, Any], salt: int) -> dict[str, Any]:
    """Return the columns that new values of `EDITABLE` fields are stored in."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if name == "metadata":
            columns[name] = dump(value)
        elif name == "data":
            columns[name] = dump_data(value)
        elif name in ("entities", "relations"):
            columns[name] = dump(value)
        elif name == "sources":
            columns[name] = dump_sources(salt, value) or "[]"
        elif name in ("pinned", "deleted"):
            columns[name] = int(bool(value))
        else:
            columns[name] = value
    return columns


def with_columns(row: Row, columns: Mapping[str, Any]) -> list[Any]:
    """Return a `RECORD_SELECT` row with some columns replaced."""
    changed = list(row)
    for name, value in columns.items():
        changed[_AT[name]] = value
    return changed


# ------------------------------------------------------------------------------------------- messages

MESSAGE_COLUMNS: Final = (
    "rid", "id", "owner", "role", "content", "text", "name", "created_at", "zone", "dated", "status", "agent", "run",
    "metadata", "learned", "payload",
)  # fmt: skip
MESSAGE_SELECT: Final = (
    "SELECT " + ", ".join(f"message.{name}" for name in MESSAGE_COLUMNS) + " FROM message "
)


def message_of(row: Row, owner: Owner, salt: int) -> StoredMessage:
    """Return the message of a `MESSAGE_SELECT` row."""
    rid, given, _owner, role, content, text, name, created_at, zone, dated, status, *rest = row
    agent, run, metadata, learned, payload = rest
    return StoredMessage(
        rid=rid,
        id=given if given is not None else message_id(salt, rid),
        role=role,
        content=text if content is None else cast("str | Sequence[Mapping[str, Any]]", json.loads(content)),
        text=text,
        name=name,
        created_at=created_at,
        offset_minutes=zone,
        dated=bool(dated),
        status=status,
        user_id=owner.id if owner.kind == "user" else None,
        agent_id=agent,
        run_id=run,
        metadata=load_map(metadata),
        learned=bool(learned),
        payload=load_map(payload) if payload else None,
    )


# ------------------------------------------------------------------------------------------- operations, jobs

OPERATION_COLUMNS: Final = (
    "no", "id", "kind", "owner", "at", "state", "key", "digest", "result", "undoes", "first", "last",
)  # fmt: skip
OPERATION_SELECT: Final = f"SELECT {', '.join(OPERATION_COLUMNS)} FROM operation "
JOB_SELECT: Final = (
    "SELECT o.id, j.kind, o.owner, j.payload, o.state, j.attempts, j.error, o.at, j.worker, o.no, j.due"
    " FROM operation o JOIN job j ON j.op = o.no "
)


def operation_of(row: Row) -> Operation:
    """Return the operation of an `OPERATION_SELECT` row."""
    _no, raw_id, kind, owner, at, state, key, digest, result, undoes, _first, _last = row
    return Operation(
        id=unpack_id(raw_id),
        kind=kind,
        owner=owner,
        at=at,
        state=state,
        key=key,
        digest=digest,
        result=result,
        undoes=None if undoes is None else unpack_id(undoes),
    )


def job_of(row: Row) -> Job:
    """Return the job of a `JOB_SELECT` row."""
    raw_id, kind, owner, payload, state, attempts, error, at, _worker, _no, due = row
    return Job(
        id=unpack_id(raw_id),
        kind=kind,
        owner=owner,
        payload=load_map(payload),
        state=state,
        attempts=attempts,
        error=error,
        at=at,
        due=due,
    )
