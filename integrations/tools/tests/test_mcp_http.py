"""Over HTTP a token says whose memories they are, and nobody comes in through a browser's back door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from importlib import import_module
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp.server.auth.provider import AccessToken

from integrations.tools.tests.mcp_client import http_library, over_http, served
from memkit import AsyncMemory
from memkit.errors import ConfigurationError, ScopeError
from memkit_tools.mcp import build_app, build_server

PEOPLE = {"token-of-ada": "ada", "token-of-bob": "bob", "token-of-nobody": None}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


class Verifier:
    """Knows three tokens of one program; the last stands for no user."""

    async def verify_token(self, token: str) -> AccessToken | None:
        if token not in PEOPLE:
            return None
        return AccessToken(token=token, client_id="some-program", scopes=[], subject=PEOPLE[token])


@pytest.fixture
async def memory() -> AsyncGenerator[AsyncMemory]:
    async with AsyncMemory(":memory:", llm=None, embedder="hash") as made:
        yield made


async def post(url: str, body: Any = LIST, **headers: str) -> Any:
    async with http_library().AsyncClient(timeout=120) as client:
        return await client.post(url, content=json.dumps(body), headers=ACCEPT | headers)


async def test_two_users_by_tokens_never_mix(memory: AsyncMemory) -> None:
    async def talk(url: str, name: str) -> None:
        async with over_http(url, f"token-of-{name}") as client:
            for number in range(5):
                await client.call("add_memory", text=f"{name} owns boat {number}.")
                rows = (await client.call("search_memories", query="boat", limit=20))["structuredContent"][
                    "results"
                ]
                assert {row["memory"] for row in rows} == {
                    f"{name} owns boat {n}." for n in range(number + 1)
                }
                text = (await client.read("memory://memories"))["text"]
                assert ("ada" in text, "bob" in text) == (name == "ada", name == "bob")

    async with served(lambda: build_app(memory, token_verifier=Verifier())) as url:
        await asyncio.gather(talk(url, "ada"), talk(url, "bob"))
        async with over_http(url, "token-of-bob") as bob:
            id_of_his = (await bob.call("search_memories", query="boat"))["structuredContent"]["results"][0][
                "id"
            ]
        async with over_http(url, "token-of-ada", **{"X-User-Id": "bob", "MEMKIT_USER_ID": "bob"}) as ada:
            assert (await ada.call("delete_memory", memory_id=id_of_his))["isError"]
            assert "It takes: query, limit" in await ada.text("search_memories", query="boat", user_id="bob")
            assert "bob" not in await ada.text("search_memories", query="boat")


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer forged"}, {"Authorization": "Basic YWRhOmFkYQ=="}]
)
async def test_without_a_good_token_nothing_is_answered(header: dict[str, str], memory: AsyncMemory) -> None:
    async with served(lambda: build_app(memory, token_verifier=Verifier())) as url:
        answer = await post(url, **header)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert "add_memory" not in answer.text


async def test_a_token_that_names_no_user_sees_no_memories(memory: AsyncMemory) -> None:
    body = {
        **LIST,
        "method": "tools/call",
        "params": {"name": "search_memories", "arguments": {"query": "x"}},
    }
    async with served(lambda: build_app(memory, token_verifier=Verifier())) as url:
        answer = (await post(url, body, Authorization="Bearer token-of-nobody")).json()
    assert "no verified token with a subject" in answer["error"]["message"]


async def test_a_token_may_stand_for_somebody_else_where_the_operator_says_so(memory: AsyncMemory) -> None:
    def make() -> Any:
        return build_app(memory, token_verifier=Verifier(), user_of=lambda token: token.client_id)

    async with served(make) as url, over_http(url, "token-of-nobody") as client:
        await client.call("add_memory", text="It sails.")
    assert await memory.count(user_id="some-program") == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8000"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "http://localhost:6274"}, 200),
        ({}, 200),
    ],
)
async def test_only_this_machines_names_and_pages_are_served(
    headers: dict[str, str], status: int, memory: AsyncMemory
) -> None:
    async with served(lambda: build_app(memory, user_id="ada")) as url:
        assert (await post(url, **headers)).status_code == status


async def test_other_names_are_served_where_they_are_allowed(memory: AsyncMemory) -> None:
    def make() -> Any:
        return build_app(
            memory,
            token_verifier=Verifier(),
            host="0.0.0.0",
            allowed_hosts=["memory.example.com"],
            allowed_origins=["https://chat.example.com"],
        )

    good = {"Host": "memory.example.com", "Authorization": "Bearer token-of-ada"}
    async with served(make) as url:
        assert (await post(url, **good)).status_code == 200
        assert (await post(url, **good, Origin="https://chat.example.com")).status_code == 200
        assert (await post(url, **good, Origin="https://evil.example")).status_code == 403
        assert (await post(url, **(good | {"Host": "evil.example"}))).status_code == 421


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({}, "Whose memories"),
        ({"user_id": "ada", "token_verifier": Verifier()}, "Whose memories"),
        ({"user_id": "ada", "host": "0.0.0.0"}, "token_verifier"),
        ({"user_id": "ada", "host": "example.com"}, "token_verifier"),
        ({"user_id": "ada", "host": "::"}, "token_verifier"),
        ({"token_verifier": Verifier(), "host": "0.0.0.0"}, "allowed_hosts"),
        ({"user_id": "ada", "mode": "write"}, "Unknown mode"),
    ],
)
def test_what_would_be_unsafe_is_refused(given: dict[str, Any], hint: str) -> None:
    with pytest.raises(ConfigurationError, match=hint):
        build_app(AsyncMemory(":memory:"), **given)


def test_a_bound_memory_is_not_left() -> None:
    with pytest.raises(ScopeError):
        build_app(AsyncMemory(":memory:").bind(user_id="ada"), user_id="bob")


async def test_a_server_for_transports_of_ones_own_runs_in_memory(memory: AsyncMemory) -> None:
    server = build_server(memory, user_id="ada", mode="read_only")
    try:
        from mcp import Client
    except ImportError:
        connect: Any = import_module("mcp.shared.memory").create_connected_server_and_client_session
        async with connect(server) as session:
            tools = (await session.list_tools()).tools
    else:
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["search_memories"]


async def test_many_clients_at_once_are_all_answered(memory: AsyncMemory) -> None:
    def body(number: int) -> Any:
        params = {"name": "add_memory", "arguments": {"text": f"Ada saw ship {number}."}}
        return {**LIST, "method": "tools/call", "params": params}

    async with served(lambda: build_app(memory, user_id="ada")) as url:
        answers = await asyncio.gather(*(post(url, body(number)) for number in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert await memory.count(user_id="ada") == 20
