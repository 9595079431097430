"""How OpenAI asks and answers: Chat Completions and Responses, of its own servers and of those that speak like them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from .turns import Answer, Asked, Request, Said, first, get, items, kind, storable, users, words

_SYSTEM: Final = ("system", "developer")
_ASKS: Final = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)
"""Items of a response that the program has to do something about, unless their output comes with them."""


class ChatCompletions:
    """`chat.completions`."""

    field = "messages"

    def asked(self, request: Request) -> Asked:
        """Return what a request asks."""
        return Asked(said=[said for message in items(request.get("messages")) if (said := _said(message))])

    def informed(self, request: Request, texts: Sequence[str]) -> Request:
        """Return a request with texts behind those of its first system message, or in a new one."""
        messages = items(request.get("messages"))
        at = next((at for at, message in enumerate(messages) if get(message, "role") in _SYSTEM), None)
        if at is None:
            messages.insert(0, {"role": "system", "content": "\n\n".join(texts)})
        else:
            messages[at] = _with_texts(messages[at], "content", texts)
        return {**request, "messages": messages}

    def answer(self, response: Any) -> Answer:
        """Return what a whole completion answers."""
        message = get(first(get(response, "choices")), "message")
        calls = get(message, "tool_calls") or get(message, "function_call")
        return Answer(text=words(get(message, "content") or ""), final=not calls, failed=message is None)

    def observer(self) -> _Chunks:
        """Return what reads a stream."""
        return _Chunks()


class _Chunks:
    """The first choice of a completion, chunk by chunk; also from the events of `stream()`."""

    def __init__(self) -> None:
        self._text = ""
        self._calls = False

    def see(self, event: Any) -> Answer | None:
        chunk = get(event, "chunk") if kind(event) == "chunk" else event
        choice = next((one for one in items(get(chunk, "choices")) if not get(one, "index")), None)
        delta = get(choice, "delta")
        self._text += get(delta, "content") or ""
        self._calls = self._calls or bool(get(delta, "tool_calls") or get(delta, "function_call"))
        if not get(choice, "finish_reason"):
            return None
        return Answer(text=storable(self._text), final=not self._calls)


class Responses:
    """`responses`."""

    field = "input"

    def asked(self, request: Request) -> Asked:
        """Return what a request asks."""
        given = request.get("input")
        found = [users(given)] if isinstance(given, str) else map(_item, items(given))
        conversation = request.get("conversation")
        return Asked(
            said=[said for said in found if said],
            after=_text(request.get("previous_response_id")),
            conversation=_text(conversation) or _text(get(conversation, "id")),
        )

    def informed(self, request: Request, texts: Sequence[str]) -> Request:
        """Return a request with texts behind its instructions."""
        return {
            **request,
            "instructions": "\n\n".join([_text(request.get("instructions")) or "", *texts]).lstrip("\n"),
        }

    def answer(self, response: Any) -> Answer:
        """Return what a whole response answers; of one made in the background that is not known yet."""
        output, status = items(get(response, "output")), get(response, "status")
        done = {get(item, "call_id") for item in output if kind(item).endswith("_output")}
        asks = any(kind(item) in _ASKS and get(item, "call_id") not in done for item in output)
        messages = [item for item in output if kind(item) == "message" and get(item, "phase") != "commentary"]
        return Answer(
            text="\n".join(filter(None, (words(get(message, "content")) for message in messages))),
            final=not asks,
            failed=status in ("failed", "cancelled"),
            id=_text(get(response, "id")),
        )

    def observer(self) -> _Events:
        """Return what reads a stream."""
        return _Events(self)


class _Events:
    """The events of a response; the last one holds all of it."""

    def __init__(self, shape: Responses) -> None:
        self._shape = shape

    def see(self, event: Any) -> Answer | None:
        if kind(event) not in ("response.completed", "response.incomplete", "response.failed"):
            return None
        return self._shape.answer(get(event, "response"))


def _said(message: object) -> Said | None:
    role, content = get(message, "role"), get(message, "content")
    if role == "user":
        return users(content)
    if role == "assistant":
        calls = get(message, "tool_calls") or get(message, "function_call")
        return Said("tools") if calls else Said("assistant", words(content))
    return Said("tools") if role in ("tool", "function") else None


def _item(item: object) -> Said | None:
    """Return an item of a Responses input; reasoning, references and the like are nothing that anybody said."""
    if get(item, "role"):
        return _said(item)
    calls = kind(item).endswith(("_call", "_output")) or kind(item).startswith("mcp_")
    return Said("tools") if calls else None


def _with_texts(message: Any, name: str, texts: Sequence[str]) -> Any:
    """Return a copy of a message with texts behind its own, which stay the same bytes."""
    content = get(message, name)
    if isinstance(content, str):
        content = "\n\n".join(filter(None, [content, *texts]))
    else:
        content = [*items(content), *({"type": "text", "text": text} for text in texts)]
    if isinstance(message, dict):
        return {**cast("dict[str, Any]", message), name: content}
    return message.model_copy(update={name: content})


def _text(value: object) -> str | None:
    """Return a text; the SDK's marks for "not given" are none."""
    return value if isinstance(value, str) and value else None
