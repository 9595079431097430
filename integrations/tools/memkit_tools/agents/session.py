"""`MemkitSession`: the history of one conversation for the OpenAI Agents SDK, in the memory's ledger."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Final, Literal

from agents import RunContextWrapper, SessionSettings, TResponseInputItem

from memkit import AsyncMemory, Memory, Message
from memkit.errors import ConfigurationError, InvalidInputError, MemkitError
from memkit.scope import IdLike

from ..chat.turns import get, kind, words
from .scope import check_memory, ids_of

log: Final = logging.getLogger("memkit_tools")

_KEY: Final = "openai_agents"
"""Where a turn's payload holds the item; turns that others keep in the same run have none."""
_TURN: Final = 200
"""So many items belong to one turn at most."""


class MemkitSession:
    """The items of one conversation, whole and in the order in which they were added; a `Session` of the Agents SDK.

    Each item is also a turn of the memory, with role and words, for whatever reads `memory.messages`. When an answer is
    added, it and what the user said before it are learned from, once: `memory.flush()` waits. Calls of tools and their
    results are kept and never learned from.

    Whose conversation is said by `user_id`, else by the context of the run, `context.user_id` or `context["user_id"]`:
    one session object then serves every user, each with a history of their own. Called outside of a run, pass
    `wrapper=` or give `user_id`. Where neither says it, the conversation belongs to its `session_id` alone.

    Args:
        session_id: The conversation; the turns' `run_id`.
        memory: Of either kind, bound or not.
        user_id: Pins whose conversation.
        agent_id: Pins the agent that holds it.
        session_settings: The SDK's; its `limit` holds where a call gives none.
        remember: False keeps the items and learns nothing.
        infer: `"auto"` extracts facts where the memory has a model, and otherwise makes the turns memories; False
            always makes the turns memories.
        background: Extract after the answer; False extracts before `add_items` returns.
        after_seconds: Let a background extraction wait so long for the next turn, to learn from both at once.

    Raises:
        ConfigurationError: An argument cannot be used as given.
        ScopeError: An id is blank, or outside of the bound memory.
    """

    session_id: str
    session_settings: SessionSettings | None

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        session_id: str,
        user_id: IdLike | None = None,
        *,
        agent_id: IdLike | None = None,
        session_settings: SessionSettings | None = None,
        remember: bool = True,
        infer: bool | Literal["auto"] = "auto",
        background: bool = True,
        after_seconds: float | None = None,
    ) -> None:
        check_memory(memory, 'MemkitSession(memory, "session-1", user_id="alice")')
        learns = bool(infer) and background
        if after_seconds and not learns:
            raise ConfigurationError("`after_seconds` needs a background extraction.", field="after_seconds")
        self.session_id = session_id
        self.session_settings = SessionSettings() if session_settings is None else session_settings
        self.failures = 0
        """How often items were kept and could not be learned from."""
        self._popping = 0
        self._popped: set[str] = set()
        self._memory = memory
        self._pinned = {"user_id": user_id, "agent_id": agent_id}
        self._remember = remember
        self._learn: dict[str, Any] = {
            "infer": bool(infer), "background": learns, "after_seconds": after_seconds or None,
        }  # fmt: skip
        memory.bind(**self._pinned, run_id=session_id)

    def __repr__(self) -> str:
        """Return which conversation it is."""
        return f"<MemkitSession {self.session_id!r}>"

    async def get_items(
        self, limit: int | None = None, *, wrapper: RunContextWrapper[Any] | None = None
    ) -> list[TResponseInputItem]:
        """Return the newest items, oldest first.

        Args:
            limit: At most so many; None for the limit of `session_settings`, else all.
            wrapper: The context of the run.
        """
        most = limit if limit is not None or self.session_settings is None else self.session_settings.limit
        if most is not None and most <= 0:
            return []
        return [_item(turn) for turn in await self._turns(self._bound(wrapper), most)]

    async def add_items(
        self, items: list[TResponseInputItem], *, wrapper: RunContextWrapper[Any] | None = None
    ) -> None:
        """Append items in one transaction, and learn from the turn that an answer among them ends.

        Raises:
            InvalidInputError: An item cannot be written as JSON; nothing is kept then.
            BackendError: The ledger is down; nothing is kept.
        """
        if not items:
            return
        memory = self._bound(wrapper)
        await memory.keep([_turn(item) for item in items])
        if self._remember and _says(items[-1]) == "assistant":
            try:
                await self._learn_from_last(memory)
            except Exception as error:  # noqa: BLE001  (models, embedders and hooks are the caller's: they raise anything)
                self.failures += 1
                said = f": {error.message}" if isinstance(error, MemkitError) else ""
                log.error("memkit: items are kept and not learned from (%s)%s", type(error).__name__, said)

    async def pop_item(self, *, wrapper: RunContextWrapper[Any] | None = None) -> TResponseInputItem | None:
        """Take the newest item out of the history and return it, or None from an empty one."""
        memory = self._bound(wrapper)
        self._popping += 1
        try:
            while last := await self._turns(memory, 1):
                mine = last[0].id not in self._popped  # else another call has read the same one meanwhile
                self._popped.add(last[0].id)
                await memory.mark_messages([last[0].id], status="deleted")
                if mine:
                    return _item(last[0])
            return None
        finally:
            self._popping -= 1
            if not self._popping:
                self._popped.clear()

    async def clear_session(self, *, wrapper: RunContextWrapper[Any] | None = None) -> None:
        """Put the items aside: hidden everywhere, and erased only by `memory.forget`.

        What was learned of them stays; `memory.delete_all(run_id=...)` takes it back.
        """
        memory = self._bound(wrapper)
        turns = await self._turns(memory, None)
        await memory.mark_messages([turn.id for turn in turns], status="deleted")

    def _bound(self, wrapper: RunContextWrapper[Any] | None) -> AsyncMemory:
        """Return the memory of this conversation, of whoever the run is for."""
        ids = ids_of(self._memory, self._pinned, None if wrapper is None else wrapper.context)
        return self._memory.bind(**ids, run_id=self.session_id).to_async()

    async def _turns(self, memory: AsyncMemory, limit: int | None) -> list[Message]:
        """Return the newest turns of this session's own making, in the order in which they were added."""
        assert memory.scope is not None
        newest: dict[str, Any] = {"status": "active", "limit": limit}
        if memory.scope.agent_id is None:
            newest["agent_id"] = [None]
        found: list[Message] = []
        while page := await memory.messages(**newest):
            found = [*(turn for turn in page if _KEY in (turn.payload or {})), *found]
            if limit is None or len(found) >= limit or len(page) < limit:
                break
            newest["before"] = page[0].id
        found.sort(key=lambda turn: turn.seq)
        return found if limit is None else found[-limit:]

    async def _learn_from_last(self, memory: AsyncMemory) -> None:
        assert memory.scope is not None
        ids = memory.scope.as_dict()
        run = ids.pop("run_id")
        said = [
            {"role": turn.role, "content": turn.content, "id": turn.id, "run_id": run}
            for turn in _last_turn(await self._turns(memory, _TURN))
        ]
        if said:  # learned among what is known from all runs
            across = self._memory.bind(**ids) if ids else memory
            await across.to_async().add(said, **self._learn)


def _last_turn(turns: Sequence[Message]) -> list[Message]:
    """Return the last answer and what the user said between it and the answer before."""
    if not turns or turns[-1].role != "assistant" or not turns[-1].text.strip():
        return []
    asked: list[Message] = []
    for turn in reversed(turns[:-1]):
        if turn.role == "assistant" and turn.text.strip() and asked:
            break
        if turn.role == "user" and turn.text.strip():
            asked.insert(0, turn)
    return [*asked, turns[-1]]


def _says(item: TResponseInputItem) -> str:
    """Return the role of a message, and nothing of another item."""
    return str(get(item, "role") or "") if kind(item) in ("", "message") else ""


def _turn(item: TResponseInputItem) -> dict[str, Any]:
    """Return an item as a turn for `Memory.keep`: role and words for everybody, in the payload the item itself."""
    dump = getattr(item, "model_dump", None)
    plain: Any = item if dump is None else dump(mode="json", exclude_unset=True)
    role = _says(plain)
    try:
        payload = json.loads(json.dumps(plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"An item cannot be written as JSON: {error}.", field="items") from error
    return {
        "role": role if role in ("user", "assistant", "system", "developer") else _role(plain),
        "content": words(get(plain, "content")) if role else "",
        "payload": {_KEY: payload},
    }


def _role(item: object) -> str:
    return "tool" if kind(item).endswith("_output") else "assistant"


def _item(turn: Message) -> TResponseInputItem:
    return (turn.payload or {})[_KEY]
