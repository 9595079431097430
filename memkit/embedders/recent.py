"""The vectors of texts embedded a moment ago: an agent's turn asks, extracts and stores the same words."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from memkit.forking import tell_of_forks

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from memkit.embedders.base import TokenCodes

    Vector = npt.NDArray[np.float32]

_MOST: Final = 256
_LONGEST: Final = 4000
"""Characters; a longer text is hardly asked for again."""

Key = tuple[str, str, str]
"""Identity of the embedder, purpose, text."""


class RecentVectors:
    """Keeps the last few vectors, so that no text is embedded twice in a row; several threads may use it."""

    def __init__(self) -> None:
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """Begin with none, and with a lock that nobody holds."""
        self._lock = threading.Lock()
        self._rows: OrderedDict[Key, tuple[Vector, TokenCodes | None]] = OrderedDict()

    def get(self, key: Key) -> tuple[Vector, TokenCodes | None] | None:
        """Return the vector and the tokens of a text, None where it is not known any more."""
        with self._lock:
            row = self._rows.get(key)
            if row is not None:
                self._rows.move_to_end(key)
            return row

    def put(self, key: Key, row: Vector, tokens: TokenCodes | None) -> None:
        """Keep a vector and tokens, which nobody may change from now on, in the place of the oldest."""
        if len(key[2]) > _LONGEST:
            return
        kept = row.copy()
        kept.flags.writeable = False
        with self._lock:
            self._rows[key] = kept, tokens
            while len(self._rows) > _MOST:
                self._rows.popitem(last=False)

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._rows.clear()
