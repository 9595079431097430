"""A memory of two users, and chat clients over a local server, as the tests of this distribution need them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from integrations.tools.tests.chat_apis import APIS, VARIANTS, Api, Make, api_of
from integrations.tools.tests.chat_server import ChatServer
from memkit import Memory
from memkit.errors import BackendUnavailableError
from memkit_tools import Toolbox


class Searches:
    """A hook that notes what is searched for, and breaks what a test asks it to."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.broken: set[str] = set()

    def before_search(self, query: str, _scope: object) -> None:
        self.queries.append(query)
        self._break("recall")

    def before_add(self, _messages: object, _scope: object) -> None:
        self._break("remember")

    def _break(self, operation: str) -> None:
        if operation in self.broken:
            raise BackendUnavailableError("down", backend="test")


@pytest.fixture
def hook() -> Searches:
    return Searches()


@pytest.fixture
def memory(hook: Searches) -> Generator[Memory]:
    with Memory(":memory:", llm=None, embedder="hash", hooks=[hook]) as made:
        made.add("I live in Oslo near the harbour.", user_id="bob", infer=False)
        yield made


@pytest.fixture
def box(memory: Memory) -> Toolbox:
    """Ada's tools, all of them, over an empty scope."""
    return Toolbox(memory, user_id="ada@example.com", mode="full", allow_bulk_delete=True)


@pytest.fixture
def server() -> Generator[ChatServer]:
    with ChatServer("Nice to hear.") as running:
        yield running


@pytest.fixture(params=APIS)
def api_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streaming"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=VARIANTS, ids=lambda one: "-".join((*one[:2], "streaming" if one[2] else "whole")))
async def make(request: pytest.FixtureRequest, memory: Memory, server: ChatServer) -> AsyncGenerator[Make]:
    """Make clients of one API in one mode, Ada's unless a test says otherwise."""
    name, mode, streaming = request.param
    made: list[Api] = []

    def one(**options: Any) -> Api:
        given = {"user_id": "ada", **options}
        made.append(api_of(name, mode, given.pop("memory", memory), server, streaming=streaming, **given))
        return made[-1]

    yield one
    for api in made:
        await api.close()
