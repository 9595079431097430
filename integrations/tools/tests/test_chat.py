"""A client with a memory recalls once before and remembers once after, whatever the API, sync, async and streaming."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from integrations.tools.tests.chat_apis import Make, assistant, memories, turns, user
from integrations.tools.tests.chat_server import ChatServer
from integrations.tools.tests.conftest import Searches
from memkit import Memory
from memkit.errors import BackendUnavailableError, ScopeError
from memkit.testing import FakeLLM, extraction, fact


async def test_it_recalls_what_was_said_in_another_conversation(make: Make, memory: Memory) -> None:
    api = make()
    await api.ask([user("My favourite tea is sencha.")], run_id="monday")
    assert "memkit" not in api.system()
    await api.ask([user("Which tea do I like?")], run_id="tuesday", system="You are a waiter.")
    assert api.system().startswith("You are a waiter.\n")
    assert "My favourite tea is sencha." in api.system()
    assert turns(memory, user_id="ada", run_id="monday") == [
        ("user", "My favourite tea is sencha."),
        ("assistant", "Nice to hear."),
    ]
    assert len(turns(memory, user_id="ada", run_id="tuesday")) == 2
    assert api.client.memory_failures == {}


async def test_standing_preferences_come_before_what_the_question_found(make: Make, memory: Memory) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    memory.add("Always answer Ada in French.", user_id="ada", infer=False, kind="instruction")
    api = make()
    for question in ("Does Ada play the oboe?", "Since when does Ada play the oboe?"):
        await api.ask([user(question)], system="Be brief.")
    first, second = api.system(0), api.system(1)
    assert first.index("Be brief.") < first.index("in French") < first.index("plays the oboe")
    stable = first[: first.index("in French")]
    assert second.startswith(stable)


async def test_the_request_is_left_as_it_is(make: Make, memory: Memory) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    api = make()
    system: Any = "Be brief." if api.name == "responses" else [{"type": "text", "text": "Be brief."}]
    request = api.request([user("Does Ada play the oboe?")], system=system)
    before = json.dumps(request)
    response = api.create(**request)
    response = await response if inspect.isawaitable(response) else response
    assert json.dumps(request) == before
    assert "oboe" in api.system()
    if api.streaming and (closed := response.close()) is not None:
        await closed


async def test_a_repeated_conversation_is_not_stored_again(make: Make, memory: Memory) -> None:
    api = make()
    conversation = [user("I play the oboe.")]
    for line in ("I live in Oslo.", "I sail.", "I bake."):
        await api.ask(conversation)
        conversation += [assistant("Nice to hear."), user(line)]
    await api.ask(conversation)
    said = [text for role, text in turns(memory) if role == "user"]
    assert said == ["I play the oboe.", "I live in Oslo.", "I sail.", "I bake."]
    assert [role for role, _ in turns(memory)] == ["user", "assistant"] * 4


async def test_a_request_sent_again_is_stored_once(make: Make, memory: Memory) -> None:
    other = make()  # as in another process: nothing is known of the first client's turns
    for messages in ([user("I sail.")], [user("I sail."), assistant("Nice to hear."), user("Since May.")]):
        for api in (make(), other):
            await api.ask(messages)
    assert [text for role, text in turns(memory) if role == "user"] == ["I sail.", "Since May."]
    assert [role for role, _ in turns(memory)] == ["user", "assistant"] * 2
    assert memories(memory) == ["I sail.", "Nice to hear.", "Nice to hear.", "Since May."]


async def test_the_same_words_said_later_are_said_again(make: Make, memory: Memory) -> None:
    api = make()
    for city in ("Oslo", "Bergen", "Oslo"):
        await api.ask([user(f"I moved to {city}.")])
    said = [text for role, text in turns(memory) if role == "user"]
    assert said == ["I moved to Oslo.", "I moved to Bergen.", "I moved to Oslo."]


async def test_ids_of_the_call_go_before_those_of_the_client(make: Make, memory: Memory) -> None:
    api = make(user_id=None)
    await api.ask([user("I play the oboe.")], user_id="bob", agent_id="tutor", run_id=7)
    [said, _] = memory.messages(user_id="bob", run_id="7")
    assert (said.user_id, said.agent_id, said.run_id) == ("bob", "tutor", "7")
    assert not {"user_id", "agent_id", "run_id"} & set(api.server.bodies[0])
    api = make(user_id="ada")
    await api.ask([user("I sail.")], user_id="bob")
    assert turns(memory, user_id="ada") == []


async def test_nobodys_memory_is_an_error_before_any_request(make: Make, memory: Memory) -> None:
    api = make(user_id=None)
    with pytest.raises(ScopeError, match="user_id"):
        await api.ask([user("I sail.")])
    with pytest.raises(ScopeError):
        await api.ask([user("I sail.")], user_id=" ")
    assert api.server.bodies == []
    assert memory.stats().messages == 0


async def test_a_bound_memory_says_whose_and_cannot_be_left(make: Make, memory: Memory) -> None:
    api = make(memory=memory.bind(user_id="ada"), user_id=None)
    await api.ask([user("I sail.")])
    assert turns(memory)[0] == ("user", "I sail.")
    with pytest.raises(ScopeError):
        await api.ask([user("I sail.")], user_id="bob")


async def test_users_do_not_see_each_other(make: Make, memory: Memory) -> None:
    memory.add("Bob plays the oboe.", user_id="bob", infer=False)
    api = make()
    await api.ask([user("Who plays the oboe?")])
    assert "oboe" not in api.system()


async def test_the_users_words_are_kept_before_the_request(make: Make, memory: Memory) -> None:
    api = make()
    seen: list[Any] = []
    api.server.before = lambda: seen.append(turns(memory))
    await api.ask([user("I sail.")])
    assert seen == [[("user", "I sail.")]]


async def test_a_request_that_fails_keeps_the_users_words_and_learns_them_with_the_next(
    make: Make, memory: Memory
) -> None:
    api = make()
    api.server.replies = [500, "Nice."]
    with pytest.raises(Exception, match="injected"):
        await api.ask([user("I sail.")])
    assert turns(memory) == [("user", "I sail.")]
    assert memories(memory) == []
    await api.ask([user("I sail."), user("And I bake.")])
    assert [text for _, text in turns(memory)] == ["I sail.", "And I bake.", "Nice."]
    assert memories(memory) == ["And I bake.", "I sail.", "Nice."]


async def test_the_same_request_after_a_failure_is_one_turn(make: Make, memory: Memory) -> None:
    api = make()
    api.server.replies = [500, "Nice."]
    with pytest.raises(Exception, match="injected"):
        await api.ask([user("I sail.")])
    await api.ask([user("I sail.")])
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice.")]
    assert memories(memory) == ["I sail.", "Nice."]


@pytest.mark.parametrize("broken", ["recall", "remember"])
async def test_a_memory_that_fails_never_costs_the_answer(
    make: Make, memory: Memory, hook: Searches, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = make()
    hook.broken = {broken}
    await api.ask([user("I sail.")])
    assert api.client.memory_failures == {broken: 1}
    assert isinstance(api.client.last_memory_error, BackendUnavailableError)
    assert f"{broken} failed (BackendUnavailableError)" in caplog.text
    hook.broken = set()
    await api.flush()
    assert memories(memory) == ["I sail.", "Nice to hear."]
    assert [role for role, _ in turns(memory)] == ["user", "assistant"]


async def test_what_could_not_be_stored_is_stored_with_the_next_turn(
    make: Make, memory: Memory, hook: Searches
) -> None:
    api = make()
    hook.broken = {"remember"}
    await api.ask([user("I sail.")])
    assert memories(memory) == []
    hook.broken = set()
    await api.ask([user("I bake.")])
    assert memories(memory) == ["I bake.", "I sail.", "Nice to hear.", "Nice to hear."]


async def test_a_closed_memory_costs_no_answer(make: Make, memory: Memory) -> None:
    api = make()
    memory.close()
    assert await api.ask([user("I sail.")])
    assert set(api.client.memory_failures) == {"keep", "recall", "remember"}


async def test_images_are_kept_and_words_searched_for(make: Make, memory: Memory, hook: Searches) -> None:
    api = make()
    image: dict[str, Any] = {
        "chat": {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        "responses": {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"},
        "messages": {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
        },
    }[api.name]
    word = "input_text" if api.name == "responses" else "text"
    await api.ask([user([{"type": word, "text": "This is my boat."}, image])])
    kept = memory.messages(user_id="ada")[0]
    assert kept.text == "This is my boat."
    assert kept.content[1]["type"] == image["type"]
    assert hook.queries == ["This is my boat."]


async def test_messages_may_come_from_a_generator(make: Make, memory: Memory) -> None:
    api = make()
    await api.ask(message for message in [user("I sail.")])
    assert api.sent() == [user("I sail.")]
    assert turns(memory)[0] == ("user", "I sail.")


async def test_a_model_learns_from_a_turn_once(make: Make, server: ChatServer) -> None:
    llm = FakeLLM([extraction(fact("Ada sails.", quote="I sail", message=0))])
    with Memory(":memory:", llm=llm, embedder="hash") as learning:
        api = make(memory=learning)
        for _ in range(2):
            await api.ask([user("I sail.")])
        await api.flush()
        assert memories(learning) == ["Ada sails."]
        assert len(llm.calls) == 1
    server.replies = ["Nice."]
