"""`MemkitChatMessageHistory`: one conversation as LangChain's chat history keeps it."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, MessageLikeRepresentation
from typing_extensions import override

from memkit import AsyncMemory, Memory, Message
from memkit.errors import ConfigurationError, MemkitError, ScopeError
from memkit.scope import IdLike

from ._messages import as_message, as_messages, as_turn, is_own
from .scope import across_runs, check_memory
from .turns import is_answer, is_users

log: Final = logging.getLogger("langchain_memkit")

_MISSING: Final = (
    "No run_id: which conversation? Pass the session's id, "
    'MemkitChatMessageHistory(memory, user_id="alice", run_id=session_id).'
)


class MemkitChatMessageHistory(BaseChatMessageHistory):
    """The messages of one conversation, in the order in which they were added, whole, and durable when added.

    For `RunnableWithMessageHistory`, which LangChain has deprecated together with the class that this one is made
    from: new code has a checkpointer for the thread, and `LongTermMemoryMiddleware` for what outlives it.

    It is a list. Equal messages stay several, also with the same id; a message that is changed and added again is one
    more. A message comes back equal to what it was, a chunk as the message that it is a part of; of what is no data
    pydantic models come back as dicts and other objects, such as a connection in a tool's artifact, as None. Each
    message is also a turn of the memory, with role and words, for whatever reads `memory.messages`. Of turns that
    others keep in the same run it shows none.

    The history is that of exactly the ids given: without `agent_id` that of turns stored without an agent. Any text, an
    e-mail address for one, and any number is an id.

    Args:
        memory: Of either kind, bound or not; sync and async methods both work with it.
        user_id: Whose conversation; without one `run_id` says it all.
        agent_id: The agent that holds it.
        run_id: The conversation: the session or thread id.
        remember: Also make memories of what the user says and the model answers; not of system messages, calls of
            tools and their results. With a model, facts are extracted in the background: `memory.flush()` waits.
        limit: Show at most so many of the newest, starting at a human message; empty where none of these is one.

    Raises:
        ScopeError: No id was given, an id is blank, or one is outside of the bound memory.
        ConfigurationError: `limit` is no positive number, or `memory` no memory.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        remember: bool = False,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        check_memory(memory)
        if memory.scope is None and user_id is None and agent_id is None and run_id is None:
            raise ScopeError(_MISSING, field="run_id")
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                f"`limit` must be a positive number or None, not {limit!r}.", field="limit"
            )
        bound = memory.bind(user_id=user_id, agent_id=agent_id, run_id=run_id)
        assert bound.scope is not None
        self._memory = bound.to_sync()
        self._amemory = bound.to_async()
        self._learner = across_runs(memory, bound.scope)
        self._exactly: dict[str, Any] = {
            name: [None] for name in ("agent_id", "run_id") if getattr(bound.scope, name) is None
        }
        self._remember = remember
        self._limit = limit
        self.failures = 0
        """How often messages were kept and could not be learned from."""

    def __repr__(self) -> str:
        """Return whose history it is."""
        return f"<MemkitChatMessageHistory of {self._memory!r}>"

    # Reading.

    @property
    def messages(self) -> list[BaseMessage]:  # pyright: ignore[reportIncompatibleVariableOverride]  (as LangChain says)
        """The messages, oldest first; a new list each time."""
        newest, found = self._first_page(), list[Message]()
        while page := self._memory.messages(**newest):
            found += filter(is_own, page)
            if self._is_enough(found, page):
                break
            newest["before"] = page[0].id
        return self._shown(found)

    @override
    async def aget_messages(self) -> list[BaseMessage]:
        """Async version of `messages`."""
        newest, found = self._first_page(), list[Message]()
        while page := await self._amemory.messages(**newest):
            found += filter(is_own, page)
            if self._is_enough(found, page):
                break
            newest["before"] = page[0].id
        return self._shown(found)

    def _first_page(self) -> dict[str, Any]:
        return {**self._exactly, "status": "active", "limit": self._limit}

    def _is_enough(self, found: Sequence[Message], page: Sequence[Message]) -> bool:
        return self._limit is None or len(found) >= self._limit or len(page) < self._limit

    def _shown(self, found: Sequence[Message]) -> list[BaseMessage]:
        turns = sorted(found, key=lambda turn: turn.seq)
        if self._limit is None:
            return [as_message(turn) for turn in turns]
        messages = [as_message(turn) for turn in turns[-self._limit :]]
        starts = (place for place, message in enumerate(messages) if message.type == "human")
        return messages[next(starts, len(messages)) :]

    # Writing.

    @override
    def add_message(self, message: BaseMessage) -> None:
        """Append one message."""
        self.add_messages([message])

    @override
    def add_messages(self, messages: Sequence[MessageLikeRepresentation]) -> None:
        """Append messages in one transaction.

        Raises:
            InvalidInputError: Something is no message; nothing is kept then.
            BackendError: The ledger is down; nothing is kept.
        """
        given = as_messages(messages)
        kept = self._memory.keep([as_turn(message) for message in given])
        if learned := self._to_learn(given, kept):
            with self._tolerating():
                self._learner.to_sync().add(learned, background=True)

    @override
    async def aadd_messages(self, messages: Sequence[MessageLikeRepresentation]) -> None:
        """Async version of `add_messages`."""
        given = as_messages(messages)
        kept = await self._amemory.keep([as_turn(message) for message in given])
        if learned := self._to_learn(given, kept):
            with self._tolerating():
                await self._learner.to_async().add(learned, background=True)

    def _to_learn(self, messages: Sequence[Any], kept: Sequence[Message]) -> list[dict[str, Any]]:
        """Return the turns that are worth remembering, by the ids they are kept under."""
        if not self._remember:
            return []
        return [
            {"role": turn.role, "content": turn.content, "id": turn.id, "run_id": turn.run_id}
            for message, turn in zip(messages, kept, strict=True)
            if (is_users(message) or is_answer(message)) and turn.text.strip()
        ]

    @contextmanager
    def _tolerating(self) -> Generator[None]:
        """Log and count what fails inside: the messages are kept, and whoever adds them again would have them twice."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (models, embedders and hooks are the caller's: they raise anything)
            self.failures += 1
            said = f": {error.message}" if isinstance(error, MemkitError) else ""
            log.error("memkit: messages are kept and not learned from (%s)%s", type(error).__name__, said)

    # Emptying.

    @override
    def clear(self) -> None:
        """Put the messages of this history aside: hidden everywhere, and erased only by `memory.forget`.

        What `remember` made of them stays; `memory.delete_all(run_id=...)` takes it back.
        """
        turns = self._memory.messages(**self._exactly)
        self._memory.mark_messages(
            [turn.id for turn in turns if is_own(turn)], status="deleted", **self._exactly
        )

    @override
    async def aclear(self) -> None:
        """Async version of `clear`."""
        turns = await self._amemory.messages(**self._exactly)
        own = [turn.id for turn in turns if is_own(turn)]
        await self._amemory.mark_messages(own, status="deleted", **self._exactly)
