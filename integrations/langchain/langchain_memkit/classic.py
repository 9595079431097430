"""`MemkitMemory`: long-term memory for the chains of `langchain_classic`.

Annotations are evaluated: pydantic reads those of the fields.
"""

import logging
import threading
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.messages import BaseMessage, SystemMessage
from pydantic import ConfigDict, Field, PrivateAttr
from typing_extensions import override

from memkit import AsyncMemory, Context, Memory
from memkit.errors import InvalidInputError, MemkitError, ScopeError
from memkit.scope import SCOPE_FIELDS, Scope

from .scope import across_runs

try:
    from langchain_classic.base_memory import BaseMemory
except ImportError as error:
    raise ImportError(
        'MemkitMemory needs langchain-classic. Type: pip install "langchain-memkit[classic]"', name=error.name
    ) from error

log: Final = logging.getLogger("langchain_memkit")

_counting: Final = threading.Lock()
"""Of all instances: one with a lock of its own could not be copied."""

_MISSING: Final = 'No user_id: whose memories? Pin it, MemkitMemory(memory=memory, user_id="alice").'
_NO_RUN: Final = (
    "`clear` takes back one conversation, and no run_id says which. Pin it, MemkitMemory(memory=memory, "
    'user_id="alice", run_id=session_id); to erase all that is known of a user, memory.forget(user_id="alice").'
)


class MemkitMemory(BaseMemory):
    """Puts what is known about the user into a chain's prompt, and remembers each of its turns once.

    For `LLMChain`, `ConversationChain` and others that take `memory=`, all of which LangChain has deprecated: new code
    has `LongTermMemoryMiddleware`. For chains of text only, as every classic memory: calls of tools pass it by.

    What is recalled depends on the input, in place of the last turns or all of them; it is fenced as data, and is from
    all conversations of the user. Both sides of a turn are stored in one `add`, under `run_id` where it is pinned; with
    a model, facts are then extracted in one call. A memory that fails never costs the answer: the error is logged and
    counted in `failures`, and turns that were kept are learned by `memory.repair()`.

    Raises:
        ScopeError: No id is pinned and the memory is not bound, or an id is blank or outside of the bound memory.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", use_attribute_docstrings=True)

    memory: Memory | AsyncMemory = Field(exclude=True, repr=False)
    """Of either kind, bound or not; sync and async chains both work with it."""
    user_id: Any = None
    """Whose memories."""
    agent_id: Any = None
    """The agent they belong to; recall then sees those of this agent alone."""
    run_id: Any = None
    """The conversation that turns are stored under; without user and agent, recall too is of this run alone."""
    k: int = Field(default=5, ge=1)
    """At most so many memories that the input finds; standing instructions and preferences come on top."""
    max_tokens: int = Field(default=1000, ge=1)
    """Of all that is recalled."""
    threshold: float | None = Field(default=None, ge=0, le=1)
    """Leave out found memories under this score."""
    memory_key: str = "history"
    """The prompt's variable."""
    input_key: str | None = None
    """Which of the chain's inputs the user said; None where there is only one."""
    output_key: str | None = None
    """Which of its outputs is the answer; None where there is only one."""
    return_messages: bool = False
    """Give the prompt a list with a system message, or without any where nothing is known, in place of a text."""
    infer: bool = True
    """False makes the turns memories as they are, also where the memory has a model."""
    background: bool = False
    """Extract after the answer; `memory.flush()` waits for it."""

    _scope: Scope = PrivateAttr()
    _failures: Counter[str] = PrivateAttr(default_factory=Counter[str])

    if not TYPE_CHECKING:  # type checkers know the arguments from the fields

        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            self._scope = self._checked_scope()  # in a validator, pydantic would make its own error of ours

    def _checked_scope(self) -> Scope:
        pinned = {name: getattr(self, name) for name in SCOPE_FIELDS}
        if self.memory.scope is None and all(value is None for value in pinned.values()):
            raise ScopeError(_MISSING, field="user_id")
        scope = self.memory.bind(**pinned).scope
        assert scope is not None
        return scope

    @property
    def failures(self) -> dict[str, int]:
        """How often `recall` and `remember` have failed; empty while they never have."""
        with _counting:
            return dict(self._failures)

    @property
    @override
    def memory_variables(self) -> list[str]:
        """The prompt's variable."""
        return [self.memory_key]

    # Recall.

    @override
    def load_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return what is known that helps with the input; without any input, nothing.

        Raises:
            InvalidInputError: Several inputs and no `input_key`.
        """
        query, found = self._input(inputs) if inputs else "", Context()
        if query.strip():
            with self._tolerating("recall"):
                found = self._everywhere().to_sync().context(query, **self._budget())
        return self._variables(found)

    @override
    async def aload_memory_variables(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Async version of `load_memory_variables`."""
        query, found = self._input(inputs) if inputs else "", Context()
        if query.strip():
            with self._tolerating("recall"):
                found = await self._everywhere().to_async().context(query, **self._budget())
        return self._variables(found)

    def _budget(self) -> dict[str, Any]:
        return {"limit": self.k, "threshold": self.threshold, "max_tokens": self.max_tokens}

    def _variables(self, found: Context) -> dict[str, Any]:
        for warning in found.warnings:
            log.warning("memkit: %s", warning)
        text = str(found)
        if self.return_messages:
            return {self.memory_key: [SystemMessage(content=text)] if text else []}
        return {self.memory_key: text}

    # Remembering.

    @override
    def save_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Store a turn, and learn from it.

        Raises:
            InvalidInputError: Several inputs and no `input_key`, or several outputs and no `output_key`.
        """
        if turn := self._turn(inputs, outputs):
            with self._tolerating("remember"):
                memory = self._everywhere().to_sync()
                memory.add(turn, infer=self.infer, background=self.background)

    @override
    async def asave_context(self, inputs: dict[str, Any], outputs: dict[str, str]) -> None:
        """Async version of `save_context`."""
        if turn := self._turn(inputs, outputs):
            with self._tolerating("remember"):
                memory = self._everywhere().to_async()
                await memory.add(turn, infer=self.infer, background=self.background)

    def _turn(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> list[dict[str, str | None]]:
        """Return what was said and what was answered, each unless it is blank."""
        said = self._input(inputs)
        answer = _text(outputs[_the_key("output", outputs, self.output_key)])
        return [
            {"role": role, "content": text, "run_id": self._scope.run_id}
            for role, text in (("user", said), ("assistant", answer))
            if text.strip()
        ]

    def _everywhere(self) -> Memory | AsyncMemory:
        return across_runs(self.memory, self._scope)

    def _input(self, inputs: Mapping[str, Any]) -> str:
        own = [key for key in inputs if key not in (self.memory_key, "stop")]
        return _text(inputs[_the_key("input", own, self.input_key)])

    @contextmanager
    def _tolerating(self, operation: str) -> Generator[None]:
        """Log and count what fails inside: it must not cost the answer."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  (models, embedders and hooks are the caller's: they raise anything)
            with _counting:
                self._failures[operation] += 1
            said = f": {error.message}" if isinstance(error, MemkitError) else ""
            log.error("memkit: %s failed (%s)%s", operation, type(error).__name__, said)

    # Taking back.

    @override
    def clear(self) -> None:
        """Put the turns of the pinned run aside, and the memories made in it; no other run is touched.

        Nothing is erased: `memory.history` has the memories, `memory.undo` brings them back, and only `memory.forget`
        erases.

        Raises:
            ScopeError: No run is pinned.
        """
        memory, exactly = self._pinned_run()
        run = memory.to_sync()
        ids = [turn.id for turn in run.messages(**exactly)]
        run.mark_messages(ids, status="deleted", **exactly)
        run.delete_all(**exactly)

    @override
    async def aclear(self) -> None:
        """Async version of `clear`."""
        memory, exactly = self._pinned_run()
        run = memory.to_async()
        ids = [turn.id for turn in await run.messages(**exactly)]
        await run.mark_messages(ids, status="deleted", **exactly)
        await run.delete_all(**exactly)

    def _pinned_run(self) -> tuple[Memory | AsyncMemory, dict[str, Any]]:
        if self._scope.run_id is None:
            raise ScopeError(_NO_RUN, field="run_id")
        exactly: dict[str, Any] = {} if self._scope.agent_id is not None else {"agent_id": [None]}
        return self.memory.bind(**self._scope.as_dict()), exactly


def _the_key(kind: str, keys: Sequence[str] | Mapping[str, Any], wanted: str | None) -> str:
    """Return the key of what the user said or what was answered.

    Raises:
        InvalidInputError: It is not clear which, or it is not there.
    """
    found = list(keys)
    if wanted in found or (wanted is None and len(found) == 1):
        return wanted or found[0]
    which = f"no {wanted!r} among them" if wanted else "more or less than one"
    raise InvalidInputError(
        f"The chain's {kind}s are {found}: {which}. Say which to remember: MemkitMemory(..., {kind}_key=...).",
        field=f"{kind}_key",
    )


def _text(value: object) -> str:
    """Return the words of a text, of a message, or of the last of several."""
    if isinstance(value, BaseMessage):
        return str(value.text)
    if isinstance(value, list | tuple):
        items = cast("Sequence[object]", value)
        return _text(items[-1]) if items else ""
    return value if isinstance(value, str) else str(value)
