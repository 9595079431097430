"""`MemkitMemoryBlock`: long-term memory beside the history of the native `Memory`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, cast, get_args

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.memory import BaseMemoryBlock
from llama_index.core.utils import get_tokenizer  # pyright: ignore[reportUnknownVariableType]  its list is open
from typing_extensions import override

from llama_index.storage.chat_store.memkit.messages import as_turn
from memkit import AsyncMemory, Memory, Message
from memkit.errors import ConfigurationError, MemkitError, ScopeError
from memkit.scope import IdLike, ReadIds, read_scope

from ._options import check_recall
from .turns import Part, answer_of, last_user, parts_of

Write = Literal["flush", "never"]
OnError = Literal["ignore", "raise"]

log: Final = logging.getLogger("llama_index.memory.memkit")

_MISSING: Final = (
    'No user_id: whose memories? Pin it, MemkitMemoryBlock(memory=memory, user_id="alice"), or give a bound memory: '
    'MemkitMemoryBlock(memory=memory.bind(user_id="alice")).'
)
_ROW: Final = "- ["
_FENCE: Final = "<memkit:recalled>"


class MemkitMemoryBlock(BaseMemoryBlock[str]):
    """Puts what is known about a user into the prompts of a native `Memory`, and learns from what this flushes.

    The native `Memory` gives a block nothing before its queue overflows: with its defaults that is after some 21,000
    tokens (`token_limit` of 30,000 times `chat_history_token_ratio` of 0.7), so that a short chat teaches it nothing.
    `Memory.from_defaults(token_limit=4000, chat_history_token_ratio=0.3, token_flush_size=500, memory_blocks=[block])`
    flushes after 1,200 tokens; `MemkitMemory` learns from every turn. Recall needs no flush: each `get` of the memory
    asks for the last thing the user said.

    The scope is fixed here, so that one block may serve several `Memory` objects of one user; the session that they
    name becomes the run of what they flush, and recall looks through all runs. Tool calls, their results and system
    messages are not learned. No message is changed.

    Args:
        memory: Of either kind, bound or not.
        user_id: Whose memories; at least one id is needed unless the memory is bound.
        agent_id: The agent they belong to; for a block that never writes also a list, in which None means "stored
            without".
        run_id: Only memories of this conversation, which is then also where everything is written.
        name: Of the block, unlike that of any other block of the memory.
        description: Of the block.
        priority: What to truncate first where a prompt is too long, the lowest number after 0; 0 is never truncated.
        accept_short_term_memory: False takes nothing from the queue of a memory.
        k: At most so many memories that the question finds; standing instructions and preferences come on top.
        max_tokens: Of the whole text.
        threshold: Leave out found memories under this score.
        filters: memkit's filter language; `memory.aget(filters=...)` narrows them for one call.
        write: `flush` learns from what the memory flushes, `never` only recalls.
        infer: `auto` extracts facts where the memory has a model and otherwise makes the turns memories; False always
            makes the turns memories.
        background: Extract after `aput` has returned; `Memory.flush()` of memkit waits for it.
        on_error: `ignore` logs and counts errors of the memory, and recalls nothing; `raise` raises them, which ends
            the agent's run.

    Raises:
        ScopeError: No scope, a blank id, or one outside a bound memory's.
        ConfigurationError: Another argument cannot be used as given.
        FilterError: The filters are none of memkit's.
    """

    name: str = Field(default="memkit", description="The name of the block.")
    k: int = 5
    max_tokens: int = 1000
    threshold: float | None = None
    filters: dict[str, Any] | None = None
    write: Write = "flush"
    infer: bool | Literal["auto"] = "auto"
    background: bool = False
    on_error: OnError = "ignore"

    _memory: Memory | AsyncMemory = PrivateAttr()
    _ids: dict[str, Any] = PrivateAttr()
    _failures: Counter[str] = PrivateAttr()

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        user_id: IdLike | None = None,
        agent_id: ReadIds = None,
        run_id: IdLike | None = None,
        *,
        name: str = "memkit",
        description: str | None = None,
        priority: int = 1,
        accept_short_term_memory: bool = True,
        k: int = 5,
        max_tokens: int = 1000,
        threshold: float | None = None,
        filters: Mapping[str, Any] | None = None,
        write: Write = "flush",
        infer: bool | Literal["auto"] = "auto",
        background: bool = False,
        on_error: OnError = "ignore",
    ) -> None:
        if not isinstance(memory, Memory | AsyncMemory):  # pyright: ignore[reportUnnecessaryIsInstance]  callers are not all typed
            raise ConfigurationError(f"`memory` is a Memory or an AsyncMemory, not {type(memory).__name__}.")
        ids = {"user_id": user_id, "agent_id": agent_id, "run_id": run_id}
        _check_scope(memory, ids, write)
        for option, value, known in (("write", write, Write), ("on_error", on_error, OnError)):
            if value not in get_args(known):
                raise ConfigurationError(f"`{option}` is one of {get_args(known)}, not {value!r}.")
        if infer not in (True, False, "auto"):
            raise ConfigurationError(f"`infer` is True, False or 'auto', not {infer!r}.")
        check_recall(k=k, max_tokens=max_tokens, threshold=threshold, filters=filters)
        fields: dict[str, Any] = {
            "name": name,
            "description": description,
            "priority": priority,
            "accept_short_term_memory": accept_short_term_memory,
            "k": k,
            "max_tokens": max_tokens,
            "threshold": threshold,
            "filters": None if filters is None else dict(filters),
            "write": write,
            "infer": infer,
            "background": background,
            "on_error": on_error,
        }
        super().__init__(**fields)
        self._memory = memory
        self._ids = {name: value for name, value in ids.items() if value is not None}
        self._failures = Counter()

    @property
    def failures(self) -> dict[str, int]:
        """How often `recall` and `remember` have failed; empty while they never have."""
        return dict(self._failures)

    @override
    async def _aget(self, messages: list[ChatMessage] | None = None, **block_kwargs: Any) -> str:
        place = last_user(messages or [])
        query = None if messages is None or place is None else messages[place].content
        if query is None or not query.strip():
            return ""
        given = [one for one in (self.filters, block_kwargs.get("filters")) if one]
        try:
            found = await self._memory.to_async().context(
                query,
                **self._ids,
                filters={"AND": given} if len(given) > 1 else given[0] if given else None,
                limit=self.k,
                threshold=self.threshold,
                max_tokens=self.max_tokens,
            )
        except Exception as error:  # noqa: BLE001 - an embedder or a hook of the caller's may raise anything
            self._failed("recall", error)
            return ""
        for warning in found.warnings:
            log.warning("memkit: %s", warning)
        return str(found)

    @override
    async def aput(
        self,
        messages: list[ChatMessage],
        from_short_term_memory: bool = False,
        session_id: str | None = None,
    ) -> None:
        """Learn from messages that a memory flushes.

        Args:
            messages: Oldest first; they stay as they are.
            from_short_term_memory: Whether they come from the queue of a memory.
            session_id: The run they belong to.
        """
        if from_short_term_memory and not self.accept_short_term_memory:
            return
        if session_id is not None:
            messages = [
                message.model_copy(
                    update={"additional_kwargs": {**message.additional_kwargs, "session_id": session_id}}
                )
                for message in messages
            ]
        await self._aput(messages)

    @override
    async def _aput(self, messages: list[ChatMessage]) -> None:
        if self.write == "never":
            return
        runs: dict[object, list[ChatMessage]] = {}
        for message in messages:
            runs.setdefault(message.additional_kwargs.get("session_id"), []).append(message)
        for session, said in runs.items():
            try:
                await self._learn(said, session)
            except Exception as error:  # noqa: BLE001 - a model or a hook of the caller's may raise anything
                self._failed("remember", error)

    async def _learn(self, messages: Sequence[ChatMessage], session: object) -> None:
        memory = self._memory.to_async().bind(**self._ids)
        assert memory.scope is not None
        run = memory.scope.run_id or (None if session is None else str(session))
        known = await _kept_already(memory, messages, run)
        turns: list[dict[str, Any]] = []
        for message, part, kept in zip(messages, parts_of(messages), known, strict=True):
            if part not in (Part.USER, Part.ANSWER):
                continue
            turn = as_turn(message)
            text = turn["content"] if part is Part.USER else answer_of(turn["content"])
            if text.strip():
                # With the run in the turn and not in the call, a fact may supersede one of another conversation.
                said = {"role": turn["role"], "content": text, "run_id": run}
                turns.append(said | ({"id": kept.id, "created_at": kept.created_at} if kept else {}))
        if turns:
            infer = bool(self.infer)
            await memory.add(turns, infer=infer, background=self.background and infer)

    @override
    async def atruncate(self, content: str, tokens_to_truncate: int) -> str | None:
        """Return the content without its lowest-ranked memories, so many fewer tokens; None where none are left."""
        if tokens_to_truncate <= 0:
            return content
        tokens = cast("Any", get_tokenizer())
        lines = content.splitlines()
        left = len(tokens(content)) - tokens_to_truncate
        rows = [place for place, line in enumerate(lines) if line.startswith(_ROW)]
        while rows and left > 0:
            del lines[rows.pop()]
            kept = _without_empty_fences(lines)
            if rows and len(tokens(kept)) <= left:
                return kept
        return None

    def _failed(self, what: str, error: Exception) -> None:
        """Count an error, and raise it where that was asked for or the caller has to mend it."""
        self._failures[what] += 1
        if self.on_error == "raise":
            raise error
        said = error.message if isinstance(error, MemkitError) else type(error).__name__
        log.warning("memkit: could not %s: %s", what, said)


def _check_scope(memory: Memory | AsyncMemory, ids: Mapping[str, Any], write: str) -> None:
    """Raise where the ids name nobody, leave a bound memory, or cannot be written under."""
    if memory.scope is None and all(value is None for value in ids.values()):
        raise ScopeError(_MISSING, field="user_id")
    if write == "flush":
        memory.bind(**ids)
    elif memory.scope is None:
        read_scope(**ids)


async def _kept_already(
    memory: AsyncMemory, messages: Sequence[ChatMessage], run: str | None
) -> Sequence[Message | None]:
    """Return the turns that a memkit chat store has archived, where these messages are its newest ones.

    They are then learned as the turns they are, instead of being kept a second time in the same conversation.
    """
    if run is None:
        return [None] * len(messages)
    rows = await memory.messages(run_id=run, limit=len(messages), status="archived")
    if [row.payload for row in rows] != [_payload(message) for message in messages]:
        return [None] * len(messages)
    return rows


def _payload(message: ChatMessage) -> dict[str, Any]:
    """Return what a chat store has of a message; the session's id came later."""
    payload: dict[str, Any] = as_turn(message)["payload"]
    extra = {key: value for key, value in payload["additional_kwargs"].items() if key != "session_id"}
    return {**payload, "additional_kwargs": extra}


def _without_empty_fences(lines: Sequence[str]) -> str:
    """Return lines without the sections that have no row left."""
    sections: list[list[str]] = []
    for line in lines:
        if line == _FENCE or not sections:
            sections.append([])
        sections[-1].append(line)
    full = [
        "\n".join(section).strip() for section in sections if any(row.startswith(_ROW) for row in section)
    ]
    return "\n\n".join(full)
