"""The whole engine over Anthropic's wire format: the same reply stores the same memories as over OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import BaseModel, Field

from memkit.errors import BackendUnavailableError
from memkit.testing import AnthropicServer, Fault, OpenAIServer
from memkit.testing.local_server import LocalServer
from tests.engine.faces import Face, World, answer, fact

Servers = dict[str, LocalServer]
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-6"}
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Pet(BaseModel):
    """An animal that lives with somebody."""

    name: str = Field(json_schema_extra={"key": True})
    age: int | None = None


OSLO = answer(
    fact(
        "The user lives in Oslo.",
        quote="I live in Oslo",
        entities=[{"name": "Oslo", "kind": "place"}],
    ),
    fact("The user has a yacht.", quote="I have a yacht"),
    relations=[{"source": "user", "relation": "lives_in", "target": "Oslo", "memory": 0}],
)
ROME = answer(
    fact("The user lives in Rome.", quote="I moved to Rome", action="supersede", replaces="m1", kind="fact")
)
REX = {
    "memories": [],
    "records": [
        {
            "kind": "pet",
            "data": {"name": "Rex", "age": 3},
            "action": "set",
            "message": 1,
            "quote": "my dog Rex is three",
        }
    ],
}


@pytest.fixture
def servers() -> Generator[Servers]:
    with ExitStack() as stack:
        yield {
            "openai": stack.enter_context(OpenAIServer()),
            "anthropic": stack.enter_context(AnthropicServer()),
        }


def connect(world: World, servers: Servers, wire: str, **given: Any) -> Face:
    config = {"api_key": "sk-test", "base_url": servers[wire].base_url, "model": MODELS[wire]}
    return world.open(world.folder / wire, llm={"provider": wire, "config": config}, **given)


def stored(memory: Face, **scope: Any) -> list[Any]:
    """Everything that a memory holds of an owner, without what is different in every run: ids and times."""
    said = {message.id: message.content for message in memory.messages(**scope)}
    out: list[Any] = []
    for item in memory.get_all(include_closed=True, **scope).results:
        events = [
            (
                event.event,
                event.before and event.before.memory,
                event.after and event.after.memory,
                ID.sub("<id>", event.reason or ""),
            )
            for event in memory.history(item.id)
        ]
        sources = [(str(said.get(source.message_id)), source.quote) for source in item.sources]
        entities = [(entity.name, entity.kind) for entity in item.entities]
        open_ = item.valid_until is None
        out.append((item.memory, item.kind, item.data, item.origin, open_, entities, sources, events))
    return sorted(out, key=repr)


def in_both(
    world: World, servers: Servers, replies: Sequence[Any], calls: Sequence[Any], **given: Any
) -> list[Any]:
    """Make calls over both wire formats, with the same replies, and return what each has done and stored."""
    ends: list[Any] = []
    for wire, server in servers.items():
        server.say(*replies)
        memory = connect(world, servers, wire, **given)
        outcomes = [
            [
                (outcome.event, outcome.memory, outcome.previous_memory, outcome.reason)
                for outcome in result.results
            ]
            for result in (memory.add(turns, **options) for turns, options in calls)
        ]
        scope = {key: value for key, value in calls[0][1].items() if key.endswith("_id")}
        ends.append((outcomes, stored(memory, **scope)))
    return ends


def test_facts_are_the_same_with_their_outcomes_sources_and_history(world: World, servers: Servers) -> None:
    calls = [("I live in Oslo.", {"user_id": "u"}), ("I moved to Rome.", {"user_id": "u"})]
    first, second = in_both(world, servers, [OSLO, ROME], calls)
    assert first == second
    outcomes, records = second
    assert [event for events in outcomes for event, *_ in events] == ["ADD", "REJECT", "SUPERSEDE"]
    assert [(text, is_open) for text, _, _, _, is_open, *_ in records] == [
        ("The user lives in Oslo.", False),
        ("The user lives in Rome.", True),
    ]


def test_typed_records_are_the_same(world: World, servers: Servers) -> None:
    calls = [("By the way, my dog Rex is three.", {"user_id": "u"})]
    first, second = in_both(world, servers, [REX], calls, schemas=[Pet])
    assert first == second
    assert [record[2] for record in second[1]] == [{"name": "Rex", "age": 3}]


def test_a_procedure_is_the_same(world: World, servers: Servers) -> None:
    turns = [
        {"role": "user", "content": "Deploy it."},
        {"role": "assistant", "content": "I ran make deploy."},
    ]
    calls = [(turns, {"agent_id": "bot", "run_id": "r", "memory_type": "procedural_memory"})]
    first, second = in_both(world, servers, ["Deploying\n1. Run `make deploy`."], calls)
    assert first == second
    assert [record[:2] for record in second[1]] == [("Deploying\n1. Run `make deploy`.", "procedure")]


def test_an_image_is_described_and_its_description_learned_from(world: World, servers: Servers) -> None:
    block = {"type": "image_url", "image_url": {"url": PIXEL}}
    turns = [{"role": "user", "content": [{"type": "text", "text": "My cat."}, block]}]
    found = answer(fact("The user has a red cat.", quote="a red cat"))
    first, second = in_both(world, servers, ["It shows a red cat.", found], [(turns, {"user_id": "u"})])
    assert first == second and second[1][0][0] == "The user has a red cat."
    server = servers["anthropic"]
    seen = server.requests[0].body["messages"][0]["content"][1]
    assert seen == {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    }


def test_an_add_is_one_request_and_its_stable_part_comes_out_of_the_cache(
    world: World, servers: Servers
) -> None:
    server = servers["anthropic"]
    server.say(OSLO, answer(), answer())
    memory = connect(world, servers, "anthropic")
    usages = [
        memory.add(text, user_id="u").usage
        for text in ("I live in Oslo.", "It rained today.", "Good evening.")
    ]
    assert server.count() == 3 and [usage.llm_calls for usage in usages] == [1, 1, 1]
    prefixes = {str(request.body["tools"]) + str(request.body["system"]) for request in server.requests}
    assert len(prefixes) == 1, "the same bytes in every call"
    assert all(usage.input_tokens > 500 and usage.output_tokens > 0 for usage in usages), (
        "those of the cache too"
    )
    first, *later = usages
    assert first.cache_write_tokens > 500 and first.cache_read_tokens == 0
    for usage in later:
        assert usage.cache_read_tokens == first.cache_write_tokens and usage.cache_write_tokens == 0


def test_a_failure_keeps_the_turns_and_the_same_call_goes_on(world: World, servers: Servers) -> None:
    server = servers["anthropic"]
    memory = connect(world, servers, "anthropic")
    server.fail(*[Fault(status=529, retry_after="0")] * 3)
    with pytest.raises(BackendUnavailableError) as raised:
        memory.add("I live in Oslo.", user_id="u")
    assert raised.value.operation_id and raised.value.retryable
    assert [message.content for message in memory.messages(user_id="u")] == ["I live in Oslo."]
    server.say(OSLO)
    assert memory.add("I live in Oslo.", user_id="u").operation_id == raised.value.operation_id
    assert memory.texts(user_id="u") == ["The user lives in Oslo."] and len(memory.messages(user_id="u")) == 1


def test_the_key_alone_chooses_it_and_openais_goes_first(
    world: World, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers["anthropic"]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
    monkeypatch.setenv("MEMKIT_LOCAL_EMBEDDER", "hash")
    server.say(OSLO)
    memory = world.open(llm="auto", embedder="auto")
    memory.add("I live in Oslo.", user_id="u")
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]
    chosen = memory.health().chosen
    assert "anthropic/" in chosen["llm"] and "ANTHROPIC_API_KEY" in chosen["llm"]
    assert chosen["embedder"].startswith("hash/"), "the vendor has no embeddings"
    assert "sk-test" not in repr(memory.health())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_BASE_URL", servers["openai"].base_url)
    other = world.open(world.folder / "other", llm="auto")
    servers["openai"].say(OSLO)
    other.add("I live in Oslo.", user_id="u")
    assert "openai/" in other.health().chosen["llm"]
