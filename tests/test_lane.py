"""Threads that take turns: one piece of work after the other, and none that holds up the rest for good."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from memkit.errors import BackendTimeoutError
from memkit.lane import Lane
from memkit.projector import Projector
from memkit.runtime import AsyncRuntime, SyncRuntime, run_inline


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8)


async def test_work_in_a_lane_is_done_one_piece_at_a_time_in_order(pool: ThreadPoolExecutor) -> None:
    lane, at_once, most, order = Lane(lambda: pool), 0, 0, list[int]()
    lock = threading.Lock()

    def piece(n: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        order.append(n)
        with lock:
            at_once -= 1
        return n * n

    assert await asyncio.gather(*(lane.run(lambda n=n: piece(n)) for n in range(50))) == [
        n * n for n in range(50)
    ]
    assert most == 1 and order == list(range(50))
    pool.shutdown()


async def test_a_piece_that_waits_for_somebody_lets_the_others_begin(pool: ThreadPoolExecutor) -> None:
    lane, gate = Lane(lambda: pool), threading.Event()
    stuck = [asyncio.create_task(lane.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await asyncio.gather(*(lane.run(lambda n=n: n) for n in range(5))) == list(range(5))
    assert not any(task.done() for task in stuck)
    gate.set()
    assert await asyncio.gather(*stuck) == [True, True]
    pool.shutdown()


async def test_an_error_is_raised_where_the_work_is_awaited(pool: ThreadPoolExecutor) -> None:
    lane = Lane(lambda: pool)

    def fail() -> None:
        raise KeyError("mine")

    results = await asyncio.gather(lane.run(fail), lane.run(lambda: 7), return_exceptions=True)
    assert isinstance(results[0], KeyError) and results[1] == 7
    pool.shutdown()


async def test_work_whose_task_was_cancelled_before_its_turn_is_not_done(pool: ThreadPoolExecutor) -> None:
    lane, gate, done = Lane(lambda: pool), threading.Event(), list[str]()
    first = asyncio.create_task(lane.run(gate.wait))
    second = asyncio.create_task(lane.run(lambda: done.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    await first
    assert await lane.run(lambda: "third") == "third"
    assert done == [] and second.cancelled()
    pool.shutdown()


async def test_work_goes_on_while_the_loop_takes_nothing(pool: ThreadPoolExecutor) -> None:
    lane, gate, reached = Lane(lambda: pool), threading.Event(), threading.Event()
    tasks = [asyncio.create_task(lane.run(work)) for work in (gate.wait, reached.set)]
    await asyncio.sleep(0)
    gate.set()
    assert reached.wait(30)  # in the loop's own thread, which runs nothing else meanwhile
    assert await asyncio.gather(*tasks) == [True, None]
    pool.shutdown()


def test_one_lane_serves_several_loops_at_once(pool: ThreadPoolExecutor) -> None:
    lane = Lane(lambda: pool)

    async def go(n: int) -> list[int]:
        return list(await asyncio.gather(*(lane.run(lambda k=k: n + k) for k in range(20))))

    with ThreadPoolExecutor(4) as loops:
        found = list(loops.map(lambda n: asyncio.run(go(n)), range(4)))
    assert found == [[n + k for k in range(20)] for n in range(4)]
    pool.shutdown()


@pytest.mark.skipif(sys.platform == "win32", reason="forks of POSIX")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    runtime, projector = AsyncRuntime(), Projector()
    assert asyncio.run(runtime.work(os.getpid)) == os.getpid()
    assert projector.ask(lambda: ["parent"]).result(10) == ["parent"]
    child = os.fork()
    if child == 0:
        code = 1
        try:
            same = asyncio.run(runtime.work(os.getpid)) == os.getpid()
            code = 0 if same and projector.ask(lambda: ["child"]).result(10) == ["child"] else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    runtime.close()


# ------------------------------------------------------------------------------------- passes


def test_who_asks_while_a_pass_runs_shares_the_next_one() -> None:
    projector, gate, began, ran = Projector(), threading.Event(), threading.Event(), list[str]()

    def first() -> list[str]:
        began.set()
        gate.wait(10)
        ran.append("first")
        return []

    def following() -> list[str]:
        ran.append("following")
        return ["behind"]

    one = projector.ask(first)
    assert began.wait(10)
    others = [projector.ask(following) for _ in range(5)]
    assert len({id(other) for other in others}) == 1 and not one.done()
    gate.set()
    assert others[0].result(10) == ["behind"] and ran == ["first", "following"]


def test_a_pass_that_fails_tells_those_who_wait_and_harms_no_later_one() -> None:
    projector = Projector()

    def fail() -> list[str]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        projector.ask(fail).result(10)
    assert projector.ask(list).result(10) == []


@pytest.mark.parametrize("runtime", [SyncRuntime(), AsyncRuntime()], ids=["sync", "async"])
def test_work_that_gets_on_is_waited_for_and_work_that_does_not_is_given_up(
    runtime: SyncRuntime | AsyncRuntime,
) -> None:
    def run(future: Future[int], stuck_s: float) -> int:
        waiting = runtime.wait(future, lambda: stuck_s, 0.03)
        return run_inline(waiting) if isinstance(runtime, SyncRuntime) else asyncio.run(waiting)

    late: Future[int] = Future()
    timer = threading.Timer(0.1, late.set_result, [5])
    timer.start()
    assert run(late, 0.0) == 5, "longer than the patience, but not stuck"
    timer.join()
    never: Future[int] = Future()
    with pytest.raises(BackendTimeoutError):
        run(never, 1.0)
    assert not never.cancelled(), "others may wait for it too"
