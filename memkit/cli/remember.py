"""`memkit add`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .output import plural
from .session import AgentOption, RunOption, Session, command, json_object, one_of, piped_text, usage_error


def register(app: typer.Typer) -> None:
    """Put the command on the command line."""
    command(
        app,
        "add",
        'memkit add "I moved to Lisbon in May." --user ada',
        "memkit add --file talk.jsonl --user ada --run monday",
        "echo 'Prefers short answers.' | memkit add --user ada --kind preference --no-infer",
    )(add)


TextArgument = Annotated[
    str | None, typer.Argument(metavar="TEXT", help="What to remember; `-` or nothing reads standard input.")
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="A transcript: JSON, JSONL or a ChatGPT export; `-` is standard input."
    ),
]
InferOption = Annotated[
    bool, typer.Option("--infer/--no-infer", help="Extract facts with the model, if there is one.")
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="KIND",
        help="fact, preference, instruction, event, procedure, message or summary.",
    ),
]
MetadataOption = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON", help="Kept with the memory, usable in --filter.")
]


def add(
    session: Session,
    text: TextArgument = None,
    file: FileOption = None,
    infer: InferOption = True,
    kind: KindOption = None,
    metadata: MetadataOption = None,
    agent: AgentOption = None,
    run: RunOption = None,
) -> None:
    """Remember a text or a transcript."""
    from ..types import KINDS

    given = _given(text, file)
    more = json_object(metadata, "--metadata")
    one_of(kind, KINDS, "--kind")
    scope = session.scope(agent, run)
    if run is not None and isinstance(given, list):
        given = [{key: value for key, value in message.items() if key != "run_id"} for message in given]
    with session.memory() as memory:
        result = memory.bind(**scope).add(given, infer=infer, kind=kind, metadata=more)
    if session.json:
        session.out.document(result)
        return
    for outcome in result.results:
        before = f"was: {outcome.previous_memory}" if outcome.previous_memory else ""
        session.out.entry(outcome.memory, before, outcome.reason, outcome.id, mark=outcome.event)
    if not result.results:
        session.out.line("Nothing to remember was found in it; the turns are kept.")
    changed = sum(outcome.event not in ("NONE", "REJECT") for outcome in result.results)
    if changed:
        session.out.line(
            f"{plural(changed, 'memory')} changed. To take it back: memkit undo {result.operation_id}"
        )
    if result.pending:
        session.out.note(f"Lagging behind: {', '.join(result.pending)}. To bring up to date: memkit repair")


def _given(text: str | None, file: Path | None) -> str | list[dict[str, Any]]:
    """Return the text or the messages to remember."""
    from ..transcripts import parse_entries, parse_transcript, read_transcript

    if text is not None and file is not None:
        usage_error("Give a text or --file, not both.")
    if file is not None:
        if str(file) != "-":
            return read_transcript(file)
        return parse_transcript(parse_entries(piped_text(), "standard input"), "standard input").messages
    if text in (None, "-"):
        if text is None and sys.stdin.isatty():
            usage_error(
                'What is to be remembered? Type a text, for example: memkit add "I live in Oslo." --user ada'
            )
        text = piped_text().strip()
    if not text:
        usage_error("There is nothing to remember: the text is empty.")
    return text
