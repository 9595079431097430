"""What an embedder must offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Purpose = Literal["document", "query"]


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit-length float32 rows.

    An optional `async def aembed(texts, *, purpose)` is used by `AsyncMemory`; without one, `embed` runs in a
    worker thread. An optional `close()` and `async def aclose()` free what it holds. An optional `symmetric = True`
    says that `purpose` makes no difference.
    """

    @property
    def identity(self) -> str:
        """Name, model and whatever else changes the vectors; it is stored with the collection."""
        ...

    @property
    def dim(self) -> int:
        """Columns of a row; may be probed with one request at first use."""
        ...

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one row per text, in order."""
        ...
