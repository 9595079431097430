"""A whole message is answered in its vendor's shape, in order, from dicts and from objects of the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion
from openai.types.responses import ResponseFunctionToolCall

from memkit import Memory
from memkit.errors import InvalidInputError
from memkit.testing.openai_server import OpenAIServer
from memkit_tools import Toolbox

CALLS = [
    ("1", "add_memory", {"text": "Ada sails."}),
    ("2", "search_memories", {"query": "sails", "limit": None}),
]


def chat(*calls: tuple[str, str, Any]) -> dict[str, Any]:
    made = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": made}


def completion(message: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def items(*calls: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "reasoning", "id": "r", "summary": []},
        *(
            {
                "type": "function_call",
                "id": f"fc_{id}",
                "call_id": id,
                "name": name,
                "arguments": json.dumps(given),
            }
            for id, name, given in calls
        ),
    ]


def anthropic(*calls: tuple[str, str, Any]) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": id, "name": name, "input": given} for id, name, given in calls]
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me see."}, *blocks],
    }


def gemini(*calls: tuple[str, str, Any]) -> dict[str, Any]:
    parts = [{"function_call": {"id": id, "name": name, "args": given}} for id, name, given in calls]
    return {"role": "model", "parts": [{"text": "Let me see."}, *parts]}


async def handle(box: Toolbox, mode: str, response: object) -> list[dict[str, Any]]:
    return box.handle(response) if mode == "sync" else await box.ahandle(response)


async def test_a_chat_message_gets_one_tool_message_per_call(box: Toolbox, mode: str) -> None:
    added, found = await handle(box, mode, chat(*CALLS))
    assert (added["role"], added["tool_call_id"]) == ("tool", "1")
    assert added["content"].startswith("Saved")
    assert found["tool_call_id"] == "2"
    assert "Ada sails." in found["content"]


async def test_a_completion_and_its_objects_are_answered_alike(box: Toolbox, mode: str) -> None:
    whole = completion(chat(*CALLS[1:]))
    made = ChatCompletion.model_validate(whole)
    for response in (whole, made, made.choices[0].message):
        [message] = await handle(box, mode, response)
        assert message == {"role": "tool", "tool_call_id": "2", "content": "No saved memories match."}


async def test_responses_get_outputs_by_call_id(box: Toolbox, mode: str) -> None:
    for response in ({"output": items(*CALLS)}, items(*CALLS)):
        added, found = await handle(box, mode, response)
        assert (added["type"], added["call_id"]) == ("function_call_output", "1")
        assert "Ada sails." in found["output"]
    one = ResponseFunctionToolCall(
        type="function_call", call_id="9", name="search_memories", arguments='{"query": "x"}'
    )
    assert (await handle(box, mode, [one]))[0]["call_id"] == "9"


async def test_anthropic_gets_one_message_with_all_results(box: Toolbox, mode: str) -> None:
    for message in (anthropic(*CALLS), {k: v for k, v in anthropic(*CALLS).items() if k != "type"}):
        [answer] = await handle(box, mode, message)
        assert answer["role"] == "user"
        assert [(block["type"], block["tool_use_id"]) for block in answer["content"]] == [
            ("tool_result", "1"),
            ("tool_result", "2"),
        ]
    [answer] = await handle(box, mode, anthropic(("3", "delete_memory", {"memory_id": "ffffffff"})))
    assert answer["content"][0]["is_error"] is True


async def test_gemini_gets_function_responses(box: Toolbox, mode: str) -> None:
    for response in (gemini(*CALLS), {"candidates": [{"content": gemini(*CALLS)}]}):
        [answer] = await handle(box, mode, response)
        added, found = (part["function_response"] for part in answer["parts"])
        assert (added["id"], added["name"]) == ("1", "add_memory")
        assert "Ada sails." in found["response"]["result"]


async def test_a_part_of_a_completion_is_answered_too(box: Toolbox, mode: str) -> None:
    made = ChatCompletion.model_validate(completion(chat(*CALLS)))
    message = made.choices[0].message
    for part in (made.choices[0], message.tool_calls, chat(*CALLS)["tool_calls"]):
        assert [one["tool_call_id"] for one in await handle(box, mode, part)] == ["1", "2"]
    assert [one["call_id"] for one in await handle(box, mode, items(*CALLS)[1])] == ["1"]
    for part in (anthropic(*CALLS)["content"], anthropic(*CALLS)["content"][1:]):
        [answer] = await handle(box, mode, part)
        assert [block["tool_use_id"] for block in answer["content"]] == ["1", "2"]
    for part in ({"content": gemini(*CALLS)}, gemini(*CALLS)["parts"]):
        [answer] = await handle(box, mode, part)
        assert [one["function_response"]["id"] for one in answer["parts"]] == ["1", "2"]


@pytest.mark.parametrize(
    "response",
    [
        {"role": "assistant", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        completion({"role": "assistant", "content": "Hello"}),
        {"output": [{"type": "message", "content": []}]},
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "model", "parts": [{"text": "Hello"}]},
        {"candidates": []},
        [],
    ],
)
async def test_a_message_without_calls_needs_no_answer(box: Toolbox, mode: str, response: object) -> None:
    assert await handle(box, mode, response) == []


@pytest.mark.parametrize("response", [None, "text", 3, {"text": "x"}, SimpleNamespace(tool_calls=[])])
async def test_something_else_is_an_error(box: Toolbox, mode: str, response: object) -> None:
    with pytest.raises(InvalidInputError):
        await handle(box, mode, response)


async def test_wrong_calls_are_answered_too(box: Toolbox, memory: Memory, mode: str) -> None:
    before = memory.stats().events
    wrong = chat(
        ("1", "remember", {}), ("2", "add_memory", {"text": "x", "user_id": "bob"}), ("3", "add_memory", "x")
    )
    answers = await handle(box, mode, wrong)
    assert [answer["tool_call_id"] for answer in answers] == ["1", "2", "3"]
    assert memory.stats().events == before


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    call = {"name": "add_memory", "arguments": {"text": "The user sails."}}
    with OpenAIServer([{"tool_calls": [call]}, "Noted."]) as running:
        yield running


def test_an_agent_loop_over_the_sdk(box: Toolbox, server: OpenAIServer) -> None:
    client = OpenAI(api_key="k", base_url=server.base_url)
    messages: list[Any] = [{"role": "user", "content": "I sail."}]
    while True:
        done = client.chat.completions.create(model="m", messages=messages, tools=box.openai())
        messages.append(done.choices[0].message)
        answers = box.handle(done)
        if not answers:
            break
        messages += answers
    client.close()
    assert messages[-1].content == "Noted."
    assert "The user sails." in box.call("get_memories", {}).text
    assert [tool["function"]["name"] for tool in server.requests[0].body["tools"]] == box.names
