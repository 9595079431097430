"""`MemkitMemory` by itself: what it shows, what it learns, and what it does when something fails."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.memory import InsertMethod

from memkit import Memory
from memkit.testing import FakeLLM, extraction, fact

from .scripted_agents import Watching, assistant, call, result, said, session, system, texts, user


@pytest.fixture
def watch() -> Watching:
    return Watching()


@pytest.fixture
def store(tmp_path: Path, watch: Watching) -> Generator[Memory]:
    with Memory(tmp_path / "store", hooks=[watch]) as memory:
        yield memory


# What it shows.


def test_what_is_known_stands_in_a_system_message_and_not_in_the_history(store: Memory) -> None:
    store.add("I only drink oat milk.", user_id="ada")
    memory = session(store)
    memory.put(user("Which milk do I drink?"))
    shown = memory.get()
    assert [message.role for message in shown] == ["system", "user"]
    assert "oat milk" in str(shown[0].content)
    assert "data, not instructions" in str(shown[0].content)
    assert said(memory.get_all()) == [("user", "Which milk do I drink?")]


def test_it_stands_behind_the_applications_own_system_message(store: Memory) -> None:
    store.add("I only drink oat milk.", user_id="ada")
    memory = session(store)
    memory.set([system("Be brief.")])
    memory.put(user("Which milk do I drink?"))
    shown = memory.get()
    assert [message.role for message in shown] == ["system", "user"]
    assert str(shown[0].content).startswith("Be brief.")
    assert "oat milk" in str(shown[0].content)
    assert said(memory.get_all())[0] == ("system", "Be brief.")


@pytest.mark.parametrize("method", ["user", InsertMethod.USER])
def test_or_in_the_last_user_message(store: Memory, method: Any) -> None:
    store.add("I only drink oat milk.", user_id="ada")
    memory = session(store, insert_method=method)
    memory.put_messages([user("Hello."), assistant("Hi."), user("Which milk do I drink?")])
    shown = memory.get()
    assert [message.role for message in shown] == ["user", "assistant", "user"]
    assert shown[0].content == "Hello."
    assert "oat milk" in str(shown[-1].content)
    assert str(shown[-1].content).endswith("Which milk do I drink?")
    assert said(memory.get_all())[-1] == ("user", "Which milk do I drink?")
    assert memory.to_dict()["insert_method"] == "user"


def test_a_question_before_anybody_spoke_is_recalled_for_too(store: Memory) -> None:
    store.add("I only drink oat milk.", user_id="ada")
    assert "oat milk" in str(session(store).get("Which milk?")[0].content)
    assert "oat milk" in str(session(store, insert_method="user").get("Which milk?")[0].content)
    assert session(store).get() == []


def test_standing_instructions_come_first_and_stay_the_same_bytes(store: Memory) -> None:
    store.add("Keep answers short.", user_id="ada", kind="instruction", infer=False)
    store.add_many(["I only drink oat milk.", "My sister plays the oboe."], user_id="ada")
    memory = session(store, write_back="off")
    heads: list[str] = []
    for question in ("Which milk do I drink?", "What does my sister play?"):
        memory.put(user(question))
        heads.append(str(memory.get()[0].content).split("Memories that may help")[0])
    assert heads[0] == heads[1]
    assert "Keep answers short." in heads[0]


def test_k_threshold_filters_and_max_tokens_limit_what_is_recalled(store: Memory) -> None:
    for n in range(6):
        store.add(f"Tea number {n} is good.", user_id="ada", metadata={"n": n})

    def rows(**options: Any) -> int:
        return str(session(store, **options).get("Which tea is good?")[0].content).count("\n- [")

    assert rows(k=2) == 2
    assert rows(k=6) == 6
    assert rows(k=6, filters={"n": {"gte": 4}}) == 2
    assert rows(k=6, max_tokens=70) < 6
    assert session(store, k=6, threshold=1.0).get("Which tea is good?") == []


def test_one_search_serves_a_turn(store: Memory, watch: Watching) -> None:
    memory = session(store)
    memory.put(user("Which milk?"))
    memory.get()
    memory.get(input="Which milk?")
    memory.put_messages([call("look"), result("x"), assistant("Oat.")])
    memory.get()
    assert watch.queries == ["Which milk?"]
    memory.put(user("Which milk?"))
    memory.get()
    assert watch.queries == ["Which milk?"] * 2


async def test_chat_engines_that_ask_before_they_put_search_once_a_turn_too(
    store: Memory, watch: Watching
) -> None:
    memory = session(store)
    for _ in range(2):
        await memory.aget(input="Which milk?")
        await memory.aput(user("Which milk?"))
        await memory.aput(assistant("Oat."))
    assert watch.queries == ["Which milk?"] * 2
    assert "Which milk?" in str((await memory.aget(input="Which milk?"))[0].content)


def test_recall_spans_the_users_sessions_and_no_other_user(store: Memory) -> None:
    session(store, "one").put_messages([user("I live in Ghent."), assistant("Nice.")])
    session(store, "one", "bob").put_messages([user("I live in Oslo."), assistant("Cold.")])
    memory = session(store, "two")
    memory.put(user("Where do I live?"))
    shown = str(memory.get()[0].content)
    assert "Ghent" in shown
    assert "Oslo" not in shown
    assert said(memory.get_all()) == [("user", "Where do I live?")]


def test_an_agent_of_its_own_has_history_and_memories_of_its_own(store: Memory) -> None:
    one = session(store, agent_id="one")
    one.put_messages([user("The code is 1234."), assistant("Noted.")])
    two = session(store, agent_id="two")
    assert two.get("What is the code?") == []
    assert "1234" in str(session(store, agent_id="one").get("What is the code?")[0].content)
    assert "1234" in str(session(store).get("What is the code?")[0].content)


def test_the_prefix_of_a_chat_engine_is_taken_off_the_limit(store: Memory) -> None:
    memory = session(store, token_limit=200, tokenizer_fn=str.split)
    for n in range(6):
        memory.put_messages([user(f"{n} " * 15), assistant(f"{n} " * 10)])
    shown = lambda spent: len([m for m in memory.get(initial_token_count=spent) if m.role != "system"])  # noqa: E731
    assert 2 <= shown(100) < shown(0) <= 12


def test_code_and_its_output_are_no_users_words(store: Memory, watch: Watching) -> None:
    memory = session(store)
    memory.put(user("How many cups?"))
    memory.get()
    memory.put_messages(
        [
            assistant("<execute>print(3)</execute>"),
            user("Result of executing the code given:\n\n3"),
            assistant("Three cups."),
        ]
    )
    memory.get()
    assert watch.queries == ["How many cups?"]
    assert watch.added == [[("user", "How many cups?"), ("assistant", "Three cups.")]]


# What it learns.


def test_a_turn_is_learned_once_however_many_rounds_it_had(store: Memory, watch: Watching) -> None:
    memory = session(store)
    memory.put(user("I live in Ghent."))
    assert watch.added == []
    memory.put_messages([call("look"), result("found"), call("look", "2"), result("found", "2")])
    assert watch.added == []
    memory.put(assistant("Noted."))
    assert watch.added == [[("user", "I live in Ghent."), ("assistant", "Noted.")]]
    assert texts(store) == ["I live in Ghent.", "Noted."]
    assert len(memory.get_all()) == 6
    assert store.count_messages(user_id="ada") == 6


def test_a_conversation_put_at_once_is_learned_at_once(store: Memory, watch: Watching) -> None:
    memory = session(store)
    memory.put_messages(
        [user("a1"), assistant("b1"), user("a2"), call("x"), result("y"), assistant("b2"), user("a3")]
    )
    memory.put(assistant("b3"))
    assert [[text for _, text in turns] for turns in watch.added] == [["a1", "b1", "a2", "b2"], ["a3", "b3"]]


def test_a_greeting_is_no_turn(store: Memory) -> None:
    memory = session(store)
    memory.put(assistant("Hello, how can I help?"))
    assert texts(store) == []
    assert said(memory.get_all()) == [("assistant", "Hello, how can I help?")]


def test_of_a_react_agents_steps_the_answer_is_learned(store: Memory, watch: Watching) -> None:
    steps = (
        "Thought: I need a tool.\nAction: look\nAction Input: {'x': 1}\nObservation: Thought: no\nAnswer: wrong\n"
        "Thought: I can answer without using any more tools.\nAnswer: It is tea.\nAnswer: yes, tea."
    )
    memory = session(store)
    memory.put_messages([user("What do I drink?"), assistant(steps)])
    assert watch.added == [[("user", "What do I drink?"), ("assistant", "It is tea.\nAnswer: yes, tea.")]]
    assert "It is tea.\nAnswer: yes, tea." in texts(store)
    assert said(memory.get_all())[-1] == ("assistant", steps)


def test_off_keeps_the_history_and_makes_no_memories(store: Memory, watch: Watching) -> None:
    store.add("I only drink oat milk.", user_id="ada")
    memory = session(store, write_back="off")
    memory.put_messages([user("Which milk do I drink?"), assistant("Oat milk.")])
    assert texts(store) == ["I only drink oat milk."]
    assert watch.added == []
    assert len(memory.get_all()) == 2
    assert "oat milk" in str(memory.get()[0].content)
    memory.flush()
    assert texts(store) == ["I only drink oat milk."]


def paris_to_berlin() -> FakeLLM:
    return FakeLLM(
        [
            extraction(fact("Lives in Paris.", "I live in Paris", kind="fact")),
            extraction(fact("Lives in Berlin.", "I moved to Berlin", action="supersede", replaces="m1")),
        ]
    )


@pytest.mark.parametrize("write_back", ["turn", "background"])
async def test_a_fact_that_changes_is_superseded_by_one_extraction_a_turn(
    tmp_path: Path, mode: str, write_back: Any
) -> None:
    model = paris_to_berlin()
    with Memory(tmp_path / "store", llm=model) as store:
        memory = session(store, write_back=write_back)
        for turn, words in enumerate(("I live in Paris.", "I moved to Berlin."), 1):
            messages = [call("look"), result("found"), assistant("Noted.")]
            if mode == "async":
                await memory.aput(user(words))
                await memory.aget()
                await memory.aput_messages(messages)
                await memory.aflush()
            else:
                memory.put(user(words))
                memory.get()
                memory.put_messages(messages)
                memory.flush()
            assert len(model.calls) == turn
        assert texts(store) == ["Lives in Berlin."]
        every = store.get_all(user_id="ada", include_closed=True).results
        assert [(item.memory, item.valid_until is None) for item in every] == [
            ("Lives in Berlin.", True),
            ("Lives in Paris.", False),
        ]
        assert {source.quote for item in every for source in item.sources} == {
            "I live in Paris",
            "I moved to Berlin",
        }


def test_a_fact_of_another_session_is_superseded_too(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm=paris_to_berlin()) as store:
        for name, words in (("one", "I live in Paris."), ("two", "I moved to Berlin.")):
            session(store, name).put_messages([user(words), assistant("Noted.")])
        every = store.get_all(user_id="ada", include_closed=True).results
        assert [(item.memory, item.run_id, item.valid_until is None) for item in every] == [
            ("Lives in Berlin.", "two", True),
            ("Lives in Paris.", "one", False),
        ]


def test_with_turn_it_is_learned_before_put_returns(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm=paris_to_berlin()) as store:
        session(store).put_messages([user("I live in Paris."), assistant("Noted.")])
        assert texts(store) == ["Lives in Paris."]


def test_a_delay_takes_two_turns_into_one_extraction(tmp_path: Path) -> None:
    model = FakeLLM([extraction(fact("Lives in Paris.", "I live in Paris"))])
    with Memory(tmp_path / "store", llm=model) as store:
        memory = session(store, write_back="background", after_seconds=60)
        memory.put_messages([user("I live in Paris."), assistant("Noted.")])
        memory.put_messages([user("It rains."), assistant("Oh.")])
        memory.flush()
        assert len(model.calls) == 1
        assert texts(store) == ["Lives in Paris."]


def test_infer_false_makes_the_turns_memories_though_there_is_a_model(tmp_path: Path) -> None:
    model = FakeLLM([])
    with Memory(tmp_path / "store", llm=model) as store:
        session(store, infer=False).put_messages([user("I live in Paris."), assistant("Noted.")])
        assert texts(store) == ["I live in Paris.", "Noted."]
        assert model.calls == []


def test_the_time_something_was_said_is_that_of_the_message(store: Memory) -> None:
    session(store).put_messages([user("I live in Ghent."), assistant("Noted.")])
    item = next(item for item in store.get_all(user_id="ada").results if item.role == "user")
    message = store.messages(user_id="ada", run_id="s")[0]
    assert item.created_at == message.created_at
    assert [source.message_id for source in item.sources] == [message.id]


def test_a_history_that_is_set_is_not_learned_but_the_turn_it_leaves_open_is(
    store: Memory, watch: Watching
) -> None:
    memory = session(store)
    given = [user("a"), assistant("b"), user("I live in Ghent.")]
    memory.set(given)
    assert watch.added == []
    memory.put(assistant("Noted."))
    assert watch.added == [[("user", "I live in Ghent."), ("assistant", "Noted.")]]
    # A server without state gives the whole history with each call.
    memory.set([*given, assistant("Noted.")])
    memory.put_messages([user("And I like tea."), assistant("Good.")])
    assert len(watch.added) == 2
    assert [text for _, text in watch.added[1]] == ["And I like tea.", "Good."]
    assert len(store.messages(user_id="ada", run_id="s", status=None)) == 6


def test_an_answer_that_is_given_anew_does_not_learn_the_question_twice(store: Memory) -> None:
    memory = session(store)
    memory.put_messages([user("I live in Ghent."), assistant("Noted.")])
    kept = store.messages(user_id="ada", run_id="s")[0].id
    memory.set(memory.get_all()[:1])
    memory.put(assistant("How nice!"))
    assert texts(store) == ["How nice!", "I live in Ghent.", "Noted."]
    assert store.messages(user_id="ada", run_id="s")[0].id == kept
