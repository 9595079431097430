"""What was recalled, where the model reads it and the thread does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_core.messages import SystemMessage

from .turns import is_users

if TYPE_CHECKING:
    from langchain.agents.middleware import ModelRequest


def informed(
    request: ModelRequest[Any], stable: str, evidence: str, *, place: Literal["system", "user"]
) -> ModelRequest[Any]:
    """Return a request with what was recalled: what always holds first, then what this turn's question found.

    Args:
        request: Left as it is.
        stable: Goes behind the system message's own text.
        evidence: Goes behind that, or with `place="user"` behind the user's last message, where there is one.
    """
    spots = [spot for spot, message in enumerate(request.messages) if is_users(message)]
    if evidence and place == "user" and spots:
        messages = list(request.messages)
        messages[spots[-1]] = _with_texts(messages[spots[-1]], [evidence])
        request, evidence = request.override(messages=messages), ""
    texts = [text for text in (stable, evidence) if text]
    if not texts:
        return request
    return request.override(
        system_message=_with_texts(request.system_message or SystemMessage(content=""), texts)
    )


def _with_texts(message: Any, texts: Sequence[str]) -> Any:
    """Return a message with blocks behind its own, which stay the same bytes.

    `content_blocks` would not do: it gives images a new id each time.
    """
    content = cast("str | list[Any]", message.content)
    blocks: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    blocks = [block for block in blocks if block != {"type": "text", "text": ""}]
    for text in texts:
        blocks.append({"type": "text", "text": f"\n\n{text}" if blocks else text})
    return message.model_copy(update={"content": blocks})
