"""The three chat APIs behind one face, over the official SDKs, sync and async: what a test says holds for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, OpenAI

from integrations.tools.tests.chat_server import ChatServer
from memkit import Memory
from memkit_tools import with_memory

APIS = ("chat", "responses", "messages")
VARIANTS = (
    ("chat", "sync", False), ("chat", "async", True), ("responses", "sync", True), ("responses", "async", False),
    ("messages", "sync", False), ("messages", "async", True),
)  # fmt: skip
"""Every API in both modes, whole and streaming."""
TOOL = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


@dataclass(kw_only=True)
class Api:
    """One chat API as a test uses it; `messages` are `{"role", "content"}` dicts."""

    name: str
    server: ChatServer
    client: Any
    streaming: bool = False
    _open: list[Any] = field(default_factory=list)

    async def ask(self, messages: Any, *, system: Any = None, **arguments: Any) -> Any:
        """Send a request, read the whole answer, and return it; of a stream, its events."""
        request = self.request(messages, system=system, **arguments)
        response = self.create(**request)
        response = await response if inspect.isawaitable(response) else response
        return [event async for event in _events(response)] if self.streaming else response

    @property
    def create(self) -> Callable[..., Any]:
        return self.resource.create

    @property
    def resource(self) -> Any:
        return {
            "chat": lambda: self.client.chat.completions,
            "responses": lambda: self.client.responses,
            "messages": lambda: self.client.messages,
        }[self.name]()

    def request(self, messages: Any, *, system: Any = None, **arguments: Any) -> dict[str, Any]:
        given: dict[str, Any] = {"model": "m", **arguments}
        if self.streaming:
            given["stream"] = True
        if self.name == "messages":
            return {"max_tokens": 99, "messages": messages, **({"system": system} if system else {}), **given}
        if self.name == "responses":
            return {"input": messages, **({"instructions": system} if system else {}), **given}
        return {
            "messages": [*([{"role": "system", "content": system}] if system else []), *messages],
            **given,
        }

    def system(self, at: int = -1) -> str:
        """Return the system prompt that the model saw, or nothing."""
        body = self.server.bodies[at]
        found = body.get("instructions") or body.get("system")
        if self.name == "chat":
            found = next((one["content"] for one in body["messages"] if one["role"] == "system"), None)
        return "\n".join(block["text"] for block in found) if isinstance(found, list) else found or ""

    def sent(self, at: int = -1) -> Any:
        """Return the messages that the model saw, without system messages."""
        body = self.server.bodies[at]
        found = body.get("messages", body.get("input"))
        return [one for one in found if one.get("role") != "system"] if isinstance(found, list) else found

    def said(self, response: Any) -> list[Any]:
        """Return what goes into the next request after a response that calls tools."""
        if self.name == "chat":
            return [response.choices[0].message]
        return (
            list(response.output)
            if self.name == "responses"
            else [{"role": "assistant", "content": response.content}]
        )

    async def flush(self) -> None:
        done = self.client.flush()
        if inspect.isawaitable(done):
            await done

    async def close(self) -> None:
        done = self.client.close()
        if inspect.isawaitable(done):
            await done


Make = Callable[..., Api]


async def _events(stream: Any) -> Any:
    if hasattr(stream, "__aiter__"):
        async for event in stream:
            yield event
    else:
        for event in stream:
            yield event


def sdk(name: str, mode: str, server: ChatServer) -> Any:
    if name == "messages":
        kind: Any = Anthropic if mode == "sync" else AsyncAnthropic
        return kind(api_key="k", base_url=server.url, max_retries=0)
    kind = OpenAI if mode == "sync" else AsyncOpenAI
    return kind(api_key="k", base_url=f"{server.url}/v1", max_retries=0)


def api_of(
    name: str, mode: str, memory: Memory, server: ChatServer, *, streaming: bool = False, **options: Any
) -> Api:
    client = with_memory(sdk(name, mode, server), memory, **options)
    return Api(name=name, server=server, client=client, streaming=streaming)


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def turns(memory: Memory, **ids: Any) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in memory.messages(**(ids or {"user_id": "ada"}))]


def memories(memory: Memory, user_id: str = "ada") -> Sequence[str]:
    return sorted(one.memory for one in memory.get_all(user_id=user_id).results)
