"""all-MiniLM-L6-v2 once more, in numpy float64, one text at a time: what the graph is compared with."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from memkit.embedders.minilm import GRAPH
from memkit.embedders.minilm_weights import INSTALL, PACKAGE, tensors

Array = npt.NDArray[np.float64]
_spec = find_spec(PACKAGE)
needs_weights = pytest.mark.skipif(_spec is None, reason=f"no weights here; type: {INSTALL}")


def folder() -> Path:
    """The model's folder in the installed package of its weights."""
    assert _spec is not None
    assert _spec.submodule_search_locations is not None
    return Path(_spec.submodule_search_locations[0]) / "model"


def copy_export(target: Path) -> Path:
    """Make a folder like those that sentence-transformers exports, of our graph and the package's files."""
    target.mkdir()
    shutil.copy(GRAPH, target / "model.onnx")
    for name in ("tokenizer.json", "sentence_bert_config.json", "modules.json"):
        shutil.copy(folder() / name, target / name)
    copy_model(target / "model.safetensors")
    return target


def copy_model(target: Path) -> None:
    try:
        os.link(folder() / "model.safetensors", target)
    except OSError:  # another file system
        shutil.copy(folder() / "model.safetensors", target)


def weights() -> dict[str, Array]:
    path = folder() / "model.safetensors"
    data = path.read_bytes()
    return {
        name: np.frombuffer(data, "<f4", at.length // 4, at.begin).reshape(at.shape).astype(np.float64)
        for name, at in tensors(path).items()
    }


def forward(w: Mapping[str, Array], ids: Sequence[int]) -> tuple[Array, Array]:
    """Return the token vectors of a text and its sentence vector."""
    x = w["embeddings.word_embeddings.weight"][list(ids)]
    x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(w, x + w["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
    for layer in range(6):
        p = f"encoder.layer.{layer}."
        q, k, v = (
            linear(w, x, f"{p}attention.self.{part}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(32)
        likely = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (likely / likely.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), 384)
        x = norm(w, linear(w, mixed, f"{p}attention.output.dense") + x, f"{p}attention.output.LayerNorm")
        h = linear(w, x, f"{p}intermediate.dense")
        h = h * 0.5 * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
        x = norm(w, linear(w, h, f"{p}output.dense") + x, f"{p}output.LayerNorm")
    mean = x.mean(axis=0)
    return x, mean / np.linalg.norm(mean)


def linear(w: Mapping[str, Array], x: Array, name: str) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(w: Mapping[str, Array], x: Array, name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
