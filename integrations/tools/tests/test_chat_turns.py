"""A turn with tools is one turn, and a stream is the SDK's own until it is remembered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from integrations.tools.tests.chat_apis import api_of, assistant, memories, turns, user
from integrations.tools.tests.chat_server import ChatServer
from integrations.tools.tests.conftest import Searches
from memkit import Memory
from memkit_tools import Toolbox


async def test_a_turn_with_tools_is_recalled_and_remembered_once(
    api_name: str, mode: str, memory: Memory, server: ChatServer, hook: Searches
) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    api = api_of(api_name, mode, memory, server, user_id="ada")
    server.replies = [
        {"calls": [("look", {"q": "oboe"})], "text": "Let me look."},
        {"calls": [("look", {"q": "x"})]},
    ]
    server.replies.append("A woodwind.")
    conversation: list[Any] = [user("What is the oboe that I play?")]
    while True:
        response = await api.ask(conversation, system="Help.")
        calls = Toolbox(memory, user_id="ada").handle(response)
        if not calls:
            break
        conversation += [*api.said(response), *calls]
    assert hook.queries == ["What is the oboe that I play?"]
    assert len({api.system(at) for at in range(3)}) == 1
    assert "Ada plays the oboe." in api.system()
    assert turns(memory) == [("user", "What is the oboe that I play?"), ("assistant", "A woodwind.")]
    conversation += [assistant("A woodwind."), user("Thanks.")]
    await api.ask(conversation)
    assert [text for role, text in turns(memory) if role == "user"][1:] == ["Thanks."]
    await api.close()


async def test_a_turn_with_tools_goes_on_in_another_process(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    first, second = (api_of(api_name, mode, memory, server, user_id="ada") for _ in range(2))
    server.replies = [{"calls": [("look", {"q": "oboe"})]}, "Other.", "A woodwind."]
    response = await first.ask([user("What is an oboe?")])
    await first.ask([user("Something else.")])  # another conversation of the same user
    calls = Toolbox(memory, user_id="ada").handle(response)
    await second.ask([user("What is an oboe?"), *second.said(response), *calls])
    assert [text for _, text in turns(memory)] == [
        "What is an oboe?",
        "Something else.",
        "Other.",
        "A woodwind.",
    ]
    for api in (first, second):
        await api.close()


async def test_a_stream_that_calls_tools_is_no_answer(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada", streaming=True)
    server.replies = [{"calls": [("look", {"q": "oboe"})], "text": "Let me look."}]
    await api.ask([user("What is an oboe?")], tools=[])
    assert turns(memory) == [("user", "What is an oboe?")]
    assert memories(memory) == []
    await api.close()


async def test_responses_go_on_from_the_response_before(
    mode: str, streaming: bool, memory: Memory, server: ChatServer, hook: Searches
) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    api = api_of("responses", mode, memory, server, streaming=streaming, user_id="ada")
    server.replies = [{"calls": [("look", {"q": "oboe"})]}, "A woodwind.", "Yes.", "Yes again."]
    await api.ask("What is the oboe that I play?")
    output = {"type": "function_call_output", "call_id": "r1_0", "output": "woodwind"}
    await api.ask([output], previous_response_id="r1")
    assert hook.queries == ["What is the oboe that I play?"]
    assert api.system(0) == api.system(1) != ""
    assert turns(memory) == [("user", "What is the oboe that I play?"), ("assistant", "A woodwind.")]
    await api.ask("Sure?", previous_response_id="r2")
    await api.ask("Sure?", previous_response_id="r3")
    assert [text for _, text in turns(memory)][2:] == ["Sure?", "Yes.", "Sure?", "Yes again."]
    await api.close()


async def test_a_stream_closed_early_is_not_remembered(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada", streaming=True)
    server.replies = ["A long answer that nobody waits for."]
    if mode == "sync":
        with api.create(**api.request([user("I sail.")])) as stream:
            next(stream)
    else:
        async with await api.create(**api.request([user("I sail.")])) as stream:
            await anext(stream)
    await api.flush()
    assert turns(memory) == [("user", "I sail.")]
    assert memories(memory) == []
    await api.ask([user("I bake.")])
    assert "I sail." in memories(memory)
    await api.close()


async def test_a_stream_that_breaks_off_is_not_remembered(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada", streaming=True)
    server.replies = [{"text": "A long answer that breaks off.", "cut": True}]
    await api.ask([user("I sail.")])
    assert turns(memory) == [("user", "I sail.")]
    await api.close()


async def test_a_turn_is_stored_before_the_last_event_of_its_stream(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada", streaming=True)
    ends = {"chat": _finishes, "responses": _is("response.completed")}.get(api_name, _is("message_stop"))
    stream = api.create(**api.request([user("I sail.")]))
    if mode == "sync":
        event = next(event for event in stream if ends(event))
    else:
        stream = await stream
        event = await anext(event async for event in stream if ends(event))
    assert event is not None
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice to hear.")]
    closed = stream.close()
    if closed is not None:
        await closed
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice to hear.")]
    await api.close()


def _finishes(chunk: Any) -> bool:
    return bool(chunk.choices and chunk.choices[0].finish_reason)


def _is(kind: str) -> Callable[[Any], bool]:
    return lambda event: event.type == kind


async def test_stream_helpers_of_the_sdk_remember_too(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada")
    request = api.request([user("I sail.")])
    final = {
        "chat": "get_final_completion", "responses": "get_final_response", "messages": "get_final_message",
    }[api_name]  # fmt: skip
    if mode == "sync":
        with api.resource.stream(**request) as stream:
            whole = getattr(stream, final)()
    else:
        async with api.resource.stream(**request) as stream:
            whole = await getattr(stream, final)()
    assert "Nice to hear." in whole.model_dump_json(warnings=False)
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice to hear.")]
    if mode == "sync":
        with api.resource.stream(**api.request([user("I bake.")])) as stream:
            kinds = [event.type for event in stream]
    else:
        async with api.resource.stream(**api.request([user("I bake.")])) as stream:
            kinds = [event.type async for event in stream]
    assert len(kinds) > 3
    assert [text for _, text in turns(memory)][2:] == ["I bake.", "Nice to hear."]
    await api.close()


async def test_the_text_stream_of_anthropic_remembers(mode: str, memory: Memory, server: ChatServer) -> None:
    api = api_of("messages", mode, memory, server, user_id="ada")
    if mode == "sync":
        with api.resource.stream(**api.request([user("I sail.")])) as stream:
            text = "".join(stream.text_stream)
    else:
        async with api.resource.stream(**api.request([user("I sail.")])) as stream:
            text = "".join([piece async for piece in stream.text_stream])
    assert text == "Nice to hear."
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice to hear.")]
    await api.close()


async def test_raw_responses_remember_too(
    api_name: str, mode: str, streaming: bool, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada", streaming=streaming)
    raw = api.resource.with_raw_response.create(**api.request([user("I sail.")]))
    raw = raw if mode == "sync" else await raw
    assert raw.headers["content-type"]
    parsed = raw.parse()
    parsed = await parsed if inspect.isawaitable(parsed) else parsed
    if streaming and mode == "sync":
        list(parsed)
    elif streaming:
        [event async for event in parsed]
    assert turns(memory) == [("user", "I sail."), ("assistant", "Nice to hear.")]
    await api.close()
