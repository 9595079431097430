"""Progress bars for long work; silent unless asked for and on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, TypeAlias

Progress: TypeAlias = "bool | Callable[[int, int], None]"
"""True: a bar on standard error. A function: called with how many steps are done, and how many there are."""


class Bar(Protocol):
    """Something that is told how far the work is."""

    def advance(self, steps: int) -> None:
        """Count steps done."""
        ...


class _Silent:
    def advance(self, steps: int) -> None:
        """Do nothing."""


class _Told:
    def __init__(self, tell: Callable[[int, int], None], total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def advance(self, steps: int) -> None:
        """Tell how far it is."""
        self._done += steps
        self._tell(self._done, max(self._done, self._total))


@contextmanager
def progress_bar(total: int, what: str, *, enabled: Progress) -> Generator[Bar]:
    """Show or tell how far the block is while it runs."""
    if callable(enabled):
        yield _Told(enabled, total)
        return
    if not enabled:
        yield _Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Shown

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Shown(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(what, total=total)

        class _Shown:
            def advance(self, steps: int) -> None:
                """Move the bar."""
                shown.advance(task, steps)

        yield _Shown()
