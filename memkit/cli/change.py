"""`memkit undo`, `forget`, `repair` and `rebuild`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MemoryNotFoundError
from .mem0 import show_imported
from .output import plural
from .session import ERROR, AgentOption, RunOption, Session, command, usage_error

if TYPE_CHECKING:
    from ..memory import Memory


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    command(app, "undo", "memkit undo 7b1e0c52-6a5d-4f0e-9a43-2f6f0f6f1f11")(undo)
    command(
        app,
        "forget",
        "memkit forget 3f0c1d2e-5b6a-4c7d-8e9f-0a1b2c3d4e5f",
        "memkit forget --user ada --yes",
    )(forget)
    command(app, "repair", "memkit repair", "memkit repair --from-index")(repair)
    command(
        app,
        "rebuild",
        "memkit rebuild --embedder minilm",
        "memkit rebuild --vector-store chroma",
    )(rebuild)


def undo(
    session: Session,
    operation_id: Annotated[
        str, typer.Argument(metavar="OPERATION_ID", help="The operation, as `add` and `history` name it.")
    ],
) -> None:
    """Take back everything an operation did, or nothing of it."""
    with session.memory() as memory:
        done = session.handle(memory).undo(operation_id)
    if session.json:
        session.out.document(done)
        return
    session.out.line(f"{done.message} {plural(done.count, 'memory')} changed.")
    session.out.line(f"To undo the undo: memkit undo {done.operation_id}")


def forget(
    session: Session,
    memory_id: Annotated[
        str | None, typer.Argument(metavar="MEMORY_ID", help="One memory; without it, a whole scope.")
    ] = None,
    agent: AgentOption = None,
    run: RunOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything of everybody.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Erase a memory or a whole scope for good.

    History, messages and hashes go too, and there is no undo. A whole scope must be typed:
    what the environment says about the user is not enough here.
    """
    scope = _scope_to_forget(session, memory_id, agent, run, everything=everything)
    if not yes and (session.json or not sys.stdin.isatty()):
        usage_error("This erases for good and nobody can be asked here. Add --yes.")
    with session.memory() as memory:
        if not yes and not typer.confirm(_question(session, memory, memory_id, scope), err=True):
            session.out.note("Nothing was erased.")
            raise typer.Exit(ERROR)
        if memory_id is not None:
            receipt = session.handle(memory).forget(memory_id=memory_id)
        else:
            receipt = memory.forget(**scope)
    if session.json:
        session.out.document(receipt)
        return
    counts = (
        plural(receipt.memories, "memory"),
        plural(receipt.messages, "message"),
        plural(receipt.events, "event"),
    )
    session.out.line(f"Erased: {', '.join(counts)}.")
    for index, what in receipt.indexes.items():
        session.out.line(f"{index}: {what}")


def repair(
    session: Session,
    from_index: Annotated[
        bool,
        typer.Option(
            "--from-index", help="First take in what the vector store holds and the ledger does not."
        ),
    ] = False,
) -> None:
    """Finish what was interrupted, and bring indexes up to date.

    With --from-index a ledger that was lost is filled again from the vector store: ids, texts, scopes,
    metadata, times and vectors. What the ledger knows itself is left as it is.
    """
    shows = from_index and not session.json and sys.stderr.isatty()
    with session.memory() as memory:
        report = memory.repair(from_index=from_index, progress=shows)
    if session.json:
        session.out.document(report)
    else:
        if report.recovered is not None:
            show_imported(session, report.recovered, "Recovered")
        session.out.line(f"{plural(len(report.finished), 'extraction')} finished, {report.expired} expired.")
        for operation, why in report.failed.items():
            session.out.note(f"Still failing: {operation}: {why}")
        for index in report.pending:
            session.out.note(f"Still lagging behind: {index}. `memkit doctor` says why.")
    if report.failed or report.pending:
        raise typer.Exit(ERROR)


def rebuild(
    session: Session,
    embedder: Annotated[
        str | None,
        typer.Option(
            "--embedder", metavar="NAME", help="The embedder from now on, such as openai or minilm."
        ),
    ] = None,
    vector_store: Annotated[
        str | None,
        typer.Option("--vector-store", metavar="NAME", help="The index to fill, such as chroma."),
    ] = None,
) -> None:
    """Fill the index again, or change the embedder; no model is called.

    Searches see the old vectors until all new ones are there. One that was interrupted goes on where
    it was when it is typed again.
    """
    shows = not session.json and sys.stderr.isatty()
    with session.memory() as memory:
        done = memory.rebuild(embedder=embedder, vector_store=vector_store, progress=shows)
    if session.json:
        session.out.document(done)
        return
    session.out.line(f"{done.message} {plural(done.count, 'memory')}.")


def _scope_to_forget(
    session: Session, memory_id: str | None, agent: str | None, run: str | None, *, everything: bool
) -> dict[str, Any]:
    """Return the scope to erase, empty for one memory."""
    typed = {"user_id": session.typed_user, "agent_id": agent, "run_id": run}
    named = {name: value for name, value in typed.items() if value is not None}
    if memory_id is not None:
        if agent is not None or run is not None or everything:
            usage_error("Give one memory or a scope, not both.")
        return {}
    if everything:
        if named:
            usage_error("--all and a scope exclude each other.")
        return {"allow_global": True}
    if not named:
        usage_error("What is to be erased? Type a memory's id, --user ID, --agent ID, --run ID or --all.")
    return dict(session.scope(agent, run))


def _question(session: Session, memory: Memory, memory_id: str | None, scope: dict[str, Any]) -> str:
    if memory_id is not None:
        item = session.handle(memory).get(memory_id)
        if item is None:
            raise MemoryNotFoundError(memory_id)
        return f"Erase {item.memory!r:.200} for good?"
    whose = (
        "everybody"
        if "allow_global" in scope
        else ", ".join(f"{name}={value}" for name, value in scope.items())
    )
    return f"Erase {plural(memory.count(**scope), 'current memory')} and all messages and history of {whose} for good?"
