"""How commands print: JSON and nothing else, blocks of lines on a terminal, plain lines into a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TextIO, cast

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What could steer a terminal: a memory is someone else's text."""


@dataclass(frozen=True, slots=True)
class Output:
    """Standard output of one command."""

    json: bool

    def document(self, value: object) -> None:
        """Print one JSON document."""
        sys.stdout.write(dumps(value, sys.stdout) + "\n")

    def entry(self, text: str, *details: object, mark: str = "") -> None:
        """Print a text with a mark before it, and details below; empty details are left out."""
        below = " · ".join(str(detail) for detail in details if detail not in (None, ""))
        if not sys.stdout.isatty():
            self._plain(f"{mark}  {clean(text)}" if mark else clean(text))
            if below:
                self._plain(f"  {clean(below)}")
            return
        from rich.padding import Padding
        from rich.text import Text

        head = Text(f"{mark}  " if mark else "", style="bold")
        head.append(clean(text), style="default not bold")
        console = _console()
        console.print(head, overflow="fold")
        if below:
            console.print(Padding(Text(clean(below), style="dim", overflow="fold"), (0, 0, 0, 2)))

    def line(self, text: str = "") -> None:
        """Print a line."""
        if sys.stdout.isatty() and text:
            from rich.text import Text

            _console().print(Text(clean(text), overflow="fold"))
        else:
            self._plain(clean(text))

    def note(self, text: str) -> None:
        """Say something beside the output, on standard error."""
        _write(sys.stderr, clean(text))

    def _plain(self, text: str) -> None:
        _write(sys.stdout, text)


def write_error(data: Mapping[str, Any]) -> None:
    """Print an error as one line of JSON on standard error."""
    sys.stderr.write(dumps(data, sys.stderr) + "\n")


def dumps(value: object, stream: TextIO | None = None) -> str:
    """Return a value, pydantic models inside it too, as JSON that the stream's encoding can hold."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    return json.dumps(_jsonable(value), ensure_ascii=encoding != "utf8", default=str)


def _jsonable(value: object) -> object:
    dump = getattr(value, "model_dump", None)  # a model of pydantic, which is not imported for `--help`
    if callable(dump):
        return dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in cast("Iterable[object]", value)]
    return value


def clean(text: str) -> str:
    """Return a text without what could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def day(value: datetime | None) -> str:
    """Return an instant as people read it, in UTC."""
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M")


def plural(count: int, noun: str) -> str:
    """Return `1 memory`, `2 memories`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _write(stream: TextIO, text: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
