"""The public suite over every embedder: the keyless one, and OpenAI's SDK against a local server."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from memkit.embedders.base import Embedder
from memkit.embedders.hash import HashEmbedder
from memkit.embedders.openai import OpenAIEmbedder
from memkit.testing.embedder import EmbedderSuite
from memkit.testing.openai_server import OpenAIServer


class TestHashEmbedder(EmbedderSuite):
    def make_embedder(self) -> Embedder:
        return HashEmbedder()


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
