"""One session: its history, what is recalled for its turns, and what is learned from them; for sync and async."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
from llama_index.core.utils import get_tokenizer  # pyright: ignore[reportUnknownVariableType]  its list is open

from memkit import AsyncMemory, Context, Memory
from memkit.errors import MemkitError
from memkit.scope import Scope

from ._faces import Face, Inline
from .turns import Kept, as_kept, ends_turn, finished, is_system, last_user, open_since, parts_of, to_learn
from .window import Tokenizer, count_tokens, window_start

InsertMethod = Literal["system", "user"]
WriteBack = Literal["turn", "background", "off"]

log: Final = logging.getLogger("llama_index.memory.memkit")

_PAGE: Final = 64
_TAIL: Final = 8
"""Messages that are read at first to find where a turn began."""
_MOST_RECALLED: Final = 8
_MOST_COUNTED: Final = 4096
_MOST_WAITING: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a session behaves."""

    token_limit: int
    insert_method: InsertMethod
    recall: dict[str, Any]
    """Arguments of `Memory.context`."""
    learn: dict[str, Any] | None
    """Arguments of `Memory.add`; None learns nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faces:
    """The memory as seen from the session and from its user, to be awaited."""

    history: Face
    recall: Face


class Session:
    """What a memory object does, written once; only what is recalled for the turn at hand is held here."""

    def __init__(
        self, memory: Memory | AsyncMemory, scope: Scope, options: Options, tokenizer: Tokenizer | None
    ) -> None:
        self.memory = memory
        self.options = options
        self._history = memory.bind(user_id=scope.user_id, agent_id=scope.agent_id, run_id=scope.run_id)
        owned = scope.user_id is not None or scope.agent_id is not None
        self._recall = memory.bind(user_id=scope.user_id, agent_id=scope.agent_id) if owned else self._history
        self._tokenizer = tokenizer
        self._recalled: OrderedDict[tuple[str, str | None], Context] = OrderedDict()
        self._counts: dict[str, int] = {}
        self.failures: Counter[str] = Counter()
        self.last_error: str | None = None
        self._waiting: list[list[dict[str, Any]]] = []

    def inline(self) -> Faces:
        """Return the memory for calls without `await`."""
        return Faces(history=Inline(self._history.to_sync()), recall=Inline(self._recall.to_sync()))

    def awaited(self) -> Faces:
        """Return the memory for calls with `await`."""
        return Faces(history=self._history.to_async(), recall=self._recall.to_async())

    # Reading.

    async def get(self, faces: Faces, query: str | None, spent: int) -> list[ChatMessage]:
        """Return the newest turns that fit, with what helps with the query or the last thing the user said."""
        window = await self._window(faces.history, self.options.token_limit - spent)
        messages = [one.message for one in window]
        place = last_user(messages)
        if query is None and place is not None:
            query = messages[place].content
        if query is None or not query.strip():
            return messages
        turn = None if place is None else window[place].turn.id
        found = await self._found(faces.recall, query, turn)
        return _with(messages, str(found), self.options.insert_method)

    async def get_all(self, faces: Faces) -> list[ChatMessage]:
        """Return the whole history."""
        rows = await faces.history.messages(limit=None, status="active")
        return [Kept.of(row).message for row in rows]

    async def _window(self, history: Face, limit: int) -> list[Kept]:
        rows: list[Kept] = []
        size, whole, fits = _PAGE, False, True
        while not whole and (fits or last_user([one.message for one in rows]) is None):
            before = rows[0].turn.id if rows else None
            page = await history.messages(limit=size, before=before, status="active")
            rows = [*(Kept.of(turn) for turn in page), *rows]
            whole = len(page) < size
            fits = sum(self._tokens(one) for one in rows) <= limit
            size *= 2
        if fits:
            return rows
        first = [
            one for one in (rows[:1] if whole else await self._oldest(history)) if is_system(one.message)
        ]
        rows = rows[len(first) :] if whole else rows
        limit -= sum(self._tokens(one) for one in first)
        start = window_start([one.message for one in rows], [self._tokens(one) for one in rows], limit)
        return [*first, *rows[start:]]

    async def _oldest(self, history: Face) -> list[Kept]:
        """Return the message that the history begins with, however long it has become since."""
        count = await history.count_messages(status="active")
        return [Kept.of(row) for row in await history.messages(limit=1, offset=count - 1, status="active")]

    def _tokens(self, kept: Kept) -> int:
        count = self._counts.get(kept.turn.id)
        if count is None:
            if len(self._counts) >= _MOST_COUNTED:
                self._counts.clear()
            tokenizer = self._tokenizer or cast("Tokenizer", get_tokenizer())
            count = self._counts[kept.turn.id] = count_tokens(kept.message, tokenizer)
        return count

    async def _found(self, recall: Face, query: str, turn: str | None) -> Context:
        """Return what helps with a query; asked once while the user has said nothing more, failed or not."""
        key = (query, turn)
        found = self._recalled.get(key)
        if found is None:
            found = await self._asked(recall, query)
            self._recalled[key] = found
            while len(self._recalled) > _MOST_RECALLED:
                self._recalled.popitem(last=False)
        return found

    async def _asked(self, recall: Face, query: str) -> Context:
        try:
            found = await recall.context(query, **self.options.recall)
        except Exception as error:  # noqa: BLE001 - an embedder or a hook of the caller's may raise anything
            self._note("recall", error)
            return Context()
        for warning in found.warnings:
            log.warning("memkit: %s", warning)
        return found

    # Writing.

    async def put(self, faces: Faces, messages: Sequence[ChatMessage]) -> None:
        """Keep messages, and learn from the turns that they end."""
        if not messages:
            return
        kept = await faces.history.keep([as_kept(message) for message in messages])
        if self.options.learn is None or not ends_turn(messages):
            return
        before = await self._open_before(faces.history, kept[0].id)
        learnable = to_learn(finished([*before, *(Kept.of(turn) for turn in kept)]))
        if learnable:
            await self._learn(faces.recall, learnable)

    async def set(self, faces: Faces, messages: Sequence[ChatMessage]) -> None:
        """Make a history the session's; what it begins with unchanged stays what it was."""
        there = await faces.history.messages(limit=None, status="active")
        given = [as_kept(message) for message in messages]
        same = 0
        while same < min(len(there), len(given)) and there[same].payload == given[same]["payload"]:
            given[same] |= {"id": there[same].id}
            same += 1
        if same < len(there):
            await faces.history.keep(given, replace=True)
        elif same < len(given):
            await faces.history.keep(given[same:])

    async def reset(self, faces: Faces, *, long_term: bool) -> None:
        """Empty the history, and with `long_term` remove from recall what the session can recall."""
        await faces.history.keep([], replace=True)
        self._recalled.clear()
        if long_term:
            self._waiting.clear()
            await faces.recall.delete_all()

    async def flush(self, faces: Faces, timeout: float | None) -> None:
        """Learn what could not be learned before, and wait until everything is."""
        while self._waiting and self.options.learn is not None:
            await faces.recall.add(self._waiting[0], **self.options.learn)
            self._waiting.pop(0)
        await faces.history.flush(timeout)

    async def _open_before(self, history: Face, before: str) -> list[Kept]:
        """Return what the history holds between the last answer and a message."""
        size = _TAIL
        while True:
            rows = await history.messages(limit=size, before=before, status="active")
            kept = [Kept.of(row) for row in rows]
            start = open_since(parts_of([one.message for one in kept]))
            if start is not None or len(rows) < size:
                return kept[start or 0 :]
            size *= 4

    async def _learn(self, recall: Face, turns: list[dict[str, Any]]) -> None:
        assert self.options.learn is not None
        try:
            await recall.add(turns, **self.options.learn)
            # It works again: what failed before the ledger had it is made up for.
            while self._waiting:
                await recall.add(self._waiting[0], **self.options.learn)
                self._waiting.pop(0)
        except Exception as error:  # noqa: BLE001 - a model or a hook of the caller's may raise anything
            self._note("remember", error)
            if getattr(error, "operation_id", None) is None and len(self._waiting) < _MOST_WAITING:
                self._waiting.append(turns)

    def _note(self, what: str, error: Exception) -> None:
        self.failures[what] += 1
        self.last_error = type(error).__name__
        said = error.message if isinstance(error, MemkitError) else type(error).__name__
        log.warning("memkit: could not %s: %s", what, said)


def _with(messages: list[ChatMessage], recalled: str, method: InsertMethod) -> list[ChatMessage]:
    """Return messages with what was recalled in the system message or in the last one of the user."""
    if not recalled:
        return messages
    block = TextBlock(text=recalled)
    if method == "system":
        place = next((n for n, message in enumerate(messages) if is_system(message)), None)
        if place is None:
            return [ChatMessage(role=MessageRole.SYSTEM, blocks=[block]), *messages]
        messages[place].blocks = [*messages[place].blocks, block]
        return messages
    place = last_user(messages)
    if place is None:
        return [*messages, ChatMessage(role=MessageRole.USER, blocks=[block])]
    messages[place].blocks = [block, *messages[place].blocks]
    return messages
