"""Progress bars for long work; silent unless asked for and on a terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol


class Bar(Protocol):
    """Something that is told how far the work is."""

    def advance(self, steps: int) -> None:
        """Count steps done."""
        ...


class _Silent:
    def advance(self, steps: int) -> None:
        """Do nothing."""


@contextmanager
def progress_bar(total: int, what: str, *, enabled: bool) -> Generator[Bar]:
    """Show a bar on standard error while the block runs."""
    if not enabled:
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=total)

        class _Shown:
            def advance(self, steps: int) -> None:
                """Move the bar."""
                shown.advance(task, steps)

        yield _Shown()
