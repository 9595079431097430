"""A context becomes messages of each framework, the part that stays first."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import InvalidInputError
from memkit.types import Context

BOTH = Context(stable="what stays", evidence="what was found")


def test_openai_takes_one_message_a_part() -> None:
    assert BOTH.to_openai() == [
        {"role": "system", "content": "what stays"},
        {"role": "system", "content": "what was found"},
    ]
    assert [message["role"] for message in BOTH.to_openai(role="developer")] == ["developer", "developer"]
    assert Context().to_openai() == [] and len(Context(evidence="x").to_openai()) == 1


@pytest.mark.parametrize("role", ["tool", "assistant", "System", "", None])
def test_a_context_is_said_by_whoever_may_give_instructions_or_ask(role: Any) -> None:
    with pytest.raises(InvalidInputError, match="role"):
        BOTH.to_openai(role=role)


def test_openai_accepts_them() -> None:
    chat = pytest.importorskip("openai.types.chat")
    pydantic = pytest.importorskip("pydantic")
    adapter = pydantic.TypeAdapter(list[chat.ChatCompletionMessageParam])
    for role in ("system", "developer", "user"):
        assert len(adapter.validate_python(BOTH.to_openai(role=role))) == 2


def test_anthropic_caches_what_stays_and_nothing_else() -> None:
    blocks = BOTH.to_anthropic()
    assert blocks[0] == {"type": "text", "text": "what stays", "cache_control": {"type": "ephemeral"}}
    assert blocks[1] == {"type": "text", "text": "what was found"}
    assert all("cache_control" not in block for block in BOTH.to_anthropic(cache=False))
    assert all("cache_control" not in block for block in Context(evidence="x").to_anthropic())
    types = pytest.importorskip("anthropic.types")
    pydantic = pytest.importorskip("pydantic")
    assert len(pydantic.TypeAdapter(list[types.TextBlockParam]).validate_python(blocks)) == 2


def test_langchain_gets_one_system_message() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    (message,) = BOTH.to_langchain()
    assert isinstance(message, messages.SystemMessage)
    assert [block["text"] for block in message.content] == ["what stays", "what was found"]
    assert Context().to_langchain() == []
