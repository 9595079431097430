"""A local server that speaks OpenAI's chat completions and Responses and Anthropic's Messages, streaming included."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Reply = str | int | Mapping[str, Any] | Callable[[Mapping[str, Any]], Any]
"""A text, an HTTP status, or `{"calls": [(name, arguments)], "text": ...}`; with `"cut": True` a stream breaks off."""
Event = Mapping[str, Any]


class ChatServer:
    """Gives its replies in order; the last is repeated."""

    def __init__(self, *replies: Reply) -> None:
        self.replies: list[Any] = list(replies)
        self.bodies: list[dict[str, Any]] = []
        self.before: Callable[[], None] = lambda: None
        """Called when a request has come, before it is answered."""
        self._count = 0
        owner = self

        class Handler(_Handler):
            server_of = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def answer(self, body: dict[str, Any]) -> tuple[Any, str]:
        self.bodies.append(body)
        self.before()
        self._count += 1
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        reply = reply(body) if callable(reply) else reply
        return ({"text": reply} if isinstance(reply, str) else reply), f"r{self._count}"


class _Handler(BaseHTTPRequestHandler):
    server_of: ChatServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep standard error clean."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply, id = self.server_of.answer(body)
        if isinstance(reply, int):
            self._send(reply, {"type": "error", "error": {"type": "api_error", "message": "injected"}})
            return
        whole, events = _WIRES[self.path.rpartition("/")[2]]
        if not body.get("stream"):
            self._send(200, whole(reply, id))
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):  # a client that hung up is part of the tests
            self._stream(events(reply, id), cut=bool(reply.get("cut")))

    def _stream(self, events: Iterator[Event], *, cut: bool) -> None:
        made = list(events)
        for event in made[: len(made) // 2] if cut else made:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            self.wfile.write(f"{kind}data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

    def _send(self, status: int, data: object) -> None:
        raw = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)


def pieces(text: str) -> list[str]:
    return [text[at : at + 4] for at in range(0, len(text), 4)]


# Chat completions.


def chat(reply: Event, id: str) -> dict[str, Any]:
    calls = [
        {"id": f"{id}_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for at, (name, given) in enumerate(reply.get("calls", ()))
    ]
    message = {"role": "assistant", "content": reply.get("text"), **({"tool_calls": calls} if calls else {})}
    finish = "tool_calls" if calls else "stop"
    return {
        "id": id, "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }  # fmt: skip


def chat_events(reply: Event, id: str) -> Iterator[Event]:
    whole = chat(reply, id)
    [choice] = whole["choices"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces(choice["message"]["content"] or "")]
    deltas += [
        {"tool_calls": [{"index": at, **call}]}
        for at, call in enumerate(choice["message"].get("tool_calls", ()))
    ]
    head = {"id": id, "object": "chat.completion.chunk", "created": 1, "model": "m"}
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**head, "choices": [], "usage": whole["usage"]}


# Responses.


def response(reply: Event, id: str) -> dict[str, Any]:
    output: list[dict[str, Any]] = [
        {
            "type": "function_call", "id": f"fc_{id}_{at}", "call_id": f"{id}_{at}", "name": name,
            "arguments": json.dumps(given), "status": "completed",
        }
        for at, (name, given) in enumerate(reply.get("calls", ()))
    ]  # fmt: skip
    if reply.get("text"):
        text = {"type": "output_text", "text": reply["text"], "annotations": []}
        output.append(
            {
                "type": "message",
                "id": f"m_{id}",
                "status": "completed",
                "role": "assistant",
                "content": [text],
            }
        )
    return {
        "id": id, "object": "response", "created_at": 1, "model": "m", "status": reply.get("status", "completed"),
        "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "usage": {
            "input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip


def response_events(reply: Event, id: str) -> Iterator[Event]:
    whole, number = response(reply, id), iter(range(1000))
    begun = {**whole, "status": "in_progress", "output": []}
    yield {"type": "response.created", "sequence_number": next(number), "response": begun}
    for at, item in enumerate(whole["output"]):
        where = {"item_id": item["id"], "output_index": at}
        empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
        yield {
            "type": "response.output_item.added", "sequence_number": next(number), "output_index": at, "item": empty,
        }  # fmt: skip
        if item["type"] == "message":
            [part] = item["content"]
            spot = {**where, "content_index": 0}
            yield {
                "type": "response.content_part.added", "sequence_number": next(number), **spot,
                "part": {**part, "text": ""},
            }  # fmt: skip
            for piece in pieces(part["text"]):
                yield {
                    "type": "response.output_text.delta", "sequence_number": next(number), **spot, "delta": piece,
                    "logprobs": [],
                }  # fmt: skip
            yield {
                "type": "response.output_text.done", "sequence_number": next(number), **spot, "text": part["text"],
                "logprobs": [],
            }  # fmt: skip
            yield {
                "type": "response.content_part.done", "sequence_number": next(number), **spot, "part": part,
            }  # fmt: skip
        yield {
            "type": "response.output_item.done", "sequence_number": next(number), "output_index": at, "item": item,
        }  # fmt: skip
    yield {"type": "response.completed", "sequence_number": next(number), "response": whole}


# Anthropic.


def message(reply: Event, id: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": reply["text"]}] if reply.get("text") else []
    blocks += [
        {"type": "tool_use", "id": f"{id}_{at}", "name": name, "input": given}
        for at, (name, given) in enumerate(reply.get("calls", ()))
    ]
    return {
        "id": id, "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": reply.get("stop_reason", "tool_use" if reply.get("calls") else "end_turn"),
        "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def message_events(reply: Event, id: str) -> Iterator[Event]:
    whole = message(reply, id)
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    for at, block in enumerate(whole["content"]):
        texts = block["type"] == "text"
        empty = {**block, "text": ""} if texts else {**block, "input": {}}
        yield {"type": "content_block_start", "index": at, "content_block": empty}
        deltas: list[dict[str, Any]] = (
            [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            if texts
            else [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        )
        for delta in deltas:
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        yield {"type": "content_block_stop", "index": at}
    stop = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 2}}
    yield {"type": "message_stop"}


_WIRES: dict[str, tuple[Callable[[Event, str], dict[str, Any]], Callable[[Event, str], Iterator[Event]]]] = {
    "completions": (chat, chat_events),
    "responses": (response, response_events),
    "messages": (message, message_events),
}
