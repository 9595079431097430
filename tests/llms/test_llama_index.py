"""LlamaIndex LLMs as memkit's: every form of answer is read, and every failure is one of ours."""

# A class whose base wrote its constructor is taken to have pydantic's.
# pyright: reportCallIssue=false

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, LLMMetadata, ToolCallBlock
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import CompletionResponse, CustomLLM
from llama_index.core.llms.mock import MockFunctionCallingLLM
from pydantic import BaseModel, SecretStr

from memkit import AsyncMemory, Memory
from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    RateLimitError,
    UnsupportedOperationError,
)
from memkit.llms.base import Completion
from memkit.llms.fake import FakeLLM
from memkit.llms.llama_index import LlamaIndexLLM

HI = [{"role": "system", "content": "Be brief {now}."}, {"role": "user", "content": "Hello"}]
PARIS = {
    "memories": [
        {
            "text": "User lives in Paris.",
            "kind": "fact",
            "action": "add",
            "message": 1,
            "quote": "I live in Paris",
        }
    ],
    "relations": [],
}


class Colour(BaseModel):
    name: str
    hex: str | None = None


def told(answer: Any) -> ChatMessage:
    if isinstance(answer, dict):
        block = ToolCallBlock(tool_call_id="1", tool_name="Colour", tool_kwargs=answer)
        return ChatMessage(role="assistant", blocks=[block])
    return ChatMessage(role="assistant", content=answer)


class Calling(MockFunctionCallingLLM):
    """A function-calling model that answers from a list: a dict is a tool call, a text is words."""

    api_key: SecretStr = SecretStr("sk-secret")
    _answers: list[Any] = PrivateAttr()
    _log: list[Any] = PrivateAttr(default_factory=list)

    def __init__(self, *answers: Any) -> None:
        super().__init__(response_generator=self.answered)
        self._answers = list(answers)

    def answered(self, messages: Any, **kwargs: Any) -> ChatMessage:
        self._log.append((messages, kwargs.get("tools")))
        answer = self._answers[min(len(self._log), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return told(answer)


class Writing(CustomLLM):
    """A completion model that answers from a list, and knows no tools."""

    _answers: list[Any] = PrivateAttr()
    _prompts: list[str] = PrivateAttr(default_factory=list)
    _threads: list[int] = PrivateAttr(default_factory=list)

    def __init__(self, *answers: Any) -> None:
        super().__init__()
        self._answers = list(answers)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="writer-1")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        self._prompts.append(prompt)
        self._threads.append(threading.get_ident())
        answer = self._answers[min(len(self._prompts), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return CompletionResponse(text=answer)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


class Predicting(Calling):
    """A model with a structured prediction of its own."""

    def structured_predict(self, output_cls: Any, prompt: Any, llm_kwargs: Any = None, **kwargs: Any) -> Any:
        self._log.append((prompt.format_messages(), None))
        answer = self._answers[min(len(self._log), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return output_cls.model_validate(answer)

    async def astructured_predict(self, *args: Any, **kwargs: Any) -> Any:
        return self.structured_predict(*args, **kwargs)


async def ask(llm: LlamaIndexLLM, mode: str, messages: Any = HI, **kwargs: Any) -> Completion:
    return llm.generate(messages, **kwargs) if mode == "sync" else await llm.agenerate(messages, **kwargs)


async def test_a_schema_is_asked_for_as_a_tool_call_of_a_function_calling_model(mode: str) -> None:
    model = Calling({"name": "teal"})
    done = await ask(LlamaIndexLLM(model), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    assert done.text == '{"name": "teal"}'
    [(messages, tools)] = model._log
    assert [tool.metadata.name for tool in tools] == ["Colour"]
    assert [message.content for message in messages] == ["Be brief {now}.", "Hello"]


@pytest.mark.parametrize(
    "answer",
    ['{"name": "teal"}', 'Sure:\n```json\n{"name": "teal",}\n```', '<think>{}</think> {"name": "teal"}'],
)
@pytest.mark.parametrize("kind", [Calling, Writing])
async def test_json_is_read_out_of_words_in_one_request(mode: str, kind: Any, answer: str) -> None:
    model = kind(answer)
    done = await ask(LlamaIndexLLM(model), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    assert done.text == answer
    assert len(model._log if kind is Calling else model._prompts) == 1


async def test_without_tools_the_prompt_says_which_json_is_wanted(mode: str) -> None:
    model = Writing('{"name": "teal"}')
    await ask(LlamaIndexLLM(model), mode, schema=Colour)
    [prompt] = model._prompts
    assert "Be brief {now}." in prompt
    assert '"hex"' in prompt


async def test_a_prediction_of_its_own_goes_first_and_takes_braces_literally(mode: str) -> None:
    model = Predicting({"name": "teal"})
    done = await ask(LlamaIndexLLM(model), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    [(messages, _)] = model._log
    assert [message.content for message in messages] == ["Be brief {now}.", "Hello"]


async def test_a_prediction_that_does_not_fit_is_asked_in_words_and_tried_again_next_time(mode: str) -> None:
    model = Predicting({"hex": "#088"}, '{"name": "teal"}', {"name": "red"})
    llm = LlamaIndexLLM(model)
    assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="teal")
    assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="red")


async def test_a_structured_request_that_is_refused_is_asked_in_words_from_then_on(mode: str) -> None:
    class RefusedError(Exception):
        status_code = 400

    model = Calling(RefusedError("no tools"), '{"name": "teal"}')
    llm = LlamaIndexLLM(model)
    for _ in range(2):
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="teal")
    assert [bool(tools) for _, tools in model._log] == [True, False, False]


@pytest.mark.parametrize("answer", ["no idea", "", {"hex": "#088"}, {}])
async def test_what_does_not_fit_is_none(mode: str, answer: Any) -> None:
    assert (await ask(LlamaIndexLLM(Calling(answer)), mode, schema=Colour)).parsed is None


async def test_tools_are_shown_and_their_calls_returned(mode: str) -> None:
    tool = {
        "type": "function",
        "function": {"name": "paint", "description": "Paint.", "parameters": Colour.model_json_schema()},
    }
    model = Calling({"name": "teal"})
    done = await ask(LlamaIndexLLM(model), mode, tools=[tool])
    assert [(call.id, call.name, call.arguments) for call in done.tool_calls] == [
        ("1", "Colour", {"name": "teal"})
    ]
    [shown] = model._log[0][1]
    assert shown.metadata.to_openai_tool()["function"]["parameters"] == Colour.model_json_schema()
    with pytest.raises(UnsupportedOperationError):
        await ask(LlamaIndexLLM(Writing("x")), mode, tools=[tool])


@pytest.mark.parametrize(
    "raw",
    [
        {"usage": {"prompt_tokens": 7, "completion_tokens": 2}, "choices": [{"finish_reason": "length"}]},
        {"usage": {"input_tokens": 7, "output_tokens": 2}, "stop_reason": "max_tokens"},
        {"usage_metadata": {"prompt_token_count": 7, "candidates_token_count": 2}, "finish_reason": "length"},
        {"prompt_eval_count": 7, "eval_count": 2, "done_reason": "length"},
    ],
)
async def test_usage_and_ending_come_as_vendors_write_them(mode: str, raw: Any) -> None:
    class Raw(Calling):
        def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
            return ChatResponse(message=told("Good day"), raw=raw)

    done = await ask(LlamaIndexLLM(Raw("x")), mode)
    assert (done.text, done.finish_reason) == ("Good day", "length")
    assert (done.usage.input_tokens, done.usage.output_tokens) == (7, 2)


async def test_an_llm_without_async_methods_of_its_own_does_not_block_the_loop() -> None:
    model = Writing("hello")
    done, _ = await asyncio.gather(LlamaIndexLLM(model).agenerate(HI), asyncio.sleep(0))
    assert done.text == "hello"
    assert model._threads != [threading.get_ident()]


async def test_images_arrive_as_image_blocks(mode: str) -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    model = Calling("A cat.")
    await ask(LlamaIndexLLM(model), mode, [{"role": "user", "content": content}])
    _, inline, linked = model._log[0][0][0].blocks
    assert isinstance(inline, ImageBlock) and inline.image_mimetype == "image/png"
    assert inline.resolve_image().read() == b"\x89PNG\r\n\x1a\n"
    assert str(linked.url) == "https://example.com/a.png"


class _Status(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.status_code = status


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (_Status(401), AuthenticationError),
        (_Status(429), RateLimitError),
        (_Status(503), BackendUnavailableError),
        (_Status(400), BackendResponseError),
        (TimeoutError(), BackendTimeoutError),
        (ConnectionRefusedError("no"), BackendUnavailableError),
        (KeyError("choices"), BackendResponseError),
    ],
)
async def test_every_failure_is_one_of_ours(mode: str, given: Exception, ours: type[BackendError]) -> None:
    for model in (Calling(given), Writing(given), Predicting(given)):
        with pytest.raises(ours) as caught:
            await ask(LlamaIndexLLM(model), mode, schema=Colour)
        assert type(caught.value) is ours
        assert type(caught.value.__cause__) is type(given)
        assert "llama_index/" in str(caught.value)


async def test_something_that_is_no_chat_response_is_an_error(mode: str) -> None:
    class Odd(Calling):
        def chat(self, messages: Any, **kwargs: Any) -> Any:
            return ["x"]

    with pytest.raises(BackendResponseError, match="list"):
        await ask(LlamaIndexLLM(Odd("x")), mode)


def test_a_name_is_not_enough() -> None:
    with pytest.raises(ConfigurationError, match="LlamaIndex LLM"):
        LlamaIndexLLM.Settings(model="gpt-5")
    with pytest.raises(ConfigurationError):
        Memory(":memory:", llm="llama_index:gpt-5")


def test_the_name_is_the_models_and_no_secret_is_shown() -> None:
    llm = LlamaIndexLLM(Writing("x"))
    assert llm.name == "llama_index/writer-1"
    calling = LlamaIndexLLM(Calling("x"))
    assert calling.name == "llama_index/Calling"
    assert "sk-secret" not in f"{calling!r} {calling.settings!r} {calling.name}"


def test_a_model_that_its_integration_does_not_know_is_refused_in_our_words() -> None:
    class Newer(Writing):
        @property
        def metadata(self) -> LLMMetadata:
            raise ValueError("unknown model 'newest-1'")

    with pytest.raises(ConfigurationError, match="newest-1"):
        LlamaIndexLLM(Newer("x"))


def test_images_are_sent_where_the_models_name_says_so() -> None:
    assert not LlamaIndexLLM(Writing("x")).vision
    assert LlamaIndexLLM(LlamaIndexLLM.Settings(model=Writing("x"), enable_vision=True)).vision


async def test_a_memory_takes_an_llm_as_it_is_and_asks_it_once() -> None:
    for model in (Calling(PARIS), Calling(FakeLLM([PARIS]).generate([]).text), Predicting(PARIS)):
        with Memory(":memory:", llm=model, embedder="hash") as memory:
            result = memory.add([{"role": "user", "content": "I live in Paris."}], user_id="ada")
            assert [outcome.memory for outcome in result.results] == ["User lives in Paris."]
            assert memory.chosen["llm"].startswith("llama_index/")
        assert len(model._log) == 1
    async with AsyncMemory(":memory:", llm=Calling(PARIS), embedder="hash") as memory:
        result = await memory.add([{"role": "user", "content": "I live in Paris."}], user_id="ada")
        assert [outcome.memory for outcome in result.results] == ["User lives in Paris."]


def test_a_configuration_takes_it_too() -> None:
    config = {"path": ":memory:", "llm": {"provider": "llama_index", "config": {"model": Calling(PARIS)}}}
    with Memory(config) as memory:
        assert memory.add([{"role": "user", "content": "I live in Paris."}], user_id="ada").results
