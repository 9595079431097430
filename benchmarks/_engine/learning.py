"""Adds with a model: calls, characters, overhead without pauses, and the whole with a model and an embedder that take
their time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Final

from benchmarks._engine.bench import Bench, Worker
from benchmarks._engine.worker import workload
from memkit.testing.openai_server import Fault, OpenAIServer

LLM_MS: Final = 200
EMBED_MS: Final = 20
PROMPT_CHARS: Final = 5_000
"""Of the bare calls' fixed part; memkit's is `fixed_prompt_chars`."""


def learning(bench: Bench) -> None:
    """Add conversations of five facts to a store of a thousand memories, model and embedder in the process."""
    systems = [system for system in ("memkit", "mem0") if system in bench.systems]
    count = 5 if bench.quick else 15
    with ExitStack() as stack:
        workers = {system: stack.enter_context(bench.worker(system)) for system in systems}
        for system, worker in workers.items():
            folder = stack.enter_context(bench.copy(bench.store(system, 1000, 5)))
            worker.open(folder, **({"model": True} if system == "memkit" else {}))
            worker.ask("learn", start=900, count=2)
        for number, system in bench.rounds(systems):
            done = workers[system].ask("learn", start=number * count, count=count)
            bench.note("learn", system, 1000, **done)
    if "memkit" in systems:
        with bench.worker("memkit") as worker, bench.empty("prompt") as folder:
            worker.open(folder, model=True)
            bench.note("learn", "memkit", 1000, fixed_prompt_chars=worker.ask("fixed_prompt")["chars"])
            worker.ask("close")


def learning_remotely(bench: Bench) -> None:
    """Add conversations with model and embedder behind a server of this machine, 200 and 20 ms away."""
    systems = [system for system in ("memkit", "mem0") if system in bench.systems]
    count = 3 if bench.quick else 10
    with ExitStack() as stack:
        servers: dict[str, OpenAIServer] = {}
        workers: dict[str, Worker] = {}
        for system in systems:
            server = servers[system] = stack.enter_context(OpenAIServer(reply=_answer, dim=workload.DIM))
            worker = workers[system] = stack.enter_context(bench.worker(system))
            worker.open(stack.enter_context(bench.empty(f"remote-{system}")), server=server.base_url)
            _delay(server)
            worker.ask("learn_remote", start=900, count=3)
        bare = stack.enter_context(bench.worker("memkit"))
        servers["limit"] = stack.enter_context(OpenAIServer(reply=_answer, dim=workload.DIM))
        _delay(servers["limit"])
        _bare(bare, servers["limit"], 900, 3)
        for number, system in bench.rounds([*systems, "limit"]):
            server = servers[system]
            server.reset()
            _delay(server)
            if system == "limit":
                found = _bare(bare, server, number * count, count)
                bench.note("learn-remote", system, 0, total_ms=found["p50_ms"], cpu_ms=found["cpu_ms"])
                continue
            found = workers[system].ask("learn_remote", start=number * count, count=count)
            bench.note(
                "learn-remote",
                system,
                0,
                total_ms=found["p50_ms"],
                cpu_ms=found["cpu_ms"],
                llm_calls=server.count("completions") / count,
                embed_calls=server.count("embeddings") / count,
                of_ideal=found["p50_ms"] / (LLM_MS + 2 * EMBED_MS),
            )


def _bare(worker: Worker, server: OpenAIServer, start: int, count: int) -> dict[str, Any]:
    """Make the same calls without an engine: what client, server and pauses take."""
    return worker.ask(
        "bare_calls", server=server.base_url, start=start, count=count, prompt_chars=PROMPT_CHARS
    )


def _answer(body: Mapping[str, Any]) -> dict[str, Any]:
    time.sleep(LLM_MS / 1e3)
    return workload.extracted("\n".join(str(message["content"]) for message in body["messages"]))


def _delay(server: OpenAIServer) -> None:
    server.fail(*[Fault(delay_s=EMBED_MS / 1e3)] * 200, path="embeddings")
