"""A context becomes LlamaIndex's own messages."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage

from memkit.types import Context


def test_a_context_is_a_system_message_a_part() -> None:
    made = Context(stable="what stays", evidence="what was found").to_llama_index()
    assert [type(message) for message in made] == [ChatMessage] * 2
    assert [(message.role.value, message.content) for message in made] == [
        ("system", "what stays"),
        ("system", "what was found"),
    ]
    assert Context().to_llama_index() == []
