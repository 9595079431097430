"""Points, ids and filters as Qdrant has them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID, uuid5

import numpy as np

from memkit.vector_stores.base import StoreHit, StoreRecord, score_of
from memkit.vector_stores.flat import Where, flatten

if TYPE_CHECKING:
    from qdrant_client import models as vendor

    from memkit.vector_stores.base import Payload

PAYLOAD: Final = "payload"
"""The key of the complete payload, as JSON text."""
ID: Final = "id"
ODD: Final = "odd_id"
"""The key of points whose id is no UUID; Qdrant takes no other, so theirs is made from it."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SPACE: Final = UUID("4b1d7f0a-3f1e-5c6e-9a52-6d656d6b6974")


def is_uuid(id: str) -> bool:
    """Return whether an id is a UUID as Qdrant gives it back, so that its order is that of the text."""
    return _UUID.fullmatch(id) is not None


def point_id(id: str) -> str:
    """Return the UUID that stands for an id."""
    return id if is_uuid(id) else str(uuid5(_SPACE, id))


def stored_payload(record: StoreRecord, payload: str) -> Payload:
    """Return what Qdrant stores beside the vector: the payload as text, and flat keys for filters."""
    stored: Payload = {_key(key, value): value for key, value in flatten(record.payload).items()}
    if not is_uuid(record.id):
        stored[ODD] = True
    stored[ID], stored[PAYLOAD] = record.id, payload
    return stored


def _key(key: str, value: object) -> str:
    """Return a flat key as it can stand between quotes in a path; of a truth value a key of its own.

    Local databases of older clients take true for 1.
    """
    if isinstance(value, bool) and key.startswith("metadata."):
        key = f"is:{key}"
    return key.replace("%", "%25").replace('"', "%22") if '"' in key or "%" in key else key


def _payload(point: vendor.ScoredPoint | vendor.Record) -> tuple[str, Payload]:
    stored = point.payload or {}
    return stored[ID], json.loads(stored[PAYLOAD])


def record_of(point: vendor.Record) -> StoreRecord:
    """Return a point that was read with its vector."""
    id, payload = _payload(point)
    return StoreRecord(id=id, vector=np.array(point.vector, np.float32), payload=payload)


def foreign_record(point: vendor.Record) -> StoreRecord:
    """Return a point that another program wrote; one without a dense vector of no name has an empty one."""
    vector: Any = point.vector
    if isinstance(vector, dict):
        vector = cast("dict[str, Any]", vector).get("")
    row = np.array(vector if isinstance(vector, list) else [], np.float32)
    return StoreRecord(id=str(point.id), vector=row, payload=dict(point.payload or {}))


def hit_of(point: vendor.ScoredPoint) -> StoreHit:
    """Return a point that was found."""
    id, payload = _payload(point)
    return StoreHit(id=id, score=score_of(point.score), payload=payload)


def as_filter(where: Where | bool) -> vendor.Filter | None:
    """Return conditions on flat keys as Qdrant's; None for none."""
    if not isinstance(where, dict):
        return None
    from qdrant_client import models

    condition = _condition(where)
    return condition if isinstance(condition, models.Filter) else models.Filter(must=[condition])


def _condition(where: Where) -> vendor.Filter | vendor.FieldCondition:
    from qdrant_client import models

    ((key, value),) = where.items()
    if key == "$and":
        return models.Filter(must=[_condition(part) for part in value])
    if key == "$or":
        return models.Filter(should=[_condition(part) for part in value])
    ((operator, operand),) = value.items()
    if operator in ("$ne", "$nin"):
        # Not `MatchExcept`, which passes over points without the key.
        same = _condition({key: {"$eq" if operator == "$ne" else "$in": operand}})
        return models.Filter(must_not=[same])
    field = f'"{_key(key, operand)}"' if not key.isidentifier() else key
    if operator == "$in":
        return models.FieldCondition(key=field, match=models.MatchAny(any=operand))
    if operator == "$eq" and not isinstance(operand, float):
        return models.FieldCondition(key=field, match=models.MatchValue(value=operand))
    if operator == "$eq":
        return models.FieldCondition(key=field, range=models.Range(gte=operand, lte=operand))
    return models.FieldCondition(key=field, range=models.Range(**{operator[1:]: operand}))
