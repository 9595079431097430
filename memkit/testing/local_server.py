"""What our local servers share: a real socket, scripted answers, faults, and a record of what was asked."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self, cast

__all__ = ["Fault", "LocalServer", "Reply", "Request", "RequestHandler"]

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


class LocalServer:
    """A context manager around a server on a free port of this machine.

    Args:
        replies: Answers of the model, in order; when they run out, the last is repeated.
        reply: One function of the request body for all answers, in place of a list.
        api_key: The only key it takes; None takes any.
    """

    handler: ClassVar[type[RequestHandler]]
    """Speaks the vendor's wire format."""
    root: ClassVar[str] = ""
    """What `base_url` ends with."""

    def __init__(
        self,
        replies: Iterable[Reply] | None = None,
        *,
        reply: Callable[[Mapping[str, Any]], Any] | None = None,
        api_key: str | None = None,
    ) -> None:
        self.api_key = api_key
        self.requests: list[Request] = []
        """Everything that was asked, in order, faults included."""
        self._replies: list[Reply] = list(replies or ())
        self._reply = reply
        self._faults: list[tuple[str, Fault]] = []
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        handler = type(self.handler.__name__, (self.handler,), {"owner": self})
        self._http = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.02},
            name=f"memkit-{type(self).__name__}",
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
        return f"http://127.0.0.1:{self._http.server_address[1]}{self.root}"

    def say(self, *replies: Reply) -> None:
        """Append answers of the model."""
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

    def next_fault(self, path: str) -> Fault | None:
        """Take the next fault that is meant for a path."""
        with self._lock:
            for at, (part, fault) in enumerate(self._faults):
                if part in path:
                    del self._faults[at]
                    return fault
        return None

    def record(self, request: Request) -> None:
        """Keep what was asked."""
        with self._lock:
            self.requests.append(request)

    def answer(self, body: Mapping[str, Any]) -> object:
        """Return the next answer to a request."""
        if self._reply is not None:
            return self._reply(body)
        with self._lock:
            if not self._replies:
                return self.default_answer(body)
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply(body) if callable(reply) else reply

    def default_answer(self, body: Mapping[str, Any]) -> object:
        """Return what is said where nothing was scripted: an extraction of nothing where a structure is asked for."""
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that hung up is part of the tests."""


class RequestHandler(BaseHTTPRequestHandler):
    """Reads a request, lets it go wrong where a fault waits for it, and leaves the rest to `answer`."""

    owner: Any
    """The server, of whatever vendor."""
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; without this each answer waits 40 ms for an acknowledgement.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep standard error clean."""

    def do_POST(self) -> None:
        """Answer one request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = cast("Mapping[str, Any]", json.loads(raw or b"{}"))
        except ValueError:
            self.refuse(400, "The body is not JSON")
            return
        path = self.path.partition("?")[0]
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.owner.record(Request(path=path, body=body, headers=headers))
        if not self._failed(path):
            self.answer(path, body)

    def answer(self, path: str, body: Mapping[str, Any]) -> None:
        """Answer a request that does not go wrong."""
        raise NotImplementedError

    def refuse(self, status: int, message: str) -> None:
        """Send an error in the vendor's shape."""
        self.send(status, self.error_of(Fault(status=status, message=message)))

    def error_of(self, fault: Fault) -> object:
        """Return the body of an error in the vendor's shape."""
        raise NotImplementedError

    def _failed(self, path: str) -> bool:
        fault = cast("LocalServer", self.owner).next_fault(path)
        if fault is None:
            return False
        time.sleep(fault.delay_s)
        if fault.drop:
            self.close_connection = True
            self.connection.close()
            return True
        if fault.body is None and fault.delay_s and fault.status == 500:
            return False
        self.send(fault.status, self.error_of(fault) if fault.body is None else fault.body, fault.retry_after)
        return True

    def send(self, status: int, data: object, retry_after: str | None = None) -> None:
        """Send an object as JSON, or a text as it is."""
        body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)
