"""The scripted model."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import BackendResponseError, BackendUnavailableError
from memkit.llms.base import LLM, Completion
from memkit.llms.fake import FakeLLM
from memkit.prompts.extract import Extraction

HI = [{"role": "user", "content": "Hello"}]


async def ask(llm: FakeLLM, mode: str, **kwargs: Any) -> Completion:
    return llm.generate(HI, **kwargs) if mode == "sync" else await llm.agenerate(HI, **kwargs)


async def test_replies_come_in_order_and_calls_are_recorded(mode: str) -> None:
    llm = FakeLLM(["one", {"memories": []}, Extraction(memories=[]), lambda messages: messages[0]["content"]])
    assert isinstance(llm, LLM)
    assert (await ask(llm, mode)).text == "one"
    assert (await ask(llm, mode, schema=Extraction)).parsed == Extraction(memories=[])
    assert (await ask(llm, mode, schema=Extraction)).parsed == Extraction(memories=[])
    assert (await ask(llm, mode)).text == "Hello"
    assert [call.schema for call in llm.calls] == [None, Extraction, Extraction, None]
    assert llm.calls[0].messages == tuple(HI)


async def test_an_error_is_raised(mode: str) -> None:
    with pytest.raises(BackendUnavailableError, match="down"):
        await ask(FakeLLM([BackendUnavailableError("down")]), mode)


async def test_running_out_says_how_many_there_were(mode: str) -> None:
    llm = FakeLLM(["only"])
    await ask(llm, mode)
    with pytest.raises(BackendResponseError, match=r"no reply left for call 2: it was given 1"):
        await ask(llm, mode)


async def test_without_a_script_it_extracts_nothing(mode: str) -> None:
    assert (await ask(FakeLLM(), mode, schema=Extraction)).parsed == Extraction(memories=[])


async def test_one_function_answers_every_call(mode: str) -> None:
    llm = FakeLLM(lambda messages: {"memories": []})
    for _ in range(3):
        assert (await ask(llm, mode, schema=Extraction)).parsed is not None


def test_it_is_built_from_settings() -> None:
    assert FakeLLM(FakeLLM.Settings(replies=["a"], vision=True)).vision
    assert FakeLLM(FakeLLM.Settings(replies=["a"])).generate(HI).text == "a"
