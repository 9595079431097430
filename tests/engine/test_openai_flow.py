"""The whole engine with the real OpenAI client over a real socket: what one call costs, and what a bad day does."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from memkit.embedders.hash import HashEmbedder
from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ExtractionError,
    RateLimitError,
)
from memkit.ledger.sqlite import SqliteLedger
from memkit.ranking.text import TOKENIZER_VERSION, tokens
from memkit.testing import Fault, OpenAIServer
from tests.engine.faces import Face, World, answer, fact

OSLO = answer(fact("The user lives in Oslo.", quote="I live in Oslo"))
CAT = answer(fact("The user has a cat.", quote="I have a cat"))


@pytest.fixture
def server() -> Generator[OpenAIServer]:
    with OpenAIServer(dim=1536) as made:
        yield made


def connect(world: World, server: OpenAIServer, *, embed: bool = True, **given: Any) -> Face:
    config = {"api_key": "sk-test", "base_url": server.base_url}
    chat = {**config, "model": "gpt-4o-mini", **given.pop("llm_config", {})}
    more = {"embedder": {"provider": "openai", "config": config}} if embed else {}
    return world.open(llm={"provider": "openai", "config": chat}, **more, **given)


def asked(server: OpenAIServer) -> list[str]:
    return [request.path.rsplit("/v1/", 1)[-1] for request in server.requests]


def test_one_add_is_one_chat_two_embeddings_and_two_transactions_and_one_search_is_one_embedding(
    world: World, server: OpenAIServer
) -> None:
    steps: list[str] = []
    ledger = SqliteLedger(
        world.folder / "memory.db", tokenize=tokens, tokenizer_version=TOKENIZER_VERSION, on_step=steps.append
    )
    server.say(OSLO, CAT)
    memory = connect(world, server, ledger=ledger)
    first = memory.add("I live in Oslo.", user_id="u")
    assert asked(server).count("chat/completions") == 1 and asked(server).count("embeddings") <= 2
    assert steps.count("committed") <= 2, "the first add too"
    server.requests.clear()
    steps.clear()
    result = memory.add(
        [{"role": "user", "content": "I have a cat."}, {"role": "assistant", "content": "How nice."}],
        user_id="u",
    )
    assert sorted(asked(server)) == ["chat/completions", "embeddings", "embeddings"]
    assert steps.count("committed") == 2
    assert (result.usage.llm_calls, result.usage.embedding_calls) == (1, 2)
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0
    assert [o.event for o in (*first.results, *result.results)] == ["ADD", "ADD"]
    server.requests.clear()
    assert memory.found("Does the user have a cat?", user_id="u")[0] == "The user has a cat."
    assert asked(server) == ["embeddings"]
    server.requests.clear()
    assert memory.get_all(user_id="u").results and memory.count(user_id="u") and memory.messages(user_id="u")
    assert memory.history(result.results[0].id)
    memory.update(result.results[0].id, metadata={"a": 1})
    assert asked(server) == [], "reading costs nothing"


def test_the_key_alone_chooses_openai(
    world: World, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    server.say(OSLO)
    memory = world.open(llm="auto", embedder="auto")
    memory.add("I live in Oslo.", user_id="u")
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]
    health = memory.health()
    assert "OPENAI_API_KEY" in health.chosen["llm"] and "OPENAI_API_KEY" in health.chosen["embedder"]
    assert (
        server.requests[-1].headers.get("Authorization", server.requests[-1].headers.get("authorization"))
        == "Bearer sk-test"
    )
    assert "sk-test" not in repr(health)


@pytest.mark.parametrize(
    ("fault", "error", "tries"),
    [
        (Fault(status=500), BackendUnavailableError, 3),
        (Fault(status=503), BackendUnavailableError, 3),
        (Fault(drop=True), BackendUnavailableError, 3),
        (Fault(status=429, retry_after="0"), RateLimitError, 3),
        (Fault(status=401), AuthenticationError, 1),
        (Fault(status=200, body="<html>"), BackendError, 1),
    ],
    ids=lambda v: str(getattr(v, "status", getattr(v, "__name__", v))),
)
def test_a_model_on_a_bad_day_loses_nothing(
    world: World, server: OpenAIServer, fault: Fault, error: type[BackendError], tries: int
) -> None:
    memory = connect(world, server, embed=False)
    server.fail(*[fault] * 12, path="chat")
    with pytest.raises(error) as raised:
        memory.add("I live in Oslo.", user_id="u")
    assert raised.value.operation_id
    if tries > 1:
        assert len(server.requests) >= tries and raised.value.retryable
    assert [m.content for m in memory.messages(user_id="u")] == ["I live in Oslo."]
    server._faults.clear()
    server.say(OSLO)
    result = memory.add("I live in Oslo.", user_id="u")
    assert result.operation_id == raised.value.operation_id
    assert memory.texts(user_id="u") == ["The user lives in Oslo."] and len(memory.messages(user_id="u")) == 1


def test_one_failure_is_tried_again_without_anybody_noticing(world: World, server: OpenAIServer) -> None:
    server.say(OSLO)
    memory = connect(world, server)
    server.fail(Fault(status=503), path="chat")
    server.fail(Fault(status=500), path="embeddings")
    assert [o.event for o in memory.add("I live in Oslo.", user_id="u").results] == ["ADD"]


def test_a_model_that_is_too_slow_is_a_timeout(world: World, server: OpenAIServer) -> None:
    server.say(OSLO)
    memory = connect(world, server, embed=False, llm_config={"timeout_s": 0.2, "max_retries": 0})
    server.fail(*[Fault(status=200, delay_s=0.8)] * 6, path="chat")
    with pytest.raises(BackendTimeoutError) as error:
        memory.add("I live in Oslo.", user_id="u")
    assert error.value.retryable and error.value.operation_id
    assert len(memory.messages(user_id="u")) == 1


def test_junk_over_the_wire_twice_keeps_the_turns(world: World, server: OpenAIServer) -> None:
    server.say("no json", "still none")
    memory = connect(world, server, embed=False)
    with pytest.raises(ExtractionError):
        memory.add("I live in Oslo.", user_id="u")
    assert len(server.requests) == 2 and len(memory.messages(user_id="u")) == 1
    server.say(OSLO)
    assert len(memory.repair().finished) == 1 and memory.texts(user_id="u") == ["The user lives in Oslo."]


def test_an_embedder_that_is_down_loses_nothing(world: World, server: OpenAIServer) -> None:
    server.say(OSLO, OSLO)
    memory = connect(world, server)
    memory.add("hello", user_id="v", infer=False)
    server.fail(*[Fault(status=503)] * 30, path="embeddings")
    with pytest.raises(BackendUnavailableError):
        memory.add("I live in Oslo.", user_id="u")
    assert memory.count(user_id="u") == 0 and len(memory.messages(user_id="u")) == 1
    with pytest.raises(BackendUnavailableError):
        memory.search("Oslo", user_id="u")
    server._faults.clear()
    assert len(memory.repair().finished) == 1
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]


def test_no_text_is_embedded_twice_in_a_turn(world: World, server: OpenAIServer) -> None:
    memory = connect(world, server)
    memory.add("I have a dog.", user_id="u", infer=False)
    server.requests.clear()
    server.say(answer(fact("I have a cat.", quote="I have a cat.")))
    memory.context("I have a cat.", user_id="u")
    memory.add([{"role": "user", "content": "I have a cat."}], user_id="u")
    memory.search("I have a cat.", user_id="u")
    texts = [text for request in server.embedded for text in request]
    assert texts == ["I have a cat."], "asked, looked up, stored and asked again"


def test_an_embedder_that_tells_queries_from_documents_is_asked_for_both(world: World) -> None:
    asked: list[tuple[str, str]] = []

    class Asymmetric(HashEmbedder):
        symmetric = False

        def embed(self, texts: Any, *, purpose: Any = "document") -> Any:
            asked.extend((purpose, text) for text in texts)
            return super().embed(texts, purpose=purpose)

    memory = world.open(embedder=Asymmetric())
    memory.add("tea", user_id="u", infer=False)
    memory.search("tea", user_id="u")
    memory.search("tea", user_id="u")
    assert asked == [("document", "tea"), ("query", "tea")]
