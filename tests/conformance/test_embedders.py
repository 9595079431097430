"""The public suite over every embedder: the keyless one, the local models, and OpenAI's SDK against a local server."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from memkit.embedders.base import Embedder
from memkit.embedders.hash import HashEmbedder
from memkit.embedders.minilm import MiniLMEmbedder
from memkit.embedders.onnx import OnnxEmbedder
from memkit.embedders.openai import OpenAIEmbedder
from memkit.testing.embedder import EmbedderSuite
from memkit.testing.openai_server import OpenAIServer
from tests.embedders.minilm_forward import copy_export, needs_weights


class TestHashEmbedder(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return HashEmbedder()


@needs_weights
class TestMiniLMEmbedder(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return MiniLMEmbedder()


@needs_weights
class TestOnnxEmbedder(EmbedderSuite):
    """An export of the same model, read as any other."""

    folder: Path

    @pytest.fixture(autouse=True)
    def _exported(self, tmp_path: Path) -> None:
        pytest.importorskip("tokenizers")
        self.folder = copy_export(tmp_path / "export")

    def make_embedder(self) -> Embedder:
        return OnnxEmbedder(OnnxEmbedder.Settings(path=self.folder))


class TestOpenAIEmbedder(EmbedderSuite):
    server: OpenAIServer

    @pytest.fixture(autouse=True)
    def _served(self) -> Generator[None]:
        with OpenAIServer() as server:
            self.server = server
            yield

    def make_embedder(self) -> Embedder:
        settings = OpenAIEmbedder.Settings(model="local-model", api_key="test", base_url=self.server.base_url)
        return OpenAIEmbedder(settings)
