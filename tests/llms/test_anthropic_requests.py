"""What a request to Anthropic holds: messages, what is cached, and the parameters that a model takes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from memkit.errors import BackendResponseError
from memkit.llms.anthropic import AnthropicLLM
from memkit.llms.base import Completion
from memkit.testing.anthropic_server import AnthropicServer, Fault

HI = [{"role": "user", "content": "Hello"}]
PIXEL = "iVBORw0KGgo="


class Colour(BaseModel):
    name: str
    hex: str | None = None


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


# Messages.


def asked_with(messages: Any, **settings: Any) -> Mapping[str, Any]:
    """The request that messages become; the server refuses what the vendor would."""
    with AnthropicServer() as server:
        llm = AnthropicLLM(AnthropicLLM.Settings(base_url=server.base_url, api_key="k", **settings))
        given = json.dumps(messages)
        llm.generate(messages)
        llm.close()
        assert json.dumps(messages) == given, "nothing given is changed"
        return server.messages[0]


def test_the_system_prompt_is_a_parameter() -> None:
    asked = asked_with(
        [{"role": "system", "content": "Be brief."}, *HI, {"role": "developer", "content": "In French."}],
        prompt_cache=None,
    )
    assert [block["text"] for block in asked["system"]] == ["Be brief.", "In French."]
    assert asked["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def test_turns_alternate_and_begin_with_the_users() -> None:
    asked = asked_with(
        [
            {"role": "assistant", "content": "Welcome."},
            {"role": "user", "content": "One."},
            {"role": "user", "content": "  "},
            {"role": "user", "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": ""}]},
            {"role": "assistant", "content": None},
            {"role": "user", "content": "Three."},
        ]
    )
    assert [turn["role"] for turn in asked["messages"]] == ["user", "assistant", "user"]
    assert [block["text"] for block in asked["messages"][2]["content"]] == ["One.", "Two.", "Three."]


def test_a_system_prompt_alone_is_asked_as_a_turn() -> None:
    asked = asked_with([{"role": "system", "content": "Say hello."}])
    assert asked["messages"][0]["role"] == "user" and "system" not in asked


def test_calls_and_their_answers_become_blocks() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"query": "x"}'}}
    asked = asked_with(
        [
            *HI,
            {"role": "assistant", "content": "Looking.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "Nothing."},
            {"role": "user", "content": "And now?"},
        ]
    )
    assert asked["messages"][1]["content"][1] == {
        "type": "tool_use",
        "id": "c1",
        "name": "find",
        "input": {"query": "x"},
    }
    result, more = asked["messages"][2]["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "c1") and more["text"] == "And now?"


@pytest.mark.parametrize(
    ("block", "source"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "url", "url": "https://example.com/a.png"},
        ),
        (
            {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"},
            {"type": "base64", "media_type": "image/png", "data": PIXEL},
        ),
        (
            {"type": "input_image", "image_url": f"data:image/jpg;base64,{PIXEL}"},
            {"type": "base64", "media_type": "image/jpeg", "data": PIXEL},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": PIXEL}},
            {"type": "base64", "media_type": "image/webp", "data": PIXEL},
        ),
    ],
)
def test_images_go_as_urls_or_bytes(block: dict[str, Any], source: dict[str, Any]) -> None:
    asked = asked_with([{"role": "user", "content": [{"type": "text", "text": "What is it?"}, block]}])
    assert asked["messages"][0]["content"][1] == {"type": "image", "source": source}


# The prompt cache.


async def test_what_stays_the_same_is_cached_and_counted(server: AnthropicServer, mode: str) -> None:
    system = {"role": "system", "content": "You extract colours from what people say."}
    server.say({"name": "red"})
    async with made(server) as llm:
        first = await ask(llm, mode, [system, {"role": "user", "content": "The sky."}], schema=Colour)
        second = await ask(llm, mode, [system, {"role": "user", "content": "The grass here."}], schema=Colour)
    assert first.usage.cache_write_tokens > 0 and first.usage.cache_read_tokens == 0
    assert (
        second.usage.cache_read_tokens == first.usage.cache_write_tokens
        and second.usage.cache_write_tokens == 0
    )
    assert second.usage.input_tokens > second.usage.cache_read_tokens, "all of the input"
    asked = server.messages[0]
    assert asked["system"][-1]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in str(asked["messages"]) + str(asked["tools"]), "the tools lie before it"


def test_the_cache_is_a_choice_and_marks_of_the_caller_stay() -> None:
    system = {"role": "system", "content": "Be brief."}
    assert "cache_control" not in str(asked_with([system, *HI], prompt_cache=None))
    hour = {"type": "ephemeral", "ttl": "1h"}
    assert asked_with([system, *HI], prompt_cache="1h")["system"][0]["cache_control"] == hour
    mark = {"cache_control": {"type": "ephemeral"}}
    marked = [{"type": "text", "text": str(n), **mark} for n in range(4)]
    full = asked_with([system, {"role": "user", "content": marked}])
    assert str(full).count("cache_control") == 4, "the vendor takes four"
    blocks = [{"type": "text", "text": "Stays.", **mark}, {"type": "text", "text": "Changes."}]
    given = asked_with([{"role": "system", "content": blocks}, *HI])["system"]
    assert ["cache_control" in block for block in given] == [True, True]


async def test_a_server_that_knows_no_cache_is_asked_without(server: AnthropicServer, mode: str) -> None:
    server.fail(Fault(status=400, message="system.0.cache_control: Extra inputs are not permitted"))
    async with made(server) as llm:
        await ask(llm, mode, [{"role": "system", "content": "Be brief."}, *HI])
        await ask(llm, mode, [{"role": "system", "content": "Be brief."}, *HI])
    assert ["cache_control" in str(body) for body in server.messages] == [True, False, False]


# Parameters.


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, {"temperature": 0.1}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"temperature": None}, {}),
        ({"top_k": 3}, {"temperature": 0.1, "top_k": 3}),
        ({"model": "claude-3-haiku-20240307"}, {"temperature": 0.1}),
        ({"model": "claude-opus-4-8"}, {}),
        ({"model": "claude-sonnet-5"}, {}),
        ({"model": "claude-sonnet-5", "enable_sampling_parameters": True}, {"temperature": 0.1}),
        ({"enable_sampling_parameters": False, "top_p": 0.5}, {}),
        ({"model": "claude-sonnet-5", "reasoning_effort": "low"}, {"output_config": {"effort": "low"}}),
        ({"model": "some-vendor/model-1"}, {"temperature": 0.1}),
        ({"extra_body": {"metadata": {"user_id": "u"}}}, {"temperature": 0.1, "metadata": {"user_id": "u"}}),
    ],
)
def test_a_model_gets_the_parameters_it_takes(settings: dict[str, Any], sent: dict[str, Any]) -> None:
    asked = asked_with(HI, **settings)
    assert {key: asked[key] for key in asked if key not in ("model", "max_tokens", "messages")} == sent


async def test_a_refused_parameter_is_left_out_and_stays_out(server: AnthropicServer, mode: str) -> None:
    async with made(server, temperature=0.2, top_p=0.5) as llm:
        await ask(llm, mode)
        await ask(llm, mode)
    sent = [{"temperature", "top_p"} & body.keys() for body in server.messages]
    assert sent == [{"temperature", "top_p"}, {"temperature"}, {"temperature"}]
    server.reset()
    server.sampling = "none"
    async with made(server) as llm:
        await ask(llm, mode)
    assert ["temperature" in body for body in server.messages] == [True, False]


async def test_an_answer_is_as_long_as_the_model_gives(server: AnthropicServer, mode: str) -> None:
    async with made(server) as llm:
        await ask(llm, mode)
    server.most_tokens = 4096
    async with made(server, max_tokens=20_000) as llm:
        await ask(llm, mode)
        await ask(llm, mode)
    assert [body["max_tokens"] for body in server.messages] == [8192, 20_000, 4096, 4096]


async def test_a_400_that_nothing_would_lift_is_raised_at_once(server: AnthropicServer, mode: str) -> None:
    server.fail(Fault(status=400, message="prompt is too long: 210000 tokens > 200000 maximum"))
    async with made(server) as llm:
        with pytest.raises(BackendResponseError, match="prompt is too long"):
            await ask(llm, mode, schema=Colour)
    assert server.count() == 1


async def test_a_parameter_that_the_caller_insists_on_is_the_callers_to_take_back(
    server: AnthropicServer, mode: str
) -> None:
    server.sampling = "none"
    async with made(server, extra_body={"temperature": 0.5}) as llm:
        with pytest.raises(BackendResponseError, match="temperature"):
            await ask(llm, mode)
