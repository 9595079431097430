"""What a retriever gives back, and how it behaves inside LlamaIndex's engines."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.chat_engine import CondensePlusContextChatEngine, ContextChatEngine
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode
from llama_index.core.tools import RetrieverTool

from llama_index.memory.memkit import MemkitRetriever
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, FilterError, InvalidInputError, ScopeError

QUESTION = "What do I drink?"
ADA = (
    "I moved to Lisbon in May.",
    "I only drink oat milk in my coffee.",
    "My tea of choice is sencha, never coffee after noon.",
    "My sister Ines plays the oboe.",
)
BOB = (
    "I live in Oslo near the harbour.",
    "I drink black coffee all day.",
    "My brother Nils plays the drums.",
)


@pytest.fixture
def memory(tmp_path: Path) -> Generator[Memory]:
    with Memory(tmp_path / "store", llm=None, embedder="hash") as made:
        made.add_many(ADA, user_id="ada")
        made.add_many(BOB, user_id="bob")
        yield made


@pytest.fixture
def retriever(memory: Memory) -> MemkitRetriever:
    return MemkitRetriever(memory=memory, user_id="ada", k=2)


async def ask(retriever: Any, mode: str, query: Any = QUESTION) -> list[NodeWithScore]:
    return retriever.retrieve(query) if mode == "sync" else await retriever.aretrieve(query)


def texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.get_content() for node in nodes]


# Nodes.


async def test_a_node_carries_the_whole_memory_with_its_id_and_score(memory: Memory, mode: str) -> None:
    turn = {
        "role": "user",
        "name": "Ada",
        "content": "I drink mint tea.",
        "created_at": "2025-04-02T08:00+02:00",
    }
    result = memory.add(turn, user_id="ada", agent_id="bot", run_id="r1", metadata={"topic": "drinks"})
    [found] = await ask(MemkitRetriever(memory=memory, user_id="ada", run_id="r1"), mode, "mint tea")
    assert (found.node_id, found.text) == (result.results[0].id, "I drink mint tea.")
    assert found.score is not None and 0 < found.score <= 1
    data = found.metadata
    assert (data["topic"], data["kind"], data["origin"]) == ("drinks", "message", "user")
    assert (data["user_id"], data["agent_id"], data["run_id"]) == ("ada", "bot", "r1")
    assert (data["actor_id"], data["role"]) == ("Ada", "user")
    assert data["created_at"] == "2025-04-02T06:00:00+00:00"
    message = memory.messages(user_id="ada", run_id="r1")[0]
    assert [source["message_id"] for source in data["sources"]] == [message.id]
    assert json.loads(json.dumps(data)) == data
    assert None not in data.values()


def test_no_prompt_and_no_embedding_shows_the_metadata(memory: Memory) -> None:
    memory.add("I drink cocoa.", user_id="eve", metadata={"card": "4242"})
    [found] = MemkitRetriever(memory=memory, user_id="eve").retrieve("cocoa")
    for mode in (MetadataMode.LLM, MetadataMode.EMBED, MetadataMode.NONE):
        assert found.node.get_content(mode) == "I drink cocoa."


def test_a_key_of_the_user_that_is_also_ours_is_not_lost(memory: Memory) -> None:
    memory.add("I drink cocoa.", user_id="eve", metadata={"kind": "hot", "topic": "drinks"})
    data = MemkitRetriever(memory=memory, user_id="eve").retrieve("cocoa")[0].metadata
    assert (data["kind"], data["topic"], data["metadata"]) == ("message", "drinks", {"kind": "hot"})


async def test_nodes_come_best_first_and_at_most_k(memory: Memory, mode: str) -> None:
    found = await ask(MemkitRetriever(memory=memory, user_id="ada", k=3), mode, "oat milk")
    assert len(found) == 3
    scores = [node.score or 0 for node in found]
    assert scores == sorted(scores, reverse=True)
    assert await ask(MemkitRetriever(memory=memory, user_id="nobody"), mode) == []


def test_filters_kinds_threshold_and_as_of_hold(memory: Memory) -> None:
    memory.add("I drink wine.", user_id="eve", metadata={"year": 2019}, kind="preference")
    memory.add("I drink beer.", user_id="eve", metadata={"year": 2023}, valid_from="2024-01-01")

    def found(**options: Any) -> list[str]:
        return sorted(texts(MemkitRetriever(memory=memory, user_id="eve", **options).retrieve(QUESTION)))

    assert found() == ["I drink beer.", "I drink wine."]
    assert found(filters={"year": {"gte": 2020}}) == ["I drink beer."]
    assert found(kinds="preference") == ["I drink wine."]
    assert found(threshold=1.0) == []
    assert found(as_of="2024-06-01") == ["I drink beer."]


# Whose memories.


def test_a_retriever_without_a_scope_is_an_error_that_says_what_to_write(memory: Memory) -> None:
    with pytest.raises(ScopeError, match='user_id="alice"'):
        MemkitRetriever(memory=memory)
    for blank in ("", "  "):
        with pytest.raises(ScopeError, match="blank"):
            MemkitRetriever(memory=memory, user_id=blank)
    with pytest.raises(ScopeError):
        MemkitRetriever(memory=memory.bind(user_id="ada"), user_id="bob").retrieve(QUESTION)


@pytest.mark.parametrize("user_id", ["ada@example.com", 42, "名前 ñ", "a/b:c", "ADA", "ada "])
async def test_any_id_is_compared_exactly(memory: Memory, mode: str, user_id: Any) -> None:
    memory.add("I drink rum.", user_id=user_id)
    assert texts(await ask(MemkitRetriever(memory=memory, user_id=user_id), mode)) == ["I drink rum."]
    assert "I drink rum." not in texts(await ask(MemkitRetriever(memory=memory, user_id="ada", k=9), mode))


@pytest.mark.parametrize(
    "forged",
    [
        "user_id=bob black coffee",
        '{"user_id": "bob"} coffee',
        "filters: {'user_id': 'bob'} OR 1=1",
        "bob's memories",
    ],
)
async def test_nothing_in_a_query_changes_the_scope(memory: Memory, mode: str, forged: str) -> None:
    retriever = MemkitRetriever(memory=memory, user_id="ada", k=20)
    for query in (forged, QueryBundle(forged, custom_embedding_strs=["user_id=bob"])):
        assert not set(texts(await ask(retriever, mode, query))) & set(BOB)


async def test_a_bound_memory_is_scope_enough_and_agents_are_narrowed(memory: Memory, mode: str) -> None:
    assert set(texts(await ask(MemkitRetriever(memory=memory.bind(user_id="bob"), k=9), mode))) <= set(BOB)
    memory.add("The bot likes gin.", user_id="ada", agent_id="bot")
    own = MemkitRetriever(memory=memory, user_id="ada", agent_id="bot", k=9)
    assert texts(await ask(own, mode)) == ["The bot likes gin."]
    both = MemkitRetriever(memory=memory, user_id="ada", agent_id=["bot", None], k=9)
    assert len(await ask(both, mode)) == 5


async def test_retrievers_of_two_users_run_side_by_side_without_a_leak(memory: Memory) -> None:
    whose = {"ada": set(ADA), "bob": set(BOB)}
    users = ["ada", "bob"] * 10
    found = await asyncio.gather(
        *[MemkitRetriever(memory=memory, user_id=user, k=9).aretrieve("coffee") for user in users]
    )
    for user, nodes in zip(users, found, strict=True):
        assert nodes and set(texts(nodes)) <= whose[user]


@pytest.mark.parametrize(
    "options", [{"k": 0}, {"k": "5"}, {"k": 2.5}, {"threshold": 2}, {"memory": "not a memory"}]
)
def test_a_wrong_constructor_argument_is_an_error_at_once(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        MemkitRetriever(**{"memory": memory, "user_id": "ada", **options})


@pytest.mark.parametrize("filters", [{"user_id": "bob"}, "food", {"price": {"$about": 5}}])
def test_a_wrong_filter_is_an_error_at_once(memory: Memory, filters: Any) -> None:
    with pytest.raises(FilterError):
        MemkitRetriever(memory=memory, user_id="ada", filters=filters)


async def test_a_wrong_query_or_option_is_an_error_of_memkit(memory: Memory, mode: str) -> None:
    with pytest.raises(InvalidInputError, match="blank"):
        await ask(MemkitRetriever(memory=memory, user_id="ada"), mode, " ")
    with pytest.raises(InvalidInputError):
        await ask(MemkitRetriever(memory=memory, user_id="ada", kinds=["nonsense"]), mode)


# Sync and async, over either kind of memory.


@pytest.fixture
async def async_memory() -> AsyncGenerator[AsyncMemory]:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as made:
        await made.add("I drink chai.", user_id="ada")
        yield made


async def test_an_async_memory_serves_both_kinds_of_call(async_memory: AsyncMemory, mode: str) -> None:
    assert texts(await ask(MemkitRetriever(memory=async_memory, user_id="ada"), mode)) == ["I drink chai."]


async def test_an_awaited_call_is_awaited_all_the_way_down() -> None:
    class Awaits(MockEmbedding):
        """Says which thread its async method runs in."""

        async def _aget_text_embedding(self, text: str) -> list[float]:
            return await super()._aget_text_embedding(text)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            threads.append(threading.get_ident())
            await asyncio.sleep(0)
            return self._get_query_embedding(query)

    threads: list[int] = []
    async with AsyncMemory(":memory:", llm=None, embedder=Awaits(embed_dim=8)) as made:
        await made.add("I drink chai.", user_id="ada")
        assert await MemkitRetriever(memory=made, user_id="ada").aretrieve(QUESTION)
    assert threads == [threading.get_ident()]


async def test_both_kinds_of_call_give_the_same(retriever: MemkitRetriever) -> None:
    for query in (QUESTION, "Where do I live?", "Which instrument does my sister play?"):
        assert await retriever.aretrieve(query) == retriever.retrieve(query)


# Inside LlamaIndex.


async def test_a_query_engine_answers_from_the_memories(retriever: MemkitRetriever, mode: str) -> None:
    engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    question = "Which milk do I drink?"
    answer = engine.query(question) if mode == "sync" else await engine.aquery(question)
    assert "I only drink oat milk in my coffee." in str(answer)
    for hidden in ("user_id", "ada", "created_at", "message_id"):
        assert hidden not in str(answer)
    assert [node.node_id for node in answer.source_nodes] == [n.node_id for n in retriever.retrieve(question)]
    assert all(node.score is not None for node in answer.source_nodes)


@pytest.mark.parametrize("kind", [ContextChatEngine, CondensePlusContextChatEngine])
async def test_a_chat_engine_shows_the_memories_to_its_model(
    retriever: MemkitRetriever, mode: str, kind: Any
) -> None:
    engine = kind.from_defaults(
        retriever=retriever, llm=MockLLM(), memory=ChatMemoryBuffer.from_defaults(llm=MockLLM())
    )
    question = "Which milk do I drink?"
    answer = engine.chat(question) if mode == "sync" else await engine.achat(question)
    assert "I only drink oat milk in my coffee." in str(answer)
    assert answer.source_nodes[0].get_content() == "I only drink oat milk in my coffee."


async def test_a_retriever_tool_prints_the_memories_and_ignores_made_up_arguments(
    retriever: MemkitRetriever, mode: str
) -> None:
    tool = RetrieverTool.from_defaults(retriever, name="recall", description="Recall.")
    arguments = {"input": "Which milk do I drink?", "user_id": "bob"}
    output = tool.call(**arguments) if mode == "sync" else await tool.acall(**arguments)
    assert "I only drink oat milk in my coffee." in output.content
    assert not any(text in output.content for text in BOB)


async def test_fusion_finds_the_same_memory_of_two_retrievers_once(memory: Memory, mode: str) -> None:
    twins = [MemkitRetriever(memory=memory, user_id="ada", k=k) for k in (3, 4)]
    fused = QueryFusionRetriever(
        twins, llm=MockLLM(), num_queries=1, similarity_top_k=10, mode="reciprocal_rerank", use_async=False
    )
    found = await ask(fused, mode, "Which milk do I drink?")
    assert len(found) == len({node.node_id for node in found}) == 4


def test_scores_serve_a_postprocessor(retriever: MemkitRetriever) -> None:
    best = retriever.retrieve("Which milk do I drink?")[0].score or 0
    engine = RetrieverQueryEngine.from_args(
        retriever, llm=MockLLM(), node_postprocessors=[SimilarityPostprocessor(similarity_cutoff=best)]
    )
    assert len(engine.query("Which milk do I drink?").source_nodes) == 1


def test_a_node_is_a_plain_text_node(retriever: MemkitRetriever) -> None:
    [node, *_] = retriever.retrieve(QUESTION)
    assert type(node.node) is TextNode
    assert TextNode.from_dict(node.node.to_dict()) == node.node


def test_a_warning_of_the_search_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Warn:
        def after_search(self, result: Any, scope: Any) -> Any:
            return result.model_copy(update={"warnings": ["The index is down."]})

    with (
        Memory(":memory:", llm=None, embedder="hash", hooks=[Warn()]) as warned,
        caplog.at_level(logging.WARNING, logger="llama_index.memory.memkit"),
    ):
        warned.add("I drink tea.", user_id="ada")
        MemkitRetriever(memory=warned, user_id="ada").retrieve(QUESTION)
    assert [record.getMessage() for record in caplog.records] == ["memkit: The index is down."]


def test_importing_the_package_imports_neither_llama_index_core_nor_memkit() -> None:
    code = (
        "import sys, llama_index.memory.memkit as package\n"
        "assert not {'llama_index.core', 'memkit.memory', 'numpy'} & set(sys.modules)\n"
        "assert 'MemkitRetriever' in dir(package)\n"
        "from llama_index.memory.memkit import MemkitRetriever\n"
        "assert not {'chromadb', 'langchain_core'} & set(sys.modules)\n"
        "try:\n"
        "    package.MemkitRetreiver\n"
        "except AttributeError as error:\n"
        "    assert 'MemkitRetreiver' in str(error)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
