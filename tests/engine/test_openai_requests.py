"""A new process asks its embedder no more than it must: no request to learn the number of columns."""

from __future__ import annotations

from pathlib import Path

from memkit import Memory
from memkit.embedders.openai import OpenAIEmbedder
from memkit.testing import OpenAIServer


def test_the_first_write_of_an_unknown_model_is_one_embedding_request(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        settings = OpenAIEmbedder.Settings(model="local-model", api_key="test", base_url=server.base_url)
        for expected in (1, 2):
            with Memory(tmp_path, llm=None, embedder=OpenAIEmbedder(settings)) as memory:
                memory.add(f"I live in Oslo, number {expected}.", user_id="ada")
            assert server.counts["/embeddings"] == expected


def test_the_first_search_of_a_process_is_one_embedding_request(tmp_path: Path) -> None:
    with OpenAIServer() as server:
        settings = OpenAIEmbedder.Settings(model="local-model", api_key="test", base_url=server.base_url)
        with Memory(tmp_path, llm=None, embedder=OpenAIEmbedder(settings)) as memory:
            memory.add("I live in Oslo.", user_id="ada")
        with Memory(tmp_path, llm=None, embedder=OpenAIEmbedder(settings)) as memory:
            assert memory.search("Where do I live?", user_id="ada").results[0].memory == "I live in Oslo."
        assert server.counts["/embeddings"] == 2
