"""The conformance suite of language models: subclass it and say how to make a model that talks to a server.

```python
class TestMyModel(LLMSuite):
    def make_llm(self, base_url):
        return MyLLM(MyLLM.Settings(base_url=base_url, api_key="test"))

    def answer(self, text, input_tokens, output_tokens):
        return {"reply": text, "usage": [input_tokens, output_tokens]}
```
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    RateLimitError,
)
from memkit.llms.base import LLM, Completion
from memkit.testing.laws import Driver, Laws, Mode

__all__ = ["LLMSuite", "Reply", "ReplyServer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the server answers next."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class ReplyServer:
    """A real HTTP server on loopback that answers from a queue; the last reply is repeated.

    It knows no vendor's wire format: the suite that uses it builds the bodies.
    """

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.requests: list[Any] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """Answer a request."""
                length = int(self.headers.get("content-length") or 0)
                owner.requests.append(json.loads(self.rfile.read(length) or b"null"))
                reply = owner.replies.popleft() if len(owner.replies) > 1 else owner.replies[0]
                data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Weather(BaseModel):
    city: str
    sky: Literal["clear", "cloudy"]


_QUESTION = [{"role": "user", "content": "How is the weather?"}]


class LLMSuite(Laws):
    """The laws of a language model; each runs through the sync and through the async way of calling.

    Make a model that tries a failed request a few times, quickly.
    """

    def make_llm(self, base_url: str) -> LLM:
        """Return a model that talks to the given server."""
        raise NotImplementedError

    def answer(self, text: str, input_tokens: int, output_tokens: int) -> object:
        """Return the body of an answer in the vendor's wire format."""
        raise NotImplementedError

    def failure(self, message: str) -> object:
        """Return the body of an error in the vendor's wire format."""
        return {"error": {"message": message}}

    @pytest.fixture
    def server(self) -> Generator[ReplyServer]:
        """The server that the model talks to."""
        server = ReplyServer()
        yield server
        server.close()

    @pytest.fixture
    def llm(self, mode: Mode, server: ReplyServer) -> Generator[Driver]:
        """The model under test."""
        driver = Driver(self.make_llm(server.url), mode)
        yield driver
        if hasattr(driver.backend, "close"):
            driver.call("close")
        driver.close()

    def test_a_completion_has_text_and_usage(self, llm: Driver, server: ReplyServer) -> None:
        """`generate` returns the text as it came and the tokens that the vendor counted.

        Troubleshooting: read the usage of the answer, not an estimate.
        """
        server.replies.append(Reply(body=self.answer("It is clear. ☀", 12, 5)))
        completion: Completion = llm.call("generate", _QUESTION)
        assert completion.text == "It is clear. ☀"
        assert (completion.usage.input_tokens, completion.usage.output_tokens) == (12, 5)
        assert "How is the weather?" in json.dumps(server.requests[0], ensure_ascii=False)

    def test_an_answer_is_read_as_the_schema(self, llm: Driver, server: ReplyServer) -> None:
        """With a schema `parsed` is an instance of it; text that does not fit gives None and the text.

        Troubleshooting: validate with pydantic; never raise for what the model wrote.
        """
        server.replies.append(Reply(body=self.answer('{"city": "Kyoto", "sky": "clear"}', 20, 9)))
        assert llm.call("generate", _QUESTION, schema=_Weather).parsed == _Weather(city="Kyoto", sky="clear")
        server.replies.clear()
        for junk in ("no idea", '{"city": "Kyoto"}', '{"city": "Kyoto", "sky": "green"}', ""):
            server.replies.append(Reply(body=self.answer(junk, 1, 1)))
            completion: Completion = llm.call("generate", _QUESTION, schema=_Weather)
            server.replies.clear()
            assert completion.parsed is None
            assert completion.text == junk

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, AuthenticationError),
            (429, RateLimitError),
            (500, BackendUnavailableError),
            (503, BackendUnavailableError),
        ],
    )
    def test_failures_become_our_errors(
        self, llm: Driver, server: ReplyServer, status: int, error: type[BackendError]
    ) -> None:
        """A refused key, too many requests and a failing server each raise their error, with its cause.

        Troubleshooting: translate the vendor's exceptions in one place.
        """
        server.replies.append(Reply(status=status, body=self.failure("no"), headers={"retry-after": "0"}))
        with pytest.raises(error) as caught:
            llm.call("generate", _QUESTION)
        assert caught.value.__cause__ is not None
        assert caught.value.retryable is (status != 401)
        assert (len(server.requests) > 1) is (status != 401)

    def test_a_passing_failure_is_tried_again(self, llm: Driver, server: ReplyServer) -> None:
        """Two failures and then an answer are an answer: a request is tried at least three times.

        Troubleshooting: retry 408, 409, 429 and 5xx with jitter, and obey Retry-After.
        """
        for status in (503, 429):
            server.replies.append(
                Reply(status=status, body=self.failure("later"), headers={"retry-after": "0"})
            )
        server.replies.append(Reply(body=self.answer("hello", 1, 1)))
        assert llm.call("generate", _QUESTION).text == "hello"
        assert len(server.requests) == 3

    def test_an_answer_of_another_format_is_an_error(self, llm: Driver, server: ReplyServer) -> None:
        """A body that is not the wire format raises `BackendResponseError`.

        Troubleshooting: check the fields before reading them.
        """
        server.replies.append(Reply(body={"unexpected": True}))
        with pytest.raises(BackendResponseError):
            llm.call("generate", _QUESTION)

    def test_a_server_that_is_down_is_an_error(self, mode: Mode) -> None:
        """A refused connection raises `BackendUnavailableError`, or a timeout, which may be tried again.

        Troubleshooting: translate the transport's exceptions too.
        """
        with socket.socket() as taken:
            # Bound, so that nobody else listens there meanwhile.
            taken.bind(("127.0.0.1", 0))
            driver = Driver(self.make_llm(f"http://127.0.0.1:{taken.getsockname()[1]}"), mode)
            try:
                with pytest.raises((BackendUnavailableError, BackendTimeoutError)) as caught:
                    driver.call("generate", _QUESTION)
                assert caught.value.retryable
            finally:
                if hasattr(driver.backend, "close"):
                    driver.call("close")
                driver.close()

    def test_the_name_tells_provider_and_model(self, llm: Driver) -> None:
        """`name` is a text such as `provider/model`, and no secret is in it or in the `repr`.

        Troubleshooting: keep keys in `SecretStr`.
        """
        name = getattr(llm.backend, "name")  # noqa: B009
        assert isinstance(name, str) and name
        assert "api_key='" not in repr(llm.backend).replace("api_key=SecretStr", "")
