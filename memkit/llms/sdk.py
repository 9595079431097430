"""What everything that speaks through a vendor's SDK shares: clients, retries, and errors in our words."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Final, Generic, TypeVar, cast

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
from memkit.inflight import InFlight

R = TypeVar("R")
S = TypeVar("S")
A = TypeVar("A")

RETRIED: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
MIN_TRIES: Final = 3
# What the SDK lets through where a body is no JSON, or JSON of another shape.
_UNREADABLE: Final = (ValueError, TypeError, AttributeError)
_FIRST_WAIT_S: Final = 0.5
_MAX_WAIT_S: Final = 8.0
MAX_RETRY_AFTER_S: Final = 15.0
"""Longest wait between two tries, whatever the server asks for; the error says how long it asked for."""
_AT_ONCE: Final = 64
"""Requests of one event loop under way: fewer than the connections that the SDKs keep, which are a hundred."""


_USED_UP: Final = "insufficient_quota"
"""An account that has nothing left; trying again does not help."""
_ADVICE: Final[Mapping[int, str]] = {
    402: " Add credit, or pass another key.",
    413: " Send fewer or smaller messages at once.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """The names by which the SDKs of vendors differ; their shapes do not, as one generator makes them."""

    package: str
    """The module, which is also the name of the extra that brings it."""
    client: str
    aclient: str
    error: str
    """Base of its errors."""

    def load(self, backend: str = "") -> Any:
        """Import and return it.

        Raises:
            MissingDependencyError: It is not installed.
        """
        try:
            return import_module(self.package)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(backend or self.package, self.package, error.name) from error


class Clients(Generic[S, A]):
    """A sync client, and one async client for each event loop, made at first use.

    Args:
        sdk: Whose clients.
        backend: Name for messages, such as `openai`.
        options: Arguments of the SDK's clients.
        proxies: A proxy URL, or a mapping of URL patterns to proxy URLs.
        client: A ready sync client to use instead.
        aclient: A ready async client to use instead.
    """

    def __init__(
        self,
        sdk: Sdk,
        backend: str,
        options: Mapping[str, Any],
        *,
        proxies: str | Mapping[str, str] | None = None,
        client: S | None = None,
        aclient: A | None = None,
    ) -> None:
        self._sdk = sdk
        self._backend = backend
        self._options = {**options, "max_retries": 0}
        self._proxies = proxies
        self._given, self._agiven = client, aclient
        self._client: Any = client
        self._aclients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    @property
    def client(self) -> S:
        """The sync client."""
        with self._lock:
            if self._client is None:
                self._client = self._made(self._sdk.client, "Client")
            return cast("S", self._client)

    @property
    def aclient(self) -> A:
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
        imported = f"{self._sdk.package}.resources.{resource}" in sys.modules
        if not imported or (self._agiven is None and loop not in self._aclients):
            await asyncio.to_thread(self._prepare, resource, loop)

    def _prepare(self, resource: str, loop: asyncio.AbstractEventLoop) -> None:
        self._sdk.load(self._backend)
        import_module(f"{self._sdk.package}.resources.{resource}")
        with suppress(ModuleNotFoundError):
            # What the SDK's transport imports when it opens its first connection in a loop of asyncio.
            import_module("anyio._backends._asyncio")
        if self._agiven is None:
            # The SDK imports a resource when it is first asked for.
            getattr(self._made_for(loop), resource)

    def _made_for(self, loop: asyncio.AbstractEventLoop) -> A:
        with self._lock:
            known = self._aclients.get(loop)
            if known is None:
                self._aclients[loop] = known = self._made(self._sdk.aclient, "AsyncClient")
            return cast("A", known)

    def _made(self, name: str, transport: str) -> Any:
        """Return a new client of the SDK."""
        kind = getattr(self._sdk.load(self._backend), name)
        return kind(**self._options, http_client=self._http(transport))

    def _http(self, kind: str) -> Any:
        """Return an HTTP client that goes through the proxies, or None for the SDK's own."""
        if not self._proxies:
            return None
        sdk = self._sdk.load(self._backend)
        default = sdk.DefaultHttpxClient if kind == "Client" else sdk.DefaultAsyncHttpxClient
        if isinstance(self._proxies, str):
            return default(proxy=self._proxies)
        # SDKs moved from httpx to httpx2; transports must come from the one it uses.
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
        sdk: Whose requests.
        backend: Name for messages.
        tries: How often in all; at least three.
        hint: What to do about a refused key.
    """

    def __init__(self, sdk: Sdk, backend: str, tries: int, hint: str) -> None:
        self._sdk = sdk
        self._backend = backend
        self._tries = max(MIN_TRIES, tries)
        self._hint = hint
        self._inflight = InFlight(_AT_ONCE)

    def run(self, request: Callable[[], R]) -> R:
        """Return what the request returns.

        Raises:
            BackendError: In our words, when no try succeeded.
        """
        failed = getattr(self._sdk.load(self._backend), self._sdk.error)
        for attempt in range(1, self._tries + 1):
            try:
                return request()
            except _UNREADABLE as error:
                raise translated(self._sdk, error, self._backend) from error
            except failed as error:
                time.sleep(self._wait(error, attempt))
        raise AssertionError("the last try returns or raises")

    async def arun(self, request: Callable[[], Awaitable[R]]) -> R:
        """Async version of [`Retries.run`]."""
        failed = getattr(self._sdk.load(self._backend), self._sdk.error)
        for attempt in range(1, self._tries + 1):
            try:
                async with self._inflight.turn():
                    return await request()
            except _UNREADABLE as error:
                raise translated(self._sdk, error, self._backend) from error
            except failed as error:
                await asyncio.sleep(self._wait(error, attempt))
        raise AssertionError("the last try returns or raises")

    def _wait(self, error: Exception, attempt: int) -> float:
        """Return the seconds until the next try, or raise the error in our words."""
        asked = _retry_after(error)
        if attempt >= self._tries or not _may_help(self._sdk, error):
            raise translated(self._sdk, error, self._backend, hint=self._hint, tries=attempt) from error
        if asked is not None:
            return min(MAX_RETRY_AFTER_S, asked) + random.uniform(0, min(0.25, asked / 4))
        return min(_MAX_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1)


def translated(sdk: Sdk, error: Exception, backend: str, *, hint: str = "", tries: int = 1) -> BackendError:
    """Return an error of an SDK as one of ours."""
    module = sdk.load(backend)
    after = f" after {tries} tries" if tries > 1 else ""
    said = _said(error)
    status = status_of(error)
    if isinstance(error, module.APITimeoutError):
        return BackendTimeoutError(
            f"{backend} did not answer in time{after}. Raise `timeout_s`, or try later.", backend=backend
        )
    if isinstance(error, module.APIConnectionError):
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
        used_up = _USED_UP in said
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
        advice = _ADVICE.get(status, "")
        return BackendResponseError(
            f"{backend} refused the request ({status}): {said}.{advice}", backend=backend, status=status
        )
    return BackendResponseError(f"{backend} answered with something unusable: {said}.", backend=backend)


def status_of(error: Exception) -> int | None:
    """Return the HTTP status of an error of the SDK, or None."""
    status: object = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _may_help(sdk: Sdk, error: Exception) -> bool:
    if isinstance(error, sdk.load().APIConnectionError):
        return True
    status = status_of(error)
    if status == 429 and _USED_UP in _said(error):
        return False
    return status is not None and (status in RETRIED or status >= 500)


def _said(error: Exception) -> str:
    """Return what the server said, on one line and not too long."""
    body: object = getattr(error, "body", None)
    fields: Mapping[str, object] = cast("Mapping[str, object]", body) if isinstance(body, Mapping) else {}
    code: object = getattr(error, "code", None)
    if isinstance(inner := fields.get("error"), Mapping):
        # One SDK gives the whole body, another the error in it.
        fields = cast("Mapping[str, object]", inner)
        code = code or fields.get("type")
    text = " ".join(str(fields.get("message") or getattr(error, "message", None) or error).split())
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


def no_key(backend: str, variable: str) -> ConfigurationError:
    """Return the error for a vendor that answers nobody without a key."""
    return ConfigurationError(
        f"{backend} needs a key: set `{variable}`, or pass `api_key=`. To try memkit without one: "
        "Memory(llm=None, embedder='hash').",
        provider=backend,
    )


def shown(response: object) -> str:
    """Return a response as a message may show it."""
    dump = getattr(response, "model_dump_json", None)
    text = str(dump(warnings=False)) if callable(dump) else repr(response)
    return text if len(text) <= 200 else f"{text[:200]}..."
