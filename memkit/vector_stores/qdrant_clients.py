"""Clients of Qdrant: how they are built, shared in a process, and what their errors mean.

A local database belongs to one client at a time, which holds a lock on the folder; the stores of a process share it.
A server has one sync client, and an async one for each event loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import ssl
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from pydantic import Field

from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    MemkitError,
    RateLimitError,
)
from memkit.inflight import InFlight
from memkit.settings import SecretStr, env
from memkit.vector_stores.base import StoreSettings

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient, QdrantClient

_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4)
"""Waits for a folder that another process is just leaving."""
_AT_ONCE: Final = 32
"""Requests of one event loop under way: the vendor's client opens a connection for each, to this machine always."""


class QdrantSettings(StoreSettings):
    """Settings of the Qdrant store: with `url` or `host` a server or the cloud, else a folder of this machine."""

    provider_name = "qdrant"
    collection_name: str = Field(default="memkit", pattern=r'^[^<>:"/\\|?*\x00-\x1f]{1,255}$')
    """Name of the collection: up to 255 characters."""
    path: Path | None = env("MEMKIT_QDRANT_PATH")
    """Folder of a local database, or `:memory:`; None is `qdrant` in the memory's folder. Env: `MEMKIT_QDRANT_PATH`."""
    url: str | None = env("MEMKIT_QDRANT_URL", repr=False)
    """Address of a server or of the cloud. Env: `MEMKIT_QDRANT_URL`."""
    host: str | None = env("MEMKIT_QDRANT_HOST")
    """Name of a server, instead of `url`. Env: `MEMKIT_QDRANT_HOST`."""
    port: int = env("MEMKIT_QDRANT_PORT", 6333)
    """Port of the server's REST interface. Env: `MEMKIT_QDRANT_PORT`."""
    https: bool | None = None
    """Whether the server speaks HTTPS; None is yes with an `api_key`. The scheme of `url` wins."""
    api_key: SecretStr | None = env("MEMKIT_QDRANT_API_KEY")
    """Key of the server or the cloud. Env: `MEMKIT_QDRANT_API_KEY`."""
    grpc: bool = False
    """Whether points travel over gRPC instead of REST."""
    grpc_port: int = 6334
    """Port of the server's gRPC interface."""
    on_disk: bool = False
    """Whether a server keeps the vectors of a new collection on disk instead of in memory."""
    timeout_s: float = 30.0
    """Seconds per request to a server, rounded up to whole ones."""

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        places = [name for name in ("path", "url", "host") if getattr(self, name) is not None]
        if len(places) > 1:
            raise ConfigurationError(
                f"Give one of `path`, `url` and `host` to Qdrant, not {' and '.join(places)}."
            )
        if not places and self.api_key is not None:
            raise ConfigurationError(
                "A Qdrant `api_key` needs the server's `url` or `host`, or leave it out."
            )

    @property
    def mode(self) -> Literal["local", "server"]:
        """Where the database is."""
        return "local" if self.url is None and self.host is None else "server"


class GoneError(BackendError):
    """The collection does not exist."""


@dataclass(slots=True)
class _Folder:
    """The one client of a local database, shared by the stores of this process."""

    client: QdrantClient
    lock: RLock = field(default_factory=RLock)
    users: int = 0


_folders: Final[dict[tuple[int, Path], _Folder]] = {}
_guard: Final = RLock()


class QdrantClients:
    """The clients of one store, opened at first use."""

    def __init__(self, settings: QdrantSettings, client: QdrantClient | None) -> None:
        self._settings = settings
        self._given = client
        self._path = settings.path
        self._held: tuple[int, _Folder] | None = None
        self._left: list[_Folder] = []
        self._aclients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncQdrantClient] = WeakKeyDictionary()
        self._inflight, self._building = InFlight(_AT_ONCE), InFlight(1)
        self._refused_at = float("-inf")

    @property
    def is_given(self) -> bool:
        """Whether somebody else made the client, and closes it."""
        return self._given is not None

    @property
    def in_memory(self) -> bool:
        """Whether the data is gone with the process."""
        return self._path is None or str(self._path) == ":memory:"

    @property
    def is_remote(self) -> bool:
        """Whether a server is asked."""
        if self._given is None:
            return self._settings.mode == "server"
        made = self._given.init_options
        return made["path"] is None and made["location"] != ":memory:"

    @property
    def takes_arrays(self) -> bool:
        """Whether the engine is in this process's memory, and takes a vector as the array that it makes of it."""
        if self._given is None:
            return self._settings.mode == "local" and self.in_memory
        return self._given.init_options["location"] == ":memory:"

    def place(self, folder: Path) -> None:
        """Keep a local database without a path of its own in this folder."""
        if self._given is None and self._settings.mode == "local" and self._path is None:
            self._path = folder

    async def now(self, method: str, **kwargs: Any) -> Any:
        """Call a method of the sync client; never suspends."""
        with self._translating():
            folder = self._client()
            # A local database reads what another thread is changing; a server's client is made for threads.
            with nullcontext() if self.is_remote else folder.lock:
                return getattr(folder.client, method)(**kwargs)

    async def later(self, method: str, **kwargs: Any) -> Any:
        """Call a method of this event loop's client."""
        with self._translating():
            async with self._inflight.turn():
                client = self._aclients.get(asyncio.get_running_loop()) or await self._made()
                return await getattr(client, method)(**kwargs)

    async def _made(self) -> AsyncQdrantClient:
        loop = asyncio.get_running_loop()
        async with self._building.turn():
            if loop not in self._aclients:
                # Beside the loop: it reads certificates.
                self._aclients[loop] = await asyncio.to_thread(self._connect, "AsyncQdrantClient")
            return self._aclients[loop]

    def _client(self) -> _Folder:
        with _guard:
            if self._held is not None and self._held[0] != os.getpid():
                # A forked child must not touch its parent's client, not even close it.
                self._left.append(self._held[1])
                self._held = None
            if self._held is None:
                self._held = os.getpid(), self._take()
            return self._held[1]

    def _take(self) -> _Folder:
        if self._given is not None:
            return _Folder(self._given)
        if self._settings.mode == "server" or self.in_memory:
            return _Folder(self._connect("QdrantClient"), users=1)
        assert self._path is not None
        key = os.getpid(), self._path.resolve()
        folder = _folders.get(key)
        if folder is None:
            self._wait_for_folder(self._path)
            folder = _folders[key] = _Folder(self._connect("QdrantClient"))
        folder.users += 1
        return folder

    def _wait_for_folder(self, path: Path) -> None:
        """Return when no other client has the folder; asked before building one, which reads everything first."""
        import portalocker

        # Not for long at every call of a process that shares the folder with one that stays.
        pauses = () if time.monotonic() - self._refused_at < self._settings.patience_s else _PAUSES_S
        path.mkdir(parents=True, exist_ok=True)
        with (path / ".lock").open("a") as file:
            for pause_s in (*pauses, None):
                try:
                    portalocker.lock(
                        file, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
                    )
                    portalocker.unlock(file)
                except portalocker.exceptions.LockException as error:
                    if pause_s is None:
                        self._refused_at = time.monotonic()
                        raise BackendUnavailableError(
                            f"The Qdrant folder {str(path)!r} is in use by another process or client, and serves "
                            "one at a time. Close it there; for several processes run a Qdrant server and give its "
                            "`url`; a client of this process can be passed as `client`.",
                            backend="qdrant",
                        ) from error
                    time.sleep(pause_s)
                else:
                    return

    def _connect(self, kind: str) -> Any:
        import qdrant_client

        given, make = self._settings, getattr(qdrant_client, kind)
        if given.mode == "local":
            if self.in_memory:
                return make(location=":memory:", force_disable_check_same_thread=True)
            return make(path=str(self._path), force_disable_check_same_thread=True)
        key = given.api_key.get_secret_value() if given.api_key else None
        return make(
            url=given.url,
            host=given.host,
            port=given.port,
            https=key is not None if given.https is None else given.https,
            # As a header: the vendor's own argument prints a warning where there is no TLS, to itself for example.
            headers=None if key is None else {"api-key": key},
            prefer_grpc=given.grpc,
            grpc_port=given.grpc_port,
            timeout=max(1, -int(-given.timeout_s // 1)),
            check_compatibility=False,
            verify=_trusted(),
        )

    def where(self) -> str:
        """Return where the database is, for messages."""
        if self._given is not None:
            return "with the given client"
        if self._settings.url is not None:
            # Without the name and password that it may hold.
            return f"at {urlsplit(self._settings.url).netloc.rpartition('@')[2] or self._settings.url}"
        if self._settings.host is not None:
            return f"at {self._settings.host}:{self._settings.port}"
        return "in memory" if self.in_memory else f"at {self._path}"

    @contextmanager
    def _translating(self) -> Generator[None]:
        """Turn the vendor's errors into ours; the one place where that happens."""
        try:
            yield
        except MemkitError:
            raise
        except Exception as error:
            raise _translated(error, f"Qdrant {self.where()}") from error

    def close(self) -> None:
        """Close the client, unless it was given or another store of this process uses it; the next call opens one."""
        with _guard:
            held, self._held = self._held, None
            if held is None or held[0] != os.getpid() or self._given is not None:
                return
            folder = held[1]
            folder.users -= 1
            if not folder.users:
                for key in [key for key, other in _folders.items() if other is folder]:
                    del _folders[key]
                with folder.lock:
                    folder.client.close()

    async def aclose(self) -> None:
        """Close the client of this event loop, and the sync one."""
        client = self._aclients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()
        self.close()


@cache
def _trusted() -> ssl.SSLContext:
    """Return the certificates that are trusted, which take as long to read as everything else of a client to build."""
    import httpx

    return httpx.create_ssl_context()


def _translated(error: Exception, where: str) -> BackendError:
    """Return our error for one of the vendor's."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, ResourceExhaustedResponse):
        return RateLimitError(
            f"{where} asks for fewer requests: {error}.",
            backend="qdrant",
            retry_after_s=float(error.retry_after_s),
        )
    if isinstance(error, UnexpectedResponse):
        said = error.content.decode("utf-8", "replace")
        return _refused(f"http {error.status_code}", f"{where} answered {error.status_code}", said)
    if callable(code := getattr(error, "code", None)):  # of gRPC
        name = getattr(code(), "name", "")
        return _refused(name, f"{where} answered {name}", str(getattr(error, "details", str)()))
    cause = error.source if isinstance(error, ResponseHandlingException) else error
    kinds = {kind.__name__ for kind in type(cause).__mro__}
    message = f"{where} failed: {_brief(str(cause)) or type(cause).__name__}."
    if isinstance(cause, ValueError) and re.search(r"Collection .* not found", str(cause)):
        return GoneError(message, backend="qdrant")
    if kinds & {"TimeoutException", "TimeoutError"}:
        return BackendTimeoutError(message, backend="qdrant")
    if kinds & {"TransportError", "OSError"} or isinstance(cause, sqlite3.Error):
        return BackendUnavailableError(message, backend="qdrant")
    return BackendResponseError(message, backend="qdrant")


def _refused(code: str, said: str, reason: str) -> BackendError:
    message = f"{said}: {_brief(reason)}."
    for codes, kind in _KINDS:
        if code in codes:
            if kind is AuthenticationError:
                message += " Check `api_key` (`MEMKIT_QDRANT_API_KEY`)."
            return kind(message, backend="qdrant")
    unavailable = code.startswith("http 5")
    return (BackendUnavailableError if unavailable else BackendResponseError)(message, backend="qdrant")


def _brief(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:300].rstrip(".")


_KINDS: Final[Sequence[tuple[frozenset[str], type[BackendError]]]] = (
    (frozenset({"http 401", "http 403", "UNAUTHENTICATED", "PERMISSION_DENIED"}), AuthenticationError),
    (frozenset({"http 404", "NOT_FOUND"}), GoneError),
    (frozenset({"http 408", "http 504", "DEADLINE_EXCEEDED"}), BackendTimeoutError),
    (frozenset({"http 429", "RESOURCE_EXHAUSTED"}), RateLimitError),
    (frozenset({"UNAVAILABLE", "ABORTED", "INTERNAL"}), BackendUnavailableError),
)
