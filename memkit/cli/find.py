"""`memkit search`, `list`, `history` and `scopes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import MemoryNotFoundError
from .output import day, plural
from .session import AgentOption, FilterOption, RunOption, Session, command, json_object, one_of, usage_error

if TYPE_CHECKING:
    from ..types import MemoryItem

EverybodyOption = Annotated[bool, typer.Option("--all-users", help="Across all users.")]
KindsOption = Annotated[str | None, typer.Option("--kinds", help="Only these kinds, separated by commas.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    command(
        app,
        "search",
        'memkit search "Which milk does she drink?" --user ada',
        'memkit search "Where does she live?" --user ada --as-of 2025-06-01 --limit 3',
    )(search)
    command(
        app,
        "list",
        "memkit list --user ada",
        "memkit list --user ada --all --include-closed --json",
    )(list_)
    command(app, "history", "memkit history 3f0c1d2e-5b6a-4c7d-8e9f-0a1b2c3d4e5f")(history)
    command(app, "scopes", "memkit scopes", "memkit scopes --kind agent --prefix support-")(scopes)


def search(
    session: Session,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="The question.")],
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.")] = 10,
    filter_: FilterOption = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Only scores from here on, 0 to 1.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="What was true then.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show every signal of every result.")] = False,
    kinds: KindsOption = None,
    agent: AgentOption = None,
    run: RunOption = None,
    everybody: EverybodyOption = False,
) -> None:
    """Find memories, best first."""
    wanted = _kinds(session, kinds)
    filters = json_object(filter_, "--filter")
    scope = _read_scope(session, agent, run, everybody=everybody)
    with session.memory() as memory:
        found = memory.search(
            query,
            **scope,
            filters=filters,
            limit=limit,
            threshold=threshold,
            as_of=as_of,
            explain=explain,
            kinds=wanted,
        )
    if session.json:
        session.out.document(found)
        return
    signals = {one.get("id"): one for one in found.explain or []}
    for item in found.results:
        score = "" if item.score is None else f"{item.score:.2f}"
        session.out.entry(item.memory, *_details(item), _signals(signals.get(item.id)), mark=score)
    if not found.results:
        session.out.note("Nothing was found.")
    for warning in found.warnings:
        session.out.note(f"Warning: {warning}")


def list_(
    session: Session,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All pages.")] = False,
    include_closed: Annotated[
        bool, typer.Option("--include-closed", help="Also what is no longer true.")
    ] = False,
    filter_: FilterOption = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="What was true then.")] = None,
    kinds: KindsOption = None,
    agent: AgentOption = None,
    run: RunOption = None,
    everybody: EverybodyOption = False,
) -> None:
    """List memories, newest first."""
    wanted = _kinds(session, kinds)
    filters = json_object(filter_, "--filter")
    scope = _read_scope(session, agent, run, everybody=everybody)
    shown: list[MemoryItem] = []
    with session.memory() as memory:
        while True:
            page = memory.get_all(
                **scope,
                filters=filters,
                limit=limit,
                cursor=cursor,
                as_of=as_of,
                include_closed=include_closed,
                kinds=wanted,
            )
            cursor = page.next_cursor
            if session.json:
                shown += page.results
            else:
                for item in page.results:
                    session.out.entry(item.memory, *_details(item))
            if cursor is None or not everything:
                break
    if session.json:
        session.out.document({"results": shown, "next_cursor": cursor})
    elif cursor is not None:
        session.out.note(f"There is more: add --cursor {cursor} or --all.")
    elif not page.results:
        session.out.note("There is nothing.")


def history(
    session: Session,
    memory_id: Annotated[
        str, typer.Argument(metavar="MEMORY_ID", help="The id of a memory; a deleted one's too.")
    ],
) -> None:
    """Show every change of a memory, oldest first."""
    with session.memory() as memory:
        events = session.handle(memory).history(memory_id)
    if not events:
        raise MemoryNotFoundError(memory_id)
    if session.json:
        session.out.document(events)
        return
    for event in events:
        new, old = event.new_memory, event.old_memory
        text = new if new is not None else old or ""
        was = f"was: {old}" if old is not None and new is not None and old != new else ""
        until = event.after.valid_until if event.after is not None else None
        closed = f"until {day(until)}" if until is not None else ""
        operation = f"operation {event.operation_id}"
        session.out.entry(
            text, day(event.at), was, closed, event.reason, event.actor, operation, mark=event.event
        )


def scopes(
    session: Session,
    kind: Annotated[str, typer.Option("--kind", help="user, agent or run.")] = "user",
    prefix: Annotated[str | None, typer.Option("--prefix", help="Only ids that begin with it.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many on a page.")] = 100,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
) -> None:
    """List whose memories there are."""
    one_of(kind, ("user", "agent", "run"), "--kind")
    with session.memory() as memory:
        page = memory.scopes(kind=kind, prefix=prefix, limit=limit, cursor=cursor)
    if session.json:
        session.out.document(page)
        return
    for owner in page.results:
        counts = f"{plural(owner.memories, 'memory')}, {plural(owner.messages, 'message')}"
        session.out.entry(owner.id, counts, f"last change {day(owner.last_change)}", mark=owner.kind)
    if page.next_cursor is not None:
        session.out.note(f"There is more: add --cursor {page.next_cursor}")
    elif not page.results:
        session.out.note("There is nothing.")


def _kinds(session: Session, given: str | None) -> list[str] | None:
    """Return the kinds that `--kinds` names, those of the environment's schemas too."""
    from ..schemas import Schemas

    wanted = None if given is None else [kind.strip() for kind in given.split(",") if kind.strip()]
    known = Schemas(session.config().schemas if wanted else ())
    for kind in wanted or ():
        if known.named(kind) is None:
            one_of(kind, known.kinds, "--kinds")
    return wanted


def _read_scope(session: Session, agent: str | None, run: str | None, *, everybody: bool) -> dict[str, Any]:
    if not everybody:
        return dict(session.scope(agent, run))
    if session.typed_user is not None:
        usage_error("--all-users and --user exclude each other.")
    given = {"agent_id": agent, "run_id": run, "allow_global": True}
    return {name: value for name, value in given.items() if value is not None}


def _details(item: MemoryItem) -> list[str]:
    who = item.actor_id or item.role or ""
    until = f"until {day(item.valid_until)}" if item.valid_until is not None else ""
    return [day(item.created_at), who, item.kind, until, item.user_id or "", item.id]


def _signals(signals: dict[str, Any] | None) -> str:
    """Return the numbers of an explanation as `name value` pairs."""
    if signals is None:
        return ""
    flat = {name: value for name, value in signals.items() if isinstance(value, int | float)}
    return ", ".join(f"{name} {value:.3g}" for name, value in flat.items())
