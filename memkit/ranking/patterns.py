"""Regular expressions that are compiled when they are first used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property


class LatePattern:
    """A pattern that costs nothing until a text needs it: to compile one of all languages takes longer than a search.

    Args:
        text: As `re.compile` takes it, `flags` too.
    """

    def __init__(self, text: str, flags: re.RegexFlag = re.NOFLAG) -> None:
        self._text = text
        self._flags = flags

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern itself."""
        return re.compile(self._text, self._flags)

    def search(self, text: str) -> re.Match[str] | None:
        """Return what is found first in a text."""
        return self.compiled.search(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """Return all that is found in a text, in order."""
        return self.compiled.finditer(text)
