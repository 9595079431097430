"""LlamaIndex's node postprocessors as memkit's reranker. Needs the extra `llama-index`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import Field

from memkit.errors import BackendResponseError, ConfigurationError
from memkit.llms.adapting import is_one_of, translated_for
from memkit.rerankers.base import PATIENCE_S
from memkit.rerankers.scores import Scores, scored_pairs
from memkit.settings import ProviderSettings

if TYPE_CHECKING:
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import NodeWithScore

_PREFIX: Final = "memkit-"


class LlamaIndexReranker:
    """Any LlamaIndex `BaseNodePostprocessor`, with scores in 0 to 1.

    It gets nodes without scores; where it gives them none either, its order stands, and the scores then fall evenly
    from 1. What it leaves out is left out.

    Args:
        model: The LlamaIndex object, or the settings that hold it.
    """

    class Settings(ProviderSettings):
        """Settings of a LlamaIndex reranker."""

        provider_name: ClassVar[str | None] = "llama_index"

        model: Any = Field(default=None, repr=False)
        """The LlamaIndex object; a name alone says too little."""
        name: str | None = None
        """What it is called in messages; default its class and model."""
        scores: Scores = "auto"
        """What its scores are. `auto` takes those of an answer as logits where one of them is outside of 0 to 1."""
        timeout_s: float | None = Field(default=PATIENCE_S, gt=0)
        """Seconds that a search waits for it before it keeps its own order; None: as long as it takes."""

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            if not LlamaIndexReranker.adapts(self.model):
                raise ConfigurationError(
                    "The reranker 'llama_index' needs a LlamaIndex node postprocessor as `model`, not "
                    f"{type(self.model).__name__}. Example: Memory(reranker=SentenceTransformerRerank(...))."
                )

    def __init__(self, model: Settings | BaseNodePostprocessor | None = None) -> None:
        self.settings = (
            model
            if isinstance(model, LlamaIndexReranker.Settings)
            else LlamaIndexReranker.Settings(model=model)
        )
        self._model: BaseNodePostprocessor = self.settings.model
        named: object = getattr(self._model, "model", None)
        kind = type(self._model).__name__
        self.timeout_s = self.settings.timeout_s
        self.name = self.settings.name or (
            f"llama_index/{kind}/{named}" if isinstance(named, str) and named else f"llama_index/{kind}"
        )

    @staticmethod
    def adapts(given: object) -> bool:
        """Return whether an object is a LlamaIndex node postprocessor, importing nothing."""
        return is_one_of(given, "llama_index.core.postprocessor.types", "BaseNodePostprocessor")

    def __repr__(self) -> str:
        """Return the name alone: the object may hold its key."""
        return f"<LlamaIndexReranker {self.name}>"

    def rerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Return at most `limit` pairs of (index into `texts`, score in [0, 1]), best first.

        Raises:
            BackendError: The object failed, in our words.
        """
        if not texts:
            return []
        try:
            found = self._model.postprocess_nodes(_nodes(texts), query_str=query)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error
        return self._pairs(found, texts)[:limit]

    async def arerank(self, query: str, texts: Sequence[str], limit: int) -> list[tuple[int, float]]:
        """Async version of `rerank`."""
        if not texts:
            return []
        try:
            found = await self._model.apostprocess_nodes(_nodes(texts), query_str=query)
        except Exception as error:
            raise translated_for("LlamaIndex", error, self.name) from error
        return self._pairs(found, texts)[:limit]

    def _pairs(self, found: Sequence[NodeWithScore], texts: Sequence[str]) -> list[tuple[int, float]]:
        places = [self._place(node, texts) for node in found]
        scores = [None if node.score is None else float(node.score) for node in found]
        return scored_pairs(places, scores, len(texts), self.settings.scores, self.name)

    def _place(self, node: NodeWithScore, texts: Sequence[str]) -> int:
        """Return which text a node was; it may have been rewritten, or made anew."""
        place = node.node_id.removeprefix(_PREFIX)
        if place.isdecimal() and place != node.node_id and int(place) < len(texts):
            return int(place)
        text = node.get_content()
        if text in texts:
            return list(texts).index(text)
        raise BackendResponseError(f"{self.name} returned a node that it was not given.", backend=self.name)


def _nodes(texts: Sequence[str]) -> list[NodeWithScore]:
    from llama_index.core.schema import NodeWithScore, TextNode

    return [
        NodeWithScore(node=TextNode(id_=f"{_PREFIX}{place}", text=text)) for place, text in enumerate(texts)
    ]
