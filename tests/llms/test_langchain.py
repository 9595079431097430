"""LangChain models as memkit's: every form of answer is read, nothing leaks, and every failure is one of ours."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field, SecretStr

from memkit import Memory
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
from memkit.llms.langchain import LangChainLLM

HI = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


class Colour(BaseModel):
    name: str
    hex: str | None = None


class Scripted(BaseChatModel):
    """Answers from a list; `tools` says whether it can be given any."""

    answers: list[Any]
    tools: bool = False
    log: Any = Field(default_factory=list, exclude=True, repr=False)
    api_key: SecretStr = SecretStr("sk-secret")
    model_name: str = "scripted-1"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, *, tool_choice: Any = None, **kwargs: Any) -> Any:
        if not self.tools:
            raise NotImplementedError
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        self.log.append((messages, kwargs.get("tools")))
        answer = self.answers[min(len(self.log), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        message = AIMessage(content=answer) if isinstance(answer, str | list) else answer.model_copy()
        if run_manager:
            run_manager.on_llm_new_token(message.text)
        return ChatResult(generations=[ChatGeneration(message=message)])


def tool_call(**arguments: Any) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": "Colour", "args": arguments, "id": "1"}])


async def ask(llm: LangChainLLM, mode: str, **kwargs: Any) -> Completion:
    return llm.generate(HI, **kwargs) if mode == "sync" else await llm.agenerate(HI, **kwargs)


async def test_text_usage_and_ending_come_as_the_model_gave_them(mode: str) -> None:
    message = AIMessage(
        content=[{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "Good day"}],
        usage_metadata={"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
        response_metadata={"stop_reason": "max_tokens"},
    )
    done = await ask(LangChainLLM(Scripted(answers=[message])), mode)
    assert (done.text, done.finish_reason) == ("Good day", "length")
    assert (done.usage.input_tokens, done.usage.output_tokens) == (7, 2)


async def test_a_schema_is_asked_for_as_a_tool_where_the_model_takes_tools(mode: str) -> None:
    model = Scripted(answers=[tool_call(name="teal", hex=None)], tools=True)
    done = await ask(LangChainLLM(model), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    assert model.log[0][1][0]["function"]["name"] == "Colour"


@pytest.mark.parametrize(
    "answer",
    ['{"name": "teal"}', 'Sure:\n```json\n{"name": "teal",}\n```', '<think>{}</think> {"name": "teal"}'],
)
@pytest.mark.parametrize("tools", [True, False])
async def test_json_is_read_out_of_words(mode: str, tools: bool, answer: str) -> None:
    done = await ask(LangChainLLM(Scripted(answers=[answer], tools=tools)), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    assert done.text == answer


async def test_without_structured_output_the_prompt_says_which_json_is_wanted(mode: str) -> None:
    model = Scripted(answers=['{"name": "teal"}'])
    await ask(LangChainLLM(model), mode, schema=Colour)
    [(messages, tools)] = model.log
    assert tools is None
    assert messages[0].text.startswith("Be brief.")
    assert '"hex"' in messages[0].text


@pytest.mark.parametrize("answer", ["no idea", "", tool_call(hex="#088"), tool_call()])
async def test_what_does_not_fit_is_none(mode: str, answer: Any) -> None:
    done = await ask(LangChainLLM(Scripted(answers=[answer], tools=True)), mode, schema=Colour)
    assert done.parsed is None


async def test_a_structured_request_that_is_refused_is_asked_in_words_from_then_on(mode: str) -> None:
    class RefusedError(Exception):
        status_code = 400

    model = Scripted(answers=[RefusedError("no tools"), '{"name": "teal"}'], tools=True)
    llm = LangChainLLM(model)
    for _ in range(2):
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="teal")
    assert [tools is not None for _, tools in model.log] == [True, False, False]


async def test_tools_are_bound_and_their_calls_returned(mode: str) -> None:
    model = Scripted(answers=[tool_call(name="teal")], tools=True)
    done = await ask(LangChainLLM(model), mode, tools=[convert_to_openai_tool(Colour)])
    assert [(call.name, call.arguments) for call in done.tool_calls] == [("Colour", {"name": "teal"})]
    with pytest.raises(UnsupportedOperationError):
        await ask(LangChainLLM(Scripted(answers=["x"])), mode, tools=[convert_to_openai_tool(Colour)])


async def test_what_a_model_was_wrapped_in_works_too(mode: str) -> None:
    model = Scripted(answers=['{"name": "teal"}'])
    wrapped = [
        model.with_retry(),
        model.with_fallbacks([model]),
        model.bind(stop=["x"]),
        model.with_config(tags=["x"]),
        RunnableLambda(lambda messages: messages) | model,
        model | StrOutputParser(),
    ]
    for runnable in wrapped:
        llm = LangChainLLM(runnable)
        assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="teal")
        assert (await ask(llm, mode)).text == '{"name": "teal"}'


async def test_no_token_reaches_the_stream_it_is_called_from(mode: str) -> None:
    seen: list[str] = []

    class Sync(BaseCallbackHandler):
        def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
            seen.append(token)

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append("start")

    class Async(AsyncCallbackHandler):
        async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append("start")

    llm = LangChainLLM(Scripted(answers=["secret extraction"]))
    outer: RunnableLambda[Any, Any] = RunnableLambda(lambda _: llm.generate(HI).text)
    aouter: RunnableLambda[Any, Any] = RunnableLambda(_later(llm))
    if mode == "sync":
        outer.invoke("x", {"callbacks": [Sync()]})
        events = []
    else:
        await aouter.ainvoke("x", {"callbacks": [Async(), Sync()]})
        events = [event["event"] async for event in aouter.astream_events("x", version="v2")]
    assert seen == []
    assert not [event for event in events if "chat_model" in event]


def _later(llm: LangChainLLM) -> Any:
    async def answer(_: Any) -> str:
        return (await llm.agenerate(HI)).text

    return answer


class _Status(Exception):
    def __init__(self, status: int) -> None:
        super().__init__("no")
        self.status_code = status


class _APIConnectionError(Exception): ...


@pytest.mark.parametrize(
    ("given", "ours", "retryable"),
    [
        (_Status(401), AuthenticationError, False),
        (_Status(403), AuthenticationError, False),
        (_Status(429), RateLimitError, True),
        (_Status(503), BackendUnavailableError, True),
        (_Status(400), BackendResponseError, False),
        (TimeoutError(), BackendTimeoutError, True),
        (ConnectionRefusedError("no"), BackendUnavailableError, True),
        (_APIConnectionError("no"), BackendUnavailableError, True),
        (KeyError("choices"), BackendResponseError, False),
    ],
)
async def test_every_failure_is_one_of_ours(
    mode: str, given: Exception, ours: type[BackendError], retryable: bool
) -> None:
    with pytest.raises(ours) as caught:
        await ask(LangChainLLM(Scripted(answers=[given])), mode)
    assert type(caught.value) is ours
    assert caught.value.retryable is retryable
    assert type(caught.value.__cause__) is type(given)
    assert "langchain/scripted-1" in str(caught.value)


async def test_something_that_is_no_message_is_an_error(mode: str) -> None:
    with pytest.raises(BackendResponseError, match="list"):
        await ask(LangChainLLM(RunnableLambda(lambda _: ["x"])), mode)


def test_a_name_is_not_enough() -> None:
    for given in ({"model": "gpt-5"}, {}):
        with pytest.raises(ConfigurationError, match="LangChain model"):
            LangChainLLM.Settings(**given)
    with pytest.raises(ConfigurationError):
        Memory(":memory:", llm="langchain:gpt-5")


def test_no_secret_is_shown() -> None:
    llm = LangChainLLM(Scripted(answers=["x"]))
    assert "sk-secret" not in f"{llm!r} {llm.settings!r} {llm.name}"


def test_images_are_sent_where_the_models_profile_says_so() -> None:
    assert not LangChainLLM(Scripted(answers=["x"])).vision
    assert LangChainLLM(Scripted(answers=["x"], model_name="gpt-4o")).vision
    assert LangChainLLM(LangChainLLM.Settings(model=Scripted(answers=["x"]), enable_vision=True)).vision


def test_a_memory_takes_a_chat_model_as_it_is(tmp_path: Any) -> None:
    answer = {
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
    call = AIMessage(content="", tool_calls=[{"name": "Extraction", "args": answer, "id": "1"}])
    for model in (
        Scripted(answers=[call], tools=True),
        Scripted(answers=[FakeLLM([answer]).generate([]).text]),
    ):
        with Memory(":memory:", llm=model, embedder="hash") as memory:
            result = memory.add([{"role": "user", "content": "I live in Paris."}], user_id="ada")
            assert [outcome.memory for outcome in result.results] == ["User lives in Paris."]
            assert memory.chosen["llm"].startswith("langchain/scripted-1")
    with Memory({"path": ":memory:", "llm": {"provider": "langchain", "config": {"model": model}}}) as memory:
        assert memory.add([{"role": "user", "content": "I live in Paris."}], user_id="ada").results


def test_an_object_of_nobody_we_know_is_still_an_instance() -> None:
    assert not LangChainLLM.adapts(FakeLLM(["x"]))
    assert not LangChainLLM.adapts(object())
    assert "langchain_core" in sys.modules


# Models as people wrap and write them.


async def test_a_wrapper_stays_around_the_structured_request(mode: str) -> None:
    class Lost(ConnectionError): ...

    model = Scripted(answers=[Lost("once"), tool_call(name="teal")], tools=True)
    retried = model.with_retry(retry_if_exception_type=(Lost,), wait_exponential_jitter=False)
    assert (await ask(LangChainLLM(retried), mode, schema=Colour)).parsed == Colour(name="teal")
    assert [tools is not None for _, tools in model.log] == [True, True]

    broken = Scripted(answers=[Lost("always")], tools=True)
    spare = Scripted(answers=[tool_call(name="navy")], tools=True)
    llm = LangChainLLM(broken.with_fallbacks([spare]))
    assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="navy")
    assert spare.log[0][1] is not None

    seen: list[Any] = []

    class Tags(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            seen.append(kwargs["tags"])

    tagged = Scripted(answers=[tool_call(name="teal")], tools=True).with_config(
        tags=["mine"], callbacks=[Tags()]
    )
    assert (await ask(LangChainLLM(tagged), mode, schema=Colour)).parsed == Colour(name="teal")
    assert seen and "mine" in seen[0]


async def test_bound_arguments_reach_the_model_in_every_request(mode: str) -> None:
    class Temperate(Scripted):
        def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
            self.log.append(kwargs.get("temperature"))
            return super()._generate(*args, **kwargs)

    model = Temperate(answers=['{"name": "teal"}'], tools=True)
    llm = LangChainLLM(model.bind(temperature=0.25))
    assert (await ask(llm, mode, schema=Colour)).parsed == Colour(name="teal")
    assert model.log[0] == 0.25


@pytest.mark.parametrize(
    "refusal", [NotImplementedError(), AttributeError("x"), KeyError("x"), RuntimeError("x")]
)
async def test_a_model_that_refuses_structured_output_is_asked_in_words(
    mode: str, refusal: Exception
) -> None:
    class Refuses(Scripted):
        def with_structured_output(self, *args: Any, **kwargs: Any) -> Any:
            raise refusal

    done = await ask(LangChainLLM(Refuses(answers=['{"name": "teal"}'])), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")


@pytest.mark.parametrize(
    "answer",
    [
        Colour(name="teal"),
        {"name": "teal"},
        {"raw": AIMessage(""), "parsed": {"name": "teal"}, "parsing_error": None},
        {"raw": AIMessage('{"name": "teal"}'), "parsed": None, "parsing_error": ValueError("x")},
        {"raw": None, "parsed": Colour(name="teal"), "parsing_error": None},
    ],
)
async def test_structured_output_in_whatever_form_is_read(mode: str, answer: Any) -> None:
    class Own(Scripted):
        def with_structured_output(self, *args: Any, **kwargs: Any) -> Any:
            return RunnableLambda(lambda _: answer)

    model = Own(answers=["not asked"])
    done = await ask(LangChainLLM(model), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")
    assert model.log == []


@pytest.mark.parametrize("answer", [None, [], ValueError("bad arguments")])
async def test_structured_output_that_gives_nothing_is_asked_for_in_words(mode: str, answer: Any) -> None:
    def give(_: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    class Own(Scripted):
        def with_structured_output(self, *args: Any, **kwargs: Any) -> Any:
            return RunnableLambda(give)

    done = await ask(LangChainLLM(Own(answers=['{"name": "teal"}'])), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")


async def test_tool_arguments_that_are_no_json_are_mended(mode: str) -> None:
    spoilt = {
        "name": "Colour",
        "args": '{"name": "teal",}',
        "id": "1",
        "error": "no JSON",
        "type": "invalid_tool_call",
    }
    answer = AIMessage(content="", invalid_tool_calls=[spoilt])
    done = await ask(LangChainLLM(Scripted(answers=[answer], tools=True)), mode, schema=Colour)
    assert done.parsed == Colour(name="teal")


async def test_blocks_of_content_are_read_as_their_text(mode: str) -> None:
    blocks = [
        {"type": "thinking", "thinking": '{"name": "wrong"}'},
        {"type": "text", "text": '{"name":'},
        {"type": "text", "text": ' "teal"}'},
    ]
    for model in (Scripted(answers=[blocks]), RunnableLambda(lambda _: AIMessage(content=blocks))):  # type: ignore[arg-type]
        assert (await ask(LangChainLLM(model), mode, schema=Colour)).parsed == Colour(name="teal")


async def test_the_config_of_the_caller_reaches_no_model_of_ours(mode: str) -> None:
    seen: list[Any] = []

    def answer(_: Any, config: RunnableConfig) -> AIMessage:
        seen.append((config.get("configurable") or {}, config.get("tags") or []))
        return AIMessage("hello")

    llm = LangChainLLM(RunnableLambda(answer))
    config: RunnableConfig = {"configurable": {"model": "another", "thread_id": "t"}, "tags": ["theirs"]}
    if mode == "sync":
        RunnableLambda(lambda _: llm.generate(HI).text).invoke("x", config)
    else:
        await RunnableLambda(_later(llm)).ainvoke("x", config)
    assert seen == [({}, [])]
