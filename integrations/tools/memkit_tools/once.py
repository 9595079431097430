"""Storing texts as given, once, however many callers say the same at the same moment.

Whoever looks for a duplicate first and stores then may be overtaken in between, by a thread, a task or a process. The
store therefore goes under an idempotency key made of the texts, and of how often they were stored and removed before,
so that what somebody removed can be added anew.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import count
from typing import Final

from memkit import AddResult, MemoryItem
from memkit.errors import IdempotencyError

from .answers import RefusedError, clip
from .awaited import AwaitedMemory

_RECENT: Final = 10_000


class _Recent:
    """The operations that a caller in this process has already called its own; the oldest are let go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_first(self, operation_id: str) -> bool:
        """Return whether nobody has asked for this operation before."""
        with self._lock:
            if operation_id in self._ids:
                return False
            self._ids[operation_id] = None
            if len(self._ids) > _RECENT:
                self._ids.popitem(last=False)
            return True


_recent: Final = _Recent()


async def store_once(memory: AwaitedMemory, texts: Sequence[str]) -> tuple[dict[str, MemoryItem], bool]:
    """Store texts as given in one transaction.

    Returns:
        The memory of each text, and whether this call stored them; else another did at the same moment.

    Raises:
        RefusedError: A text was not saved; it says why.
    """
    if not texts:
        return {}, False
    for attempt in count():
        try:
            done = await memory.add(texts, infer=False, idempotency_key=_key(memory, texts, attempt))
        except IdempotencyError:  # a hook that alters what is stored did so differently before
            continue
        mine = _recent.is_first(done.operation_id)
        stored = await _current(memory, texts, done)
        if stored is not None:
            return stored, mine
    raise AssertionError  # `count` has no end


def _key(memory: AwaitedMemory, texts: Sequence[str], attempt: int) -> str:
    scope = None if memory.scope is None else memory.scope.as_dict()
    said = json.dumps([scope, list(texts), attempt])
    return f"add_memory:{hashlib.sha256(said.encode()).hexdigest()}"


async def _current(
    memory: AwaitedMemory, texts: Sequence[str], done: AddResult
) -> dict[str, MemoryItem] | None:
    """Return the memories that an operation stored, or None where one was removed, corrected or erased since."""
    if not done.results:
        return None
    stored: dict[str, MemoryItem] = {}
    for text, outcome in zip(texts, done.results, strict=True):
        if outcome.id is None:
            reason = clip(outcome.reason or outcome.event, 120)
            raise RefusedError("rejected", f"`text` was not saved: {reason}.")
        item = await memory.get(outcome.id)
        if item is None or item.valid_until is not None or item.memory != outcome.memory:
            if len(await memory.history(outcome.id)) == 1:  # never to be seen, though nothing happened to it
                raise RefusedError("rejected", "`text` was not saved.")
            return None
        stored[text] = item
    return stored
