"""A local server that speaks Anthropic's messages, for tests with the real SDK over a real socket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from memkit.testing.local_server import Fault, LocalServer, Reply, Request, RequestHandler

__all__ = ["AnthropicServer", "Fault", "Request"]

Block = Mapping[str, Any]
Sampling = Literal["both", "one", "none"]


class AnthropicServer(LocalServer):
    """A context manager around a server on a free port of this machine.

    It answers messages and refuses what the vendor refuses, in the vendor's words. An object among the answers is the
    argument of the tool that the request forces, and JSON text where it forces none. Words count for tokens. A prefix
    that ends at a `cache_control` and was sent before is counted as read from the cache.

    Args:
        replies: Answers, in order; when they run out, the last is repeated.
        reply: One function of the request body for all answers, in place of a list.
        api_key: The only key it takes; None takes any.
        stop_reason: What every message ends with, if not `end_turn` or `tool_use`.
        sampling: Whether `temperature` and `top_p` may come together, one of them may come, or neither.
        most_tokens: The largest `max_tokens`.
        most_bytes: The largest body.
        thinking: Whether the model always thinks, so that no tool can be forced.
        cache_minimum: Words that a prefix needs to be cached.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | None = None,
        *,
        reply: Callable[[Mapping[str, Any]], Any] | None = None,
        api_key: str | None = None,
        stop_reason: str | None = None,
        sampling: Sampling = "one",
        most_tokens: int = 64_000,
        most_bytes: int = 32_000_000,
        thinking: bool = False,
        cache_minimum: int = 1,
    ) -> None:
        super().__init__(replies, reply=reply, api_key=api_key)
        self.stop_reason = stop_reason
        self.sampling: Sampling = sampling
        self.most_tokens = most_tokens
        self.most_bytes = most_bytes
        self.thinking = thinking
        self.cache_minimum = cache_minimum
        self.cached: set[str] = set()
        """Prefixes that were sent."""

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """Bodies of the requests, in order."""
        return [request.body for request in self.requests if request.path.endswith("/v1/messages")]

    def default_answer(self, body: Mapping[str, Any]) -> object:
        """Return an extraction of nothing, or a word."""
        return {"memories": [], "relations": []} if _forced(body) else "ok"


_ERRORS: Final[Mapping[int, str]] = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error",
    529: "overloaded_error",
}  # fmt: skip


class _Handler(RequestHandler):
    owner: AnthropicServer

    def answer(self, path: str, body: Mapping[str, Any]) -> None:
        """Answer a request for a message."""
        owner = self.owner
        if not path.endswith("/v1/messages"):
            self.refuse(404, f"Not found: {path}")
            return
        bearer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        key = self.headers.get("X-Api-Key") or bearer
        if not key or (owner.api_key and key != owner.api_key):
            self.refuse(401, "invalid x-api-key" if key else "x-api-key header is required")
            return
        if int(self.headers.get("Content-Length") or 0) > owner.most_bytes:
            self.refuse(413, "Request exceeds the maximum size")
            return
        if not self.headers.get("anthropic-version"):
            self.refuse(400, "anthropic-version: header is required")
            return
        problem = next(_problems(body, owner), None)
        if problem is not None:
            self.refuse(400, problem)
            return
        answer = owner.answer(body)
        if isinstance(answer, Mapping) and "__raw__" in answer:
            self.send(200, cast("Block", answer)["__raw__"])
            return
        blocks = _blocks(cast("object", answer), body)
        called = any(block["type"] == "tool_use" for block in blocks)
        self.send(
            200,
            {
                "id": "msg_local",
                "type": "message",
                "role": "assistant",
                "model": body["model"],
                "content": blocks,
                "stop_reason": owner.stop_reason or ("tool_use" if called else "end_turn"),
                "stop_sequence": None,
                "usage": self._usage(body, blocks),
            },
        )

    def error_of(self, fault: Fault) -> object:
        """Return an error object."""
        kind = fault.code or _ERRORS.get(fault.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": fault.message}, "request_id": "req_local"}

    def _usage(self, body: Mapping[str, Any], blocks: Sequence[Block]) -> dict[str, int]:
        """Count words for tokens, those of the cached prefix apart."""
        prefix, rest = _prefix(body)
        words, known = len(prefix.split()), prefix in self.owner.cached
        if words < self.owner.cache_minimum:
            prefix, rest, words = "", prefix + rest, 0
        if prefix:
            self.owner.cached.add(prefix)
        return {
            "input_tokens": len(rest.split()),
            "cache_creation_input_tokens": 0 if known else words,
            "cache_read_input_tokens": words if known else 0,
            "output_tokens": sum(
                len(str(block.get("text") or block.get("input")).split()) for block in blocks
            ),
        }


AnthropicServer.handler = _Handler


def _forced(body: Mapping[str, Any]) -> str | None:
    """Return the name of the tool that a request forces; of `any` it is the last."""
    choice = cast("Block", body.get("tool_choice") or {})
    if choice.get("type") == "any":
        return str(body["tools"][-1]["name"])
    return str(choice["name"]) if choice.get("type") == "tool" else None


def _blocks(answer: object, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an answer as content blocks."""
    dump = getattr(answer, "model_dump", None)
    if callable(dump):
        answer = dump(mode="json")
    if isinstance(answer, Mapping) and "tool_calls" in answer:
        data = cast("Mapping[str, Any]", answer)
        said: list[dict[str, Any]] = (
            [{"type": "text", "text": data["content"]}] if data.get("content") else []
        )
        return said + [
            {
                "type": "tool_use",
                "id": call.get("id", f"toolu_{index}"),
                "name": call["name"],
                "input": call["arguments"],
            }
            for index, call in enumerate(cast("list[Mapping[str, Any]]", data["tool_calls"]))
        ]
    name = _forced(body)
    if name is not None and isinstance(answer, Mapping):
        return [{"type": "tool_use", "id": "toolu_0", "name": name, "input": answer}]
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return [{"type": "text", "text": text}] if text else []


def _prefix(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return a request as text, cut after the last block with `cache_control`: tools, system, messages."""
    blocks = _all_blocks(body)
    ends = [index for index, block in enumerate(blocks) if block.get("cache_control")]
    cut = ends[-1] + 1 if ends else 0
    plain = [json.dumps({k: v for k, v in b.items() if k != "cache_control"}, sort_keys=True) for b in blocks]
    return " ".join(plain[:cut]), " ".join(plain[cut:])


def _all_blocks(body: Mapping[str, Any]) -> list[Block]:
    """Return tools, system prompt and messages as one list, which is what a cached prefix is cut from."""
    said = [block for message in body["messages"] for block in _content(message)]
    return [*cast("list[Block]", body.get("tools") or []), *_system(body), *said]


def _system(body: Mapping[str, Any]) -> list[Block]:
    return _content({"content": body.get("system")})


def _content(message: Block) -> list[Block]:
    content: object = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[Block]", content) if isinstance(content, list) else []


# What the vendor refuses, in its words.

_FIELDS: Final = frozenset({
    "cache_control", "max_tokens", "messages", "metadata", "model", "output_config", "service_tier", "stop_sequences",
    "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
})  # fmt: skip
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_BLOCKS: Final = frozenset(
    {"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"}
)


def _problems(body: Mapping[str, Any], server: AnthropicServer) -> Iterator[str]:
    """Yield what is wrong with a request, the first thing first."""
    for field in body:
        if field not in _FIELDS:
            yield f"{field}: Extra inputs are not permitted"
    for field in ("model", "max_tokens", "messages"):
        if field not in body:
            yield f"{field}: Field required"
    most = body["max_tokens"]
    if not isinstance(most, int) or most < 1:
        yield "max_tokens: Input should be greater than or equal to 1"
    elif most > server.most_tokens:
        yield (
            f"max_tokens: {most} > {server.most_tokens}, which is the maximum allowed number of output tokens for "
            f"{body['model']}"
        )
    yield from _sampling(body, server.sampling)
    yield from _messages(body["messages"])
    yield from _tools(body, server.thinking)
    yield from _caching(body)


def _sampling(body: Mapping[str, Any], taken: Sampling) -> Iterator[str]:
    sent = [name for name in ("temperature", "top_p") if name in body]
    if taken == "none" and sent:
        yield f"`{sent[0]}` is deprecated for this model."
    if taken == "one" and len(sent) == 2:
        yield "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    for name in sent:
        if not 0 <= body[name] <= 1:
            yield f"{name}: range: 0..1"


def _messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: at least one message is required"
        return
    turns = cast("list[Block]", messages)
    if turns[0].get("role") != "user":
        yield 'messages: first message must use the "user" role'
    called: set[str] = set()
    for at, turn in enumerate(turns):
        if turn.get("role") not in ("user", "assistant"):
            yield f'messages: Unexpected role "{turn.get("role")}". Use the top-level `system` parameter.'
        blocks = _content(turn)
        if not blocks:
            yield f"messages.{at}: all messages must have non-empty content"
        for number, block in enumerate(blocks):
            yield from (f"messages.{at}.content.{number}: {wrong}" for wrong in _wrong(block, called))
        called = {str(block["id"]) for block in blocks if block.get("type") == "tool_use"}
    last = _content(turns[-1])[-1]
    if turns[-1]["role"] == "assistant" and str(last.get("text") or "").endswith((" ", "\n")):
        yield "messages: final assistant content cannot end with trailing whitespace"


def _wrong(block: Block, called: set[str]) -> Iterator[str]:
    kind = block.get("type")
    if kind not in _BLOCKS:
        yield f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
    if kind == "text" and not str(block.get("text") or "").strip():
        yield "text content blocks must be non-empty"
    if kind == "tool_result" and block.get("tool_use_id") not in called:
        yield f"unexpected `tool_use_id` found in `tool_result` blocks: {block.get('tool_use_id')}"
    if kind == "image":
        source = cast("Block", block.get("source") or {})
        if source.get("type") not in ("base64", "url", "file"):
            yield "image.source: Field required"
        if source.get("type") == "base64" and source.get("media_type") not in _IMAGES:
            yield f"image.source.base64.media_type: Input should be one of {', '.join(_IMAGES)}"
        if source.get("type") == "url" and not str(source.get("url")).startswith(("http://", "https://")):
            yield "image.source.url: Only HTTP URLs are supported"


def _tools(body: Mapping[str, Any], thinking: bool) -> Iterator[str]:
    tools = cast("list[Block]", body.get("tools") or [])
    names = [str(tool.get("name")) for tool in tools]
    for at, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(names[at]):
            yield f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        schema: object = tool.get("input_schema")
        if not isinstance(schema, Mapping) or cast("Block", schema).get("type") != "object":
            yield f"tools.{at}.custom.input_schema.type: Field required"
    if len(set(names)) < len(names):
        yield "tools: Tool names must be unique."
    choice = cast("Block", body.get("tool_choice") or {})
    forced = choice.get("type") in ("any", "tool")
    if forced and not tools:
        yield "tool_choice: may only be specified while providing tools"
    if choice.get("type") == "tool" and choice.get("name") not in names:
        yield f"Tool '{choice.get('name')}' not found in provided tools"
    if forced and (thinking or cast("Block", body.get("thinking") or {}).get("type") == "enabled"):
        yield "Thinking may not be enabled when tool_choice forces tool use."


def _caching(body: Mapping[str, Any]) -> Iterator[str]:
    marked = sum(1 for block in _all_blocks(body) if block.get("cache_control"))
    if marked > 4:
        yield f"A maximum of 4 blocks with cache_control may be provided. Found {marked}."
    for block in _system(body):
        if block.get("type") != "text" or not str(block.get("text") or "").strip():
            yield "system: text content blocks must be non-empty"
