"""What of a thread is a turn: what the user said and the final answer, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from memkit_tools.waiting import Ids

Turn = dict[str, Any]
"""One message as `Memory.add` takes it, in plain JSON, for a checkpointer keeps it; with its ids in `scope`."""

_WORDS: Final = frozenset({"text", "input_text", "output_text"})


def is_users(message: AnyMessage) -> bool:
    """Return whether somebody said it; a summary that a middleware wrote as a human message nobody did."""
    return isinstance(message, HumanMessage) and not message.additional_kwargs.get("lc_source")


def is_answer(message: AnyMessage) -> bool:
    """Return whether it ends a turn: the model's, and it calls no tool."""
    return (
        isinstance(message, AIMessage)
        and not message.tool_calls
        and not message.additional_kwargs.get("lc_source")
    )


def unanswered(messages: Sequence[AnyMessage], cursor: str | None = None) -> list[AnyMessage]:
    """Return what the user said since the last answer, or since the message that the cursor names if that is later.

    A tool's result that the user goes on from was an answer too: it was returned directly, or is a structured one.
    """
    start = 0
    for place, message in enumerate(messages):
        told = isinstance(message, ToolMessage) and any(map(is_users, messages[place + 1 : place + 2]))
        if told or is_answer(message) or (cursor is not None and message.id == cursor):
            start = place + 1
    return [message for message in messages[start:] if is_users(message)]


def question(messages: Sequence[AnyMessage]) -> str | None:
    """Return the last words the user said, or None."""
    said = (message.text for message in reversed(messages) if is_users(message))
    return next((text for text in said if text.strip()), None)


def as_turn(message: AnyMessage, at: str) -> Turn:
    """Return a message as `Memory.add` takes it: the user's with images and files, the model's as words alone."""
    users = isinstance(message, HumanMessage)
    turn: Turn = {
        "role": "user" if users else "assistant",
        "content": _content(message) if users else _storable(message.text),
        "id": id_of(message),
        "created_at": at,
    }
    return turn | ({"name": message.name} if message.name else {})


def id_of(message: AnyMessage) -> str:
    """Return a message's id, or for one without an id one that its content gives."""
    if message.id:
        return message.id
    content = json.dumps([message.type, cast("Any", message.content)], default=str)
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()[:32]


def finished(
    waiting: Sequence[Turn], messages: Sequence[AnyMessage], at: str, *, structured: bool = False
) -> list[Turn]:
    """Return the waiting turns in order, each user's turn followed by the answer that the thread has for it.

    Of several answers to one user's turn the last is the final one.

    Args:
        waiting: Turns that are not remembered yet; what the thread has lost of them is not lost here.
        messages: The thread, as the agent leaves it.
        at: When the answers were given.
        structured: Whether the agent answers with an object.
    """
    by_id = {turn["id"]: turn for turn in waiting}
    here = {id_of(message) for message in messages}
    done = [turn for turn in waiting if turn["id"] not in here]
    asked, answer = _last_user(done), cast("Turn | None", None)
    for message in messages:
        if is_users(message):
            done += [answer] if answer else []
            asked, answer = by_id.get(id_of(message)), None
            if asked is not None:
                done.append({**asked, "content": as_turn(message, at)["content"]})
        elif asked is not None and id_of(message) in by_id:
            answer = by_id[id_of(message)]
        elif asked is not None and is_answer(message) and message.text.strip():
            answer = {**as_turn(message, at), "scope": asked["scope"]}
    if asked is not None and answer is None and (told := _told(messages, at, structured=structured)):
        answer = {**told, "scope": asked["scope"]}
    done += [answer] if answer else []
    # A user's message without words is whole only in the thread; `keep` has stored it as it came.
    return [turn for turn in done if not isinstance(turn["content"], str) or turn["content"].strip()]


def _told(messages: Sequence[AnyMessage], at: str, *, structured: bool) -> Turn | None:
    """Return the answer that a tool's result ends a turn with: what it says, or the object the model gave it."""
    last = messages[-1]
    if not isinstance(last, ToolMessage) or last.status == "error":
        return None
    told = as_turn(last, at)
    calls = [call for message in messages if isinstance(message, AIMessage) for call in message.tool_calls]
    given = next((call["args"] for call in reversed(calls) if call["id"] == last.tool_call_id), None)
    if structured and given is not None:
        told["content"] = _storable(json.dumps(given, ensure_ascii=False))
    return told if told["content"].strip() else None


def by_scope(turns: Sequence[Turn]) -> list[tuple[Ids, list[Turn]]]:
    """Return turns as messages of their runs, together with those of the same ids, in order."""
    groups: dict[str, tuple[Ids, list[Turn]]] = {}
    for turn in turns:
        message = {key: value for key, value in turn.items() if key != "scope"}
        scope = cast("Ids", turn["scope"])
        if scope["run_id"] is not None:
            message["run_id"] = scope["run_id"]
        groups.setdefault(json.dumps(scope, sort_keys=True), (scope, []))[1].append(message)
    return list(groups.values())


def of_all_runs(ids: Ids) -> Ids:
    """Return the ids without the run: what is known and what is learned belongs to the user, not to one thread."""
    return {**ids, "run_id": None}


def key_of(scope: Mapping[str, str | None], turns: Sequence[Turn]) -> str:
    """Return what recognises a turn by its user's messages, whatever was answered to them."""
    said = [turn["id"] for turn in turns if turn["role"] == "user"]
    content = json.dumps([sorted(scope.items()), said or [turn["id"] for turn in turns]])
    return f"langchain-turn-{hashlib.sha256(content.encode()).hexdigest()[:40]}"


def lean(turn: Mapping[str, Any], scope: Ids) -> Turn:
    """Return a message as a thread's state keeps it: its words alone, and under which ids it is to be stored."""
    content = cast("str | list[Any]", turn["content"])
    if isinstance(content, list):
        content = "".join(str(block.get("text", "")) for block in content if block["type"] in _WORDS)
    return {**turn, "content": content, "scope": scope}


def _last_user(turns: Sequence[Turn]) -> Turn | None:
    return next((turn for turn in reversed(turns) if turn["role"] == "user"), None)


def _content(message: AnyMessage) -> str | list[Any]:
    """Return the words, or where there are images or files the whole content as it came."""
    content = cast("str | list[Any]", message.content)
    if isinstance(content, str):
        return _storable(content)
    blocks = [{"type": "text", "text": block} if isinstance(block, str) else block for block in content]
    kinds = {block.get("type") for block in blocks}
    if kinds <= _WORDS or None in kinds:
        return _storable(message.text)
    try:
        return json.loads(_storable(json.dumps(blocks, allow_nan=False, ensure_ascii=False)))
    except (TypeError, ValueError):  # bytes, and what else JSON has no word for
        return _storable(message.text)


def _storable(text: str) -> str:
    """Return a text without lone surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode()
