"""A reranker that hangs, gives up by itself or stops an iteration delays a search, and fails none."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest

from memkit import AsyncMemory
from memkit.errors import ConfigurationError
from tests.engine.faces import World

TEXTS = [f"Ann's {thing} is {colour}." for thing in ("cat", "boat") for colour in ("red", "blue", "old")]


class Hanging:
    """Waits for the gate, and then likes the last text best."""

    name = "hanging"
    timeout_s: Any = 0.05

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[bool] = []

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        self.asked.append(threading.current_thread().daemon)
        self.gate.wait(30)
        return [(len(texts) - 1, 1.0)]


class HangingAwaited(Hanging):
    """Hangs in its awaited form, and does not let itself be cancelled."""

    async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        self.asked.append(True)
        while not self.gate.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue
        return [(len(texts) - 1, 1.0)]


@pytest.fixture(params=[Hanging, HangingAwaited])
def reranker(request: pytest.FixtureRequest) -> Generator[Hanging]:
    made: Hanging = request.param()
    yield made
    made.gate.set()


def test_a_search_keeps_its_order_and_asks_again_when_the_reranker_has_come_back(
    world: World, reranker: Hanging
) -> None:
    memory = world.open(reranker=reranker)
    memory.add_many(TEXTS, user_id="u", infer=False)
    own = memory.search("Is Ann's cat old?", user_id="u", rerank=False).results
    first = memory.search("Is Ann's cat old?", user_id="u")
    assert first.results == own and "did not answer within 0.05 seconds" in first.warnings[0]
    second = memory.search("Is Ann's cat old?", user_id="u")
    assert second.results == own and "has not come back" in second.warnings[0]
    assert reranker.asked == [True], "a daemon thread holds up no process, and nobody asks while it hangs"

    reranker.gate.set()
    third = second
    for _ in range(500):
        if not third.warnings:
            break
        time.sleep(0.01)
        third = memory.search("Is Ann's cat old?", user_id="u")
    assert third.warnings == [] and third.results[0].id == own[-1].id
    assert len(reranker.asked) == 2


async def test_searches_beside_one_that_waits_are_answered_and_whoever_gives_up_stops_the_call() -> None:
    stopped: list[bool] = []

    class Slow(Hanging):
        timeout_s = 30

        async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
            try:
                await asyncio.sleep(30)
            finally:
                stopped.append(True)
            return []

    async with AsyncMemory(":memory:", llm=None, embedder="hash", reranker=Slow()) as memory:
        await memory.add_many(TEXTS, user_id="u", infer=False)
        waiting = asyncio.create_task(memory.search("cat", user_id="u"))
        assert (await memory.search("cat", user_id="u", rerank=False)).results
        assert not waiting.done()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert stopped == [True]


def _stop() -> None:
    raise StopIteration


def _cancel() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("fail", [_stop, _cancel])
@pytest.mark.parametrize("awaited", [False, True])
def test_what_a_coroutine_or_a_future_cannot_carry_is_a_failure_like_any_other(
    world: World, awaited: bool, fail: Callable[[], None]
) -> None:
    class Failing:
        name = "failing"

        def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
            fail()
            return []

        async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
            return self.rerank(query, texts, limit)

    if not awaited:
        del Failing.arerank
    memory = world.open(reranker=Failing())
    memory.add_many(TEXTS, user_id="u", infer=False)
    found = memory.search("cat", user_id="u")
    assert found.results and "'failing' failed" in found.warnings[0]


def test_a_stop_of_an_iteration_in_any_provider_reaches_who_awaits_it(world: World) -> None:
    from memkit.embedders.hash import HashEmbedder
    from memkit.errors import BackendError

    class Stops(HashEmbedder):
        def embed(self, texts: Sequence[str], *, purpose: Any = "document") -> Any:
            raise StopIteration

    memory = world.open(embedder=Stops())
    with pytest.raises(BackendError, match="StopIteration"):
        memory.add("The cat is red.", user_id="u", infer=False)


@pytest.mark.parametrize("seconds", [0, -1, True, "5", float("nan"), float("inf")])
def test_seconds_to_wait_are_a_number_above_zero(seconds: Any) -> None:
    reranker = Hanging()
    reranker.timeout_s = seconds
    with pytest.raises(ConfigurationError, match="timeout_s"):
        AsyncMemory(":memory:", reranker=reranker)


def test_a_reranker_without_a_name_is_refused_before_a_search_needs_it() -> None:
    class Nameless:
        def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
            return []

    with pytest.raises(ConfigurationError, match="lacks `name`"):
        AsyncMemory(":memory:", reranker=Nameless())


def test_without_a_limit_a_search_waits(world: World) -> None:
    reranker = Hanging()
    reranker.timeout_s = None
    memory = world.open(reranker=reranker)
    memory.add_many(TEXTS, user_id="u", infer=False)
    threading.Timer(0.1, reranker.gate.set).start()
    found = memory.search("cat", user_id="u")
    assert found.warnings == [] and found.results[0].score == 1.0
