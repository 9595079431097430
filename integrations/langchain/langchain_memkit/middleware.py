"""`LongTermMemoryMiddleware`: an agent that knows what it was told before, in whatever thread that was."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NotRequired, cast, get_type_hints

from langchain_core.messages import AIMessage
from langchain_core.runnables import ensure_config
from langchain_core.tools import BaseTool
from typing_extensions import TypedDict, override

from memkit import AsyncMemory, Context, Memory
from memkit.errors import (
    ConfigurationError,
    IdempotencyError,
    ScopeError,
)
from memkit.scope import SCOPE_FIELDS, IdLike
from memkit_tools.spec import MODES, Mode
from memkit_tools.waiting import MOST, Batch, Failures, Waiting

from ._prompts import informed
from ._siblings import sibling
from .scope import check_memory, resolve_scope
from .tools import MemkitToolkit
from .turns import (
    Ids,
    Turn,
    as_turn,
    by_scope,
    finished,
    id_of,
    is_answer,
    key_of,
    lean,
    of_all_runs,
    question,
    unanswered,
)

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse
    from langchain.agents.middleware.types import PrivateStateAttr
    from langgraph.runtime import Runtime  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
except ImportError as error:
    raise ImportError(
        'LongTermMemoryMiddleware needs LangChain\'s agents. Type: pip install "langchain-memkit[agents]"',
        name=error.name,
    ) from error

log: Final = logging.getLogger("langchain_memkit")

State = AgentState[Any]

_MISSING: Final = (
    "No user_id: whose memories? Pass it with the call, agent.invoke(messages, "
    'context=MemkitContext(user_id="alice")) or {"configurable": {"user_id": "alice"}}, or pin it, '
    'LongTermMemoryMiddleware(memory, user_id="alice").'
)
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SEPARATORS: Final = 2
"""Tokens between the parts of the system message."""


class LongTermMemoryMiddleware(AgentMiddleware[State, Any, Any]):
    """Recalls once a turn what helps with it, and remembers every turn once; for `create_agent`.

    Before the model is first called, the user's message is kept and what is known about it recalled. Each call of the
    model sees that in its system message: the standing instructions and preferences right after your own prompt, the
    same bytes from turn to turn, so that a provider's prompt cache holds; after them what this turn's question found.
    None of it becomes a message of the thread. When the turn is done, the user's text and the final answer are stored
    verbatim under the thread's id as the run, before the hook returns, and then learned from. The final answer is the
    model's last message, the JSON of a structured one, or what a tool with `return_direct` returned.

    Whose memories is said by the constructor or by the call, in the order of `MemkitRetriever`: the scope of a bound
    memory, the arguments here, `runtime.context` of the agent, `config["configurable"]`. The run is `run_id` where any
    of these names one, else `configurable["thread_id"]`; without either, turns are stored without a run. Recall looks
    through all runs of the user. An agent that works for another one, in a tool, shares its thread: give its middleware
    an `agent_id` to keep what the two hear apart.

    A turn is known by the ids of the user's messages: resumed after an error or an interrupt, or sent again with the
    same id, it is stored once; what a caller sends along from before the last answer is history, and not stored. A
    turn that failed is learned with the next one. A memory that fails never costs the
    answer: the error is logged and counted in `failures`, and what could not be stored waits, in the thread's state
    for its next turn and in this process for `flush()`.

    The name also names the instance's state in a checkpoint, so it has to be the same in the next process: instances
    made one after the other, before the first of them has become part of an agent, are numbered in that order,
    `LongTermMemoryMiddleware`, `LongTermMemoryMiddleware_2` and so on, and where the first has tools too, those of the
    second begin with `memory_2_`. Give a `name` where the order is not always the same. A turn that is finished under
    another name than it began with is stored once all the same: the memory knows its messages.

    Args:
        memory: Of either kind, bound or not; sync and async agents both work with it.
        user_id: Pins whose memories; None leaves it to the call.
        agent_id: Pins the agent; recall then sees the memories of this agent alone.
        run_id: Pins the run that turns are stored under.
        k: At most so many memories that the question finds; standing instructions and preferences come on top.
        max_tokens: Of all that is put into the prompt.
        threshold: Leave out found memories under this score.
        infer: `"auto"` extracts facts where the memory has a model, and otherwise makes the turns memories; False
            always makes the turns memories.
        background: Extract after the answer; `flush()` waits for it. False extracts before the agent returns.
        after_seconds: Let a background extraction wait so long for the thread's next turn, to learn from both at once.
        tools: Give the agent memory tools too: True for those of `read_write`, or `read_only`, `read_write`, `full`.
        tool_prefix: What stands before their names.
        evidence: `"user"` puts what the question found behind the user's message instead of into the system message.
            What stands before that message is then the same from turn to turn, and a prompt cache holds for it all.
        name: What tells this instance from others in its agent, and begins the names of its tools where others have
            tools too.

    Raises:
        ConfigurationError: An argument cannot be used as given.
        ScopeError: A pinned id is blank, or outside of the bound memory.
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        *,
        user_id: IdLike | None = None,
        agent_id: IdLike | None = None,
        run_id: IdLike | None = None,
        k: int = 5,
        max_tokens: int = 1000,
        threshold: float | None = None,
        infer: bool | Literal["auto"] = "auto",
        background: bool = True,
        after_seconds: float = 0,
        tools: bool | Mode = False,
        tool_prefix: str | None = None,
        evidence: Literal["system", "user"] = "system",
        name: str | None = None,
    ) -> None:
        super().__init__()
        check_memory(memory)
        learns = bool(infer) and background
        _check_one_of("infer", infer, (True, False, "auto"))
        _check_one_of("evidence", evidence, ("system", "user"))
        _check_one_of("tools", tools, (False, True, *MODES))
        _check(k >= 1, "k", k, "a whole number of at least 1")
        _check(max_tokens > _SEPARATORS, "max_tokens", max_tokens, f"more than {_SEPARATORS}")
        _check(threshold is None or 0 <= threshold <= 1, "threshold", threshold, "a number from 0 to 1")
        _check(after_seconds >= 0, "after_seconds", after_seconds, "a number of seconds from 0")
        _check(
            not after_seconds or learns, "after_seconds", after_seconds, "0 without a background extraction"
        )
        _check(
            name is None or _NAME.fullmatch(name) is not None,
            "name",
            name,
            "letters, digits, `_`, `-` or `.`",
        )
        self._memory = memory
        self._pinned: dict[str, Any] = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id}
        if any(value is not None for value in self._pinned.values()):
            memory.bind(**self._pinned)
        self._recall: dict[str, Any] = {
            "limit": k, "threshold": threshold, "max_tokens": max_tokens - _SEPARATORS,
        }  # fmt: skip
        self._learn: dict[str, Any] = {"infer": bool(infer), "background": learns}
        if after_seconds:
            self._learn["after_seconds"] = after_seconds
        self._evidence: Literal["system", "user"] = evidence
        self._self = sibling(type(self).__name__, name=name, prefix=tool_prefix, tools=bool(tools))
        self._key = f"memkit_{self._self.name}"
        self._schema = _schema(self._key)
        self._waiting = Waiting()
        self._failures = Failures(log, "last_error")
        self.tools: Sequence[BaseTool] = []
        if tools:
            self.tools = MemkitToolkit(
                memory=memory,
                user_id=user_id,
                agent_id=agent_id,
                mode="read_write" if tools is True else tools,
                prefix=self._self.prefix or "",
            ).get_tools()

    @property
    @override
    def name(self) -> str:
        """What it is called in the agent's graph."""
        return self._self.name

    @property
    def state_schema(self) -> type[State]:  # pyright: ignore[reportIncompatibleVariableOverride]  (one each)
        """The agent's state with this instance's own key, which is neither input nor output."""
        self._self.settled = True  # only an agent that is being made asks
        return self._schema

    @property
    def failures(self) -> dict[str, int]:
        """How often `keep`, `recall` and `remember` have failed; empty while none has."""
        return self._failures.counts

    @property
    def last_error(self) -> Exception | None:
        """The error of the last failure."""
        return self._failures.last

    # Before the model.

    @override
    def before_agent(self, state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        """Keep the user's messages, and recall what helps with them.

        Raises:
            ScopeError: Nobody said whose memories.
        """
        turn, found = self._begin(state, runtime), Context()
        if turn.said:
            with self._failures.tolerating("keep"):
                self._memory.to_sync().bind(**turn.ids).keep(turn.said)
        if turn.question:
            with self._failures.tolerating("recall"):
                memory = self._memory.to_sync().bind(**of_all_runs(turn.ids))
                found = memory.context(turn.question, **self._recall)
        return self._begun(turn, found)

    @override
    async def abefore_agent(self, state: State, runtime: Runtime[Any]) -> dict[str, Any]:
        """Async version of `before_agent`."""
        turn, found = self._begin(state, runtime), Context()
        if turn.said:
            with self._failures.tolerating("keep"):
                await self._memory.to_async().bind(**turn.ids).keep(turn.said)
        if turn.question:
            with self._failures.tolerating("recall"):
                memory = self._memory.to_async().bind(**of_all_runs(turn.ids))
                found = await memory.context(turn.question, **self._recall)
        return self._begun(turn, found)

    def _begin(self, state: State, runtime: Runtime[Any]) -> _Beginning:
        ids, messages = self._ids(runtime), state["messages"]
        own = self._own(state) or {}
        waiting: list[Turn] = own.get("waiting", [])
        known = {turn["id"] for turn in waiting}
        at = _now()
        new = [message for message in unanswered(messages, own.get("cursor")) if id_of(message) not in known]
        return _Beginning(
            ids=ids,
            said=[as_turn(message, at) for message in new],
            waiting=waiting,
            cursor=own.get("cursor"),
            question=question(messages),
        )

    def _begun(self, turn: _Beginning, found: Context) -> dict[str, Any]:
        """Return the state in which a turn goes on: plain dicts and texts, as a checkpointer wants them."""
        for warning in found.warnings:
            log.warning("memkit: %s", warning)
        return self._kept_state(
            waiting=[*turn.waiting, *(lean(said, turn.ids) for said in turn.said)],
            cursor=turn.cursor,
            stable=found.stable,
            evidence=found.evidence,
        )

    # Around the model.

    @override
    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | AIMessage:
        """Show the model what was recalled."""
        return handler(self._informed(request))

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any] | AIMessage:
        """Async version of `wrap_model_call`."""
        return await handler(self._informed(request))

    def _informed(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        own = self._own(request.state) or {}
        return informed(request, own.get("stable", ""), own.get("evidence", ""), place=self._evidence)

    # After the model.

    @override
    def after_agent(self, state: State, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Store the user's messages and the final answer, and learn from them."""
        turns = self._to_store(state, runtime)
        for batch in self._batches(turns):
            with self._waiting.holding(batch, self._failures):
                memory = self._memory.to_sync().bind(**of_all_runs(batch.ids))
                memory.add(batch.messages, idempotency_key=batch.key, **self._learn)
        return self._ended(state, turns)

    @override
    async def aafter_agent(self, state: State, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Async version of `after_agent`."""
        turns = self._to_store(state, runtime)
        for batch in self._batches(turns):
            with self._waiting.holding(batch, self._failures):
                memory = self._memory.to_async().bind(**of_all_runs(batch.ids))
                await memory.add(batch.messages, idempotency_key=batch.key, **self._learn)
        return self._ended(state, turns)

    def _to_store(self, state: State, runtime: Runtime[Any]) -> list[tuple[Ids, list[Turn]]]:
        """Return the turns of the thread that are not remembered yet, by the ids they belong to."""
        messages, own, at = state["messages"], self._own(state), _now()
        waiting: list[Turn] = [] if own is None else own.get("waiting", [])
        if own is None:  # the turn began under another name
            with self._failures.tolerating("remember"):
                ids = self._ids(runtime)
                asked = messages[:-1] if messages and is_answer(messages[-1]) else messages
                waiting = [lean(as_turn(message, at), ids) for message in unanswered(asked)]
        structured = cast("dict[str, Any]", state).get("structured_response") is not None
        return by_scope(finished(waiting, messages, at, structured=structured))

    def _batches(self, turns: Sequence[tuple[Ids, list[Turn]]]) -> Iterator[Batch]:
        """Yield what to add: what did not succeed before, while it does now, then what is new."""
        for ids, said in turns:
            held = self._waiting.batches(ids)
            for batch in held:
                yield batch
                if batch in self._waiting:
                    break
            known = {turn["id"] for batch in held for turn in batch.messages}
            if new := [turn for turn in said if turn["id"] not in known]:
                yield Batch(ids=ids, messages=new, key=key_of(ids, new))

    def _ended(self, state: State, turns: Sequence[tuple[Ids, list[Turn]]]) -> dict[str, Any] | None:
        """Return the state between two turns: what still waits, and up to where the thread is remembered."""
        messages = state["messages"]
        left = [
            lean(turn, ids)
            for ids, _ in turns
            for batch in self._waiting.batches(ids)
            for turn in batch.messages
        ]
        return self._kept_state(waiting=left[-MOST:], cursor=id_of(messages[-1]) if messages else None)

    # What did not succeed.

    def flush(self, timeout: float | None = None) -> None:
        """Add what could not be added before, and wait until everything is learned.

        Args:
            timeout: Seconds to wait for the extractions; None waits as long as it takes.

        Raises:
            MemkitError: The memory still fails, or an extraction did; nothing is lost by it.
        """
        for batch in self._waiting.batches():
            with suppress(IdempotencyError):
                memory = self._memory.to_sync().bind(**of_all_runs(batch.ids))
                memory.add(batch.messages, idempotency_key=batch.key, **self._learn)
            self._waiting.drop(batch)
        self._memory.to_sync().flush(timeout)

    async def aflush(self, timeout: float | None = None) -> None:
        """Async version of `flush`."""
        for batch in self._waiting.batches():
            with suppress(IdempotencyError):
                memory = self._memory.to_async().bind(**of_all_runs(batch.ids))
                await memory.add(batch.messages, idempotency_key=batch.key, **self._learn)
            self._waiting.drop(batch)
        await self._memory.to_async().flush(timeout)

    # Whose, and where in the state.

    def _ids(self, runtime: Runtime[Any]) -> Ids:
        """Return the ids that this call's turn is stored under.

        Raises:
            ScopeError: Nobody said whose memories, or an id cannot be one.
        """
        call = resolve_scope(self._pinned, self._memory.scope, context=getattr(runtime, "context", None))
        if call.user_id is None and not call.bound:
            raise ScopeError(_MISSING, field="user_id")
        run = _thread(runtime) if call.run_id is None else call.run_id
        scope = self._memory.bind(user_id=call.user_id, agent_id=call.agent_id, run_id=run).scope
        return {name: getattr(scope, name) for name in SCOPE_FIELDS}

    def _own(self, state: State) -> dict[str, Any] | None:
        return cast("dict[str, Any]", state).get(self._key)

    def _kept_state(self, **values: Any) -> dict[str, Any]:
        return {self._key: {name: value for name, value in values.items() if value}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    """A turn before the model is called."""

    ids: Ids
    said: list[Turn]
    """What the user said that was not seen before."""
    waiting: list[Turn]
    """What earlier turns of the thread left."""
    cursor: str | None
    question: str | None


def _schema(key: str) -> type[State]:
    """Return the agent's state with one more key, of one instance alone."""
    own = NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]
    fields = {**get_type_hints(AgentState, include_extras=True), key: own}
    return cast("Any", TypedDict)("LongTermMemoryState", fields)


def _thread(runtime: Runtime[Any]) -> IdLike | None:
    configurable = ensure_config().get("configurable") or {}
    info = getattr(runtime, "execution_info", None)
    return configurable.get("thread_id") or getattr(info, "thread_id", None)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _check(good: bool, field: str, value: object, wanted: str) -> None:
    if not good:
        raise ConfigurationError(f"`{field}` must be {wanted}, not {value!r}.", field=field)


def _check_one_of(field: str, value: object, known: Sequence[object]) -> None:
    _check(value in known, field, value, " or ".join(map(repr, known)))
