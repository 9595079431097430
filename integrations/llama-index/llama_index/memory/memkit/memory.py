"""`MemkitMemory`: history and long-term recall in one object, for agents and chat engines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, Self, cast, get_args
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr, field_serializer
from llama_index.core.memory import BaseMemory
from pydantic_core import to_jsonable_python
from typing_extensions import override

from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, ScopeError, did_you_mean
from memkit.reconnect import describe, reconnect
from memkit.runtime import run_inline
from memkit.scope import IdLike, Scope

from ._options import check_recall
from .session import InsertMethod, Options, Session, WriteBack

Infer = bool | Literal["auto"]

_MISSING: Final = (
    "No user_id: whose memories? MemkitMemory.from_defaults(memory=memory, "
    'user_id="alice", session_id="chat-1").'
)


class MemkitMemory(BaseMemory):
    """Keeps a session's history, recalls once a turn what helps with it, and learns from every turn once.

    `put` and its kin have the messages on disk before they return. `get` gives the newest whole turns within
    `token_limit`, and in the system message (or the last user message) what is known about the question: standing
    instructions and preferences first, the same bytes from turn to turn, then what the question found, fenced as data.
    It is searched for once per turn, however many tool rounds the turn has, over all sessions of the user, and none
    of it becomes part of the history. When an answer without tool calls is put, what the user said since the last one
    and this answer are given to the memory in one `add`; calls of tools and their results are not.

    Its dictionary is plain JSON: a `Context` that holds it can be written down and restored, in another process too.
    Where the memory was then not opened already, it is opened again at the same path with the providers that were
    named; with an embedder or an index that was an object, open the memory first.

    An error of the history is raised. A recall or an extraction that fails is logged, counted in `failures` and costs
    no answer: what was said is kept, and `Memory.repair()` or the next open extracts it.

    `ReActAgent` drops and `CodeActAgent` overwrites the first system message they are given. Give these agents a
    `system_prompt`, which is then that first one, or choose `insert_method="user"`.

    Args:
        memory: Of either kind, bound or not; sync and async calls both work with it.
        user_id: Whose memories.
        session_id: The conversation, the run that its turns are kept under; None starts a new one.
        agent_id: The agent they belong to; history and recall then see what is this agent's alone.
        token_limit: Of the history in a prompt; the newest turn is kept whole even where it is longer.
        insert_method: `system`, into the first system message or a new one; `user`, into the last user message.
        write_back: `turn` learns before `put` returns, `background` after it, `off` never.
        infer: `auto` extracts facts where the memory has a model and otherwise makes the turns memories; False always
            makes the turns memories.
        k: At most so many memories that the question finds; standing ones come on top.
        max_tokens: Of all that is recalled into a prompt.
        threshold: Leave out found memories under this score.
        filters: Of what is recalled, in memkit's filter language.
        after_seconds: Let a background extraction wait so long for the next turn, to learn from both at once.
        tokenizer_fn: What counts tokens; None is LlamaIndex's. It is not part of the dictionary.

    Raises:
        ConfigurationError: An argument cannot be used as given.
        FilterError: The filters are none of memkit's.
        ScopeError: Nobody is named, an id is blank, or one is outside of a bound memory.
    """

    user_id: str | None = None
    session_id: str
    agent_id: str | None = None
    token_limit: int = 30000
    insert_method: InsertMethod = "system"
    write_back: WriteBack = "turn"
    infer: Infer = "auto"
    k: int = 5
    max_tokens: int = 1000
    threshold: float | None = None
    filters: dict[str, Any] | None = None
    after_seconds: float | None = None
    store: dict[str, Any] | None = Field(
        default=None, description="Where the memory is and what it is made of."
    )

    _session: Session = PrivateAttr()

    def __init__(
        self,
        memory: Memory | AsyncMemory | None = None,
        *,
        user_id: IdLike | None = None,
        session_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        token_limit: int = 30000,
        insert_method: InsertMethod | Enum = "system",
        write_back: WriteBack = "turn",
        infer: Infer = "auto",
        k: int = 5,
        max_tokens: int = 1000,
        threshold: float | None = None,
        filters: Mapping[str, Any] | None = None,
        after_seconds: float | None = None,
        tokenizer_fn: Callable[[str], Sequence[Any]] | None = None,
        store: Mapping[str, Any] | None = None,
        class_name: str = "MemkitMemory",  # noqa: ARG002 - a dump of the model has it
    ) -> None:
        method = insert_method.value if isinstance(insert_method, Enum) else insert_method
        _one_of("insert_method", method, get_args(InsertMethod))
        _one_of("write_back", write_back, get_args(WriteBack))
        check_recall(
            token_limit=token_limit, k=k, max_tokens=max_tokens, threshold=threshold, filters=filters
        )
        if infer not in (True, False, "auto"):
            raise ConfigurationError(f"`infer` is True, False or 'auto', not {infer!r}.")
        if after_seconds is not None and write_back != "background":
            raise ConfigurationError("`after_seconds` needs `write_back='background'`.")
        memory = _opened(memory, store)
        scope = _scope(memory, user_id, agent_id, session_id)
        fields: dict[str, Any] = {
            "user_id": scope.user_id,
            "session_id": scope.run_id,
            "agent_id": scope.agent_id,
            "token_limit": token_limit,
            "insert_method": method,
            "write_back": write_back,
            "infer": infer,
            "k": k,
            "max_tokens": max_tokens,
            "threshold": threshold,
            "filters": None if filters is None else dict(filters),
            "after_seconds": after_seconds,
        }
        super().__init__(**fields)
        learn: dict[str, Any] = {
            "infer": bool(infer),
            "background": write_back == "background" and bool(infer),
        }
        if after_seconds is not None and infer:
            learn["after_seconds"] = after_seconds
        options = Options(
            token_limit=token_limit,
            insert_method=cast("InsertMethod", method),
            recall={"limit": k, "max_tokens": max_tokens, "threshold": threshold, "filters": filters},
            learn=None if write_back == "off" else learn,
        )
        self._session = Session(memory, scope, options, tokenizer_fn)

    @classmethod
    @override
    def class_name(cls) -> str:
        """Return the name that restores it."""
        return "MemkitMemory"

    @classmethod
    @override
    def from_defaults(  # pyright: ignore[reportIncompatibleMethodOverride]  the base takes anything
        cls,
        memory: Memory | AsyncMemory,
        *,
        user_id: IdLike | None = None,
        session_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        token_limit: int = 30000,
        insert_method: InsertMethod | Enum = "system",
        write_back: WriteBack = "turn",
        infer: Infer = "auto",
        k: int = 5,
        max_tokens: int = 1000,
        threshold: float | None = None,
        filters: Mapping[str, Any] | None = None,
        after_seconds: float | None = None,
        tokenizer_fn: Callable[[str], Sequence[Any]] | None = None,
        chat_history: Sequence[ChatMessage] | None = None,
    ) -> Self:
        """Return the memory of a session.

        Args:
            chat_history: Becomes the session's history, in the place of what it has.
        """
        made = cls(
            memory,
            user_id=user_id,
            session_id=session_id,
            agent_id=agent_id,
            token_limit=token_limit,
            insert_method=insert_method,
            write_back=write_back,
            infer=infer,
            k=k,
            max_tokens=max_tokens,
            threshold=threshold,
            filters=filters,
            after_seconds=after_seconds,
            tokenizer_fn=tokenizer_fn,
        )
        if chat_history is not None:
            made.set(list(chat_history))
        return made

    def __repr__(self) -> str:
        """Return the class alone: ids of users are nobody's business."""
        return "<MemkitMemory>"

    def __str__(self) -> str:
        """Return the same."""
        return repr(self)

    @field_serializer("store")
    def _where(self, _: object) -> dict[str, Any]:
        return describe(self._session.memory)

    @field_serializer("filters")
    def _plain_filters(self, filters: object) -> Any:
        """Return them as JSON has them; a time as text is the same filter."""
        return to_jsonable_python(filters)

    @property
    def memory(self) -> Memory | AsyncMemory:
        """What it was made with."""
        return self._session.memory

    @property
    def failures(self) -> dict[str, int]:
        """How often `recall` and `remember` have failed; empty while they never have."""
        return dict(self._session.failures)

    @property
    def last_error(self) -> str | None:
        """The type of the last error."""
        return self._session.last_error

    # Reading.

    @override
    def get(self, input: str | ChatMessage | None = None, **kwargs: Any) -> list[ChatMessage]:
        """Return the newest turns, and in them what helps with the question at hand.

        Args:
            input: The question; None is the last thing the user said.
            kwargs: Of `initial_token_count`, the tokens of a prefix, the history has so many fewer; others are ignored.
        """
        session = self._session
        return run_inline(session.get(session.inline(), _query(input), _spent(kwargs)))

    @override
    async def aget(self, input: str | ChatMessage | None = None, **kwargs: Any) -> list[ChatMessage]:
        """Async version of `get`."""
        session = self._session
        return await session.get(session.awaited(), _query(input), _spent(kwargs))

    @override
    def get_all(self) -> list[ChatMessage]:
        """Return the whole history, oldest first, and nothing else."""
        return run_inline(self._session.get_all(self._session.inline()))

    @override
    async def aget_all(self) -> list[ChatMessage]:
        """Async version of `get_all`."""
        return await self._session.get_all(self._session.awaited())

    # Writing.

    @override
    def put(self, message: ChatMessage) -> None:
        """Keep a message; a final answer ends the turn, which is then learned."""
        self.put_messages([message])

    @override
    async def aput(self, message: ChatMessage) -> None:
        """Async version of `put`."""
        await self.aput_messages([message])

    @override
    def put_messages(self, messages: Sequence[ChatMessage]) -> None:
        """Keep messages in one transaction; a final answer among them ends a turn, which is then learned."""
        run_inline(self._session.put(self._session.inline(), messages))

    @override
    async def aput_messages(self, messages: Sequence[ChatMessage]) -> None:
        """Async version of `put_messages`."""
        await self._session.put(self._session.awaited(), messages)

    @override
    def set(self, messages: Sequence[ChatMessage]) -> None:
        """Make these the history, in one transaction.

        Nothing is learned from them but, once it is answered, a turn that they leave open. What was learned from
        messages that are no longer among them stays.
        """
        run_inline(self._session.set(self._session.inline(), messages))

    @override
    async def aset(self, messages: Sequence[ChatMessage]) -> None:
        """Async version of `set`."""
        await self._session.set(self._session.awaited(), messages)

    @override
    def reset(self, long_term: bool = False) -> None:
        """Empty the history.

        Args:
            long_term: Also remove every memory of this user, or of this user's agent, from recall; `Memory.undo` brings
                them back.
        """
        run_inline(self._session.reset(self._session.inline(), long_term=long_term))

    @override
    async def areset(self, long_term: bool = False) -> None:
        """Async version of `reset`."""
        await self._session.reset(self._session.awaited(), long_term=long_term)

    def flush(self, timeout: float | None = None) -> None:
        """Learn what could not be learned before, and wait until background extractions are done.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Raises:
            MemkitError: The memory still fails, or an extraction did; what was said is kept.
        """
        run_inline(self._session.flush(self._session.inline(), timeout))

    async def aflush(self, timeout: float | None = None) -> None:
        """Async version of `flush`."""
        await self._session.flush(self._session.awaited(), timeout)


def _opened(memory: object, store: Mapping[str, Any] | None) -> Memory | AsyncMemory:
    if memory is None and store is not None:
        return reconnect(store)
    if not isinstance(memory, Memory | AsyncMemory):
        raise ConfigurationError(f"`memory` is a Memory or an AsyncMemory, not {type(memory).__name__}.")
    return memory


def _scope(memory: Memory | AsyncMemory, user_id: object, agent_id: object, session_id: object) -> Scope:
    """Return the ids of the session: those given, within those that the memory is bound to."""
    bound = memory.scope
    if user_id is None and agent_id is None and session_id is None and bound is None:
        raise ScopeError(_MISSING, field="user_id")
    if session_id is None and (bound is None or bound.run_id is None):
        session_id = uuid4().hex
    scope = memory.bind(user_id=user_id, agent_id=agent_id, run_id=session_id).scope
    assert scope is not None
    return scope


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        names = ", ".join(map(repr, known))
        raise ConfigurationError(
            f"`{name}` is one of {names}, not {value!r}.{did_you_mean(str(value), known)}"
        )


def _query(given: str | ChatMessage | None) -> str | None:
    return given.content if isinstance(given, ChatMessage) else given


def _spent(options: Mapping[str, Any]) -> int:
    spent = options.get("initial_token_count")
    return spent if isinstance(spent, int) else 0
