"""What everything that speaks to an OpenAI-compatible server shares: clients, retries, and errors in our words."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    MissingDependencyError,
    RateLimitError,
)

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

R = TypeVar("R")
C = TypeVar("C", "OpenAI", "AsyncOpenAI")

RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
MIN_TRIES: Final = 3
# What the SDK lets through where a body is no JSON, or JSON of another shape.
_UNREADABLE: Final = (ValueError, TypeError, AttributeError)
_FIRST_WAIT_S: Final = 0.5
_MAX_WAIT_S: Final = 8.0
MAX_RETRY_AFTER_S: Final = 15.0
"""Longest wait between two tries, whatever the server asks for; the error says how long it asked for."""


class OpenAIClients:
    """A sync client, and one async client for each event loop, made at first use.

    Args:
        backend: Name for messages, such as `openai`.
        options: Arguments of the SDK's clients.
        proxies: A proxy URL, or a mapping of URL patterns to proxy URLs.
        client: A ready sync client to use instead.
        aclient: A ready async client to use instead.
        is_openai: Whether the server is OpenAI's own; only there the account's ids of the environment are sent.
    """

    def __init__(
        self,
        backend: str,
        options: Mapping[str, Any],
        *,
        proxies: str | Mapping[str, str] | None = None,
        client: OpenAI | None = None,
        aclient: AsyncOpenAI | None = None,
        is_openai: bool = True,
    ) -> None:
        self._backend = backend
        self._is_openai = is_openai
        self._options = {**options, "max_retries": 0}
        self._proxies = proxies
        self._given, self._agiven = client, aclient
        self._client: OpenAI | None = client
        self._aclients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    @property
    def client(self) -> OpenAI:
        """The sync client."""
        with self._lock:
            client = self._client
            if client is None:
                made: OpenAI = _sdk(self._backend).OpenAI(**self._options, http_client=self._http("Client"))
                self._client = client = self._anonymous(made)
            return client

    @property
    def aclient(self) -> AsyncOpenAI:
        """The async client of the running event loop."""
        if self._agiven is not None:
            return self._agiven
        loop = asyncio.get_running_loop()
        # Without the lock: a thread may hold it for as long as it takes to build a client for another loop.
        return self._aclients.get(loop) or self._made_for(loop)

    async def aready(self, resource: str) -> None:
        """Import the SDK with a resource of it, and build the client of this loop, beside the loop.

        It would be held up by them for a second: the imports, and the certificates that a client reads.
        """
        loop = asyncio.get_running_loop()
        imported = f"openai.resources.{resource}" in sys.modules
        if not imported or (self._agiven is None and loop not in self._aclients):
            await asyncio.to_thread(self._prepare, resource, loop)

    def _prepare(self, resource: str, loop: asyncio.AbstractEventLoop) -> None:
        _sdk(self._backend)
        import_module(f"openai.resources.{resource}")
        with suppress(ModuleNotFoundError):
            # What the SDK's transport imports when it opens its first connection in a loop of asyncio.
            import_module("anyio._backends._asyncio")
        if self._agiven is None:
            # The SDK imports a resource when it is first asked for.
            getattr(self._made_for(loop), resource)

    def _made_for(self, loop: asyncio.AbstractEventLoop) -> AsyncOpenAI:
        with self._lock:
            known = self._aclients.get(loop)
            if known is None:
                made: AsyncOpenAI = _sdk(self._backend).AsyncOpenAI(
                    **self._options, http_client=self._http("AsyncClient")
                )
                self._aclients[loop] = known = self._anonymous(made)
            return known

    def _anonymous(self, client: C) -> C:
        """Take out the organisation and project that the SDK reads from the environment, for other vendors."""
        if not self._is_openai:
            client.organization = client.project = None
        return client

    def _http(self, kind: str) -> Any:
        """Return an HTTP client that goes through the proxies, or None for the SDK's own."""
        if not self._proxies:
            return None
        sdk = _sdk(self._backend)
        default = sdk.DefaultHttpxClient if kind == "Client" else sdk.DefaultAsyncHttpxClient
        if isinstance(self._proxies, str):
            return default(proxy=self._proxies)
        # The SDK moved from httpx to httpx2; transports must come from the one it uses.
        http = import_module(default.__mro__[1].__module__.partition(".")[0])
        transport = http.HTTPTransport if kind == "Client" else http.AsyncHTTPTransport
        patterns = {key if "://" in key else f"{key}://": url for key, url in self._proxies.items()}
        return default(mounts={key: transport(proxy=url) for key, url in patterns.items()})

    def close(self) -> None:
        """Close the sync client, unless it was given, and let each running loop close its own."""
        with self._lock:
            if self._client is not None and self._given is None:
                self._client.close()
                self._client = None
            left = list(self._aclients.items())
            self._aclients.clear()
        for loop, client in left:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(client.close(), loop)

    async def aclose(self) -> None:
        """Close the async client of this event loop, unless it was given."""
        with self._lock:
            known = self._aclients.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known.close()


class Retries:
    """Tries a request again when that can help: 408, 409, 429, 5xx, no connection, no answer in time.

    Waits 0.5 s, doubled each time up to 8 s, with full jitter between half and all of it; a `Retry-After` of the
    server is honoured instead, up to 15 s.

    Args:
        backend: Name for messages.
        tries: How often in all; at least three.
        hint: What to do about a refused key.
    """

    def __init__(self, backend: str, tries: int, hint: str) -> None:
        self._backend = backend
        self._tries = max(MIN_TRIES, tries)
        self._hint = hint

    def run(self, request: Callable[[], R]) -> R:
        """Return what the request returns.

        Raises:
            BackendError: In our words, when no try succeeded.
        """
        sdk = _sdk(self._backend)
        for attempt in range(1, self._tries + 1):
            try:
                return request()
            except _UNREADABLE as error:
                raise translated(error, self._backend) from error
            except sdk.OpenAIError as error:
                time.sleep(self._wait(error, attempt))
        raise AssertionError("the last try returns or raises")

    async def arun(self, request: Callable[[], Awaitable[R]]) -> R:
        """Async version of [`Retries.run`]."""
        sdk = _sdk(self._backend)
        for attempt in range(1, self._tries + 1):
            try:
                return await request()
            except _UNREADABLE as error:
                raise translated(error, self._backend) from error
            except sdk.OpenAIError as error:
                await asyncio.sleep(self._wait(error, attempt))
        raise AssertionError("the last try returns or raises")

    def _wait(self, error: Exception, attempt: int) -> float:
        """Return the seconds until the next try, or raise the error in our words."""
        asked = _retry_after(error)
        if attempt >= self._tries or not _may_help(error):
            raise translated(error, self._backend, hint=self._hint, tries=attempt) from error
        if asked is not None:
            return min(MAX_RETRY_AFTER_S, asked) + random.uniform(0, min(0.25, asked / 4))
        return min(_MAX_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1)


def translated(error: Exception, backend: str, *, hint: str = "", tries: int = 1) -> BackendError:
    """Return an error of the SDK as one of ours."""
    sdk = _sdk(backend)
    after = f" after {tries} tries" if tries > 1 else ""
    said = _said(error)
    status = status_of(error)
    if isinstance(error, sdk.APITimeoutError):
        return BackendTimeoutError(
            f"{backend} did not answer in time{after}. Raise `timeout_s`, or try later.", backend=backend
        )
    if isinstance(error, sdk.APIConnectionError):
        cause = f" ({type(error.__cause__).__name__}: {error.__cause__})" if error.__cause__ else ""
        return BackendUnavailableError(
            f"{backend} cannot be reached{after}{cause}. Check the network and `base_url`.", backend=backend
        )
    if status in (401, 403):
        return AuthenticationError(
            f"{backend} refused the key ({status}): {said}. {hint}", backend=backend, status=status
        )
    if status == 429:
        wait = _retry_after(error)
        used_up = "insufficient_quota" in said
        return RateLimitError(
            f"{backend} refused the request{after} (429): {said}. "
            + ("Add credit, or pass another key." if used_up else "Send fewer requests, or try later."),
            backend=backend,
            status=429,
            retry_after_s=wait,
            retryable=not used_up,
        )
    if status is not None and (status in RETRIED or status >= 500):
        return BackendUnavailableError(
            f"{backend} failed{after} ({status}): {said}.", backend=backend, status=status
        )
    if status is not None:
        return BackendResponseError(
            f"{backend} refused the request ({status}): {said}.", backend=backend, status=status
        )
    return BackendResponseError(f"{backend} answered with something unusable: {said}.", backend=backend)


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error of the SDK, or None."""
    status: object = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _may_help(error: Exception) -> bool:
    sdk = _sdk("")
    if isinstance(error, sdk.APIConnectionError):
        return True
    status = status_of(error)
    if status == 429 and "insufficient_quota" in _said(error):
        return False
    return status is not None and (status in RETRIED or status >= 500)


def _said(error: Exception) -> str:
    """Return what the server said, on one line and not too long."""
    body: object = getattr(error, "body", None)
    message: object = cast("Mapping[str, object]", body).get("message") if isinstance(body, Mapping) else None
    text = " ".join(str(message or getattr(error, "message", None) or error).split())
    code: object = getattr(error, "code", None)
    text = f"{text} [{code}]" if code and str(code) not in text else text
    return text[:500].rstrip(".")


def _retry_after(error: Exception) -> float | None:
    """Return the seconds that the server asked to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    response: Any = getattr(error, "response", None)
    if response is None:
        return None
    headers = cast("Mapping[str, str]", response.headers)
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if (value := headers.get("retry-after")) is None:
            return None
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except ValueError:
        return None


def _sdk(backend: str) -> Any:
    try:
        return import_module("openai")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(backend or "openai", "openai", error.name) from error


def require_key(key: str | None, backend: str, variable: str) -> str:
    """Return the key.

    Raises:
        ConfigurationError: There is none.
    """
    if key:
        return key
    raise ConfigurationError(
        f"{backend} needs a key: set `{variable}`, or pass `api_key=`. To try memkit without one: "
        "Memory(llm=None, embedder='hash').",
        provider=backend,
    )
