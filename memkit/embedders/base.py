"""What an embedder must offer, and what it may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    says that `purpose` makes no difference. One that knows the vectors of tokens too is a `TokenEmbedder`; one that
    makes them small enough to be stored, a `CodeEmbedder`.
    """

    @property
    def identity(self) -> str:
        """Name, model and whatever else changes the vectors; it is stored with the collection.

        A provider's begins with its name and `/`: a store that is opened with `embedder="auto"` makes it again by that
        name, with `from_identity(rest)` where its class has that, else without settings.
        """
        ...

    @property
    def dim(self) -> int:
        """Columns of a row; may be probed with one request at first use."""
        ...

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one row per text, in order."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors:
    """The tokens of a text in order, without those that a model puts around it."""

    ids: npt.NDArray[np.int32]
    """int32 [tokens]: their numbers in the vocabulary."""
    spans: npt.NDArray[np.int32]
    """int32 [tokens, 2]: the characters of the text that each comes from, the end not included."""
    vectors: npt.NDArray[np.float32]
    """float32 [tokens, dim]: unit rows."""

    def __len__(self) -> int:
        return len(self.ids)


@runtime_checkable
class TokenEmbedder(Embedder, Protocol):
    """An embedder that can give a vector for each token, which costs it no second run of the model."""

    def embed_tokens(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenVectors]]:
        """Return what `embed` does, and the tokens of each text, in order."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class TokenCodes:
    """The tokens of a text in order, small enough to be stored with each memory."""

    codes: npt.NDArray[np.int8]
    """int8 [tokens, width]: parts of unit rows times 127, so that a product of two rows over 127**2 is a cosine."""
    spans: npt.NDArray[np.int32]
    """int32 [tokens, 2]: the characters of the text that each comes from, the end not included."""

    def __len__(self) -> int:
        return len(self.codes)


@runtime_checkable
class CodeEmbedder(Embedder, Protocol):
    """An embedder whose memories are compared with a query token by token, too (late interaction)."""

    @property
    def token_identity(self) -> str | None:
        """Whatever changes the codes; those of another identity are not compared. None: it gives none now."""
        ...

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenCodes]]:
        """Return what `embed` does, and the codes of each text, in order, from the same run of the model."""
        ...
