"""Anthropic's messages over a real socket, with the official SDK, in both modes."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from memkit.errors import (
    AuthenticationError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    RateLimitError,
)
from memkit.llms.anthropic import AnthropicLLM
from memkit.llms.base import LLM, Completion
from memkit.testing.anthropic_server import AnthropicServer, Fault

HI = [{"role": "user", "content": "Hello"}]
NOW = "0"  # what a server says so that the next try comes at once


class Colour(BaseModel):
    name: str
    hex: str | None = None


class Palette(BaseModel):
    colours: list[Colour]


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as running:
        yield running


@asynccontextmanager
async def made(server: AnthropicServer, **settings: Any) -> AsyncGenerator[AnthropicLLM]:
    settings.setdefault("api_key", "sk-secret")
    llm = AnthropicLLM(AnthropicLLM.Settings(base_url=server.base_url, **settings))
    try:
        yield llm
    finally:
        await llm.aclose()
        llm.close()


async def ask(llm: AnthropicLLM, mode: str, messages: Any = HI, **kwargs: Any) -> Completion:
    return llm.generate(messages, **kwargs) if mode == "sync" else await llm.agenerate(messages, **kwargs)


async def test_it_answers_with_text_usage_and_the_reason_it_ended(server: AnthropicServer, mode: str) -> None:
    server.say("Good day")
    async with made(server) as llm:
        answer = await ask(llm, mode)
    assert isinstance(llm, LLM)
    assert (answer.text, answer.finish_reason, answer.parsed) == ("Good day", "stop", None)
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 2


# Structured answers.


async def test_a_schema_is_a_tool_that_must_be_called(server: AnthropicServer, mode: str) -> None:
    server.say({"name": "red", "hex": None})
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert answer.parsed == Colour(name="red") and json.loads(answer.text) == {"name": "red", "hex": None}
    assert (answer.finish_reason, answer.tool_calls) == ("stop", ()), "the tool is ours, not the caller's"
    asked = server.messages[0]
    assert asked["tool_choice"] == {"type": "tool", "name": "Colour", "disable_parallel_tool_use": True}
    (tool,) = asked["tools"]
    assert tool["input_schema"]["required"] == ["name", "hex"]
    assert tool["input_schema"]["additionalProperties"] is False


async def test_words_in_place_of_the_call_are_read_all_the_same(server: AnthropicServer, mode: str) -> None:
    server.say('Sure! ```json\n{"name": "blue"}\n```', "no idea")
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="blue")
        answer = await ask(llm, mode, schema=Colour)
    assert (answer.parsed, answer.text) == (None, "no idea")


async def test_an_argument_that_does_not_fit_is_none_and_the_text(server: AnthropicServer, mode: str) -> None:
    server.say({"hex": "#fff"})
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert answer.parsed is None and json.loads(answer.text) == {"hex": "#fff"}


async def test_of_several_answers_none_is_taken_for_the_whole(server: AnthropicServer, mode: str) -> None:
    calls = [
        {"type": "tool_use", "id": f"t{n}", "name": "Colour", "input": {"name": name}}
        for n, name in enumerate(("red", "blue"))
    ]
    server.say({"__raw__": {"type": "message", "role": "assistant", "content": calls, "usage": None}})
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert answer.parsed is None and json.loads(answer.text) == [{"name": "red"}, {"name": "blue"}]


async def test_a_list_that_came_as_a_text_of_json_is_read(server: AnthropicServer, mode: str) -> None:
    server.say({"colours": '[{"name": "red"}]'})
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Palette)).parsed == Palette(colours=[Colour(name="red")])


async def test_a_model_that_cannot_be_forced_is_offered_the_tool_and_that_is_remembered(
    server: AnthropicServer, mode: str
) -> None:
    server.thinking = True
    server.say('{"name": "blue"}', {"tool_calls": [{"name": "Colour", "arguments": {"name": "red"}}]})
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="blue")
        assert server.count() == 2
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="red")
        assert server.count() == 3
    assert "tool_choice" not in server.messages[-1] and "`Colour`" in str(server.messages[-1]["system"])


async def test_a_server_without_tools_is_asked_in_words(server: AnthropicServer, mode: str) -> None:
    server.fail(*[Fault(status=400, message="tools: Extra inputs are not permitted")] * 2)
    server.say('{"name": "blue"}')
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="blue")
    asked = server.messages[-1]
    assert "tools" not in asked and "tool_choice" not in asked and "JSON" in str(asked["system"])


async def test_tools_of_the_caller_are_offered_beside_the_answer(server: AnthropicServer, mode: str) -> None:
    server.say({"tool_calls": [{"name": "find", "arguments": {"query": "x"}}]}, {"name": "red"})
    tools = [
        {
            "type": "function",
            "function": {"name": "find", "description": "Finds.", "parameters": {"type": "object"}},
        }
    ]
    async with made(server) as llm:
        first = await ask(llm, mode, schema=Colour, tools=tools)
        second = await ask(llm, mode, schema=Colour, tools=tools)
    assert [(call.name, call.arguments) for call in first.tool_calls] == [("find", {"query": "x"})]
    assert (first.parsed, first.finish_reason) == (None, "tool_calls")
    assert (second.parsed, second.finish_reason) == (Colour(name="red"), "stop")
    assert server.messages[0]["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "find", "description": "Finds.", "parameters": {"type": "object"}},
        {"type": "function", "name": "find", "description": "Finds.", "parameters": {"type": "object"}},
        {"name": "find", "description": "Finds.", "input_schema": {"type": "object"}},
    ],
)
async def test_a_tool_of_any_shape_is_sent_in_the_vendors(
    server: AnthropicServer, tool: dict[str, Any]
) -> None:
    async with made(server, prompt_cache=None) as llm:
        llm.generate(HI, tools=[tool])
    expected = {"name": "find", "description": "Finds.", "input_schema": {"type": "object"}}
    assert server.messages[0]["tools"] == [expected]


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("stop_sequence", "stop"),
        ("pause_turn", None),
    ],
)
async def test_why_an_answer_ended_is_said_in_our_words(
    server: AnthropicServer, stop: str, finish: str | None
) -> None:
    server.stop_reason = stop
    server.say({"name": "re"})
    async with made(server) as llm:
        assert llm.generate(HI, schema=Colour).finish_reason == finish


async def test_a_refusal_is_the_text_where_there_is_no_other(server: AnthropicServer, mode: str) -> None:
    why = {"type": "refusal", "category": None, "explanation": "I will not."}
    body = {
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": "refusal",
        "stop_details": why,
    }
    server.say({"__raw__": body})
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert (answer.text, answer.parsed, answer.finish_reason) == ("I will not.", None, "content_filter")


# A bad day.


@pytest.mark.parametrize(
    ("faults", "tries"),
    [
        ([Fault(status=529, retry_after=NOW), Fault(status=500, retry_after=NOW)], 3),
        ([Fault(status=429, retry_after=NOW)], 2),
        ([Fault(status=408, retry_after=NOW), Fault(status=409, retry_after=NOW)], 3),
        ([Fault(drop=True)], 2),
    ],
)
async def test_what_may_pass_is_tried_again(
    server: AnthropicServer, mode: str, faults: list[Fault], tries: int
) -> None:
    server.fail(*faults)
    async with made(server) as llm:
        assert (await ask(llm, mode)).text == "ok"
    assert server.count() == tries


async def test_there_are_three_tries_even_when_fewer_are_asked_for(
    server: AnthropicServer, mode: str
) -> None:
    server.fail(*[Fault(status=529, retry_after=NOW, message="Overloaded")] * 9)
    async with made(server, max_retries=0) as llm:
        with pytest.raises(
            BackendUnavailableError, match=r"after 3 tries.*Overloaded \[overloaded_error\]"
        ) as caught:
            await ask(llm, mode)
    assert caught.value.retryable and server.count() == 3
    assert isinstance(caught.value.__cause__, anthropic.AnthropicError)


async def test_retry_after_is_waited_for_and_told(server: AnthropicServer, mode: str) -> None:
    server.fail(Fault(status=429, retry_after="0.3"))
    async with made(server) as llm:
        await ask(llm, mode)
        first, second = (request.at for request in server.requests)
        assert 0.3 <= second - first < 2
        server.fail(*[Fault(status=429, retry_after="0.1", message="slower")] * 3)
        with pytest.raises(RateLimitError, match="slower") as caught:
            await ask(llm, mode)
    assert caught.value.retry_after_s == 0.1 and caught.value.retryable


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault(status=401, message="invalid x-api-key"), AuthenticationError, "ANTHROPIC_API_KEY"),
        (Fault(status=403, message="no access"), AuthenticationError, "no access"),
        (Fault(status=402, message="pay"), BackendResponseError, "credit"),
        (Fault(status=404, message="model: claude-x"), BackendResponseError, "claude-x"),
        (Fault(status=413, message="too large"), BackendResponseError, "fewer or smaller"),
        (Fault(status=200, body="{}"), BackendResponseError, "base_url"),
        (Fault(status=200, body="<html>"), BackendResponseError, "unusable"),
        (Fault(status=200, body='{"content": "x"}'), BackendResponseError, "no message"),
        (Fault(status=200, body='{"type": "error", "error": {}}'), BackendResponseError, "no message"),
    ],
)
async def test_what_will_not_pass_is_one_of_our_errors_at_once(
    server: AnthropicServer, mode: str, fault: Fault, error: type[Exception], says: str
) -> None:
    server.fail(fault)
    async with made(server) as llm:
        with pytest.raises(error, match=says) as caught:
            await ask(llm, mode)
    assert server.count() == 1
    assert "sk-secret" not in str(caught.value) and pickle.loads(pickle.dumps(caught.value))


async def test_junk_among_the_blocks_is_passed_over(server: AnthropicServer, mode: str) -> None:
    blocks = ["x", 3, {"type": "text"}, {"type": "tool_use"}, {"type": "new"}, {"type": "text", "text": "Hi"}]
    server.say({"__raw__": {"type": "message", "role": "assistant", "content": blocks, "usage": None}})
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Colour)).text == "Hi"


async def test_a_request_that_is_too_large_says_so(server: AnthropicServer, mode: str) -> None:
    server.most_bytes = 2_000
    async with made(server) as llm:
        with pytest.raises(BackendResponseError, match="413") as caught:
            await ask(llm, mode, [{"role": "user", "content": "x" * 3_000}])
    assert not caught.value.retryable


async def test_no_answer_in_time_is_a_timeout(server: AnthropicServer, mode: str) -> None:
    server.fail(*[Fault(delay_s=0.6)] * 3)
    async with made(server, timeout_s=0.1) as llm:
        with pytest.raises(BackendTimeoutError, match="timeout_s"):
            await ask(llm, mode)


async def test_nobody_listening_is_unavailable(mode: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        llm = AnthropicLLM(AnthropicLLM.Settings(base_url=url, api_key="k"))
        with pytest.raises(BackendUnavailableError, match="base_url") as caught:
            await ask(llm, mode)
    assert caught.value.retryable
    await llm.aclose()
    llm.close()


# Clients, keys and settings.


def test_each_event_loop_gets_its_own_client(server: AnthropicServer) -> None:
    llm = AnthropicLLM(AnthropicLLM.Settings(base_url=server.base_url, api_key="k"))

    async def once() -> str:
        try:
            return (await llm.agenerate(HI)).text
        finally:
            await llm.aclose()

    assert [asyncio.run(once()) for _ in range(3)] == ["ok"] * 3
    threads = [threading.Thread(target=lambda: asyncio.run(once())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.count() == 7


def test_a_ready_client_is_used_as_it_is(server: AnthropicServer) -> None:
    server.api_key = "mine"
    with anthropic.Anthropic(api_key="mine", base_url=server.base_url) as client:
        llm = AnthropicLLM(client=client)
        assert llm.generate(HI).text == "ok"
        llm.close()
        assert llm.generate(HI).text == "ok"


def test_no_key_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"ANTHROPIC_API_KEY.*api_key="):
        AnthropicLLM()


def test_a_server_of_ones_own_needs_no_key(server: AnthropicServer) -> None:
    llm = AnthropicLLM(AnthropicLLM.Settings(base_url=f"{server.base_url}/v1/"))
    assert llm.generate(HI).text == "ok", "with `/v1` too"
    llm.close()


def test_settings_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, server: AnthropicServer) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-env")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-env")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    assert AnthropicLLM.Settings().api_key.get_secret_value() == "sk-env"  # pyright: ignore[reportOptionalMemberAccess]
    server.api_key = "sk-mine"
    llm = AnthropicLLM(AnthropicLLM.Settings(api_key="sk-mine", anthropic_base_url=server.base_url))
    assert llm.generate(HI).text == "ok"
    llm.close()
    assert "-env" not in str(server.requests[0].headers)


def test_keys_are_in_no_representation() -> None:
    settings = AnthropicLLM.Settings(api_key="sk-secret")
    llm = AnthropicLLM(settings)
    assert "sk-secret" not in f"{settings!r} {settings} {llm!r} {settings.model_dump_json()}"
    assert llm.name == "anthropic/claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("temprature", "Did you mean 'temperature'"),
        ("antropic_base_url", "Did you mean 'anthropic_base_url'"),
        ("response_format", "Known: "),
    ],
)
def test_unknown_keys_say_what_to_type(key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        AnthropicLLM.Settings(**{key: 1})


def test_mem0s_keys_are_taken() -> None:
    settings = AnthropicLLM.Settings(
        model="claude-sonnet-4-20250514",
        temperature=0.1,
        api_key="k",
        max_tokens=2000,
        top_p=0.1,
        top_k=1,
        anthropic_base_url="http://127.0.0.1:1",
        enable_sampling_parameters=True,
        enable_vision=False,
        vision_details="high",
        http_client_proxies={"https://": "http://127.0.0.1:2"},
    )
    assert settings.base_url == "http://127.0.0.1:1"
    assert not AnthropicLLM(settings).vision and AnthropicLLM(settings).vision_details == "high"
    with pytest.raises(ConfigurationError, match="different things"):
        AnthropicLLM.Settings(anthropic_base_url="http://a", base_url="http://b")


def test_vision_goes_by_the_model_unless_told() -> None:
    def vision(**settings: Any) -> bool:
        return AnthropicLLM(AnthropicLLM.Settings(api_key="k", **settings)).vision

    assert vision() and vision(model="claude-3-haiku-20240307") and not vision(model="claude-2.1")
    assert not vision(enable_vision=False)


async def test_requests_go_through_a_proxy(server: AnthropicServer, mode: str) -> None:
    llm = AnthropicLLM(
        AnthropicLLM.Settings(api_key="k", base_url="http://llm.invalid", http_client_proxies=server.base_url)
    )
    assert (await ask(llm, mode)).text == "ok"
    assert server.requests[0].headers["host"] == "llm.invalid"
    await llm.aclose()
    llm.close()
