"""Any sentence-transformers model exported to ONNX, from a folder of this machine. Needs the extra `local`.

The folder is read as sentence-transformers wrote it: `onnx/model.onnx` or `model.onnx`, `tokenizer.json`, and its
own settings of length, pooling and prompts. Nothing is fetched. The package `tokenizers` reads the tokeniser.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import numpy as np
import numpy.typing as npt

from memkit.embedders.base import Purpose
from memkit.embedders.batches import batches, padded
from memkit.errors import BackendError, BackendResponseError, ConfigurationError
from memkit.settings import ProviderSettings

if find_spec("onnxruntime") is None:
    raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

_FILES: Final = ("onnx/model.onnx", "model.onnx")
_LONGEST: Final = 512
"""Tokens, where the folder does not say."""
_PLAIN: Final = ("Transformer", "Pooling", "Normalize")
"""Steps of a model that are done here; an export with others must give `sentence_embedding` itself."""
_POOLINGS: Final = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
}

Floats = npt.NDArray[np.float32]


class OnnxEmbedder:
    """A sentence-transformers model exported to ONNX, from a folder of this machine: no key, no network.

    It is loaded at the first text. Several threads may share one.

    Raises:
        ConfigurationError: No folder was given, or it is not an export.
    """

    class Settings(ProviderSettings):
        """Settings of a local export."""

        provider_name: ClassVar[str | None] = "onnx"

        path: Path | None = None
        """Folder of the export; there is no default."""
        file: str | None = None
        """The model's file in it; None takes `onnx/model.onnx` or `model.onnx`."""
        threads: int = 1
        """Threads of one run."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings if settings is not None else self.Settings()
        if self.settings.threads < 1:
            raise ConfigurationError(
                f"`threads` must be positive, not {self.settings.threads}.", field="threads"
            )
        if self.settings.path is None:
            raise ConfigurationError(
                "The embedder 'onnx' needs the folder of an export: "
                '`embedder={"provider": "onnx", "config": {"path": "..."}}`.'
            )
        self._export = _read(Path(os.path.expanduser(self.settings.path)), self.settings.file)
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self._dim: int | None = None

    @classmethod
    def from_identity(cls, rest: str) -> OnnxEmbedder:
        """Refuse: the identity does not say where the folder is."""
        raise ConfigurationError(
            f"This store was made with the embedder 'onnx/{rest}'. Pass its folder: "
            '`embedder={"provider": "onnx", "config": {"path": "..."}}`.'
        )

    @property
    def identity(self) -> str:
        """`onnx/<folder>/<digest>`: the digest is that of the model's file and of how its output is read."""
        return f"onnx/{self._export.name}/{self._export.digest}"

    @property
    def symmetric(self) -> bool:
        """Whether the model has no prompts, so that `purpose` makes no difference."""
        return not any(self._export.prompts.values())

    @property
    def dim(self) -> int:
        """Columns of a row, probed with one text."""
        if self._dim is None:
            self._dim = int(self.embed(["probe"]).shape[1])
        return self._dim

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={str(self._export.model)!r})"

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> Floats:
        """Return one unit row per text, in order, of the text after the model's own prompt for the purpose.

        Raises:
            ConfigurationError: `tokenizers` is not installed, or the model takes what is not known here.
            BackendError: onnxruntime failed, or gave what is no embedding.
        """
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self._export, self.settings.threads)
            model = self._loaded
        prompt = self._export.prompts[purpose]
        told = [(prompt + text).encode("utf-8", "replace").decode() for text in texts]
        encoded: list[list[int]] = [found.ids for found in model.tokeniser.encode_batch(told)]
        rows: Floats | None = None
        for batch in batches(encoded):
            found = model.run([encoded[at] for at in batch])
            if rows is None:
                rows = np.zeros((len(texts), found.shape[1]), np.float32)
            rows[batch] = found
        assert rows is not None, "there is at least one text"
        return rows

    def close(self) -> None:
        """Free the model; the next text loads it again."""
        with self._lock:
            self._loaded = None


@dataclass(frozen=True, slots=True)
class _Export:
    model: Path
    tokeniser: Path
    name: str
    digest: str
    longest: int
    pooling: str
    steps: tuple[str, ...]
    prompts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Loaded:
    tokeniser: Any
    session: Any
    inputs: frozenset[str]
    output: str
    pooling: str | None
    """None where the model gives one row per text by itself."""

    def run(self, encoded: Sequence[Sequence[int]]) -> Floats:
        ids, mask = padded(encoded)
        every = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            (found,) = self.session.run([self.output], {name: every[name] for name in self.inputs})
        except Exception as error:
            raise BackendError(f"onnxruntime could not run the model: {error}", backend="onnx") from error
        rows = np.asarray(found, np.float32)
        if self.pooling is not None and rows.ndim == 3:
            rows = _pooled(rows, mask, self.pooling)
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        if rows.ndim != 2 or not np.isfinite(lengths).all() or not lengths.all():
            raise BackendResponseError(
                f"The output {self.output!r} of the model is not one finite row per text.", backend="onnx"
            )
        return np.asarray(rows / lengths, np.float32)


def _pooled(tokens: Floats, mask: npt.NDArray[np.int64], pooling: str) -> Floats:
    if pooling == "cls":
        return tokens[:, 0]
    if pooling == "last":
        return tokens[np.arange(len(tokens)), mask.sum(axis=1) - 1]
    seen = mask[:, :, None].astype(np.float32)
    if pooling == "max":
        return np.where(seen > 0, tokens, -np.inf).max(axis=1).astype(np.float32)
    return np.asarray((tokens * seen).sum(axis=1) / seen.sum(axis=1), np.float32)


def _read(folder: Path, file: str | None) -> _Export:
    """Return what a folder says about its model."""
    names = (file,) if file is not None else _FILES
    # Not `Path.is_file`, which raises for a folder that may not be entered and for a name that is too long.
    model = next((folder / name for name in names if os.path.isfile(folder / name)), None)
    tokeniser = folder / "tokenizer.json"
    if model is None or not os.path.isfile(tokeniser):
        raise ConfigurationError(
            f"The folder {str(folder)!r} holds no export: it needs {' or '.join(names)}, and tokenizer.json.",
            path=str(folder),
        )
    steps = _steps(folder / "modules.json")
    pooling = _pooling(
        next((folder / path for kind, path in steps if kind == "Pooling"), folder / "1_Pooling")
    )
    said = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    longest = said or _json(folder / "tokenizer_config.json").get("model_max_length")
    asked = _json(folder / "config_sentence_transformers.json").get("prompts")
    prompts = cast("dict[str, str | None]", asked or {})
    kept = {
        "document": str(prompts.get("document") or prompts.get("passage") or ""),
        "query": str(prompts.get("query") or ""),
    }
    limit = int(longest) if isinstance(longest, int | float) and 2 < longest < 100_000 else _LONGEST
    try:
        with model.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256")
        digest.update(tokeniser.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"The export cannot be read: {error}.") from error
    digest.update(json.dumps([limit, pooling, kept]).encode())
    return _Export(
        model,
        tokeniser,
        folder.resolve().name,
        digest.hexdigest()[:16],
        limit,
        pooling,
        tuple(kind for kind, _ in steps),
        kept,
    )


def _steps(path: Path) -> list[tuple[str, str]]:
    """Return the kind and the folder of each step of a model, in order."""
    found = cast("list[dict[str, str]]", _json(path) or [])
    return [(step.get("type", "").rpartition(".")[2], step.get("path", "")) for step in found]


def _pooling(folder: Path) -> str:
    said = _json(folder / "config.json")
    chosen = [name for key, name in _POOLINGS.items() if said.get(key)]
    unknown = [
        key for key, on in said.items() if key.startswith("pooling_mode_") and on and key not in _POOLINGS
    ]
    if unknown or len(chosen) > 1:
        raise ConfigurationError(
            f"{str(folder)!r} asks for a pooling that is not known here. Known, one at a time: "
            f"{', '.join(_POOLINGS)}."
        )
    return chosen[0] if chosen else "mean"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{str(path)!r} cannot be read: {error}.") from error


def _load(export: _Export, threads: int) -> _Loaded:
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

    vendor: Any = onnxruntime
    options = vendor.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # an error is raised; it need not be printed as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    tokeniser = _tokeniser(export)
    try:
        session = vendor.InferenceSession(str(export.model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BackendError(f"onnxruntime could not load the model: {error}", backend="onnx") from error
    inputs = frozenset(str(given.name) for given in session.get_inputs())
    outputs = [str(given.name) for given in session.get_outputs()]
    if unknown := sorted(inputs - {"input_ids", "attention_mask", "token_type_ids"}):
        raise ConfigurationError(
            f"The model {str(export.model)!r} takes {', '.join(unknown)}, which no text model needs."
        )
    if "sentence_embedding" in outputs:
        return _Loaded(tokeniser, session, inputs, "sentence_embedding", None)
    if others := [kind for kind in export.steps if kind not in _PLAIN]:
        raise ConfigurationError(
            f"The model ends with {', '.join(others)}, which the export leaves out. "
            "Export it with an output `sentence_embedding`."
        )
    named = [name for name in ("last_hidden_state", "token_embeddings") if name in outputs]
    return _Loaded(tokeniser, session, inputs, (named or outputs)[0], export.pooling)


def _tokeniser(export: _Export) -> Any:
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "The embedder 'onnx' reads `tokenizer.json` with a package that is not installed. "
            "Type: pip install tokenizers"
        ) from error
    vendor: Any = tokenizers
    try:
        made = vendor.Tokenizer.from_file(str(export.tokeniser))
    except Exception as error:
        raise ConfigurationError(f"{str(export.tokeniser)!r} cannot be read: {error}.") from error
    made.no_padding()
    made.enable_truncation(export.longest)
    # A special token's name in a user's text is text.
    made.encode_special_tokens = True
    return made
