"""A local server that speaks OpenAI's wire format, for tests with the real SDK over a real socket."""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, cast

from memkit.testing.local_server import Fault, LocalServer, Reply, Request, RequestHandler

__all__ = ["Fault", "OpenAIServer", "Request", "bag_of_words"]


class OpenAIServer(LocalServer):
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

    root: ClassVar[str] = "/v1"

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
        super().__init__(replies, reply=reply, api_key=api_key)
        self.dim = dim
        self.response_formats = tuple(response_formats)
        self.finish_reason = finish_reason

    @property
    def chats(self) -> list[Mapping[str, Any]]:
        """Bodies of the chat requests, in order."""
        return [request.body for request in self.requests if request.path.endswith("/chat/completions")]

    @property
    def embedded(self) -> list[list[str]]:
        """Texts of each embedding request, in order."""
        return [_inputs(request.body) for request in self.requests if request.path.endswith("/embeddings")]

    def default_answer(self, body: Mapping[str, Any]) -> object:
        """Return an extraction of nothing, or a word."""
        return {"memories": [], "relations": []} if "response_format" in body else "ok"


class _Handler(RequestHandler):
    owner: OpenAIServer

    def do_GET(self) -> None:
        """List the models."""
        if self.path.endswith("/models"):
            self.send(
                200,
                {
                    "object": "list",
                    "data": [{"id": "local", "object": "model", "created": 0, "owned_by": "local"}],
                },
            )
        else:
            self._refuse(404, f"Unknown path {self.path}")

    def answer(self, path: str, body: Mapping[str, Any]) -> None:
        """Answer by the path."""
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

    def error_of(self, fault: Fault) -> object:
        """Return an error object."""
        return {
            "error": {"message": fault.message, "type": "injected", "code": fault.code, "param": fault.param}
        }

    def _chat(self, body: Mapping[str, Any]) -> None:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            self._refuse(400, "'messages' must not be empty", param="messages")
            return
        wanted = cast("Mapping[str, Any]", body.get("response_format") or {"type": "text"}).get("type")
        if wanted not in self.owner.response_formats and wanted != "text":
            self._refuse(400, f"response_format type {wanted!r} is not supported", param="response_format")
            return
        answer = self.owner.answer(body)
        if isinstance(answer, Mapping) and "__raw__" in answer:
            self.send(200, cast("Mapping[str, Any]", answer)["__raw__"])
            return
        message, finish = _message(cast("object", answer))
        finish = self.owner.finish_reason or finish
        usage = _usage(body, message)
        if body.get("stream"):
            self._stream(body, message, finish, usage)
            return
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        self.send(200, {**_head(body, "chat.completion"), "choices": [choice], "usage": usage})

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
        message, _ = _message(self.owner.answer(body))
        usage = _usage(body, message)
        text: dict[str, Any] = {"type": "output_text", "text": message["content"] or "", "annotations": []}
        output: dict[str, Any] = {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [text],
        }
        self.send(
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
        self.send(
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
        self.send(
            status,
            {"error": {"message": message, "type": "invalid_request_error", "code": code, "param": param}},
        )


OpenAIServer.handler = _Handler
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
