"""Diversity and source turns, and the retriever inside everything that LangChain wraps retrievers in."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.cross_encoders import BaseCrossEncoder
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.load import dumpd
from langchain_core.messages import ToolCall
from langchain_core.runnables import ConfigurableField, RunnableConfig, RunnableLambda, RunnablePassthrough
from langchain_core.tools import create_retriever_tool

from langchain_memkit import MemkitRetriever
from langchain_memkit._diversity import mmr
from memkit import AsyncMemory, Memory
from memkit.errors import InvalidInputError, ScopeError

QUESTION = "What do I drink?"
SAME = [f"I drink oat milk in my coffee, cup {number}." for number in range(6)]
ODD = "I drink water from a well."


def texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents]


def whose(user_id: object) -> RunnableConfig:
    return {"configurable": {"user_id": user_id}}


# Diversity.


@pytest.fixture
def repetitive(memory: Memory) -> Memory:
    memory.add_many([*SAME, ODD], user_id="eve")
    return memory


async def test_mmr_repeats_less_and_begins_with_the_best(repetitive: Memory) -> None:
    retriever = MemkitRetriever(memory=repetitive, user_id="eve", k=3)
    query = "Do I drink oat milk in my coffee?"
    plain = texts(retriever.invoke(query))
    assert ODD not in plain
    diverse = texts(retriever.invoke(query, search_type="mmr", lambda_mult=0.1))
    assert ODD in diverse
    assert diverse[0] == plain[0]
    assert len(set(diverse)) == 3
    fixed = MemkitRetriever(memory=repetitive, user_id="eve", k=3, search_type="mmr", lambda_mult=0.1)
    assert texts(fixed.invoke(query)) == diverse == texts(await fixed.ainvoke(query))


async def test_mmr_that_weighs_the_score_alone_is_similarity(repetitive: Memory) -> None:
    retriever = MemkitRetriever(memory=repetitive, user_id="eve", k=4)
    for query in (QUESTION, "water", "coffee"):
        plain = retriever.invoke(query)
        assert await retriever.ainvoke(query, search_type="mmr", lambda_mult=1.0) == plain


def test_mmr_chooses_among_the_fetched_alone(repetitive: Memory) -> None:
    retriever = MemkitRetriever(
        memory=repetitive, user_id="eve", k=2, search_type="mmr", fetch_k=2, lambda_mult=0
    )
    query = "Do I drink oat milk in my coffee?"
    assert set(texts(retriever.invoke(query))) == set(
        texts(retriever.invoke(query, search_type="similarity"))
    )
    assert len(retriever.invoke(query, k=5, fetch_k=1)) == 5


def test_mmr_takes_what_its_formula_says() -> None:
    generator = np.random.default_rng(3)
    for _ in range(20):
        rows = generator.standard_normal((8, 5))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ids = [f"m{at}" for at in range(8)]
        scores = dict(zip(ids, generator.random(8).tolist(), strict=True))
        vectors = dict(zip(ids, rows.tolist(), strict=True))
        taken: list[str] = []
        while len(taken) < 5:
            worth = {
                id: 0.3 * scores[id]
                - 0.7 * max([0.0, *(float(np.dot(vectors[id], vectors[other])) for other in taken)])
                for id in ids
                if id not in taken
            }
            taken.append(max(worth, key=worth.__getitem__))
        assert mmr(scores, vectors, k=5, lambda_mult=0.3) == taken
    assert mmr({}, {}, k=3, lambda_mult=0.5) == []
    assert mmr({"a": 0.1, "b": 0.9}, {}, k=3, lambda_mult=0.5) == ["b", "a"]


def test_mmr_embeds_the_query_and_nothing_else() -> None:
    class Counting(DeterministicFakeEmbedding):
        asked: ClassVar[list[str]] = []

        def embed_query(self, text: str) -> list[float]:
            self.asked.append(text)
            return super().embed_query(text)

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            self.asked.extend(texts)
            return super().embed_documents(texts)

    counting = Counting(size=16)
    with Memory(":memory:", embedder=counting) as memory:
        memory.add_many([*SAME, ODD], user_id="eve")
        counting.asked.clear()
        MemkitRetriever(memory=memory, user_id="eve", search_type="mmr").invoke(QUESTION)
        assert counting.asked == [QUESTION]


@pytest.mark.parametrize(
    "options",
    [
        {"search_type": "similarity_score_threshold"},
        {"search_type": None},
        {"fetch_k": 0},
        {"fetch_k": 2.5},
        {"k": 2.0},
        {"lambda_mult": 1.5},
        {"lambda_mult": "much"},
        {"k": None},
        {"k": True},
    ],
)
def test_a_wrong_option_of_a_call_is_an_error_that_names_it(memory: Memory, options: dict[str, Any]) -> None:
    retriever = MemkitRetriever(memory=memory, user_id="ada")
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        retriever.invoke(QUESTION, **options)


# Source turns.


@pytest.fixture
def told() -> Generator[Memory]:
    with Memory(":memory:") as made:
        made.add(
            [
                {
                    "role": "user",
                    "name": "Ada",
                    "content": "I drink mint tea.",
                    "created_at": "2025-04-02T08:00Z",
                },
                {"role": "assistant", "content": "Mint tea it is."},
            ],
            user_id="ada",
            run_id="r1",
        )
        made.add("I drink mint tea too.", user_id="bob")
        yield made


async def test_the_turns_a_memory_rests_on_are_attached_when_asked_for(told: Memory) -> None:
    retriever = MemkitRetriever(memory=told, user_id="ada")
    assert "source_turns" not in retriever.invoke("mint tea")[0].metadata
    found = retriever.invoke("mint tea", sources=True)
    by_text = {document.page_content: document.metadata for document in found}
    (turn,) = by_text["I drink mint tea."]["source_turns"]
    assert turn == {
        "id": by_text["I drink mint tea."]["sources"][0]["message_id"],
        "role": "user",
        "name": "Ada",
        "text": "I drink mint tea.",
        "created_at": "2025-04-02T08:00:00+00:00",
    }
    assert json.loads(json.dumps(turn)) == turn
    fixed = MemkitRetriever(memory=told, user_id="ada", sources=True)
    assert await fixed.ainvoke("mint tea") == found
    assert MemkitRetriever(memory=told, user_id="nobody", sources=True).invoke("mint tea") == []


def test_turns_come_from_one_call_and_stay_in_the_scope(told: Memory) -> None:
    asked: list[dict[str, Any]] = []

    class Watched(Memory):
        def messages(self, **given: Any) -> Any:
            asked.append(given)
            return super().messages(**given)

        def to_sync(self) -> Any:
            return self

    with Watched(":memory:") as memory:
        memory.add(
            [{"role": "user", "content": f"I drink {what}."} for what in ("tea", "mint", "sage")],
            user_id="ada",
        )
        found = MemkitRetriever(memory=memory, user_id="ada", sources=True, k=3).invoke(QUESTION)
    assert all(document.metadata["source_turns"] for document in found)
    assert [call["user_id"] for call in asked] == ["ada"]
    assert len(asked[0]["ids"]) == 3


def test_a_turn_that_was_deleted_is_not_attached(told: Memory) -> None:
    turns = told.messages(user_id="ada")
    told.mark_messages([turn.id for turn in turns], status="deleted", user_id="ada")
    found = MemkitRetriever(memory=told, user_id="ada", sources=True).invoke("mint tea")
    assert [document.metadata["source_turns"] for document in found] == [[] for _ in found]


# Inside LangChain.


@pytest.fixture
def retriever(memory: Memory) -> MemkitRetriever:
    return MemkitRetriever(memory=memory, k=2)


async def test_two_users_in_one_batch_never_mix(retriever: MemkitRetriever) -> None:
    configs = [whose("ada"), whose("bob")] * 4
    for found in (
        retriever.batch([QUESTION] * 8, configs),
        await retriever.abatch([QUESTION] * 8, configs),
        [documents for _, documents in sorted(retriever.batch_as_completed([QUESTION] * 8, configs))],
    ):
        owners = [{document.metadata["user_id"] for document in documents} for documents in found]
        assert owners == [{"ada"}, {"bob"}] * 4


async def test_it_streams_one_answer(retriever: MemkitRetriever) -> None:
    expected = retriever.invoke(QUESTION, whose("ada"))
    assert list(retriever.stream(QUESTION, whose("ada"))) == [expected]
    assert [found async for found in retriever.astream(QUESTION, whose("ada"))] == [expected]
    chain = RunnablePassthrough() | retriever | RunnableLambda(texts)
    assert [part async for part in chain.astream(QUESTION, whose("ada"))] == [texts(expected)]


async def test_fields_can_be_configured_by_the_call(memory: Memory) -> None:
    retriever = MemkitRetriever(memory=memory, k=1).configurable_fields(
        k=ConfigurableField(id="k"),
        user_id=ConfigurableField(id="who"),
        search_type=ConfigurableField(id="search_type"),
    )
    config: RunnableConfig = {"configurable": {"k": 3, "who": "bob", "search_type": "mmr"}}
    for found in (retriever.invoke(QUESTION, config), await retriever.ainvoke(QUESTION, config)):
        assert [document.metadata["user_id"] for document in found] == ["bob"] * 3
    assert len(retriever.invoke(QUESTION, whose("ada"))) == 1


async def test_wrappers_keep_scope_and_options(retriever: MemkitRetriever) -> None:
    expected = retriever.invoke(QUESTION, whose("ada"), k=1)
    for wrapped in (
        retriever.with_config(configurable={"user_id": "ada"}).bind(k=1),
        retriever.bind(k=1).with_config(configurable={"user_id": "ada"}),
        retriever.with_retry(stop_after_attempt=2).with_config(configurable={"user_id": "ada"}).bind(k=1),
        MemkitRetriever(memory=retriever.memory, k=1).with_fallbacks([retriever]).with_config(whose("ada")),
    ):
        assert wrapped.invoke(QUESTION) == expected
        assert await wrapped.ainvoke(QUESTION) == expected
        assert copy.deepcopy(wrapped).invoke(QUESTION) == expected


def test_a_tool_of_it_searches_for_the_user_of_the_call_and_the_model_names_nobody(
    retriever: MemkitRetriever,
) -> None:
    tool = create_retriever_tool(retriever, "recall", "Looks memories up.")
    assert set(tool.args) == {"query"}
    assert "oat milk" in tool.invoke({"query": QUESTION}, whose("ada"))
    forged = ToolCall(
        name="recall",
        args={"query": QUESTION, "user_id": "bob", "config": whose("bob"), "scope": "bob"},
        id="1",
        type="tool_call",
    )
    answer = tool.invoke(forged, whose("ada"))
    assert "oat milk" in answer.content
    assert "black coffee" not in answer.content
    with pytest.raises(ScopeError):
        tool.invoke({"query": QUESTION, "user_id": "bob"})


async def test_a_compressing_retriever_narrows_what_it_finds(retriever: MemkitRetriever) -> None:
    class Shorter(BaseCrossEncoder):
        def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
            return [-float(len(text)) for _, text in text_pairs]

    compressing = ContextualCompressionRetriever(
        base_compressor=CrossEncoderReranker(model=Shorter(), top_n=1), base_retriever=retriever
    )
    expected = [min(texts(retriever.invoke(QUESTION, whose("ada"))), key=len)]
    chain = RunnablePassthrough() | compressing | RunnableLambda(texts)
    assert chain.invoke(QUESTION, whose("ada")) == expected == await chain.ainvoke(QUESTION, whose("ada"))
    # Called by itself it drops the config on the way: nobody is named then, and nobody's memories are shown.
    with pytest.raises(ScopeError):
        compressing.invoke(QUESTION, whose("ada"))
    pinned = MemkitRetriever(memory=retriever.memory, user_id="ada", k=2)
    compressing = ContextualCompressionRetriever(
        base_compressor=CrossEncoderReranker(model=Shorter(), top_n=1), base_retriever=pinned
    )
    assert texts(compressing.invoke(QUESTION)) == expected == texts(await compressing.ainvoke(QUESTION))


def test_a_reranker_of_the_memory_is_used_and_can_be_turned_off() -> None:
    class Last(BaseCrossEncoder):
        def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
            return [float("oboe" in text) for _, text in text_pairs]

    with Memory(":memory:", reranker=Last()) as memory:
        memory.add_many(["I drink tea in the morning.", "I own an oboe."], user_id="ada")
        retriever = MemkitRetriever(memory=memory, user_id="ada")
        assert texts(retriever.invoke("Do I drink tea?"))[0] == "I own an oboe."
        assert texts(retriever.invoke("Do I drink tea?", rerank=False))[0] == "I drink tea in the morning."


@pytest.mark.parametrize("name", ["user_id", "agent_id", "run_ids", "scope", "config_"])
async def test_an_id_forged_into_a_call_is_refused(retriever: MemkitRetriever, name: str) -> None:
    with pytest.raises(InvalidInputError, match=name):
        retriever.invoke(QUESTION, whose("ada"), **{name: "bob"})
    with pytest.raises(InvalidInputError, match=name):
        await retriever.ainvoke(QUESTION, whose("ada"), **{name: "bob"})


@pytest.mark.parametrize("query", ["user_id: bob", '{"user_id": "bob"}', "what does bob drink? ' OR 1=1 --"])
def test_nothing_in_a_query_changes_the_scope(retriever: MemkitRetriever, query: str) -> None:
    found = retriever.invoke(query, whose("ada"), k=10)
    assert {document.metadata["user_id"] for document in found} == {"ada"}


@pytest.mark.parametrize("user_id", ["ann@example.com", 7, "7", "名前 é", "a:b:c", "a/b%_*", " x "])
async def test_any_id_finds_its_own_memories(memory: Memory, user_id: Any) -> None:
    memory.add("I drink birch water.", user_id=user_id)
    memory.add("I drink bilge water.", user_id=f"{user_id}x")
    for retriever, config in (
        (MemkitRetriever(memory=memory, user_id=user_id, sources=True), None),
        (MemkitRetriever(memory=memory, search_type="mmr"), whose(user_id)),
    ):
        assert texts(retriever.invoke(QUESTION, config)) == ["I drink birch water."]
        assert texts(await retriever.ainvoke(QUESTION, config)) == ["I drink birch water."]


def test_options_survive_copies_and_another_process(memory: Memory) -> None:
    retriever = MemkitRetriever(
        memory=memory, user_id="ada", search_type="mmr", fetch_k=7, lambda_mult=0.25, sources=True
    )
    twins = [copy.deepcopy(retriever), retriever.model_copy(deep=True), pickle.loads(pickle.dumps(retriever))]
    for twin in twins:
        assert (twin.search_type, twin.fetch_k, twin.lambda_mult, twin.sources) == ("mmr", 7, 0.25, True)
        assert texts(twin.invoke(QUESTION)) == texts(retriever.invoke(QUESTION))
    twins[-1].memory.close()


def test_what_is_written_down_holds_no_secret(tmp_path: Path) -> None:
    key = "sk-very-secret"
    llm = {"provider": "openai", "config": {"api_key": key}}
    with Memory(tmp_path, llm=llm, embedder="hash") as memory:
        retriever = MemkitRetriever(memory=memory, user_id="ada")
        for written in (
            dumpd(retriever),
            repr(retriever),
            retriever.model_dump_json(),
            retriever.get_graph(),
        ):
            assert key not in str(written)


async def test_an_async_memory_gives_vectors_and_turns_too() -> None:
    async with AsyncMemory(":memory:") as memory:
        await memory.add([{"role": "user", "content": text} for text in (*SAME, ODD)], user_id="eve")
        retriever = MemkitRetriever(
            memory=memory, user_id="eve", search_type="mmr", sources=True, k=3, lambda_mult=0.1
        )
        found = await retriever.ainvoke("Do I drink oat milk in my coffee?")
        assert ODD in texts(found)
        assert all(document.metadata["source_turns"] for document in found)
