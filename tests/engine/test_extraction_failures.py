"""When the model fails: nothing that was said is lost, and somebody finishes it later."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from memkit import AsyncMemory
from memkit.errors import BackendError, BackendUnavailableError, ExtractionError, MemkitError
from memkit.llms.base import Completion
from memkit.llms.fake import FakeLLM
from tests.engine.faces import CountingEmbedder, World, answer, down, fact

OSLO = answer(fact("The user lives in Oslo.", quote="I live in Oslo"))
SAID = "I live in Oslo."
JUNK = ["no json at all", '{"memories": [{"text"', "[]", '{"facts": ["x"]}', "null", '{"memories": null']


@pytest.mark.parametrize("junk", JUNK)
def test_junk_once_is_repaired(world: World, junk: str) -> None:
    llm = FakeLLM([junk, OSLO])
    memory = world.open(llm=llm)
    result = memory.add(SAID, user_id="u")
    if len(llm.calls) == 1:  # Read as the empty answer.
        assert result.results == []
        return
    assert [o.event for o in result.results] == ["ADD"] and result.usage.llm_calls == 2


@pytest.mark.parametrize("junk", ["no json at all", '{"memories": [{"text"', "{}}{{"])
def test_junk_twice_raises_and_the_turns_are_kept(world: World, junk: str) -> None:
    llm = FakeLLM([junk, junk])
    memory = world.open(llm=llm)
    with pytest.raises(ExtractionError, match="repair") as raised:
        memory.add([{"role": "user", "content": SAID}], user_id="u")
    error = raised.value
    assert error.raw_output == junk and error.operation_id
    assert len(llm.calls) == 2
    assert [m.content for m in memory.messages(user_id="u")] == [SAID]
    assert memory.count(user_id="u") == 0 and memory.stats().unfinished == 1
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.operation_id, again.raw_output) == (
        ExtractionError,
        str(error),
        error.operation_id,
        junk,
    )


@pytest.mark.parametrize("how", ["repair", "same call", "next open", "next open repair"])
@pytest.mark.parametrize("failure", ["junk", "down", "bug", "embedder"])
def test_what_failed_is_finished(world: World, how: str, failure: str) -> None:
    embedder = CountingEmbedder(down("embedder") if failure == "embedder" else None)
    replies: dict[str, list[Any]] = {
        "junk": ["x", "x"],
        "down": [down("model")],
        "bug": [KeyError("oops")],
        "embedder": [OSLO],
    }
    llm = FakeLLM([*replies[failure], OSLO])
    memory = world.open(llm=llm, embedder=embedder)
    with pytest.raises(MemkitError) as error:
        memory.add(SAID, user_id="u", metadata={"k": 1})
    operation = error.value.operation_id
    assert operation, "the error names its operation"
    embedder.error = None
    if how == "same call":
        result = memory.add(SAID, user_id="u", metadata={"k": 1})
        assert result.operation_id == operation and [o.event for o in result.results] == ["ADD"]
    elif how == "repair":
        assert memory.repair().finished == [operation]
    else:
        memory.close()
        memory = world.open(llm=llm)
        if how == "next open repair":
            assert memory.repair().finished == [operation]
        else:
            memory.count(user_id="u")
            memory.flush(timeout=20)
    (item,) = memory.get_all(user_id="u").results
    assert item.memory == "The user lives in Oslo." and item.metadata == {"k": 1}
    (event,) = memory.history(item.id)
    assert event.operation_id == operation
    assert len(memory.messages(user_id="u")) == 1 and memory.stats().unfinished == 0


def test_a_repair_that_fails_again_says_why_and_keeps_it(world: World) -> None:
    memory = world.open(llm=FakeLLM([down("model"), down("model"), OSLO]))
    with pytest.raises(BackendUnavailableError) as error:
        memory.add(SAID, user_id="u")
    assert error.value.retryable
    report = memory.repair()
    assert report.finished == [] and "down" in report.failed[error.value.operation_id]
    assert memory.repair().finished == [error.value.operation_id]


@pytest.mark.parametrize("raised", [ConnectionResetError("reset"), ValueError("bad"), ZeroDivisionError("x")])
def test_a_callers_own_model_may_raise_anything(world: World, raised: Exception) -> None:
    memory = world.open(llm=FakeLLM([raised, OSLO]))
    with pytest.raises(BackendError) as error:
        memory.add(SAID, user_id="u")
    assert error.value.__cause__ is raised and error.value.operation_id
    assert [o.event for o in memory.add(SAID, user_id="u").results] == ["ADD"]


def test_an_answer_cut_off_at_the_limit_is_never_half_read(world: World) -> None:
    whole = '{"memories": [], "relations": []}'
    cut = Completion(text=whole, finish_reason="length")
    memory = world.open(llm=FakeLLM([cut, cut]))
    with pytest.raises(ExtractionError, match="cut off"):
        memory.add(SAID, user_id="u")
    assert len(memory.messages(user_id="u")) == 1


def test_one_window_that_fails_loses_nothing_of_the_others(world: World) -> None:
    turns = [
        {"role": "user", "content": f"Turn {n}. " + "I said a lot about nothing at all. " * 60}
        for n in range(20)
    ]
    llm = FakeLLM([answer(), "x", "x"])
    memory = world.open(llm=llm)
    with pytest.raises(ExtractionError):
        memory.add(turns, user_id="u")
    assert len(memory.messages(user_id="u")) == 20 and memory.count(user_id="u") == 0
    memory.close()
    again = world.open(llm=FakeLLM(lambda _: answer()))
    assert len(again.repair().finished) == 1


def test_a_forgotten_user_is_not_brought_back_by_the_queue(world: World) -> None:
    memory = world.open(llm=FakeLLM(["x", "x", OSLO]))
    with pytest.raises(ExtractionError):
        memory.add(SAID, user_id="u")
    assert memory.forget(user_id="u").jobs == 1
    assert memory.repair().finished == []
    assert memory.count(user_id="u") == 0 and memory.messages(user_id="u") == []


async def test_a_cancelled_add_is_finished_by_the_same_call(tmp_path: Any) -> None:
    gate = asyncio.Event()

    async def held(_: object) -> object:
        await gate.wait()
        return OSLO

    llm = FakeLLM([held, OSLO])
    async with AsyncMemory(tmp_path / "s", llm=llm, embedder="hash") as memory:
        task = asyncio.create_task(memory.add(SAID, user_id="u"))
        while not llm.calls:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await memory.messages(user_id="u")) == 1
        result = await memory.add(SAID, user_id="u")
        assert [o.event for o in result.results] == ["ADD"]
        assert len(await memory.messages(user_id="u")) == 1
