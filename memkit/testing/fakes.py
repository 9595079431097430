"""Fakes for tests: a model that says what it was told to, an embedder that counts and can fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memkit.embedders.base import Purpose
from memkit.llms.fake import FakeCall, FakeLLM
from memkit.testing.openai_server import bag_of_words

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FakeCall", "FakeEmbedder", "FakeLLM", "extraction", "fact"]


class FakeEmbedder:
    """Embeds by the words of a text, whatever the purpose; records its calls, and fails when it is told to.

    Args:
        dim: Columns of a row.
        name: First part of its identity.
        errors: Errors that the next calls raise, in order; None lets one through.
    """

    symmetric = True

    def __init__(
        self, dim: int = 64, *, name: str = "fake-words", errors: Sequence[Exception | None] = ()
    ) -> None:
        self.dim = dim
        self.calls: list[tuple[str, ...]] = []
        self.errors = list(errors)
        self._name = name

    @property
    def identity(self) -> str:
        """`<name>/<columns>`."""
        return f"{self._name}/{self.dim}"

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order."""
        import numpy as np

        del purpose
        self.calls.append(tuple(texts))
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return np.asarray([bag_of_words(text, self.dim) for text in texts], np.float32).reshape(
            len(texts), self.dim
        )


def fact(text: str, quote: str | None = None, *, message: int = 1, **fields: Any) -> dict[str, Any]:
    """Return one entry of an extraction: a text, the words that prove it, and the number of their message."""
    return {"text": text, "quote": text if quote is None else quote, "message": message, **fields}


def extraction(*memories: dict[str, Any], relations: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return a whole extraction, as a reply for [`FakeLLM`]."""
    return {"memories": list(memories), "relations": list(relations)}
