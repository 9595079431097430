"""`memkit import mem0`, and what is told of memories that were taken in."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .output import plural
from .session import Session

if TYPE_CHECKING:
    from ..types import ImportResult


def import_from_mem0(
    session: Session, source: str, collection: str | None, history: Path | None, *, dry_run: bool
) -> None:
    """Run the import and tell what became of it."""
    shows = not session.json and sys.stderr.isatty()
    with session.memory() as memory:
        result = memory.import_mem0(
            source, collection=collection, history=history, dry_run=dry_run, progress=shows
        )
    if session.json:
        session.out.document(result)
        return
    show_imported(session, result, "Would import" if dry_run else "Imported")
    if result.imported and result.vectors == "kept":
        session.out.line("Their vectors were taken over.")
    if dry_run:
        session.out.line("Nothing was written.")
    elif len(result.operations) == 1:
        session.out.line(f"To take the memories back: memkit undo {result.operations[0]}")
    if result.pending:
        session.out.note(f"Lagging behind: {', '.join(result.pending)}. To bring up to date: memkit repair")


def show_imported(session: Session, result: ImportResult, verb: str) -> None:
    """Say how many memories were taken in, and why others were not."""
    session.out.line(
        f"{verb} {plural(result.imported, 'memory')} of {plural(result.found, 'record')}; "
        f"{result.present} there already."
    )
    if result.conflicts:
        named = ", ".join(result.conflicts[:20])
        more = f" and {len(result.conflicts) - 20:,} more" if len(result.conflicts) > 20 else ""
        session.out.note(f"Left as they are, though the source says otherwise: {named}{more}.")
    for reason, count in Counter(result.skipped.values()).most_common():
        session.out.note(f"Left out {plural(count, 'record')}: {reason}")
