"""Any LangChain `Embeddings` as memkit's embedder. Needs the extra `langchain`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from memkit.embedders.base import Purpose
from memkit.embedders.rows import unit_rows_of
from memkit.errors import ConfigurationError
from memkit.llms.langchain import by_itself, is_one_of, name_of, translated
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


class LangChainEmbedder:
    """Any LangChain `Embeddings`: rows are brought to unit length, the dimension is probed once.

    The identity that a store remembers is the class and model of the object; give `name=` where two different ones
    would share it.

    Args:
        model: The `Embeddings`, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of LangChain embeddings."""

        provider_name: ClassVar[str | None] = "langchain"

        model: Any = Field(default=None, repr=False)
        """The LangChain object; a name alone says too little."""
        name: str | None = None
        """What the store remembers it as; default its class and model."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LangChainEmbedder.adapts(self.model):
                raise ConfigurationError(
                    f"The embedder 'langchain' needs LangChain embeddings as `model`, not {type(self.model).__name__}. "
                    "Pass the object that the store was made with: Memory(embedder=embeddings)."
                )

    def __init__(self, model: Settings | Embeddings | None = None) -> None:
        self.settings = (
            model
            if isinstance(model, LangChainEmbedder.Settings)
            else LangChainEmbedder.Settings(model=model)
        )
        self._model: Embeddings = self.settings.model
        kind, named = type(self._model).__name__, name_of(self._model)
        self.identity = f"langchain/{self.settings.name or (kind if named == kind else f'{kind}/{named}')}"
        self._dim: int | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_identity(cls, rest: str) -> LangChainEmbedder:
        """Refuse: a name is not enough to make somebody's object again.

        Raises:
            ConfigurationError: Always; it says what to pass.
        """
        raise ConfigurationError(
            f"This store was made with the LangChain embeddings {rest!r}. Pass them again, "
            "Memory(embedder=embeddings), or change them with `memory.rebuild(embedder=...)`."
        )

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is LangChain's `Embeddings`, importing nothing."""
        return is_one_of(given, "langchain_core.embeddings", "Embeddings")

    def __repr__(self) -> str:
        """Return the identity alone: the object may hold its key."""
        return f"<LangChainEmbedder {self.identity}>"

    @property
    def dim(self) -> int:
        """Columns of a row, probed with one request at first use."""
        with self._lock:
            if self._dim is None:
                self._dim = len(self._asked(["dimension"], "document")[0])
            return self._dim

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order.

        Raises:
            BackendError: The object failed, in our words.
        """
        return self._rows(self._asked(texts, purpose), len(texts)) if texts else self._none()

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Async version of `embed`."""
        if not texts:
            return self._none()
        try:
            with by_itself():
                if purpose == "query":
                    found = [await self._model.aembed_query(text) for text in texts]
                else:
                    found = await self._model.aembed_documents(list(texts))
        except Exception as error:
            raise translated(error, self.identity) from error
        return self._rows(found, len(texts))

    def _asked(self, texts: Sequence[str], purpose: Purpose) -> list[list[float]]:
        try:
            with by_itself():
                if purpose == "query":
                    return [self._model.embed_query(text) for text in texts]
                return self._model.embed_documents(list(texts))
        except Exception as error:
            raise translated(error, self.identity) from error

    def _none(self) -> npt.NDArray[np.float32]:
        return np.zeros((0, self.dim), np.float32)

    def _rows(self, found: object, expected: int) -> npt.NDArray[np.float32]:
        rows = unit_rows_of(found, expected, self.identity)
        self._dim = self._dim or rows.shape[1]
        return rows
