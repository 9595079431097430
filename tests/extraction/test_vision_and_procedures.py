"""Images become words, runs become procedures; in both modes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from memkit.errors import ExtractionError, InvalidInputError
from memkit.extraction.messages import normalise
from memkit.extraction.procedural import RUN_CHARS, summarise_procedure
from memkit.extraction.vision import describe_images
from memkit.llms.fake import FakeLLM
from memkit.runtime import AsyncRuntime, SyncRuntime, run_inline

IMAGE = {"type": "image_url", "image_url": {"url": "https://x.invalid/cat.png"}}
SEEN = [
    {"role": "user", "content": [{"type": "text", "text": "My cat"}, IMAGE]},
    {"role": "user", "content": "bye"},
]
RUN = [
    {"role": "system", "content": "SECRET RULES"},
    {"role": "user", "content": "Deploy it"},
    {"role": "tool", "content": "exit code 0"},
]


async def do(mode: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    if mode == "sync":
        return run_inline(work(SyncRuntime()))  # pyright: ignore[reportArgumentType]
    return await work(AsyncRuntime())


async def test_images_are_described_by_one_call_for_each_message(mode: str) -> None:
    llm = FakeLLM(["A black cat named Tom on a sofa."], vision=True)
    messages, usage = await do(mode, lambda rt: describe_images(rt, llm, normalise(SEEN)))
    assert (
        messages[0].text == "My cat\n[image: A black cat named Tom on a sofa.]" and messages[1].text == "bye"
    )
    assert messages[0].content == SEEN[0]["content"]
    assert usage.llm_calls == len(llm.calls) == 1
    sent = llm.calls[0].messages[1]["content"]
    assert sent[1] == {
        "type": "image_url",
        "image_url": {"url": "https://x.invalid/cat.png", "detail": "auto"},
    }


async def test_a_model_that_does_not_see_costs_no_call_and_says_so(mode: str) -> None:
    llm = FakeLLM([])
    messages, usage = await do(mode, lambda rt: describe_images(rt, llm, normalise(SEEN)))
    assert messages[0].text == "My cat\n[image]" and usage.llm_calls == 0
    assert "fake" in messages[0].metadata["image_not_described"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": "aGk="},
        {"type": "image", "base64": "aGk=", "mime_type": "image/png"},
        {"type": "image", "url": "data:image/png;base64,aGk="},
    ],
)
async def test_images_of_every_api_are_sent_in_one_shape(mode: str, block: dict[str, Any]) -> None:
    llm = FakeLLM(["x"], vision=True)
    await do(mode, lambda rt: describe_images(rt, llm, normalise({"role": "user", "content": [block]})))
    assert llm.calls[0].messages[1]["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="


async def test_a_run_becomes_one_procedure(mode: str) -> None:
    llm = FakeLLM(["<think>ok</think>Deploy\n1. Run it."])
    text, usage = await do(
        mode, lambda rt: summarise_procedure(rt, llm, normalise(RUN), prompt="Only commands.")
    )
    assert text == "Deploy\n1. Run it." and usage.llm_calls == 1
    shown = str(llm.calls[0].messages)
    assert "exit code 0" in shown and "Only commands." in shown and "SECRET RULES" not in shown


async def test_an_empty_procedure_is_asked_for_twice_and_then_an_error(mode: str) -> None:
    text, usage = await do(mode, lambda rt: summarise_procedure(rt, FakeLLM(["", "Steps"]), normalise(RUN)))
    assert text == "Steps" and usage.llm_calls == 2
    with pytest.raises(ExtractionError, match="empty"):
        await do(mode, lambda rt: summarise_procedure(rt, FakeLLM(["", " "]), normalise(RUN)))


async def test_a_run_without_words_is_refused(mode: str) -> None:
    with pytest.raises(InvalidInputError, match="no words"):
        await do(mode, lambda rt: summarise_procedure(rt, FakeLLM([]), normalise(RUN[:1])))


async def test_a_very_long_run_is_shortened_in_the_middle(mode: str) -> None:
    llm = FakeLLM(["Steps"])
    run = [{"role": "user", "content": f"step {n} " + "x" * 5_000} for n in range(60)]
    await do(mode, lambda rt: summarise_procedure(rt, llm, normalise(run)))
    shown = str(llm.calls[0].messages)
    assert (
        len(shown) < RUN_CHARS + 20_000
        and "step 0 " in shown
        and "step 59 " in shown
        and "step 30 " not in shown
    )
