"""For operators: what is active, what lags behind, and putting it right."""

from __future__ import annotations

from typing import Any

from ..errors import BackendError, MemkitError
from ..types import Health, RepairReport, Stats
from .change import expire
from .core import Engine
from .index import empty_store
from .items import embed_again, sweep
from .jobs import run_pending
from .outbox import drain
from .rebuild import embed_lacking
from .start import ready


async def stats(engine: Engine) -> Stats:
    """Return counts and sizes."""
    if not await ready(engine, write=False):
        return Stats(location=str(engine.parts.file or ":memory:"))
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
    for name, build in (("embedder", parts.embedder), ("llm", parts.llm), ("vector_store", parts.store)):
        if name == "embedder" and "ledger" in problems:
            continue
        try:
            built: Any = await engine.rt.call(build, None)
            # A local model reads its files at the first text; whether they are whole is asked here.
            if (check := getattr(built, "check_files", None)) is not None:
                await engine.rt.call(check, None)
        except MemkitError as error:
            problems[name] = error.message
    store = parts.store() if "vector_store" not in problems else None
    if store is not None:
        try:
            await engine.ask(store.name, store.health)
        except BackendError as error:
            problems["vector_store"] = error.message
    pending: dict[str, int] = {}
    if there and "ledger" not in problems:
        pending = dict(await engine.call(engine.ledger.outbox_size))
    return Health(
        ok=not problems,
        location=str(parts.file or ":memory:"),
        chosen=dict(parts.choices),
        problems=problems,
        pending=pending,
        hints=_hints(parts.choices, pending),
    )


async def repair(engine: Engine) -> RepairReport:
    """Finish unfinished extractions, bring indexes up to date, and expire what is over."""
    if not await ready(engine, write=False, repairing=True):
        return RepairReport()
    finished, failed = await run_pending(engine, retry_failed=True, asked=True)
    expired = await expire(engine)
    await sweep(engine)
    await embed_again(engine)
    await embed_lacking(engine)
    engine.parts.store_ready = False  # Look again what the index holds.
    behind = await drain(engine, asked=True)
    if not await engine.call(engine.ledger.finish_erasure):
        behind = [engine.ledger.name, *behind]
    return RepairReport(finished=finished, failed=failed, expired=expired, pending=behind)


async def waiting(engine: Engine) -> bool:
    """Return whether background work waits."""
    if not await ready(engine, write=False):
        return False
    return bool(await engine.call(engine.ledger.jobs, ("waiting",)))


async def settle(engine: Engine) -> None:
    """Bring indexes up to date."""
    if await ready(engine, write=False):
        await drain(engine, asked=True)


async def reset(engine: Engine) -> None:
    """Erase everything: ledger and index."""
    if not await ready(engine, write=False):
        return
    store = engine.parts.store()
    if store is not None:
        await empty_store(engine, store)
    await engine.call(engine.ledger.reset)
    engine.parts.forget_embedder()
    engine.parts.caches.clear()


def _hints(chosen: dict[str, str], pending: dict[str, int]) -> list[str]:
    hints: list[str] = []
    embedder: Any = chosen.get("embedder", "")
    if embedder.startswith("hash/"):
        hints.append(
            "Search is by words and structure. A model finds paraphrases: install the extra `local`, type "
            "`memkit models download minilm` and run `memory.rebuild(embedder='minilm')`; or set OPENAI_API_KEY and "
            "run `memory.rebuild(embedder='openai')`."
        )
    if any(pending.values()):
        hints.append("An index lags behind: call `memory.repair()`.")
    return hints
