"""What a retriever gives back, what a call may change, and how it behaves inside LangChain's machinery."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import pickle
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.load import dumpd, dumps
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnablePassthrough

from langchain_memkit import MemkitRetriever
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError, FilterError, InvalidInputError, ScopeError

QUESTION = "What do I drink?"
ADA: RunnableConfig = {"configurable": {"user_id": "ada"}}


@pytest.fixture
def retriever(memory: Memory) -> MemkitRetriever:
    return MemkitRetriever(memory=memory, user_id="ada", k=2)


# Documents.


def test_a_document_carries_the_whole_memory_as_plain_json(memory: Memory) -> None:
    turn = {
        "role": "user",
        "name": "Ada",
        "content": "I drink mint tea.",
        "created_at": "2025-04-02T08:00:00+02:00",
    }
    result = memory.add(turn, user_id="ada", agent_id="bot", run_id="r1", metadata={"topic": "drinks"})
    found = MemkitRetriever(memory=memory, user_id="ada", run_id="r1").invoke("mint tea")
    assert [document.page_content for document in found] == ["I drink mint tea."]
    document = found[0]
    assert document.id == result.results[0].id
    data = document.metadata
    assert data["topic"] == "drinks"
    assert (data["user_id"], data["agent_id"], data["run_id"]) == ("ada", "bot", "r1")
    assert (data["actor_id"], data["role"], data["kind"], data["origin"]) == (
        "Ada",
        "user",
        "message",
        "user",
    )
    assert data["created_at"] == "2025-04-02T06:00:00+00:00"
    assert 0 < data["score"] <= 1
    message = memory.messages(user_id="ada", run_id="r1")[0]
    assert [source["message_id"] for source in data["sources"]] == [message.id]
    assert json.loads(json.dumps(data)) == data
    assert None not in data.values()


def test_a_key_of_the_user_that_is_also_ours_is_not_lost(memory: Memory) -> None:
    memory.add(
        "I drink cocoa.",
        user_id="eve",
        metadata={"score": "ten out of ten", "kind": "hot", "topic": "drinks"},
    )
    data = MemkitRetriever(memory=memory, user_id="eve").invoke("cocoa")[0].metadata
    assert isinstance(data["score"], float)
    assert data["topic"] == "drinks"
    assert data["metadata"] == {"score": "ten out of ten", "kind": "hot"}


def test_documents_come_best_first(memory: Memory) -> None:
    scores = [
        d.metadata["score"] for d in MemkitRetriever(memory=memory, user_id="ada", k=4).invoke("oat milk")
    ]
    assert scores == sorted(scores, reverse=True)


def test_a_user_without_memories_gets_an_empty_list(memory: Memory) -> None:
    assert MemkitRetriever(memory=memory, user_id="nobody").invoke(QUESTION) == []


# What a call may change.


async def test_k_is_set_by_the_constructor_or_by_the_call(retriever: MemkitRetriever) -> None:
    assert len(retriever.invoke(QUESTION)) == 2
    assert len(retriever.invoke(QUESTION, k=3)) == 3
    assert len(await retriever.ainvoke(QUESTION)) == 2
    assert len(await retriever.ainvoke(QUESTION, k=3)) == 3
    assert len(retriever.bind(k=1).invoke(QUESTION)) == 1
    assert [len(found) for found in retriever.batch([QUESTION] * 2, k=1)] == [1, 1]


@pytest.fixture
def labelled(memory: Memory) -> Memory:
    memory.add(
        "I drink wine on Sundays.", user_id="ada", metadata={"topic": "wine", "year": 2019}, kind="preference"
    )
    memory.add(
        "I drink beer on Mondays.", user_id="ada", metadata={"topic": "beer", "year": 2023}, kind="event"
    )
    return memory


def test_filters_and_kinds_hold_for_the_constructor_and_the_call(labelled: Memory) -> None:
    def texts(retriever: MemkitRetriever, **options: Any) -> list[str]:
        return [document.page_content for document in retriever.invoke(QUESTION, **options)]

    plain = MemkitRetriever(memory=labelled, user_id="ada")
    assert texts(plain, filters={"topic": "wine"}) == ["I drink wine on Sundays."]
    assert texts(plain, filters={"year": {"gte": 2020}}) == ["I drink beer on Mondays."]
    assert texts(plain, kinds="preference") == ["I drink wine on Sundays."]
    assert texts(plain, kinds=["event"]) == ["I drink beer on Mondays."]
    fixed = MemkitRetriever(memory=labelled, user_id="ada", filters={"topic": "wine"}, kinds="preference")
    assert texts(fixed) == ["I drink wine on Sundays."]
    assert texts(fixed, filters=None, kinds=["event"]) == ["I drink beer on Mondays."]


def test_a_threshold_leaves_out_what_scores_less(retriever: MemkitRetriever) -> None:
    scores = [document.metadata["score"] for document in retriever.invoke("oat milk in coffee", k=4)]
    found = retriever.invoke("oat milk in coffee", k=4, threshold=scores[0])
    assert [document.metadata["score"] for document in found] == [s for s in scores if s >= scores[0]]
    assert retriever.invoke("quantum chromodynamics", threshold=1.0) == []


def test_as_of_answers_from_what_was_true_then(memory: Memory) -> None:
    memory.add("I drink from a blue cup.", user_id="eve", valid_from="2024-01-01")
    retriever = MemkitRetriever(memory=memory, user_id="eve")
    assert retriever.invoke("cup", as_of="2023-06-01") == []
    assert len(retriever.invoke("cup", as_of="2024-06-01")) == 1
    assert MemkitRetriever(memory=memory, user_id="eve", as_of="2023-06-01").invoke("cup") == []


def test_an_unknown_option_is_an_error_that_names_the_nearest(retriever: MemkitRetriever) -> None:
    with pytest.raises(InvalidInputError, match="'threshold'"):
        retriever.invoke(QUESTION, treshold=0.5)
    with pytest.raises(ValueError, match="top_k"):
        MemkitRetriever(memory=retriever.memory, top_k=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, InvalidInputError),
        ({"threshold": 2.0}, InvalidInputError),
        ({"kinds": ["nonsense"]}, InvalidInputError),
        ({"filters": {"topic": {"like": "w"}}}, FilterError),
    ],
)
def test_a_wrong_option_is_an_error_of_memkit(
    retriever: MemkitRetriever, options: dict[str, Any], error: type
) -> None:
    with pytest.raises(error):
        retriever.invoke(QUESTION, **options)


def test_a_blank_query_is_an_error(retriever: MemkitRetriever) -> None:
    with pytest.raises(InvalidInputError, match="blank"):
        retriever.invoke("  ")


@pytest.mark.parametrize("options", [{"k": 0}, {"threshold": 1.5}, {"memory": "not a memory"}])
def test_a_wrong_constructor_argument_is_an_error_at_once(memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MemkitRetriever(**{"memory": memory, "user_id": "ada", **options})


# Sync and async, over either kind of memory.


@pytest.fixture
async def async_memory() -> AsyncGenerator[AsyncMemory]:
    async with AsyncMemory(":memory:") as made:
        await made.add("I drink chai.", user_id="ada")
        yield made


async def test_an_async_memory_serves_both_kinds_of_call(async_memory: AsyncMemory) -> None:
    retriever = MemkitRetriever(memory=async_memory, user_id="ada")
    assert [d.page_content for d in await retriever.ainvoke(QUESTION)] == ["I drink chai."]
    assert [d.page_content for d in await asyncio.to_thread(retriever.invoke, QUESTION)] == ["I drink chai."]
    assert [d.page_content for d in retriever.invoke(QUESTION)] == ["I drink chai."]


async def test_both_kinds_of_call_give_the_same(retriever: MemkitRetriever) -> None:
    for query in (QUESTION, "Where do I live?", "Which instrument does my sister play?"):
        assert await retriever.ainvoke(query) == retriever.invoke(query)


async def test_many_awaited_calls_share_one_memory(retriever: MemkitRetriever) -> None:
    one = retriever.invoke(QUESTION)
    assert await asyncio.gather(*[retriever.ainvoke(QUESTION) for _ in range(32)]) == [one] * 32


async def test_an_awaited_call_sees_what_was_written_a_moment_ago(
    retriever: MemkitRetriever, memory: Memory
) -> None:
    memory.add("I drink absinthe, the green fairy.", user_id="ada")
    assert (await retriever.ainvoke("green fairy", k=1))[
        0
    ].page_content == "I drink absinthe, the green fairy."


# Inside LangChain.


def test_it_feeds_a_prompt_in_a_chain(memory: Memory) -> None:
    def lines(documents: list[Document]) -> str:
        return "\n".join(document.page_content for document in documents)

    prompt = ChatPromptTemplate.from_template("{memories}\n\n{question}")
    chain = {
        "memories": MemkitRetriever(memory=memory, k=1) | lines,
        "question": RunnablePassthrough(),
    } | prompt
    text = chain.invoke("Where do I live, in Lisbon?", ADA).to_string()
    assert text == "Human: I moved to Lisbon in May.\n\nWhere do I live, in Lisbon?"


def test_copies_share_the_memory(retriever: MemkitRetriever) -> None:
    for twin in (
        copy.copy(retriever),
        copy.deepcopy(retriever),
        retriever.model_copy(deep=True),
        retriever.model_copy(update={"k": 2}),
    ):
        assert twin.memory is retriever.memory
        assert twin.invoke(QUESTION) == retriever.invoke(QUESTION)
    assert copy.deepcopy([retriever.with_retry(), retriever.bind(k=1)])


def test_it_can_be_sent_to_another_process(retriever: MemkitRetriever) -> None:
    twin = pickle.loads(pickle.dumps(retriever))
    try:
        assert twin.invoke(QUESTION) == retriever.invoke(QUESTION)
    finally:
        twin.memory.close()
    bound = pickle.loads(pickle.dumps(retriever.memory.bind(user_id="ada")))
    assert bound.scope == retriever.memory.bind(user_id="ada").scope


def test_a_memory_that_lives_in_this_process_alone_says_so_when_pickled() -> None:
    with Memory(":memory:") as memory, pytest.raises(ConfigurationError, match="path"):
        pickle.dumps(MemkitRetriever(memory=memory, user_id="ada"))


def test_it_can_be_written_down_without_the_memory(retriever: MemkitRetriever, tmp_path: Path) -> None:
    assert json.loads(retriever.model_dump_json())["user_id"] == "ada"
    for text in (
        retriever.model_dump_json(),
        repr(retriever),
        dumps(retriever),
        json.dumps(dumpd(retriever)),
    ):
        assert str(tmp_path) not in text
        assert "memory=" not in text


def test_a_schema_of_it_can_be_made(retriever: MemkitRetriever) -> None:
    schema: Any = retriever.get_input_schema()
    assert schema.model_json_schema()["type"] == "string"
    assert retriever.get_graph().nodes


class Recorder(BaseCallbackHandler):
    """Keeps what a tracer would see."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.ended: list[Any] = []
        self.errors: list[BaseException] = []

    def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
        self.started.append({"query": query, **kwargs})

    def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
        self.ended.append(documents)

    def on_retriever_error(self, error: BaseException, **kwargs: Any) -> None:
        self.errors.append(error)


def test_a_tracer_sees_the_run_its_parameters_and_its_documents(retriever: MemkitRetriever) -> None:
    seen = Recorder()
    retriever.invoke("warm up")
    found = retriever.invoke(QUESTION, {"callbacks": [seen], "tags": ["mine"]})
    assert seen.ended == [found]
    assert seen.started[0]["tags"] == ["mine"]
    parameters = seen.started[0]["metadata"]
    assert parameters["ls_retriever_name"] == "memkit"
    assert parameters["ls_embedding_provider"] == "hash"
    assert parameters["ls_vector_store_provider"] == "sqlite"


async def test_a_tracer_sees_the_error_of_a_call_without_a_user(memory: Memory) -> None:
    retriever = MemkitRetriever(memory=memory)
    seen = Recorder()
    with pytest.raises(ScopeError):
        retriever.invoke(QUESTION, {"callbacks": [seen]})
    with pytest.raises(ScopeError):
        await retriever.ainvoke(QUESTION, {"callbacks": [seen]})
    assert [type(error) for error in seen.errors] == [ScopeError, ScopeError]


async def test_events_are_streamed(retriever: MemkitRetriever) -> None:
    events = [event["event"] async for event in retriever.astream_events(QUESTION, version="v2")]
    assert events == ["on_retriever_start", "on_retriever_end"]


def test_a_warning_of_the_search_is_logged(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    class Warn:
        def after_search(self, result: Any, scope: Any) -> Any:
            return result.model_copy(update={"warnings": ["The index is down."]})

    with (
        Memory(":memory:", hooks=[Warn()]) as warned,
        caplog.at_level(logging.WARNING, logger="langchain_memkit"),
    ):
        warned.add("I drink tea.", user_id="ada")
        MemkitRetriever(memory=warned, user_id="ada").invoke(QUESTION)
    assert [record.getMessage() for record in caplog.records] == ["memkit: The index is down."]


# The package.


def test_importing_the_package_imports_neither_langchain_nor_memkit() -> None:
    code = (
        "import sys, langchain_memkit\n"
        "assert not {'langchain_core', 'memkit.memory', 'numpy'} & set(sys.modules)\n"
        "assert 'MemkitRetriever' in dir(langchain_memkit)\n"
        "from langchain_memkit import MemkitRetriever\n"
        "assert not {'langgraph', 'langchain', 'chromadb', 'openai'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import langchain_memkit

    with pytest.raises(AttributeError, match="MemkitRetreiver"):
        _ = langchain_memkit.MemkitRetreiver  # type: ignore[attr-defined]
