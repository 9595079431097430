"""`memkit graph entity`, `entities`, `find`, `neighbours`, `paths`, `relations`, `merge` and `split`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .output import day, plural
from .session import AgentOption, FilterOption, RunOption, Session, command, json_object, usage_error

if TYPE_CHECKING:
    from ..memory import Memory
    from ..types import ChangeResult, Relation

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The name of an entity.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", help="At most so many.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="What was true then.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    graph = typer.Typer(
        help="What memories say of people, places and things, and how these hang together.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    command(graph, "entity", "memkit graph entity Bea --user ada")(entity)
    command(graph, "entities", "memkit graph entities --user ada --json")(entities)
    command(graph, "find", 'memkit graph find "Who is Bea?" --user ada')(find)
    command(graph, "neighbours", "memkit graph neighbours Bea --user ada --depth 2")(neighbours)
    command(graph, "paths", "memkit graph paths Bea Turin --user ada --max-hops 4")(paths)
    command(
        graph,
        "relations",
        "memkit graph relations --user ada",
        'memkit graph relations --user ada --filter \'{"relation": "works_at"}\' --from 2024-01-01 --to 2024-12-31',
    )(relations)
    command(graph, "merge", 'memkit graph merge Bob "Robert Jones" --user ada')(merge)
    command(graph, "split", "memkit graph split Bob --user ada")(split)
    app.add_typer(graph, name="graph")


def entity(session: Session, name: NameArgument, agent: AgentOption = None, run: RunOption = None) -> None:
    """Show an entity: its kind, its other names, and how many memories name it."""
    with _memory(session) as memory:
        found = memory.graph.entity(name, **_scope(session, agent, run))
    if session.json:
        session.out.document(found)
    elif found:
        also = f"also {', '.join(found.aliases)}" if found.aliases else ""
        counts = f"{plural(found.relations, 'relation')}, {plural(len(found.memory_ids), 'memory')}"
        session.out.entry(found.name, counts, also, *found.memory_ids, mark=found.kind)
    else:
        session.out.note(f"No memory names {name!r}.")


def entities(
    session: Session,
    limit: LimitOption = 100,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """List the entities that memories name."""
    with _memory(session) as memory:
        page = memory.graph.entities(**_scope(session, agent, run), limit=limit, cursor=cursor)
    if session.json:
        session.out.document(page)
        return
    for one in page.results:
        session.out.entry(one.name, plural(one.relations, "relation"), mark=one.kind)
    if page.next_cursor is not None:
        session.out.note(f"There is more: add --cursor {page.next_cursor}")
    elif not page.results:
        session.out.note("There is nothing.")


def find(
    session: Session,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A name, a part of one, or a sentence.")],
    limit: LimitOption = 10,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """List the entities that a text may mean, the likeliest first."""
    with _memory(session) as memory:
        found = memory.graph.find(text, limit=limit, **_scope(session, agent, run))
    if session.json:
        session.out.document(found)
        return
    for one in found:
        session.out.entry(one.name, plural(one.relations, "relation"), mark=one.kind)
    if not found:
        session.out.note("No memory names anything like it.")


def neighbours(
    session: Session,
    name: NameArgument,
    depth: Annotated[int, typer.Option("--depth", help="Steps from it, 1 to 10.")] = 1,
    as_of: AsOfOption = None,
    limit: LimitOption = 100,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """Show the relations around an entity, nearest first."""
    with _memory(session) as memory:
        found = memory.graph.neighbours(
            name, depth=depth, as_of=as_of, limit=limit, **_scope(session, agent, run)
        )
    _show(session, found)


def paths(
    session: Session,
    a: Annotated[str, typer.Argument(metavar="A", help="Where it begins.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Where it ends.")],
    max_hops: Annotated[int, typer.Option("--max-hops", help="Steps at most, 1 to 10.")] = 3,
    as_of: AsOfOption = None,
    limit: LimitOption = 10,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """Show the ways from one entity to another, shortest first."""
    with _memory(session) as memory:
        found = memory.graph.paths(
            a, b, max_hops=max_hops, as_of=as_of, limit=limit, **_scope(session, agent, run)
        )
    if session.json:
        session.out.document(found)
        return
    for way in found:
        session.out.line(" - ".join(way))
    if not found:
        session.out.note("There is no way.")


def relations(
    session: Session,
    filter_: FilterOption = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="True at or after it.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="True at or before it.")] = None,
    as_of: AsOfOption = None,
    limit: LimitOption = 100,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """Show relations, the latest first: those that hold now, then, or between two dates."""
    if (first is None) != (last is None):
        usage_error("--from and --to go together.")
    between = None if first is None or last is None else (first, last)
    filters = json_object(filter_, "--filter")
    with _memory(session) as memory:
        found = memory.graph.relations(
            filters, between=between, as_of=as_of, limit=limit, **_scope(session, agent, run)
        )
    _show(session, found)


def merge(
    session: Session,
    name: NameArgument,
    into: Annotated[str, typer.Argument(metavar="INTO", help="What it really is.")],
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """Let an entity be another one; no memory is changed, and `memkit undo` takes it back."""
    with _memory(session) as memory:
        _done(session, memory.graph.merge(name, into, **_scope(session, agent, run)))


def split(session: Session, name: NameArgument, agent: AgentOption = None, run: RunOption = None) -> None:
    """Part an entity from what it was merged into."""
    with _memory(session) as memory:
        _done(session, memory.graph.split(name, **_scope(session, agent, run)))


def _memory(session: Session) -> Memory:
    """Return the memory with its graph; the ledger's own where none is configured."""
    from ..config import GraphStoreConfig
    from ..memory import Memory

    config = session.config()
    if config.graph_store is None:
        config = config.model_copy(update={"graph_store": GraphStoreConfig(provider="sqlite")})
    return Memory(config)


def _scope(session: Session, agent: str | None, run: str | None) -> dict[str, Any]:
    return dict(session.scope(agent, run))


def _show(session: Session, found: Sequence[Relation]) -> None:
    if session.json:
        session.out.document(list(found))
        return
    for one in found:
        since = f"since {day(one.valid_from)}" if one.valid_from is not None else ""
        until = f"until {day(one.valid_until)}" if one.valid_until is not None else ""
        session.out.entry(f"{one.source} {one.relation} {one.target}", since, until, *one.memory_ids)
    if not found:
        session.out.note("There is nothing.")


def _done(session: Session, result: ChangeResult) -> None:
    if session.json:
        session.out.document(result)
    else:
        session.out.entry(result.message, f"operation {result.operation_id}" if result.count else "")
