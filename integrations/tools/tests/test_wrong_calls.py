"""What models get wrong: each call gets a short answer that says what to do, and changes nothing."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from memkit import Memory
from memkit_tools import Toolbox

BIG = "x" * 100_000

WRONG: list[tuple[str, Any, str, str]] = [
    ("remember", {"text": "x"}, "unknown_tool", "add_memory"),
    ("Add_Memory", {"text": "x"}, "unknown_tool", "add_memory"),
    (BIG, {}, "unknown_tool", "add_memory"),
    ("add_memory", {}, "invalid_arguments", "`text`"),
    ("add_memory", None, "invalid_arguments", "`text`"),
    ("add_memory", "", "invalid_arguments", "`text`"),
    ("add_memory", {"text": None}, "invalid_arguments", "`text`"),
    ("add_memory", {"text": 3}, "invalid_arguments", "`text`"),
    ("add_memory", {"text": " \n"}, "invalid_arguments", "blank"),
    ("add_memory", {"text": {"fact": "x"}}, "invalid_arguments", "`text`"),
    ("add_memory", {"text": BIG}, "invalid_arguments", "20 kB"),
    ("add_memory", {"text": "é" * 10_001}, "invalid_arguments", "20 kB"),
    ("add_memory", {"text": "a \ud800 b"}, "invalid_arguments", "Unicode"),
    ("add_memory", {"content": "x"}, "invalid_arguments", "It takes: text"),
    ("add_memory", {"text": "x", "user_id": "bob"}, "invalid_arguments", "It takes: text"),
    ("add_memory", {"text": "x", BIG: 1}, "invalid_arguments", "It takes: text"),
    ("add_memory", '{"text": "x"', "invalid_arguments", '{"text": ...}'),
    ("add_memory", "[" * 100_000, "invalid_arguments", '{"text": ...}'),
    ("add_memory", '["x"]', "invalid_arguments", '{"text": ...}'),
    ("add_memory", ["x"], "invalid_arguments", '{"text": ...}'),
    ("search_memories", {"q": "x"}, "invalid_arguments", "It takes: query, limit"),
    ("search_memories", {"query": "x", "top_k": 3}, "invalid_arguments", "It takes: query, limit"),
    ("search_memories", {"query": "x", "filters": {"user_id": "bob"}}, "invalid_arguments", "It takes"),
    ("search_memories", {"query": ["x"]}, "invalid_arguments", "`query`"),
    ("search_memories", {"query": BIG}, "invalid_arguments", "20 kB"),
    ("search_memories", {"query": "x", "limit": 0}, "invalid_arguments", "`limit`"),
    ("search_memories", {"query": "x", "limit": -3}, "invalid_arguments", "`limit`"),
    ("search_memories", {"query": "x", "limit": "many"}, "invalid_arguments", "`limit`"),
    ("search_memories", {"query": "x", "limit": 2.5}, "invalid_arguments", "`limit`"),
    ("update_memory", {"memory_id": "ffffffff", "text": "x"}, "not_found", "search_memories"),
    ("update_memory", {"memory_id": "KNOWN"}, "invalid_arguments", "`text`"),
    ("update_memory", {"memory_id": "KNOWN", "text": ["x", "y"]}, "invalid_arguments", "`text`"),
    ("update_memory", {"memory_id": "KNOWN", "text": BIG}, "invalid_arguments", "20 kB"),
    ("update_memory", {"id": "KNOWN", "text": "x"}, "invalid_arguments", "memory_id, text"),
    ("update_memory", {"text": "x"}, "invalid_arguments", "`memory_id`"),
    ("delete_memory", {}, "invalid_arguments", "`memory_id`"),
    ("delete_memory", {"memory_id": ""}, "invalid_arguments", "`memory_id`"),
    ("delete_memory", {"memory_id": "abc"}, "invalid_arguments", "4 characters"),
    ("delete_memory", {"memory_id": "*"}, "invalid_arguments", "4 characters"),
    ("delete_memory", {"memory_id": "%%%%"}, "not_found", "search_memories"),
    ("delete_memory", {"memory_id": "x" * 19_000}, "not_found", "search_memories"),
    ("delete_memory", {"memory_id": 7}, "invalid_arguments", "`memory_id`"),
    ("delete_memory", {"memory_id": ["KNOWN"]}, "invalid_arguments", "`memory_id`"),
    ("delete_all_memories", {"user_id": "bob"}, "invalid_arguments", "It takes none"),
    ("get_memories", {"cursor": "nonsense"}, "invalid_arguments", "`cursor`"),
    ("get_memory_history", {"memory_id": "ffffffff"}, "not_found", "search_memories"),
]


@pytest.mark.parametrize(("name", "arguments", "code", "hint"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_call_says_what_to_do_and_changes_nothing(
    box: Toolbox, memory: Memory, mode: str, name: str, arguments: Any, code: str, hint: str
) -> None:
    known = box.call("add_memory", {"text": "Ada sails."}).data["id"]
    if isinstance(arguments, dict):
        arguments = {key: known if value == "KNOWN" else value for key, value in arguments.items()}
    before = memory.get_all(allow_global=True)
    events = memory.stats().events
    result = await box.acall(name, arguments) if mode == "async" else box.call(name, arguments)
    assert result.is_error, result.text
    assert result.data == {"error": code, "message": result.text}
    assert hint in result.text
    assert len(result.text) < 260
    assert "\n" not in result.text
    assert (memory.get_all(allow_global=True), memory.stats().events) == (before, events)


class _Down:
    """An embedder of a service that is not there."""

    identity = "down/1"
    dim = 4

    def embed(self, texts: Any, *, purpose: str = "document") -> Any:
        from memkit.errors import BackendUnavailableError

        raise BackendUnavailableError("secret-host:1234 refused the connection", backend="down")


def test_a_memory_that_is_down_is_an_answer_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    with Memory(":memory:", llm=None, embedder=_Down()) as memory, caplog.at_level(logging.WARNING):
        result = Toolbox(memory, user_id="ada").call("add_memory", {"text": "x"})
    assert result.is_error
    assert result.data["error"] == "unavailable"
    assert "secret-host" not in result.text
    assert "secret-host" in caplog.text
