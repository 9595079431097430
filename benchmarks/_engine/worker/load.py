"""Many at once, a model in the way, a sudden end: what memkit is asked under load."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from plain import State, timed

# ---------------------------------------------------------------------------------------------- threads


def threads(
    state: State, count: int, seconds: float, start: int, size: int, owners: int, searches: bool
) -> dict[str, Any]:
    """Let threads add, and search after each add, on one object."""
    import workload

    workload.units()
    state.embedder.cheap = True
    stop = time.perf_counter() + seconds
    stored: list[list[int]] = [[] for _ in range(count)]
    errors: Counter[str] = Counter()

    def work(thread: int) -> None:
        number = start + thread
        try:
            while time.perf_counter() < stop:
                state.system.add(number, owners)
                stored[thread].append(number)
                if searches:
                    asked = number % size
                    state.system.search(workload.query(asked), workload.owner(asked, owners))
                number += count
        except Exception as error:
            errors[f"{type(error).__name__}: {error}"[:200]] += 1
            raise

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(count)]
    wall = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    wall = time.perf_counter() - wall
    done = [number for each in stored for number in each]
    return {"per_second": len(done) * (1 + searches) / wall, "stored": done, "errors": dict(errors)}


def adds_for(state: State, seconds: float, start: int, owners: int) -> dict[str, Any]:
    """Add for some seconds beside another process; return what was acknowledged and the longest wait."""
    import workload

    workload.units()
    state.embedder.cheap = True
    stored: list[int] = []
    errors: Counter[str] = Counter()
    longest, number = 0.0, start
    begun = last = time.perf_counter()
    while last - begun < seconds:
        try:
            state.system.add(number, owners)
            stored.append(number)
        except Exception as error:  # noqa: BLE001 - errors are what is counted
            errors[f"{type(error).__name__}: {error}"[:200]] += 1
        number += 1
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return {
        "stored": stored,
        "per_second": len(stored) / (last - begun),
        "longest_ms": 1e3 * longest,
        "errors": dict(errors),
    }


# ------------------------------------------------------------------------------------- what is there


def sees(state: State, numbers: list[int], owners: int) -> dict[str, int]:
    """Count the memories that a search for their own words finds among the first ten."""
    import workload

    # Whoever wrote them may have had vectors that only cost nothing.
    state.embedder.announce([workload.text(number) for number in numbers])
    hits = [
        number in state.system.search(workload.text(number), workload.owner(number, owners))
        for number in numbers
    ]
    return {"hits": sum(hits), "of": len(hits)}


def audit(state: State, newest: int = 200) -> dict[str, Any]:
    """Return the numbers of all that is stored, how many are there twice, and how many have no event."""
    stored: dict[str, int] = state.system.numbers()
    numbers = Counter(stored.values())
    late = sorted(stored, key=lambda each: stored[each])[-newest:]
    return {
        "numbers": sorted(numbers),
        "twice": sum(count - 1 for count in numbers.values()),
        "without_event": sum(state.system.events(each) == 0 for each in late),
    }


def acknowledged(state: State, file: str, start: int, at_once: int, owners: int) -> None:
    """Add until this process is killed; note what was acknowledged in a file."""
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        if at_once == 1:
            state.system.add(start, owners)
        else:
            state.system.add_many([start + owners * at for at in range(at_once)], owners)
        os.write(out, f"{start}\n".encode())
        start += owners * at_once


# ---------------------------------------------------------------------------------------- with a model


def learn(state: State, start: int, count: int) -> dict[str, Any]:
    """Add conversations with the model in the process, one at a time."""
    import workload

    model, embedder = state.system.model, state.embedder
    for number in range(start, start + count):
        embedder.announce(workload.facts(number))
    calls, chars, embeds = model.calls, model.chars, embedder.calls
    stored: list[int] = []
    out = timed(
        [
            lambda n=number: stored.append(state.system.learn(workload.conversation(n), workload.owner(n, 5)))
            for number in range(start, start + count)
        ]
    )
    return {
        **out,
        "stored": sum(stored) / count,
        "llm_calls": (model.calls - calls) / count,
        "prompt_chars": (model.chars - chars) / count,
        "embed_calls": (embedder.calls - embeds) / count,
    }


def learn_remote(state: State, start: int, count: int) -> dict[str, Any]:
    """Add conversations with a model behind a server."""
    import workload

    return timed(
        [
            lambda n=number: state.system.learn(workload.conversation(n), workload.owner(n, 5))
            for number in range(start, start + count)
        ]
    )


def bare_calls(state: State, server: str, start: int, count: int, prompt_chars: int) -> dict[str, Any]:
    """Make the three requests of such an add with the vendor's client alone, one conversation at a time."""
    import workload
    from openai import OpenAI

    client = OpenAI(api_key="stub", base_url=server)
    rules = ("x " * prompt_chars)[:prompt_chars]

    def embed(texts: list[str]) -> None:
        client.embeddings.create(model="stub", input=texts, dimensions=workload.DIM, encoding_format="base64")

    def turn(number: int) -> None:
        said = workload.conversation(number)
        embed([message["content"] for message in said])
        client.chat.completions.create(
            model="stub",
            messages=[{"role": "system", "content": rules}, {"role": "user", "content": said[0]["content"]}],
            response_format={"type": "json_object"},
        )
        embed(workload.facts(number))

    return timed([lambda n=number: turn(n) for number in range(start, start + count)])


def fixed_prompt(state: State) -> dict[str, float]:
    """Return the characters of a prompt about one short message to an empty store."""
    before = state.system.model.chars
    said = "Hello there."
    state.system.learn([{"role": "user", "content": said}], "nobody")
    return {"chars": state.system.model.chars - before - len(said)}


# ----------------------------------------------------------------------------------------- event loop


def tasks(
    state: State, folder: str, count: int, seconds: float, start: int, size: int, owners: int
) -> dict[str, Any]:
    """Let tasks of one event loop add and search; a clock beside them measures how late the loop is."""
    import workload
    from systems import async_memkit

    memory = async_memkit(Path(folder))

    async def turn(number: int) -> None:
        user, asked = workload.owner(number, owners), number % size
        await memory.add(workload.text(number), user_id=user, infer=False)
        await memory.search(workload.query(asked), user_id=workload.owner(asked, owners))

    return _loop(memory, turn, count, seconds, start, ops=2)


def learning_tasks(
    state: State, folder: str, count: int, seconds: float, start: int, llm_ms: float, embed_ms: float
) -> dict[str, Any]:
    """Let tasks add conversations with a slow model; the clock measures how late the loop is."""
    import workload
    from systems import async_memkit

    memory = async_memkit(Path(folder), model=True, llm_ms=llm_ms, embed_ms=embed_ms)

    async def turn(number: int) -> None:
        done = await memory.add(workload.conversation(number), user_id=f"user-{number % count}")
        assert len(done.results) == workload.FACTS, done

    return _loop(memory, turn, count, seconds, start, ops=1)


def _loop(
    memory: Any,
    turn: Callable[[int], Awaitable[None]],
    count: int,
    seconds: float,
    start: int,
    ops: int,
) -> dict[str, Any]:
    import asyncio

    lags: list[float] = []
    idle: list[float] = []
    done = 0
    errors: Counter[str] = Counter()

    async def clock(stop: float, late: list[float]) -> None:
        while time.perf_counter() < stop:
            asked = time.perf_counter()
            await asyncio.sleep(0.005)
            late.append(1e3 * (time.perf_counter() - asked - 0.005))

    async def work(task: int, stop: float) -> None:
        nonlocal done
        number = start + task
        while time.perf_counter() < stop:
            try:
                await turn(number)
                done += 1
            except Exception as error:  # noqa: BLE001 - errors are what is counted
                errors[f"{type(error).__name__}: {error}"[:200]] += 1
            number += count

    async def run() -> tuple[float, float]:
        await turn(start - 1)
        await clock(time.perf_counter() + seconds / 4, idle)
        begun, busy = time.perf_counter(), time.process_time()
        stop = begun + seconds
        await asyncio.gather(clock(stop, lags), *[work(task, stop) for task in range(count)])
        wall, busy = time.perf_counter() - begun, time.process_time() - busy
        await memory.close()
        return wall, busy

    wall, busy = asyncio.run(run())
    lags.sort()
    idle.sort()
    return {
        "per_second": done * ops / wall,
        "cpu_ms": 1e3 * busy / max(1, done * ops),
        "idle_lag_p99_ms": idle[int(0.99 * len(idle))],
        "lag_p99_ms": lags[int(0.99 * len(lags))],
        "lag_max_ms": lags[-1],
        "errors": dict(errors),
    }


def first_calls(state: State, folder: str) -> dict[str, float]:
    """Return how long a fresh process's first calls hold the loop; programs import the class before they have one."""
    import asyncio

    import workload

    from memkit import AsyncMemory

    async def run() -> float:
        longest, stop = 0.0, False

        async def clock() -> None:
            nonlocal longest
            while not stop:
                asked = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - asked - 0.001)

        watching = asyncio.create_task(clock())
        await asyncio.sleep(0.01)
        memory = AsyncMemory(Path(folder), llm=None, embedder="hash")
        await memory.add(workload.text(1), user_id="user-1", infer=False)
        await memory.search(workload.query(1), user_id="user-1")
        await memory.close()
        stop = True
        await watching
        return longest

    return {"longest_ms": 1e3 * asyncio.run(run())}


# ------------------------------------------------------------------------------------------- adapters


def adapters(state: State, rounds: int, size: int, owners: int) -> dict[str, float]:
    """Return the CPU time of a search, and what a retriever and a tool call add to it, side by side."""
    import workload

    from langchain_memkit import MemkitRetriever
    from memkit_tools import Toolbox

    memory, user = state.system.memory, workload.owner(3, owners)
    retriever = MemkitRetriever(memory=memory, user_id=user, k=10)
    tools = Toolbox(memory, user_id=user, max_results=10)
    queries = [workload.query(3 + owners * (each % (size // owners))) for each in range(50)]
    state.embedder.announce(queries)
    ways: dict[str, Callable[[str], Any]] = {
        "search": lambda query: memory.search(query, user_id=user, limit=10),
        "retriever": retriever.invoke,
        "tool": lambda query: tools.call("search_memories", {"query": query, "limit": 10}),
    }
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, call in ways.items():
            busy = time.process_time()
            for query in queries:
                call(query)
            spent[way].append(1e3 * (time.process_time() - busy) / len(queries))
    cost = {way: median(each) for way, each in spent.items()}
    return {
        "search_cpu_ms": cost["search"],
        "retriever_adds_ms": cost["retriever"] - cost["search"],
        "tool_adds_ms": cost["tool"] - cost["search"],
    }
