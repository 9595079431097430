"""A local server that speaks OpenAI's wire format, for tests with the real SDK over a real socket."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, cast

__all__ = ["Fault", "OpenAIServer", "Request", "bag_of_words"]

Reply = str | Mapping[str, Any] | list[Any] | Callable[[Mapping[str, Any]], Any]
"""An answer: a text, an object (sent as JSON text), or a function of the request body that returns one.

An object with the key `tool_calls`, a list of `{"name", "arguments"}`, is an answer that calls tools; one with the
key `__raw__` is the whole response body.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How a request goes wrong instead of being answered."""

    status: int = 500
    """The HTTP status; 200 with `body` set is junk that looks like success."""
    message: str = "injected"
    code: str | None = None
    param: str | None = None
    retry_after: str | None = None
    body: str | None = None
    """Sent as it is in place of an error object."""
    delay_s: float = 0.0
    """Seconds before anything is sent; then the request is answered as usual, unless `drop` or a `status` of 400 up."""
    drop: bool = False
    """Close the connection without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    at: float = field(default_factory=time.monotonic)


class OpenAIServer:
    """A context manager around a server on a free port of this machine.

    It answers chat completions (with structured output, tool calls and streaming), responses, embeddings and the
    list of models. Embeddings are deterministic: texts that share words are near to each other.

    Args:
        replies: Answers of the chat, in order; when they run out, the last is repeated.
        reply: One function of the request body for all answers, in place of a list.
        dim: Columns of an embedding, where the request does not ask for a number.
        api_key: The only key it takes; None takes any.
        response_formats: Types of `response_format` it takes; the others get a 400.
        finish_reason: What every completion ends with, if not `stop` or `tool_calls`.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | None = None,
        *,
        reply: Callable[[Mapping[str, Any]], Any] | None = None,
        dim: int = 256,
        api_key: str | None = None,
        response_formats: Sequence[str] = ("json_schema", "json_object", "text"),
        finish_reason: str | None = None,
    ) -> None:
        self.dim = dim
        self.api_key = api_key
        self.response_formats = tuple(response_formats)
        self.finish_reason = finish_reason
        self.requests: list[Request] = []
        """Everything that was asked, in order, faults included."""
        self._replies: list[Reply] = list(replies or ())
        self._reply = reply
        self._faults: list[tuple[str, Fault]] = []
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> OpenAIServer:
        server = self

        class Handler(_Handler):
            owner = server

        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="memkit-openai-server",
            daemon=True,
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
            self._http = None

    @property
    def base_url(self) -> str:
        """The URL to give as `base_url`."""
        if self._http is None:
            raise RuntimeError("The server is not running; use it as a context manager.")
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def say(self, *replies: Reply) -> None:
        """Append answers of the chat."""
        with self._lock:
            self._replies.extend(replies)

    def fail(self, *faults: Fault, path: str = "") -> None:
        """Let the next requests whose path contains `path` go wrong, one for each fault."""
        with self._lock:
            self._faults.extend((path, fault) for fault in faults)

    def reset(self) -> None:
        """Forget requests, answers and faults."""
        with self._lock:
            self.requests.clear()
            self._replies.clear()
            self._faults.clear()

    def count(self, path: str = "") -> int:
        """Return how many requests had `path` in theirs."""
        return sum(path in request.path for request in self.requests)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many requests each path had."""
        return Counter(request.path.removeprefix("/v1") for request in self.requests)

    @property
    def chats(self) -> list[Mapping[str, Any]]:
        """Bodies of the chat requests, in order."""
        return [request.body for request in self.requests if request.path.endswith("/chat/completions")]

    @property
    def embedded(self) -> list[list[str]]:
        """Texts of each embedding request, in order."""
        return [_inputs(request.body) for request in self.requests if request.path.endswith("/embeddings")]

    def _next_fault(self, path: str) -> Fault | None:
        with self._lock:
            for at, (part, fault) in enumerate(self._faults):
                if part in path:
                    del self._faults[at]
                    return fault
        return None

    def _record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def _answer(self, body: Mapping[str, Any]) -> object:
        if self._reply is not None:
            return self._reply(body)
        with self._lock:
            if not self._replies:
                return {"memories": [], "relations": []} if "response_format" in body else "ok"
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply(body) if callable(reply) else reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        """List the models."""
        if self.path.endswith("/models"):
            self._send(
                200,
                {
                    "object": "list",
                    "data": [{"id": "local", "object": "model", "created": 0, "owned_by": "local"}],
                },
            )
        else:
            self._refuse(404, f"Unknown path {self.path}")

    def do_POST(self) -> None:
        """Answer one request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = cast("Mapping[str, Any]", json.loads(raw or b"{}"))
        except ValueError:
            self._refuse(400, "The body is not JSON")
            return
        path = self.path.partition("?")[0]
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.owner._record(Request(path=path, body=body, headers=headers))  # pyright: ignore[reportPrivateUsage]
        if self._failed(path):
            return
        if self.owner.api_key and self.headers.get("Authorization") != f"Bearer {self.owner.api_key}":
            self._refuse(401, "Incorrect API key provided", code="invalid_api_key")
            return
        routes = {
            "/chat/completions": self._chat,
            "/embeddings": self._embeddings,
            "/responses": self._responses,
        }
        for ending, route in routes.items():
            if path.endswith(ending):
                route(body)
                return
        self._refuse(404, f"Unknown path {path}")

    def _failed(self, path: str) -> bool:
        fault = self.owner._next_fault(path)  # pyright: ignore[reportPrivateUsage]
        if fault is None:
            return False
        time.sleep(fault.delay_s)
        if fault.drop:
            self.close_connection = True
            self.connection.close()
            return True
        if fault.body is not None:
            self._send_bytes(fault.status, fault.body.encode(), "application/json", fault.retry_after)
            return True
        if fault.delay_s and fault.status == 500:
            return False
        error = {"message": fault.message, "type": "injected", "code": fault.code, "param": fault.param}
        self._send_bytes(
            fault.status, json.dumps({"error": error}).encode(), "application/json", fault.retry_after
        )
        return True

    def _chat(self, body: Mapping[str, Any]) -> None:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            self._refuse(400, "'messages' must not be empty", param="messages")
            return
        wanted = cast("Mapping[str, Any]", body.get("response_format") or {"type": "text"}).get("type")
        if wanted not in self.owner.response_formats and wanted != "text":
            self._refuse(400, f"response_format type {wanted!r} is not supported", param="response_format")
            return
        answer = self.owner._answer(body)  # pyright: ignore[reportPrivateUsage]
        if isinstance(answer, Mapping) and "__raw__" in answer:
            self._send(200, cast("Mapping[str, Any]", answer)["__raw__"])
            return
        message, finish = _message(cast("object", answer))
        finish = self.owner.finish_reason or finish
        usage = _usage(body, message)
        if body.get("stream"):
            self._stream(body, message, finish, usage)
            return
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        self._send(200, {**_head(body, "chat.completion"), "choices": [choice], "usage": usage})

    def _stream(
        self, body: Mapping[str, Any], message: Mapping[str, Any], finish: str, usage: Mapping[str, int]
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        head = _head(body, "chat.completion.chunk")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [
            {"content": piece} for piece in re.findall(r"\s*\S+|\s+$", str(message.get("content") or ""))
        ]
        for index, call in enumerate(cast("list[dict[str, Any]]", message.get("tool_calls") or [])):
            deltas.append({"tool_calls": [{"index": index, **call}]})
        for delta in deltas:
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if cast("Mapping[str, Any]", body.get("stream_options") or {}).get("include_usage"):
            self._event({**head, "choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: Mapping[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def _responses(self, body: Mapping[str, Any]) -> None:
        message, _ = _message(self.owner._answer(body))  # pyright: ignore[reportPrivateUsage]
        usage = _usage(body, message)
        text: dict[str, Any] = {"type": "output_text", "text": message["content"] or "", "annotations": []}
        output: dict[str, Any] = {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [text],
        }
        self._send(
            200,
            {
                **_head(body, "response"),
                "created_at": _CREATED,
                "status": "completed",
                "output": [output],
                "parallel_tool_calls": True,
                "tool_choice": "auto",
                "tools": [],
                "usage": {
                    "input_tokens": usage["prompt_tokens"],
                    "output_tokens": usage["completion_tokens"],
                    "total_tokens": usage["total_tokens"],
                },
            },
        )

    def _embeddings(self, body: Mapping[str, Any]) -> None:
        texts = _inputs(body)
        if not texts or any(text == "" for text in texts):
            self._refuse(400, "'$.input' is invalid: it must not be empty", param="input")
            return
        if len(texts) > 2048:
            self._refuse(400, "'$.input' is invalid: at most 2048 items", param="input")
            return
        dim = int(body.get("dimensions") or self.owner.dim)
        rows = [bag_of_words(text, dim) for text in texts]
        base64 = body.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": b64encode(struct.pack(f"<{dim}f", *row)).decode() if base64 else row,
            }
            for index, row in enumerate(rows)
        ]
        used = sum(len(text.split()) for text in texts)
        self._send(
            200,
            {
                "object": "list",
                "data": data,
                "model": body.get("model", "local"),
                "usage": {"prompt_tokens": used, "total_tokens": used},
            },
        )

    def _refuse(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        self._send(
            status,
            {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": param}},
        )

    def _send(self, status: int, data: object) -> None:
        body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self._send_bytes(status, body, "application/json", None)

    def _send_bytes(self, status: int, body: bytes, kind: str, retry_after: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)


_CREATED: Final = 1_760_000_000
_TOKEN: Final = re.compile(r"\w+")


def bag_of_words(text: str, dim: int = 256) -> list[float]:
    """Return a unit vector in which every word of a text has its place, so that texts with the same words are near.

    Scripts without spaces count by pairs of characters.
    """
    row = [0.0] * dim
    for word in _TOKEN.findall(text.casefold()):
        parts = [word] if word.isascii() else [word, *(word[at : at + 2] for at in range(len(word) - 1))]
        for part in parts:
            digest = hashlib.blake2b(part.encode("utf-8", "surrogatepass"), digest_size=4).digest()
            place = int.from_bytes(digest, "big") % dim
            row[place] += 1.0
    length = math.sqrt(sum(value * value for value in row))
    if not length:
        row[0] = length = 1.0
    return [value / length for value in row]


def _inputs(body: Mapping[str, Any]) -> list[str]:
    given: object = body.get("input")
    if isinstance(given, str):
        return [given]
    return [str(item) for item in cast("list[object]", given)] if isinstance(given, list) else []


def _head(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {"id": "local-1", "object": kind, "created": _CREATED, "model": body.get("model", "local")}


def _message(answer: object) -> tuple[dict[str, Any], str]:
    if isinstance(answer, Mapping) and "tool_calls" in answer:
        data = cast("Mapping[str, Any]", answer)
        calls = [
            {
                "id": call.get("id", f"call_{index}"),
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": call["arguments"]
                    if isinstance(call["arguments"], str)
                    else json.dumps(call["arguments"]),
                },
            }
            for index, call in enumerate(cast("list[Mapping[str, Any]]", data["tool_calls"]))
        ]
        return {
            "role": "assistant",
            "content": data.get("content"),
            "tool_calls": calls,
            "refusal": None,
        }, "tool_calls"
    dump = getattr(cast("object", answer), "model_dump", None)
    if callable(dump):
        answer = dump(mode="json")
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    return {"role": "assistant", "content": text, "refusal": None}, "stop"


def _usage(body: Mapping[str, Any], message: Mapping[str, Any]) -> dict[str, int]:
    """Count words for tokens."""
    asked = len(json.dumps(body.get("messages") or body.get("input") or "").split())
    said = len(str(message.get("content") or "").split()) or 1
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
