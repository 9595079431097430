"""One key, one content, one outcome: for good, for everybody, in flight or not. And calls that wait their turn."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from memkit.errors import (
    BackendTimeoutError,
    ExtractionError,
    IdempotencyError,
    InvalidInputError,
    MemkitError,
)
from memkit.llms.fake import FakeLLM
from tests.engine.faces import CountingEmbedder, Face, World, answer, down, fact

OSLO = answer(fact("The user lives in Oslo.", quote="I live in Oslo"))


# ------------------------------------------------------------------------------------- keys


def test_the_same_key_and_content_return_the_stored_result(memory: Face) -> None:
    first = memory.add(["a", {"role": "user", "content": "b"}], user_id="u", idempotency_key="k", infer=False)
    again = memory.add(["a", {"role": "user", "content": "b"}], user_id="u", idempotency_key="k", infer=False)
    assert again == first and memory.count(user_id="u") == 2 and len(memory.messages(user_id="u")) == 1


def test_a_key_is_for_good_also_after_reopening_updating_and_deleting(world: World, memory: Face) -> None:
    first = memory.add("a", user_id="u", idempotency_key="k", infer=False)
    memory.update(first.results[0].id, "b")
    memory.delete(first.results[0].id)
    memory.close()
    again = world.open()
    assert again.add("a", user_id="u", idempotency_key="k", infer=False) == first
    assert again.count(user_id="u") == 0


@pytest.mark.parametrize(
    "other",
    [{"messages": "b"}, {"metadata": {"x": 1}}, {"kind": "event"}, {"origin": "tool"}, {"run_id": "r"}, {"agent_id": "a"},
     {"expires_at": "2999-01-01"}, {"valid_from": "2020-01-01"}, {"infer": True}],
)  # fmt: skip
def test_the_same_key_with_other_content_raises_and_writes_nothing(
    memory: Face, other: dict[str, Any]
) -> None:
    given = {"messages": "a", "user_id": "u", "idempotency_key": "k", "infer": False}
    first = memory.add(**given)
    with pytest.raises(IdempotencyError, match="'k'") as error:
        memory.add(**{**given, **other})
    assert error.value.operation_id == first.operation_id
    assert memory.count(user_id="u") == 1 and memory.messages(user_id="u") == []


def test_a_key_is_its_owners_alone(memory: Face) -> None:
    memory.add("a", user_id="u", idempotency_key="k", infer=False)
    memory.add("b", user_id="v", idempotency_key="k", infer=False)
    memory.add("c", agent_id="u", idempotency_key="k", infer=False)
    assert memory.texts(user_id="v") == ["b"] and memory.texts(agent_id="u") == ["c"]


@pytest.mark.parametrize("key", ["", "  ", 5, "x" * 600, "\ud800"])
def test_a_key_is_a_text(memory: Face, key: object) -> None:
    with pytest.raises(InvalidInputError, match="idempotency_key"):
        memory.add("a", user_id="u", idempotency_key=key, infer=False)


@pytest.mark.parametrize("key", ["ключ", "a\x00b", "'%_\"", "x" * 512])
def test_an_odd_key_is_a_key(memory: Face, key: str) -> None:
    first = memory.add("a", user_id="u", idempotency_key=key, infer=False)
    assert memory.add("a", user_id="u", idempotency_key=key, infer=False) == first


def test_sixteen_at_once_with_one_key_are_one_add(memory: Face) -> None:
    call = ("add", {"messages": "a", "user_id": "u", "idempotency_key": "k", "infer": False})
    results = memory.together([call] * 16)
    assert all(result == results[0] for result in results), results
    assert memory.count(user_id="u") == 1


def test_at_once_with_one_key_and_a_model_are_one_call_of_the_model(world: World) -> None:
    def slow(_: object) -> object:
        time.sleep(0.15)
        return OSLO

    llm = FakeLLM(slow)
    memory = world.open(llm=llm)
    call = ("add", {"messages": "I live in Oslo.", "user_id": "u", "idempotency_key": "k"})
    results = memory.together([call] * 8)
    assert [type(r).__name__ for r in results] == ["AddResult"] * 8, results
    assert len({r.operation_id for r in results}) == 1 and len({r.results[0].id for r in results}) == 1
    assert len(llm.calls) == 1 and memory.count(user_id="u") == 1
    assert len(memory.messages(user_id="u")) == 1


def test_a_failed_add_with_a_key_is_finished_by_the_same_call(world: World) -> None:
    llm = FakeLLM([down("model"), OSLO])
    memory = world.open(llm=llm)
    with pytest.raises(MemkitError, match="down") as error:
        memory.add("I live in Oslo.", user_id="u", idempotency_key="k")
    with pytest.raises(IdempotencyError):
        memory.add("Something else.", user_id="u", idempotency_key="k")
    result = memory.add("I live in Oslo.", user_id="u", idempotency_key="k")
    assert result.operation_id == error.value.operation_id
    assert memory.add("I live in Oslo.", user_id="u", idempotency_key="k").results == result.results
    assert memory.texts(user_id="u") == ["The user lives in Oslo."] and len(memory.messages(user_id="u")) == 1


def test_a_failed_verbatim_add_with_a_key_is_finished_by_the_same_call(world: World) -> None:
    embedder = CountingEmbedder(down("embedder"))
    memory = world.open(embedder=embedder)
    with pytest.raises(MemkitError):
        memory.add(["a", "b"], user_id="u", idempotency_key="k", infer=False)
    embedder.error = None
    result = memory.add(["a", "b"], user_id="u", idempotency_key="k", infer=False)
    again = memory.add(["a", "b"], user_id="u", idempotency_key="k", infer=False)
    assert again.results == result.results and sorted(memory.texts(user_id="u")) == ["a", "b"]


# ------------------------------------------------------------------------------------- without a key


def test_only_a_failed_call_is_resumed_and_a_successful_one_is_never_taken_for_a_retry(world: World) -> None:
    llm = FakeLLM([down("model"), OSLO, answer(), answer()])
    memory = world.open(llm=llm)
    with pytest.raises(MemkitError):
        memory.add("I live in Oslo.", user_id="u")
    first = memory.add("I live in Oslo.", user_id="u")
    assert len(memory.messages(user_id="u")) == 1
    second = memory.add("I live in Oslo.", user_id="u")
    assert second.operation_id != first.operation_id
    assert len(memory.messages(user_id="u")) == 2 and len(llm.calls) == 3


def test_another_users_failed_call_is_not_mine(world: World) -> None:
    llm = FakeLLM([down("model"), answer()])
    memory = world.open(llm=llm)
    with pytest.raises(MemkitError) as error:
        memory.add("I live in Oslo.", user_id="u")
    assert memory.add("I live in Oslo.", user_id="v").operation_id != error.value.operation_id
    assert memory.stats().unfinished == 1


# ------------------------------------------------------------------------------------- background


def test_background_returns_once_the_turns_are_kept_and_flush_waits(world: World) -> None:
    gate = threading.Event()

    def held(_: object) -> object:
        assert gate.wait(20)
        return OSLO

    memory = world.open(llm=FakeLLM(held))
    result = memory.add("I live in Oslo.", user_id="u", background=True)
    assert result.pending == ["extraction"] and result.results == []
    assert [m.content for m in memory.messages(user_id="u")] == ["I live in Oslo."]
    assert memory.count(user_id="u") == 0
    with pytest.raises(BackendTimeoutError, match="timeout"):
        memory.flush(timeout=0.05)
    gate.set()
    memory.flush(timeout=20)
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]
    (event,) = memory.history(memory.get_all(user_id="u").results[0].id)
    assert event.operation_id == result.operation_id


def test_closing_finishes_background_work(world: World) -> None:
    memory = world.open(llm=FakeLLM(lambda _: OSLO))
    for n in range(3):
        memory.add("I live in Oslo.", user_id=f"u{n}", background=True)
    memory.close()
    again = world.open()
    assert [again.count(user_id=f"u{n}") for n in range(3)] == [1, 1, 1]


def test_failed_background_work_is_told_by_flush_and_stays_in_the_queue(world: World) -> None:
    llm = FakeLLM([down("model"), OSLO])
    memory = world.open(llm=llm)
    result = memory.add("I live in Oslo.", user_id="u", background=True)
    with pytest.raises(MemkitError, match="repair") as error:
        memory.flush(timeout=20)
    assert error.value.operation_id == result.operation_id
    assert memory.stats().unfinished == 1
    memory.flush(timeout=20)
    assert memory.repair().finished == [result.operation_id]
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]


def test_background_with_a_key_is_one_operation(world: World) -> None:
    llm = FakeLLM([OSLO])
    memory = world.open(llm=llm)
    first = memory.add("I live in Oslo.", user_id="u", background=True, idempotency_key="k")
    memory.flush(timeout=20)
    again = memory.add("I live in Oslo.", user_id="u", background=True, idempotency_key="k")
    assert again.operation_id == first.operation_id
    assert [o.event for o in again.results] == ["ADD"], "the key returns what the extraction gave"


def test_the_next_open_finishes_what_background_work_left(world: World) -> None:
    memory = world.open(llm=FakeLLM([down("model")]))
    memory.add("I live in Oslo.", user_id="u", background=True)
    with pytest.raises(MemkitError):
        memory.flush(timeout=20)
    memory.close()
    again = world.open(llm=FakeLLM([OSLO]))
    assert again.count(user_id="u") in (0, 1)
    again.flush(timeout=20)
    assert again.texts(user_id="u") == ["The user lives in Oslo."]


def test_without_a_model_now_unfinished_work_waits(world: World) -> None:
    memory = world.open(llm=FakeLLM(["junk", "junk"]))
    with pytest.raises(ExtractionError):
        memory.add("I live in Oslo.", user_id="u")
    memory.close()
    keyless = world.open()
    report = keyless.repair()
    assert report.finished == [] and "llm" in next(iter(report.failed.values()))
    keyless.close()
    again = world.open(llm=FakeLLM([OSLO]))
    assert len(again.repair().finished) == 1
    again.flush(timeout=20)
    assert again.texts(user_id="u") == ["The user lives in Oslo."]
