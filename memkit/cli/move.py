"""`memkit import` and `export`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from .mem0 import import_from_mem0
from .output import dumps, plural
from .session import AgentOption, RunOption, Session, command, one_of, piped_text, usage_error

if TYPE_CHECKING:
    from ..memory import Memory
    from ..transfer.archive import ArchiveReport
    from ..transfer.conversation import ConversationReport

FORMATS: Final = ("auto", "openai", "json", "jsonl", "chatgpt", "memkit")


def register(app: typer.Typer) -> None:
    """Put the commands on the command line."""
    command(
        app,
        "import",
        "memkit import conversations.json --user ada --dry-run",
        "memkit import talk.jsonl --user ada --infer",
        "memkit import backup.jsonl",
        "memkit import mem0 postgresql://localhost/app --collection memories",
    )(import_)
    command(
        app,
        "export",
        "memkit export --user ada > ada.jsonl",
        "memkit export --all --output backup.jsonl",
    )(export)


def import_(
    session: Session,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What to import; `-` is standard input, `mem0` a database.")
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SOURCE]",
            help="After `mem0`: its configuration file, a folder of Qdrant or Chroma, or a URL.",
        ),
    ] = None,
    format_: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "auto",
    infer: Annotated[bool, typer.Option("--infer/--no-infer", help="Extract facts with the model.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be stored, and write nothing.")
    ] = False,
    agent: AgentOption = None,
    run: RunOption = None,
    collection: Annotated[
        str | None, typer.Option("--collection", metavar="NAME", help="After `mem0`: the collection.")
    ] = None,
    history: Annotated[
        Path | None, typer.Option("--history", metavar="FILE", help="After `mem0`: its history.db.")
    ] = None,
) -> None:
    """Import a transcript, an export, or what mem0 stored.

    Reads JSON and JSONL transcripts, ChatGPT exports and exports of memkit. Importing the same file again stores
    nothing twice, and goes on where an interrupted import ended. An export of memkit keeps its own users unless
    --user is typed. A database of mem0 is only read; its memories keep their ids, times and users.
    """
    if str(file) == "mem0" and source is not None:
        import_from_mem0(session, source, collection, history, dry_run=dry_run)
        return
    if source is not None or collection is not None or history is not None:
        usage_error("A second argument, --collection and --history go with `memkit import mem0 SOURCE`.")
    if str(file) == "mem0" and not file.exists():
        usage_error(
            "Name what mem0 wrote: `memkit import mem0 SOURCE`, its configuration file, a folder, or a URL."
        )
    from ..transcripts import format_of, parse_entries, read_entries
    from ..transfer.archive import file_lines, is_archive

    one_of(format_, FORMATS, "--format")
    name = "standard input" if str(file) == "-" else file.name
    streamed = str(file) != "-" and is_archive(file)
    entries = (
        [] if streamed else parse_entries(piped_text(), name) if str(file) == "-" else read_entries(file)
    )
    found = "memkit" if streamed else format_of(entries)
    wanted = {"json": "openai", "jsonl": "openai", "auto": found}.get(format_, format_)
    if wanted != found:
        usage_error(f"{name!r} looks like {found}, not {format_}. Leave --format out, or give another file.")
    with session.memory() as memory:
        if found == "memkit":
            read = (lambda: file_lines(file)) if streamed else (lambda: iter(entries))
            _import_archive(session, memory, read, name, agent, run, dry_run=dry_run)
        else:
            _import_transcript(session, memory, entries, name, agent, run, infer=infer, dry_run=dry_run)


def _import_archive(
    session: Session,
    memory: Memory,
    read: Callable[[], Iterator[object]],
    name: str,
    agent: str | None,
    run: str | None,
    *,
    dry_run: bool,
) -> None:
    from ..progress import progress_bar
    from ..transfer.archive import import_archive, read_archive

    # Once to see that every line can be read, then to store.
    count = sum(1 for _ in read_archive(read(), name))
    typed = {"user_id": session.typed_user, "agent_id": agent, "run_id": run}
    scope = {key: value for key, value in typed.items() if value is not None}
    with progress_bar(count, "Importing", enabled=_shows_progress(session)) as bar:
        report = import_archive(
            memory, read_archive(read(), name), scope=scope or None, dry_run=dry_run, advance=bar.advance
        )
    if session.json:
        session.out.document(report.as_dict())
    else:
        _show_archive(session, report)


def _show_archive(session: Session, report: ArchiveReport) -> None:
    what = f"{plural(report.memories, 'memory')} and {plural(report.messages, 'message')}"
    if report.items:
        what = f"{plural(report.items, 'stored value')}, {what}"
    verb = "Would import" if report.dry_run else "Imported"
    session.out.line(
        f"{verb} {what} of {plural(len(report.owners), 'owner')}; {report.present} there already."
    )
    if report.conflicts:
        session.out.note(
            f"Left as they are, though the file says otherwise: {', '.join(report.conflicts[:20])}"
            + (f" and {len(report.conflicts) - 20:,} more." if len(report.conflicts) > 20 else ".")
        )
    _show_end(session, report.operations, report.pending, dry_run=report.dry_run)


def _import_transcript(
    session: Session,
    memory: Memory,
    entries: list[object],
    name: str,
    agent: str | None,
    run: str | None,
    *,
    infer: bool,
    dry_run: bool,
) -> None:
    from ..progress import progress_bar
    from ..transcripts import parse_transcript
    from ..transfer.conversation import import_transcript

    scope = session.scope(agent, run)
    transcript = parse_transcript(entries, name)
    with progress_bar(len(transcript.messages), "Importing", enabled=_shows_progress(session)) as bar:
        report = import_transcript(
            memory, transcript, scope, infer=infer, dry_run=dry_run, advance=bar.advance
        )
    if session.json:
        session.out.document(report.as_dict())
    else:
        _show_conversation(session, report)


def _show_conversation(session: Session, report: ConversationReport) -> None:
    roles = ", ".join(f"{count:,} {role}" for role, count in sorted(report.roles.items()))
    runs = f" of {plural(report.runs, 'conversation')}" if report.runs else ""
    session.out.line(f"{plural(report.messages, 'message')} ({roles}){runs}.")
    if report.first is not None and report.last is not None:
        session.out.line(f"Said from {report.first[:10]} to {report.last[:10]}.")
    if report.blank or report.hidden:
        session.out.line(f"Left out: {report.blank} without content, {report.hidden} not shown by ChatGPT.")
    if report.already:
        session.out.line(f"{plural(report.already, 'message')} imported before.")
    for event, count in sorted(report.events.items()):
        session.out.line(f"{event}: {count:,}")
    for reason, count in sorted(report.reasons.items()):
        session.out.line(f"{count:,} made no memory: {reason}")
    if report.dry_run:
        how = "facts extracted by the model" if report.infer else "each turn a memory, system prompts none"
        session.out.line(f"Would store {plural(report.messages - report.already, 'message')}: {how}.")
    _show_end(session, report.operations, report.pending, dry_run=report.dry_run)


def _show_end(session: Session, operations: list[str], pending: list[str], *, dry_run: bool) -> None:
    if dry_run:
        session.out.line("Nothing was written.")
    elif not operations:
        session.out.line("Nothing new.")
    elif len(operations) == 1:
        session.out.line(f"To take the memories back: memkit undo {operations[0]}")
    else:
        session.out.line(
            f"It took {plural(len(operations), 'operation')}; --json names them for `memkit undo`."
        )
    if pending:
        session.out.note(f"Lagging behind: {', '.join(pending)}. To bring up to date: memkit repair")


def export(
    session: Session,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; standard output if left out."),
    ] = None,
    agent: AgentOption = None,
    run: RunOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All owners.")] = False,
) -> None:
    """Export as JSON lines that `memkit import` reads.

    Messages and memories are written with their history, closed and deleted ones too; with --all
    also the values of the key-value store. What is forgotten is in no export.
    """
    from ..progress import progress_bar
    from ..transfer.archive import export_lines

    if everything and (session.typed_user is not None or agent is not None or run is not None):
        usage_error("--all and a scope exclude each other.")
    scope = None if everything else session.scope(agent, run)
    counts = Counter[str]()
    with session.memory() as memory, _target(output) as stream:
        stats = memory.stats()
        total = stats.messages + stats.memories + stats.stored_items if everything else 0
        shows = everything and output is not None and _shows_progress(session)
        with progress_bar(total, "Exporting", enabled=shows) as bar:
            for line in export_lines(memory, scope):
                counts[line["type"]] += 1
                stream.write(dumps(line, stream) + "\n")
                bar.advance(1)
    if output is None:
        return
    if session.json:
        done: dict[str, Any] = {
            "output": str(output),
            "memories": counts["memory"],
            "messages": counts["message"],
        }
        if counts["item"]:
            done["items"] = counts["item"]
        session.out.document(done)
    else:
        what = f"{plural(counts['memory'], 'memory')} and {plural(counts['message'], 'message')}"
        if counts["item"]:
            what = f"{plural(counts['item'], 'stored value')}, {what}"
        session.out.line(f"Exported {what} to {output}.")


@contextmanager
def _target(output: Path | None) -> Generator[TextIO]:
    """Give where to write; a file takes its place only when it is whole."""
    if output is None:
        yield sys.stdout
        return
    part = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        opened = part.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        error.filename = str(output)  # what was typed
        raise
    try:
        with opened as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _shows_progress(session: Session) -> bool:
    return not session.json and sys.stderr.isatty()
