"""What a chat client does with its memory: recall before a turn, remember after it, and never cost the answer."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

from memkit.errors import IdempotencyError, ScopeError
from memkit.scope import SCOPE_FIELDS

from ..waiting import Batch, Failures, Ids, Waiting
from .bound import BoundMemory, InlineMemory
from .turns import Answer, Asked, Content, Request, Shape, Turn, digest, turn_ids, words

if TYPE_CHECKING:
    from memkit import AsyncMemory, Memory, Message

log: Final = logging.getLogger("memkit_tools")

_MISSING: Final = (
    'No user_id: whose memories? Pass it to the client, with_memory(client, memory, user_id="alice"), or with the '
    'call, create(..., user_id="alice").'
)
_OPEN: Final = 256
"""So many turns are known by what was recalled for them; more than run at once."""
_NEWEST: Final = 20
"""So many of a run's newest messages tell whether a request is sent again."""


class Keeper:
    """Recalls and remembers for one chat client, and for the copies it makes of itself.

    Its coroutines suspend only where the memory does: `run_inline` runs those of a sync client.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        inline: bool,
        ids: Mapping[str, Any],
        recall: Mapping[str, Any],
        learn: Mapping[str, Any],
    ) -> None:
        self.memory = memory
        self.failures = Failures(log, "last_memory_error")
        self._inline = inline
        self._ids = dict(ids)
        self._recall = dict(recall)
        self._learn = dict(learn)
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Turn] = OrderedDict()
        self._left: dict[str, list[dict[str, Any]]] = {}
        self._waiting = Waiting()

    # Whose.

    def take_ids(self, request: Request) -> Ids:
        """Take the ids out of a request and return those that its turn is stored under.

        Raises:
            ScopeError: Nobody said whose memories, or an id cannot be one.
        """
        given = {name: request.pop(name, None) for name in SCOPE_FIELDS}
        ids = {name: self._ids.get(name) if value is None else value for name, value in given.items()}
        if ids["user_id"] is None and self.memory.scope is None:
            raise ScopeError(_MISSING, field="user_id")
        scope = self.memory.bind(**ids).scope
        return {name: getattr(scope, name) for name in SCOPE_FIELDS}

    def _bound(self, ids: Mapping[str, Any]) -> BoundMemory:
        bound = self.memory.bind(**ids)
        return InlineMemory(bound.to_sync()) if self._inline else bound.to_async()

    # Before the request.

    async def begin(self, shape: Shape, ids: Ids, request: Request) -> tuple[Turn | None, Request]:
        """Keep what the user says, recall what helps with it, and return the request as the model is to see it."""
        given = request.get(shape.field)
        if isinstance(given, Iterable) and not isinstance(given, str):  # a generator can be read but once
            request = {**request, shape.field: list(cast("Iterable[object]", given))}
        turn: Turn | None = None
        with self.failures.tolerating("recall"):
            turn = await self._turn(ids, shape.asked(request))
            if turn is not None and turn.recalled:
                request = shape.informed(request, turn.recalled)
        return turn, request

    async def _turn(self, ids: Ids, asked: Asked) -> Turn | None:
        key = _key(ids, asked)
        if asked.continues and (turn := self._known(key)) is not None:
            return turn
        contents = asked.unanswered
        if not contents:
            return None
        turn = Turn(ids=ids, conversation=asked.conversation)
        turn.said = _users(contents, turn_ids(ids, asked.before, contents), ids)
        with self.failures.tolerating("keep"):
            if asked.before is None:
                turn.said = _users(contents, await self._names(ids, asked, contents), ids)
            await self._bound(ids).keep(turn.said)
        question = next((text for content in reversed(contents) if (text := words(content)).strip()), None)
        if question:
            with self.failures.tolerating("recall"):
                found = await self._bound({**ids, "run_id": None}).context(question, **self._recall)
                turn.recalled = tuple(text for text in (found.stable, found.evidence) if text)
                for warning in found.warnings:
                    log.warning("memkit: %s", warning)
        self._remember_open(key, turn)
        return turn

    async def _names(self, ids: Ids, asked: Asked, contents: Sequence[Content]) -> list[str]:
        """Return the ids of the user's messages where the request does not say what came before them.

        It is sent again where the newest that the user said in the run is just that; the same words said later are
        said again.
        """
        exactly: dict[str, Any] = {name: [None] for name in ("agent_id", "run_id") if ids[name] is None}
        newest = await self._bound(ids).messages(**exactly, limit=_NEWEST)
        said = [message for message in newest if message.role == "user"]
        kept = _kept(said, contents, anywhere=asked.continues)
        before = kept[-1].id if kept else said[-1].id if said else None
        return [message.id for message in kept] + turn_ids(ids, before, contents[len(kept) :])

    def _known(self, key: str) -> Turn | None:
        with self._lock:
            return self._open.get(key)

    def _remember_open(self, key: str, turn: Turn) -> None:
        with self._lock:
            self._open[key] = turn
            self._open.move_to_end(key)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)

    # After the answer.

    async def end(self, turn: Turn | None, answer: Callable[[], Answer | Awaitable[Answer]]) -> None:
        """Remember a turn whose answer is final; one that calls tools goes on with the next request."""
        if turn is None:
            return
        with self.failures.tolerating("remember"):
            given = answer()
            found = given if isinstance(given, Answer) else await given
            if found.failed:
                self.leave(turn)
            elif found.final:
                await self._remember(turn, found.text)
            else:
                for after in filter(None, (found.id, turn.conversation)):
                    self._remember_open(_key_after(turn.ids, after), turn)

    async def _remember(self, turn: Turn, text: str) -> None:
        messages = [*self._take_left(turn), *turn.said]
        if text.strip() and turn.said:
            at = datetime.now(UTC).isoformat()
            messages.append(
                _message("assistant", text, digest([turn.said[-1]["id"], "answer"]), at, turn.ids)
            )
        if not messages:
            return
        said = [message["id"] for message in messages if message["role"] == "user"]
        key = f"chat-turn-{digest([sorted(turn.ids.items()), said])}"
        for batch in [*self._waiting.batches(turn.ids), Batch(ids=turn.ids, messages=messages, key=key)]:
            with self._waiting.holding(batch, self.failures):
                await self._add(batch)

    async def _add(self, batch: Batch) -> None:
        # Learned among what is known from all runs; each message names its own.
        memory = self._bound({**batch.ids, "run_id": None})
        await memory.add(batch.messages, idempotency_key=batch.key, **self._learn)

    def leave(self, turn: Turn | None) -> None:
        """Let a turn that got no answer be learned with the next one of its conversation."""
        if turn is not None and turn.said:
            with self._lock:
                left = self._left.setdefault(json.dumps(sorted(turn.ids.items())), [])
                left += [message for message in turn.said if message not in left]
                del left[:-_NEWEST]

    def _take_left(self, turn: Turn) -> list[dict[str, Any]]:
        own = {message["id"] for message in turn.said}
        with self._lock:
            left = self._left.pop(json.dumps(sorted(turn.ids.items())), [])
        return [message for message in left if message["id"] not in own]

    # What did not succeed.

    async def flush(self) -> None:
        """Add what could not be added before.

        Raises:
            MemkitError: The memory still fails; nothing is lost by it.
        """
        for batch in self._waiting.batches():
            with suppress(IdempotencyError):
                await self._add(batch)
            self._waiting.drop(batch)


def _key(ids: Ids, asked: Asked) -> str:
    """Return what tells that two requests belong to one turn: its question in its place, or what it goes on from."""
    if not asked.unanswered and (after := asked.after or asked.conversation):
        return _key_after(ids, after)
    return digest([sorted(ids.items()), asked.before, asked.conversation, asked.unanswered])


def _key_after(ids: Ids, after: str) -> str:
    return digest([sorted(ids.items()), "after", after])


def _kept(said: Sequence[Message], contents: Sequence[Content], *, anywhere: bool) -> Sequence[Message]:
    """Return the messages that the request begins with, where the run ends with them: as many as possible, in order.

    Args:
        said: The user's newest messages in the run.
        contents: What the request says.
        anywhere: Whether others may have been said since, as by another conversation while this one calls tools.
    """
    for count in range(min(len(said), len(contents)), 0, -1):
        for end in range(len(said), count - 1 if anywhere else len(said) - 1, -1):
            found = said[end - count : end]
            if [message.content for message in found] == list(contents[:count]):
                return found
    return []


def _users(contents: Sequence[Content], names: Sequence[str], ids: Ids) -> list[dict[str, Any]]:
    at = datetime.now(UTC).isoformat()
    return [_message("user", content, name, at, ids) for content, name in zip(contents, names, strict=True)]


def _message(role: str, content: Content, id: str, at: str, ids: Ids) -> dict[str, Any]:
    message = {"role": role, "content": content, "id": id, "created_at": at}
    return message if ids["run_id"] is None else {**message, "run_id": ids["run_id"]}
