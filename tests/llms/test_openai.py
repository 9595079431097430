"""OpenAI chat over a real socket, with the official SDK, in both modes."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import openai
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
from memkit.llms.base import LLM, Completion
from memkit.llms.openai import OpenAILLM
from memkit.prompts.extract import Extraction
from memkit.testing.openai_server import Fault, OpenAIServer

HI = [{"role": "user", "content": "Hello"}]
NOW = "0"  # what a server says so that the next try comes at once


class Colour(BaseModel):
    name: str
    hex: str | None = None


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@asynccontextmanager
async def made(server: OpenAIServer, **settings: Any) -> AsyncGenerator[OpenAILLM]:
    settings.setdefault("api_key", "sk-secret")
    llm = OpenAILLM(OpenAILLM.Settings(base_url=server.base_url, **settings))
    try:
        yield llm
    finally:
        await llm.aclose()
        llm.close()


async def ask(llm: OpenAILLM, mode: str, messages: Any = HI, **kwargs: Any) -> Completion:
    return llm.generate(messages, **kwargs) if mode == "sync" else await llm.agenerate(messages, **kwargs)


async def test_it_answers_with_text_usage_and_the_reason_it_ended(server: OpenAIServer, mode: str) -> None:
    server.say("Good day")
    async with made(server) as llm:
        answer = await ask(llm, mode)
    assert isinstance(llm, LLM)
    assert (answer.text, answer.finish_reason, answer.parsed) == ("Good day", "stop", None)
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens == 2


async def test_a_schema_is_asked_for_strictly_and_comes_back_parsed(server: OpenAIServer, mode: str) -> None:
    server.say({"name": "red", "hex": None})
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert answer.parsed == Colour(name="red")
    asked = server.chats[0]["response_format"]["json_schema"]
    assert asked["strict"] and asked["name"] == "Colour"
    assert asked["schema"]["required"] == ["name", "hex"] and asked["schema"]["additionalProperties"] is False


def test_every_object_of_the_extraction_schema_is_strict() -> None:
    from memkit.llms.schemas import strict_schema

    schema = strict_schema(Extraction)
    for node in (schema, *schema["$defs"].values()):
        assert node["additionalProperties"] is False
        assert set(node["required"]) == set(node["properties"])
        assert "default" not in str(node)


@pytest.mark.parametrize(("taken", "requests"), [(("json_object",), 2), ((), 3)])
async def test_a_refused_response_format_leads_to_a_weaker_one_that_is_remembered(
    server: OpenAIServer, mode: str, taken: tuple[str, ...], requests: int
) -> None:
    server.response_formats = taken
    server.say('Sure! ```json\n{"name": "blue"}\n```')
    async with made(server) as llm:
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="blue")
        assert server.count() == requests
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="blue")
        assert server.count() == requests + 1
    assert "json" in str(server.chats[-1]["messages"]).lower()
    assert HI == [{"role": "user", "content": "Hello"}]


async def test_a_400_that_no_response_format_would_lift_is_raised(server: OpenAIServer, mode: str) -> None:
    server.fail(
        Fault(status=400, message="maximum context length is 8192 tokens", code="context_length_exceeded")
    )
    async with made(server) as llm:
        with pytest.raises(BackendResponseError, match="context length"):
            await ask(llm, mode, schema=Colour)
    assert server.count() == 1


async def test_a_refused_parameter_is_left_out_and_stays_out(server: OpenAIServer, mode: str) -> None:
    refusal = "Unsupported value: 'temperature' does not support 0.1 with this model."
    server.fail(Fault(status=400, message=refusal, code="unsupported_value", param="temperature"))
    async with made(server, model="new-model") as llm:
        await ask(llm, mode)
        await ask(llm, mode)
    assert ["temperature" in body for body in server.chats] == [True, False, False]


async def test_max_tokens_is_renamed_where_the_server_says_so(server: OpenAIServer, mode: str) -> None:
    refusal = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    server.fail(Fault(status=400, message=refusal, code="unsupported_parameter", param="max_tokens"))
    async with made(server, model="new-model", max_tokens=50) as llm:
        await ask(llm, mode)
    assert server.chats[-1]["max_completion_tokens"] == 50 and "max_tokens" not in server.chats[-1]


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3", "o4-mini-2025-04-16", "openai/gpt-5"])
async def test_reasoning_models_get_their_own_parameters(server: OpenAIServer, model: str) -> None:
    async with made(server, model=model, max_tokens=100, top_p=0.5, reasoning_effort="low") as llm:
        llm.generate(HI)
    body = server.chats[0]
    assert body["max_completion_tokens"] == 100 and body["reasoning_effort"] == "low"
    assert not {"temperature", "top_p", "max_tokens"} & body.keys()


async def test_other_models_get_the_sampling_parameters(server: OpenAIServer) -> None:
    async with made(server, model="gpt-4.1-mini", max_tokens=100, top_p=0.5, store=False, top_k=3) as llm:
        llm.generate(HI)
    body = server.chats[0]
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["store"]) == (0.1, 0.5, 100, False)
    assert "top_k" not in body


async def test_is_reasoning_model_overrides_the_name(server: OpenAIServer) -> None:
    async with made(server, model="my-thinker", is_reasoning_model=True, max_tokens=9) as llm:
        llm.generate(HI)
    assert server.chats[0]["max_completion_tokens"] == 9 and "temperature" not in server.chats[0]


async def test_tools_are_sent_and_calls_read(server: OpenAIServer, mode: str) -> None:
    server.say({"tool_calls": [{"name": "find", "arguments": {"query": "x"}}]})
    async with made(server) as llm:
        answer = await ask(llm, mode, tools=[{"name": "find", "parameters": {"type": "object"}}])
    assert answer.finish_reason == "tool_calls"
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("find", {"query": "x"})]
    assert server.chats[0]["tools"][0]["type"] == "function"


async def test_a_cut_off_answer_says_so(server: OpenAIServer, mode: str) -> None:
    server.finish_reason = "length"
    server.say('{"name": "re')
    async with made(server) as llm:
        answer = await ask(llm, mode, schema=Colour)
    assert answer.finish_reason == "length" and answer.parsed is None


@pytest.mark.parametrize(
    ("faults", "tries"),
    [
        ([Fault(status=503, retry_after=NOW), Fault(status=500, retry_after=NOW)], 3),
        ([Fault(status=429, retry_after=NOW)], 2),
        ([Fault(status=408, retry_after=NOW), Fault(status=409, retry_after=NOW)], 3),
    ],
)
async def test_what_may_pass_is_tried_again(
    server: OpenAIServer, mode: str, faults: list[Fault], tries: int
) -> None:
    server.fail(*faults)
    async with made(server) as llm:
        assert (await ask(llm, mode)).text == "ok"
    assert server.count() == tries


async def test_a_dropped_connection_is_tried_again(server: OpenAIServer, mode: str) -> None:
    server.fail(Fault(drop=True))
    async with made(server) as llm:
        assert (await ask(llm, mode)).text == "ok"
    assert server.count() == 2


async def test_there_are_three_tries_even_when_fewer_are_asked_for(server: OpenAIServer, mode: str) -> None:
    server.fail(*[Fault(status=503, retry_after=NOW, message="overloaded")] * 9)
    async with made(server, max_retries=0) as llm:
        with pytest.raises(BackendUnavailableError, match=r"after 3 tries.*overloaded") as caught:
            await ask(llm, mode)
    assert caught.value.retryable and server.count() == 3
    assert isinstance(caught.value.__cause__, openai.OpenAIError)


async def test_retry_after_is_waited_for(server: OpenAIServer, mode: str) -> None:
    server.fail(Fault(status=429, retry_after="0.3"))
    async with made(server) as llm:
        await ask(llm, mode)
    first, second = (request.at for request in server.requests)
    assert 0.3 <= second - first < 2


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (Fault(status=401, message="bad key"), AuthenticationError, "OPENAI_API_KEY"),
        (Fault(status=403, message="no access"), AuthenticationError, "no access"),
        (Fault(status=429, message="pay", code="insufficient_quota"), RateLimitError, "credit"),
        (Fault(status=404, message="model gone"), BackendResponseError, "model gone"),
        (Fault(status=200, body="{}"), BackendResponseError, "base_url"),
        (Fault(status=200, body="<html>"), BackendResponseError, "unusable"),
        (Fault(status=200, body='{"choices": []}'), BackendResponseError, "no chat completion"),
        (Fault(status=200, body='{"choices": ['), BackendResponseError, "unusable"),
    ],
)
async def test_what_will_not_pass_is_one_of_our_errors_at_once(
    server: OpenAIServer, mode: str, fault: Fault, error: type[Exception], says: str
) -> None:
    server.fail(fault)
    async with made(server) as llm:
        with pytest.raises(error, match=says) as caught:
            await ask(llm, mode)
    assert server.count() == 1
    assert "sk-secret" not in str(caught.value) and pickle.loads(pickle.dumps(caught.value))


async def test_no_answer_in_time_is_a_timeout(server: OpenAIServer, mode: str) -> None:
    server.fail(*[Fault(delay_s=0.6)] * 3)
    async with made(server, timeout_s=0.1) as llm:
        with pytest.raises(BackendTimeoutError, match="timeout_s"):
            await ask(llm, mode)


async def test_nobody_listening_is_unavailable(mode: str) -> None:
    with OpenAIServer() as gone:
        url = gone.base_url
    llm = OpenAILLM(OpenAILLM.Settings(base_url=url, api_key="k"))
    with pytest.raises(BackendUnavailableError, match="base_url") as caught:
        await ask(llm, mode)
    assert caught.value.retryable
    await llm.aclose()
    llm.close()


def test_each_event_loop_gets_its_own_client(server: OpenAIServer) -> None:
    llm = OpenAILLM(OpenAILLM.Settings(base_url=server.base_url, api_key="k"))

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


def test_a_ready_client_is_used_as_it_is(server: OpenAIServer) -> None:
    with openai.OpenAI(api_key="mine", base_url=server.base_url) as client:
        llm = OpenAILLM(client=client)
        assert llm.generate(HI).text == "ok"
        llm.close()
        assert llm.generate(HI).text == "ok"
    assert server.requests[0].headers["authorization"] == "Bearer mine"


def test_no_key_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"OPENAI_API_KEY.*api_key="):
        OpenAILLM()


def test_settings_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, server: OpenAIServer) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-router")
    assert OpenAILLM.Settings().api_key.get_secret_value() == "sk-env"  # pyright: ignore[reportOptionalMemberAccess]
    llm = OpenAILLM(OpenAILLM.Settings(api_key="sk-mine", openai_base_url=server.base_url))
    llm.generate(HI)
    llm.close()
    assert server.requests[0].headers["authorization"] == "Bearer sk-mine"


def test_an_organisation_of_the_environment_stays_with_openai(
    monkeypatch: pytest.MonkeyPatch, server: OpenAIServer
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    llm = OpenAILLM(OpenAILLM.Settings(api_key="k", base_url=server.base_url))
    llm.generate(HI)
    llm.close()
    assert "org-private" not in str(server.requests[0].headers)


def test_keys_are_in_no_representation() -> None:
    settings = OpenAILLM.Settings(api_key="sk-secret")
    llm = OpenAILLM(settings)
    assert "sk-secret" not in f"{settings!r} {settings} {llm!r} {settings.model_dump_json()}"
    assert llm.name == "openai/gpt-5-mini"


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("models", "openrouter"),
        ("azure_kwargs", "azure_openai"),
        ("response_callback", "usage"),
        ("temprature", "Did you mean 'temperature'"),
    ],
)
def test_unknown_and_replaced_keys_say_what_to_type(key: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        OpenAILLM.Settings(**{key: 1})


def test_mem0s_keys_are_taken() -> None:
    settings = OpenAILLM.Settings(
        model="gpt-4.1-nano-2025-04-14",
        temperature=0.1,
        api_key="k",
        max_tokens=2000,
        top_p=0.1,
        top_k=1,
        openai_base_url="http://127.0.0.1:1/v1",
        enable_vision=True,
        vision_details="high",
        reasoning_effort="low",
        is_reasoning_model=False,
        store=False,
        http_client_proxies={"https://": "http://127.0.0.1:2"},
    )
    assert settings.base_url == "http://127.0.0.1:1/v1"
    assert OpenAILLM(settings).vision and OpenAILLM(settings).vision_details == "high"


def test_vision_goes_by_the_model_unless_told() -> None:
    def vision(**settings: Any) -> bool:
        return OpenAILLM(OpenAILLM.Settings(api_key="k", **settings)).vision

    assert vision(model="gpt-4o") and vision(model="gpt-5-mini") and not vision(model="gpt-3.5-turbo")
    assert not vision(model="gpt-4o", enable_vision=False)


async def test_requests_go_through_a_proxy(server: OpenAIServer, mode: str) -> None:
    settings = OpenAILLM.Settings(
        api_key="k", base_url="http://llm.invalid/v1", http_client_proxies=server.base_url.removesuffix("/v1")
    )
    llm = OpenAILLM(settings)
    assert (await ask(llm, mode)).text == "ok"
    assert server.requests[0].headers["host"] == "llm.invalid"
    await llm.aclose()
    llm.close()
    patterns = settings.model_copy(
        update={"http_client_proxies": {"http": server.base_url.removesuffix("/v1")}}
    )
    llm = OpenAILLM(patterns)
    assert (await ask(llm, mode)).text == "ok"
    await llm.aclose()
    llm.close()


async def test_of_a_burst_of_requests_64_are_sent_at_a_time(server: OpenAIServer) -> None:
    gate = threading.Event()
    server.say(lambda _: gate.wait(60) and "yes")
    async with made(server) as llm:
        asked = asyncio.gather(*(llm.agenerate(HI) for _ in range(200)))
        while server.count() < 64:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert server.count() == 64, "the others wait here, not at the server"
        gate.set()
        assert [answer.text for answer in await asked] == ["yes"] * 200
