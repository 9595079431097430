"""The client stays what it was: its parts, its requests, its answers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from integrations.tools.tests.chat_apis import TOOL, Make, api_of, memories, turns, user
from integrations.tools.tests.chat_server import ChatServer
from memkit import AsyncMemory, Memory
from memkit.errors import ConfigurationError
from memkit_tools import with_memory


async def test_the_rest_of_the_client_works_as_before(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    api = api_of(api_name, mode, memory, server, user_id="ada")
    assert str(api.client.base_url).startswith(server.url)
    assert api.client.models is not None
    assert "api_key" not in repr(api.client)
    copied = api.client.with_options(timeout=7)
    assert copied.timeout == 7
    api.client = copied.copy(max_retries=1)
    await api.ask([user("I sail.")])
    assert turns(memory)[0] == ("user", "I sail.")
    api.client.max_retries = 2
    assert api.client.max_retries == 2
    await api.close()


def test_structured_answers_are_parsed_as_before(memory: Memory, server: ChatServer) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        name: str

    server.replies = ['{"name": "Oslo"}']
    for name, option, parsed in (
        ("chat", "response_format", "choices.0.message.parsed"),
        ("responses", "text_format", "output_parsed"),
        ("messages", "output_format", "parsed_output"),
    ):
        api = api_of(name, "sync", memory, server, user_id=name)
        done = api.resource.parse(**api.request([user("Where do I live?")]), **{option: City})
        for part in parsed.split("."):
            done = done[int(part)] if part.isdigit() else getattr(done, part)
        assert done == City(name="Oslo")
        assert turns(memory, user_id=name)[-1] == ("assistant", '{"name": "Oslo"}')
        api.client.close()


async def test_a_client_is_a_context_manager(mode: str, memory: Memory, server: ChatServer) -> None:
    api = api_of("chat", mode, memory, server, user_id="ada")
    if mode == "sync":
        with api.client as client:
            client.chat.completions.create(model="m", messages=[user("I sail.")])
        assert api.client.is_closed()
    else:
        async with api.client as client:
            await client.chat.completions.create(model="m", messages=[user("I sail.")])
        assert api.client.is_closed()
    assert len(turns(memory)) == 2


async def test_an_async_memory_serves_both_kinds(
    api_name: str, mode: str, memory: Memory, server: ChatServer
) -> None:
    other: AsyncMemory = memory.to_async()
    api = api_of(api_name, mode, other, server, user_id="ada")
    await api.ask([user("I sail.")])
    assert len(turns(memory)) == 2
    await api.close()


@pytest.mark.parametrize(
    "options",
    [
        {"k": 0},
        {"max_tokens": 0},
        {"threshold": 2},
        {"infer": "no"},
        {"after_seconds": -1},
        {"after_seconds": 5, "background": False},
    ],
)
def test_wrong_options_are_errors(memory: Memory, server: ChatServer, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        api_of("chat", "sync", memory, server, user_id="ada", **options)


def test_what_is_no_client_and_no_memory_is_refused(memory: Memory, server: ChatServer) -> None:
    with pytest.raises(ConfigurationError, match="no chat API"):
        with_memory(object(), memory)  # type: ignore[call-overload]  # what a test is for
    with pytest.raises(ConfigurationError, match="memory"):
        api_of("chat", "sync", "memory.db", server)  # type: ignore[arg-type]  # what a test is for


def test_an_existing_system_message_is_copied_wherever_it_is_and_whatever_it_holds(
    memory: Memory, server: ChatServer
) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    api = api_of("chat", "sync", memory, server, user_id="ada")
    system = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    api.create(model="m", messages=[user("Hello."), system, user("Who plays the oboe?")])
    sent = server.bodies[-1]["messages"]
    assert system == {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    assert sent[1]["role"] == "developer"
    assert sent[1]["content"][0] == {"type": "text", "text": "Be brief."}
    assert "oboe" in sent[1]["content"][-1]["text"]
    api.client.close()


def test_system_blocks_of_anthropic_stay_as_they_are(memory: Memory, server: ChatServer) -> None:
    memory.add("Ada plays the oboe.", user_id="ada", infer=False)
    api = api_of("messages", "sync", memory, server, user_id="ada")
    own = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
    api.create(**api.request([user("Who plays the oboe?")], system=[own]))
    first, *others = server.bodies[-1]["system"]
    assert first == own
    assert "oboe" in others[-1]["text"]
    api.client.close()


def test_a_message_that_pauses_is_no_answer(memory: Memory, server: ChatServer) -> None:
    api = api_of("messages", "sync", memory, server, user_id="ada")
    server.replies = [{"text": "Searching.", "stop_reason": "pause_turn"}, "Found."]
    paused = api.create(**api.request([user("Find my boat.")]))
    assert turns(memory) == [("user", "Find my boat.")]
    api.create(**api.request([user("Find my boat."), {"role": "assistant", "content": paused.content}]))
    assert turns(memory) == [("user", "Find my boat."), ("assistant", "Found.")]
    api.client.close()


def test_a_response_made_in_the_background_keeps_what_was_asked(memory: Memory, server: ChatServer) -> None:
    api = api_of("responses", "sync", memory, server, user_id="ada")
    server.replies = [{"text": "", "status": "queued"}]
    api.create(model="m", input="I sail.", background=True)
    assert memories(memory) == ["I sail."]
    api.client.close()


def test_the_tool_schema_is_sent_as_it_is(memory: Memory, server: ChatServer) -> None:
    api = api_of("messages", "sync", memory, server, user_id="ada")
    tool = {"name": "look", "input_schema": TOOL}
    api.create(**api.request([user("Look.")], tools=[tool]))
    assert server.bodies[-1]["tools"] == [tool]
    api.client.close()


def test_no_sdk_is_imported_for_it() -> None:
    code = (
        "import sys; import memkit_tools; memkit_tools.with_memory, memkit_tools.Toolbox;"
        "print({name.split('.')[0] for name in sys.modules} & {'openai', 'anthropic', 'agents', 'httpx2', 'numpy'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_many_threads_share_a_client(memory: Memory, server: ChatServer) -> None:
    api = api_of("chat", "sync", memory, server)

    def ask(number: int) -> None:
        api.create(model="m", messages=[user(f"I have {number} boats.")], user_id=f"user-{number % 4}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(24)))
    assert api.client.memory_failures == {}
    for number in range(4):
        said = [text for role, text in turns(memory, user_id=f"user-{number}") if role == "user"]
        assert sorted(said) == sorted(f"I have {at} boats." for at in range(number, 24, 4))
    api.client.close()


async def test_agents_of_one_user_do_not_hear_each_other(make: Make, memory: Memory) -> None:
    api = make()
    await api.ask([user("My favourite tea is sencha.")], agent_id="waiter")
    await api.ask([user("Which tea do I like?")], agent_id="doctor")
    assert "sencha" not in api.system()
    await api.ask([user("Which tea do I like?")], agent_id="waiter")
    assert "sencha" in api.system()
