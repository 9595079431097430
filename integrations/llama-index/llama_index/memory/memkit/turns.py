"""What of a conversation is a turn: what the user said and the final answer, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from llama_index.core.base.llms.types import ChatMessage, MessageRole, ToolCallBlock

from llama_index.storage.chat_store.memkit.messages import as_message, as_turn
from memkit import Message

_USERS: Final = frozenset({MessageRole.USER})
_MODELS: Final = frozenset({MessageRole.ASSISTANT, MessageRole.CHATBOT, MessageRole.MODEL})
_SYSTEMS: Final = frozenset({MessageRole.SYSTEM, MessageRole.DEVELOPER})

# A `ReActAgent` hands over all its steps in one message, the answer last.
_OBSERVED: Final = re.compile(r"^Observation:", re.MULTILINE)
_REASONED: Final = re.compile(r"^Thought:.*?^Answer:[ \t]*(.*)", re.MULTILINE | re.DOTALL)
# A `CodeActAgent` writes code as an assistant and what it printed as a user.
_CODE: Final = "<execute>"
_PRINTED: Final = "Result of executing the code given:"


class Part(Enum):
    """What a message is in its turn."""

    USER = "user"
    ANSWER = "answer"
    WORK = "work"
    """Calls of tools and what they returned, code and what it printed."""
    SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A message of the history, as the ledger and as LlamaIndex have it."""

    turn: Message
    message: ChatMessage

    @classmethod
    def of(cls, turn: Message) -> Kept:
        """Return a kept turn as both."""
        return cls(turn=turn, message=as_message(turn))


def as_kept(message: ChatMessage) -> dict[str, Any]:
    """Return a message as it is kept: whole, and its content what it says, without the steps that led there."""
    turn = as_turn(message)
    if message.role in _MODELS:
        turn["content"] = answer_of(turn["content"])
        # An answer that a tool gave directly names its call; no memory has a use for that.
        turn.pop("tool_call_id", None)
    return turn


def answer_of(text: str) -> str:
    """Return the answer of a text that may hold a `ReActAgent`'s thoughts, actions and observations before it."""
    if not text.startswith("Thought:"):
        return text
    observed = [found.start() for found in _OBSERVED.finditer(text)]
    last = text[observed[-1] :] if observed else text
    found = _REASONED.search(last) or _REASONED.search(text)
    return found[1].strip() if found else text


def parts_of(messages: Sequence[ChatMessage]) -> list[Part]:
    """Return what each message of a history is."""
    parts: list[Part] = []
    for place, message in enumerate(messages):
        parts.append(_part(message))
        if message.role in _USERS and place and _is_printed(messages[place - 1], message):
            parts[place - 1 :] = [Part.WORK, Part.WORK]
    return parts


def finished(kept: Sequence[Kept]) -> list[Kept]:
    """Return the turns that a history ends with, as what the user said and the final answer to it; empty while open.

    Of several answers to the same words the last is the final one. An answer to nothing is no turn.
    """
    parts = parts_of([one.message for one in kept])
    done: list[Kept] = []
    turn: list[Kept] = []
    answer: Kept | None = None
    for one, part in zip(kept, parts, strict=True):
        if part is Part.USER:
            if answer is not None:
                done, turn, answer = [*done, *turn, answer], [], None
            turn.append(one)
        elif part is Part.ANSWER and turn:
            answer = one
    if answer is not None and parts[-1] is Part.ANSWER:
        done = [*done, *turn, answer]
    return done


def ends_turn(messages: Sequence[ChatMessage]) -> bool:
    """Return whether there is a final answer among messages: one that the user's next words or nothing follows."""
    parts = parts_of(messages)
    return any(
        part is Part.ANSWER and following in (Part.USER, None)
        for part, following in zip(parts, [*parts[1:], None], strict=True)
    )


def open_since(parts: Sequence[Part]) -> int | None:
    """Return the place behind the last answer, or None where there is no answer."""
    places = [place for place, part in enumerate(parts) if part is Part.ANSWER]
    return places[-1] + 1 if places else None


def to_learn(turns: Sequence[Kept]) -> list[dict[str, Any]]:
    """Return kept turns as `Memory.add` takes them: by id and run, so that each is learned once.

    With the run in the turn and not in the call, a fact may supersede what was said in another conversation.
    """
    learnable: list[dict[str, Any]] = []
    for one in turns:
        text = answer_of(one.turn.text) if one.message.role in _MODELS else one.turn.text
        if text.strip():
            turn = one.turn
            learnable.append(
                {
                    "id": turn.id,
                    "role": turn.role,
                    "content": text,
                    "created_at": turn.created_at,
                    "run_id": turn.run_id,
                }
            )
    return learnable


def is_system(message: ChatMessage) -> bool:
    """Return whether a message is instructions of the application."""
    return message.role in _SYSTEMS


def last_user(messages: Sequence[ChatMessage]) -> int | None:
    """Return the place of the last message that a user wrote, or None."""
    parts = parts_of(messages)
    return next((place for place in reversed(range(len(parts))) if parts[place] is Part.USER), None)


def _part(message: ChatMessage) -> Part:
    if message.role in _USERS:
        return Part.USER
    if message.role in _SYSTEMS:
        return Part.SYSTEM
    return Part.ANSWER if message.role in _MODELS and not _calls_tools(message) else Part.WORK


def _calls_tools(message: ChatMessage) -> bool:
    extra = message.additional_kwargs
    return (
        any(isinstance(block, ToolCallBlock) for block in message.blocks)
        or bool(extra.get("tool_calls"))
        or bool(extra.get("function_call"))
    )


def _is_printed(before: ChatMessage, message: ChatMessage) -> bool:
    return (
        before.role in _MODELS
        and _CODE in (before.content or "")
        and (message.content or "").startswith(_PRINTED)
    )
