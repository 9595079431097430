"""Any LlamaIndex `BaseEmbedding` as memkit's embedder. Needs the extra `llama-index`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from memkit.embedders.base import Purpose
from memkit.embedders.rows import unit_rows_of
from memkit.errors import ConfigurationError
from memkit.llms.adapting import is_one_of, owner_of, translated_for
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from llama_index.core.base.embeddings.base import BaseEmbedding


class LlamaIndexEmbedder:
    """Any LlamaIndex `BaseEmbedding`: rows are brought to unit length, the dimension is probed once.

    Documents go as text embeddings in the object's own batches, queries as query embeddings. The identity that a store
    remembers is the class and model of the object; give `name=` where two different ones would share it.

    Args:
        model: The `BaseEmbedding`, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of a LlamaIndex embedding."""

        provider_name: ClassVar[str | None] = "llama_index"

        model: Any = Field(default=None, repr=False)
        """The LlamaIndex object; a name alone says too little."""
        name: str | None = None
        """What the store remembers it as; default its class and model."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LlamaIndexEmbedder.adapts(self.model):
                raise ConfigurationError(
                    "The embedder 'llama_index' needs a LlamaIndex embedding as `model`, not "
                    f"{type(self.model).__name__}. Pass the object that the store was made with: "
                    "Memory(embedder=embedding)."
                )

    def __init__(self, model: Settings | BaseEmbedding | None = None) -> None:
        self.settings = (
            model
            if isinstance(model, LlamaIndexEmbedder.Settings)
            else LlamaIndexEmbedder.Settings(model=model)
        )
        self._model: BaseEmbedding = self.settings.model
        kind, named = type(self._model).__name__, self._model.model_name
        self.identity = "llama_index/" + (
            self.settings.name or (kind if named in ("", "unknown") else f"{kind}/{named}")
        )
        self._waits = _awaits(self._model)
        self._dim: int | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_identity(cls, rest: str) -> LlamaIndexEmbedder:
        """Refuse: a name is not enough to make somebody's object again.

        Raises:
            ConfigurationError: Always; it says what to pass.
        """
        raise ConfigurationError(
            f"This store was made with the LlamaIndex embedding {rest!r}. Pass it again, Memory(embedder=embedding), "
            "or change it with `memory.rebuild(embedder=...)`."
        )

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is LlamaIndex's `BaseEmbedding`, importing nothing."""
        return is_one_of(given, "llama_index.core.base.embeddings.base", "BaseEmbedding")

    def __repr__(self) -> str:
        """Return the identity alone: the object may hold its key."""
        return f"<LlamaIndexEmbedder {self.identity}>"

    @property
    def dim(self) -> int:
        """Columns of a row, probed with one request at first use."""
        with self._lock:
            known = self._dim or self._rows(self._asked(["dimension"], "document"), 1).shape[1]
            return int(known)

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order.

        Raises:
            BackendError: The object failed, in our words.
        """
        return self._rows(self._asked(texts, purpose), len(texts)) if texts else self._none()

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Async version of `embed`; an object without async methods of its own works in a thread."""
        if not self._waits or not texts:
            return await asyncio.to_thread(self.embed, texts, purpose=purpose)
        try:
            if purpose == "query":
                found = [await self._model.aget_query_embedding(text) for text in texts]
            else:
                found = await self._model.aget_text_embedding_batch(list(texts))
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.identity) from error
        return self._rows(found, len(texts))

    def _asked(self, texts: Sequence[str], purpose: Purpose) -> object:
        try:
            if purpose == "query":
                return [self._model.get_query_embedding(text) for text in texts]
            return self._model.get_text_embedding_batch(list(texts))
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.identity) from error

    def _none(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self.dim), np.float32)

    def _rows(self, found: object, expected: int) -> npt.NDArray[np.float32]:
        rows = unit_rows_of(found, expected, self.identity)
        self._dim = self._dim or rows.shape[1]
        return rows


def _awaits(model: BaseEmbedding) -> bool:
    """Return whether texts are embedded by async methods of its own: the base's call the sync ones inside the loop."""
    own = [owner_of(model, method) for method in ("_aget_text_embedding", "_aget_text_embeddings")]
    return any(owner.__name__ != "BaseEmbedding" for owner in own)
