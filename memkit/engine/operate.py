"""For operators: what is active, what lags behind, and putting it right."""

from __future__ import annotations

from typing import Any

from ..errors import BackendError, ConfigurationError, MemkitError
from ..progress import Progress
from ..runtime import Deadline
from ..types import Health, RepairReport, Stats
from .change import expire
from .core import Engine
from .index import Index, empty_index, indexes
from .items import embed_again, sweep
from .jobs import run_pending
from .outbox import drain
from .rebuild import embed_lacking
from .recover import recover
from .start import ready


async def stats(engine: Engine) -> Stats:
    """Return counts and sizes."""
    if not await ready(engine, write=False):
        return Stats(location=engine.parts.location)
    info = await engine.call(engine.ledger.info)
    return Stats(
        location=info.location,
        memories=info.memories,
        messages=info.messages,
        owners=info.owners,
        events=info.events,
        unfinished=info.jobs,
        pending=dict(info.outbox),
        bytes=info.bytes,
        schema_version=info.schema_version,
        embedder=info.embedder,
        dim=info.dim,
        stored_items=info.items,
    )


async def health(engine: Engine) -> Health:
    """Return for every part what was chosen and whether it answers."""
    parts = engine.parts
    problems: dict[str, str] = {}
    there = False
    try:
        there = await ready(engine, write=False)
        if there:
            await engine.call(engine.ledger.check)
    except MemkitError as error:
        problems["ledger"] = error.message
    builders = (
        ("embedder", parts.embedder), ("llm", parts.llm), ("vector_store", parts.store),
        ("graph_store", parts.graph.store),
    )  # fmt: skip
    for name, build in builders:
        if name == "embedder" and "ledger" in problems:
            continue
        try:
            built: Any = await engine.rt.call(build, None)
            # A local model reads its files at the first text; whether they are whole is asked here.
            if (check := getattr(built, "check_files", None)) is not None:
                await engine.rt.call(check, None)
        except MemkitError as error:
            problems[name] = error.message
    if not {"vector_store", "graph_store"} & problems.keys():
        for index in indexes(engine):
            if (problem := await _problem_of(engine, index)) is not None:
                problems[index.kind] = problem
    pending: dict[str, int] = {}
    if there and "ledger" not in problems:
        pending = dict(await engine.call(engine.ledger.outbox_size))
    return Health(
        ok=not problems,
        location=parts.location,
        chosen=dict(parts.choices),
        problems=problems,
        pending=pending,
        hints=_hints(parts.choices, pending),
    )


async def _problem_of(engine: Engine, index: Index) -> str | None:
    """Return what is wrong with an index: it does not answer, or what was found when it last had to follow."""
    try:
        await engine.ask(index.store.name, index.store.health)
    except (BackendError, ConfigurationError) as error:
        return error.message
    found = index.state.error or index.state.refusal(index.store.name)
    passing = isinstance(found, BackendError) and found.retryable
    return None if found is None or passing else found.message


async def repair(engine: Engine, *, from_index: bool = False, progress: Progress = False) -> RepairReport:
    """Finish unfinished extractions, bring indexes up to date, and expire what is over."""
    recovered = await recover(engine, progress=progress) if from_index else None
    if not await ready(engine, write=False, repairing=True):
        return RepairReport()
    finished, failed = await run_pending(engine, retry_failed=True, asked=True)
    expired = await expire(engine)
    await sweep(engine)
    await embed_again(engine)
    await embed_lacking(engine)
    for state in (engine.parts.vectors, engine.parts.graph.state):
        # Look again what they hold, and try again what they refused.
        state.ready = False
        state.refused.clear()
    behind = await drain(engine, asked=True)
    if not await engine.call(engine.ledger.finish_erasure):
        behind = [engine.ledger.name, *behind]
    return RepairReport(
        finished=finished, failed=failed, expired=expired, pending=behind, recovered=recovered
    )


async def waiting(engine: Engine) -> bool:
    """Return whether background work waits."""
    if not await ready(engine, write=False):
        return False
    return bool(await engine.call(engine.ledger.jobs, ("waiting",)))


async def settle(engine: Engine, deadline: Deadline) -> None:
    """Bring indexes up to date, or wait while another process does.

    Raises:
        BackendTimeoutError: Another process took longer.
    """
    if not await ready(engine, write=False):
        return
    while _others_at_work(engine, await drain(engine, asked=True)):
        deadline.check("Another process's writing to the index")
        await engine.rt.sleep(0.02)


def _others_at_work(engine: Engine, behind: list[str]) -> bool:
    """Return whether an index lags behind that neither fails nor refuses anything."""
    states = {index.name: index.state for index in indexes(engine)}
    return not engine.parts.closed and any(
        states[name].error is None and not states[name].refused for name in behind
    )


async def reset(engine: Engine) -> None:
    """Erase everything: ledger and index."""
    if not await ready(engine, write=False):
        return
    for index in indexes(engine):
        await empty_index(engine, index)
    await engine.call(engine.ledger.reset)
    engine.parts.forget_embedder()
    engine.parts.caches.clear()


def _hints(chosen: dict[str, str], pending: dict[str, int]) -> list[str]:
    hints: list[str] = []
    embedder: Any = chosen.get("embedder", "")
    if embedder.startswith("hash/"):
        hints.append(
            "Search is by words and structure. A model finds paraphrases. Type: pip install 'memkit-ai[local]'; "
            "memkit models download minilm; memkit rebuild --embedder minilm. Or set OPENAI_API_KEY and rebuild with "
            "the embedder 'openai'. In Python it is `memory.rebuild(embedder='minilm')`."
        )
    if any(pending.values()):
        hints.append("An index lags behind: call `memory.repair()`.")
    return hints
