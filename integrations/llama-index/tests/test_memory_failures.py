"""`MemkitMemory` when it is reset, written down, failing, or given what it cannot use."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llama_index.memory.memkit import MemkitMemory
from memkit import Memory
from memkit.errors import BackendUnavailableError, ConfigurationError, FilterError, MemkitError, ScopeError
from memkit.testing import FakeEmbedder, FakeLLM

from .scripted_agents import Watching, assistant, said, session, texts, user


@pytest.fixture
def watch() -> Watching:
    return Watching()


@pytest.fixture
def store(tmp_path: Path, watch: Watching) -> Generator[Memory]:
    with Memory(tmp_path / "store", hooks=[watch]) as memory:
        yield memory


# Reset.


def test_reset_leaves_what_was_learned_unless_told_otherwise(store: Memory) -> None:
    memory = session(store)
    memory.put_messages([user("I live in Ghent."), assistant("Noted.")])
    session(store, user_id="bob").put_messages([user("I live in Oslo."), assistant("Cold.")])
    memory.reset()
    assert memory.get_all() == []
    assert texts(store) == ["I live in Ghent.", "Noted."]
    memory.reset(long_term=True)
    assert texts(store) == []
    assert texts(store, "bob") == ["Cold.", "I live in Oslo."]


# Serialisation.


def test_it_is_restored_onto_the_open_memory_of_the_same_place(store: Memory, watch: Watching) -> None:
    memory = session(store, token_limit=500, k=3, write_back="background", threshold=0.2)
    memory.put(user("a"))
    data = json.loads(json.dumps(memory.to_dict()))
    restored = MemkitMemory.from_dict(data)
    assert restored.memory is store
    assert restored.to_dict() == data
    assert said(restored.get_all()) == [("user", "a")]
    assert said(MemkitMemory.model_validate_json(memory.model_dump_json()).get_all()) == [("user", "a")]
    assert said(pickle.loads(pickle.dumps(memory)).get_all()) == [("user", "a")]
    assert said(copy.deepcopy(memory).get_all()) == [("user", "a")]


def test_its_dictionary_and_its_name_hold_no_secret_and_no_text(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm={"provider": "openai", "config": {"api_key": "sk-secret"}}) as store:
        memory = session(store, "s", "ada-lovelace")
        memory.put(user("My hint is Biscuit."))
        text = json.dumps(memory.to_dict())
        assert "sk-secret" not in text
        assert "Biscuit" not in text
        assert "ada-lovelace" not in repr(memory) + str(memory)


def test_its_dictionary_is_json_though_its_filters_hold_times(store: Memory, watch: Watching) -> None:
    store.add("I live in Ghent.", user_id="ada", metadata={"place": "Ghent"})
    filters = {"created_at": {"gte": datetime(2020, 1, 1, tzinfo=UTC)}, "place": {"in": ("Ghent", "Bruges")}}
    memory = session(store, filters=filters)
    memory.put(user("Where do I live?"))
    again = MemkitMemory.from_dict(json.loads(json.dumps(memory.to_dict())))
    assert said(again.get()) == said(memory.get())
    assert "Ghent" in str(again.get()[0].content)
    assert again.failures == {}


def test_one_of_a_memory_that_ended_with_its_process_says_so(tmp_path: Path) -> None:
    with Memory(":memory:") as store:
        data = session(store).to_dict()
    with pytest.raises(ConfigurationError, match=":memory:"):
        MemkitMemory.from_dict(data)


# Failures.


async def test_a_recall_that_fails_costs_no_answer_and_is_tried_once_a_turn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = FakeEmbedder()
    with Memory(tmp_path / "store", embedder=embedder) as store:
        store.add("I only drink oat milk.", user_id="ada")
        embedder.errors.extend([BackendUnavailableError("It is down.", backend="fake")] * 2)
        memory = session(store)
        await memory.aput(user("Which milk?"))
        before = len(embedder.calls)
        assert said(await memory.aget()) == [("user", "Which milk?")]
        assert said(await memory.aget(input="Which milk?")) == [("user", "Which milk?")]
        assert len(embedder.calls) == before + 1
        assert memory.failures == {"recall": 1}
        assert memory.last_error == "BackendUnavailableError"
        assert "It is down." in caplog.text


async def test_a_turn_that_cannot_be_learned_is_kept_and_learned_later(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    with Memory(tmp_path / "store", embedder=embedder) as store:
        store.add("I only drink oat milk.", user_id="ada")
        memory = session(store)
        embedder.errors.append(BackendUnavailableError("It is down.", backend="fake"))
        await memory.aput_messages([user("I live in Ghent."), assistant("Noted.")])
        assert memory.failures == {"remember": 1}
        assert len(await memory.aget_all()) == 2
        store.repair()
        assert texts(store) == ["I live in Ghent.", "I only drink oat milk.", "Noted."]


def test_a_turn_that_never_reached_the_ledger_is_learned_with_the_next() -> None:
    class Failing:
        left = 1

        def before_add(self, messages: Any, scope: object) -> None:
            self.left -= 1
            if self.left >= 0:
                raise ValueError("A hook of the caller's.")

    with Memory(":memory:", hooks=[Failing()]) as failing:
        memory = session(failing)
        memory.put_messages([user("I live in Ghent."), assistant("Noted.")])
        assert memory.failures == {"remember": 1}
        assert texts(failing) == []
        memory.put_messages([user("I like tea."), assistant("Good.")])
        assert texts(failing) == ["Good.", "I like tea.", "I live in Ghent.", "Noted."]


def test_flush_raises_what_put_did_not(tmp_path: Path) -> None:
    model = FakeLLM([BackendUnavailableError("It is down.", backend="fake")])
    with Memory(tmp_path / "store", llm=model) as store:
        memory = session(store, write_back="background")
        memory.put_messages([user("I live in Ghent."), assistant("Noted.")])
        with pytest.raises(MemkitError, match="It is down"):
            memory.flush()
        assert len(memory.get_all()) == 2


def test_an_error_of_the_history_is_raised(tmp_path: Path) -> None:
    broken = tmp_path / "store"
    broken.mkdir()
    (broken / "memory.db").mkdir()
    with Memory(broken) as store:
        memory = session(store)
        with pytest.raises(MemkitError):
            memory.put(user("a"))
        with pytest.raises(MemkitError):
            memory.get_all()


# Whose.


def test_both_kinds_of_memory_work_with_both_kinds_of_calls(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as store:
        memory = session(store.to_async())
        memory.put_messages([user("I live in Ghent."), assistant("Noted.")])

        async def go() -> list[ChatMessage]:
            await memory.aput(user("Where do I live?"))
            return await memory.aget()

        assert "Ghent" in str(asyncio.run(go())[0].content)


def test_a_bound_memory_says_whose_it_is_and_cannot_be_left(store: Memory) -> None:
    bound = store.bind(user_id="ada")
    memory = MemkitMemory.from_defaults(memory=bound, session_id="s")
    memory.put_messages([user("I live in Ghent."), assistant("Noted.")])
    assert memory.user_id == "ada"
    assert texts(store) == ["I live in Ghent.", "Noted."]
    assert said(MemkitMemory.from_dict(memory.to_dict()).get_all()) == said(memory.get_all())
    with pytest.raises(ScopeError):
        MemkitMemory.from_defaults(memory=bound, user_id="bob", session_id="s")


def test_a_session_without_a_name_is_a_new_one(store: Memory) -> None:
    one, two = (MemkitMemory.from_defaults(memory=store, user_id="ada") for _ in range(2))
    one.put(user("a"))
    assert one.session_id != two.session_id
    assert two.get_all() == []


def test_ids_of_any_type_are_texts(store: Memory) -> None:
    memory = MemkitMemory.from_defaults(memory=store, user_id=7, session_id=8)
    memory.put_messages([user("a"), assistant("b")])
    assert (memory.user_id, memory.session_id) == ("7", "8")
    assert texts(store, "7") == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"insert_method": "sytem"}, ConfigurationError),
        ({"write_back": "never"}, ConfigurationError),
        ({"token_limit": 0}, ConfigurationError),
        ({"k": 0}, ConfigurationError),
        ({"max_tokens": "many"}, ConfigurationError),
        ({"infer": "yes"}, ConfigurationError),
        ({"threshold": "high"}, ConfigurationError),
        ({"threshold": 1.5}, ConfigurationError),
        ({"filters": "food"}, FilterError),
        ({"filters": {"user_id": "bob"}}, FilterError),
        ({"after_seconds": 5}, ConfigurationError),
        ({"user_id": " "}, ScopeError),
        ({"user_id": ["ada"]}, ScopeError),
        ({"memory": "path"}, ConfigurationError),
        ({"user_id": None}, ScopeError),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(store: Memory, options: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        MemkitMemory.from_defaults(**({"memory": store, "user_id": "ada"} | options))


def test_a_chat_history_given_at_first_is_the_history(store: Memory, watch: Watching) -> None:
    memory = session(store, chat_history=[user("a"), assistant("b")])
    assert said(memory.get_all()) == [("user", "a"), ("assistant", "b")]
    assert watch.added == []
