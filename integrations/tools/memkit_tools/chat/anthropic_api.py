"""How Anthropic asks and answers: Messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .turns import Answer, Asked, Request, Said, get, items, kind, storable, users, words

_GOES_ON: Final = ("tool_use", "pause_turn")
"""Why a message stops that is no answer yet."""


class Messages:
    """`messages`."""

    field = "messages"

    def asked(self, request: Request) -> Asked:
        """Return what a request asks."""
        return Asked(said=[said for message in items(request.get("messages")) if (said := _said(message))])

    def informed(self, request: Request, texts: Sequence[str]) -> Request:
        """Return a request with texts behind its system prompt, as blocks where that is blocks."""
        system = request.get("system")
        if items(system):
            return {
                **request,
                "system": [*items(system), *({"type": "text", "text": text} for text in texts)],
            }
        own = [system] if isinstance(system, str) and system else []
        return {**request, "system": "\n\n".join([*own, *texts])}

    def answer(self, response: Any) -> Answer:
        """Return what a whole message answers."""
        blocks = items(get(response, "content"))
        calls = any(kind(block) == "tool_use" for block in blocks)
        return Answer(
            text=storable("".join(str(get(block, "text")) for block in blocks if kind(block) == "text")),
            final=not calls and get(response, "stop_reason") not in _GOES_ON,
        )

    def observer(self) -> _Events:
        """Return what reads a stream."""
        return _Events()


class _Events:
    """A message, event by event; also from the events of `stream()`."""

    def __init__(self) -> None:
        self._text = ""
        self._final = True

    def see(self, event: Any) -> Answer | None:
        if kind(event) == "content_block_start":
            block = get(event, "content_block")
            self._text += (get(block, "text") or "") if kind(block) == "text" else ""
            self._final = self._final and kind(block) != "tool_use"
        elif kind(event) == "content_block_delta":
            delta = get(event, "delta")
            self._text += get(delta, "text") if kind(delta) == "text_delta" else ""
        elif kind(event) == "message_delta":
            self._final = self._final and get(get(event, "delta"), "stop_reason") not in _GOES_ON
        elif kind(event) == "message_stop":
            return Answer(text=storable(self._text), final=self._final)
        return None


def _said(message: object) -> Said | None:
    role, content = get(message, "role"), get(message, "content")
    kinds = {kind(block) for block in items(content)}
    if kinds & {"tool_use", "tool_result"}:
        return Said("tools")
    if role == "user":
        return users(content)
    return Said("assistant", words(content)) if role == "assistant" else None
