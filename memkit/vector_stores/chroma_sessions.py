"""Clients of Chroma: how they are built, shared among threads, and kept in step with other processes.

An embedded database keeps the graph of a collection in memory and writes it to files now and then, without looking
at what another process wrote: the last one wins, and the other's points are lost. So each store has a client of its
own, which nobody else's calls can close or clear; it opens its files anew when they were changed by somebody else,
and one writer at a time holds a lock on the folder. A program that writes into the same collection without that
lock is not covered: give memkit that program's client, or run a server.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar, cast

from pydantic import Field

from memkit.errors import (
    AuthenticationError,
    BackendError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    MemkitError,
    RateLimitError,
)
from memkit.settings import SecretStr, env
from memkit.vector_stores.base import StoreSettings
from memkit.vector_stores.locking import SharedLock

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection  # pyright: ignore[reportMissingTypeStubs]  the vendor ships none

P = ParamSpec("P")
R = TypeVar("R")

_openings = itertools.count(1)
_opening: Final = RLock()
"""Building clients is not thread-safe in the vendor's library."""
_PAUSES_S: Final = (0.01, 0.03, 0.1, 0.3)
_MARK: Final = "memkit.mark"
"""A file that every writer changes."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What a folder looks like from outside."""

    mark: str = ""
    graphs: frozenset[tuple[str, int, int]] = frozenset()
    database: tuple[int, int] = (0, 0)


class ChromaSettings(StoreSettings):
    """Settings of the Chroma store: with `host` a server, with `api_key` alone the cloud, else embedded."""

    provider_name = "chroma"
    collection_name: str = Field(default="memkit", pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]$")
    """Name of the collection: 3 to 512 letters, digits, `.`, `_` and `-`."""
    path: Path | None = env("MEMKIT_CHROMA_PATH")
    """Folder of an embedded database; None is `chroma` in the memory's folder. Env: `MEMKIT_CHROMA_PATH`."""
    host: str | None = env("MEMKIT_CHROMA_HOST")
    """Name of a server. Env: `MEMKIT_CHROMA_HOST`."""
    port: int = env("MEMKIT_CHROMA_PORT", 8000)
    """Port of the server. Env: `MEMKIT_CHROMA_PORT`."""
    ssl: bool = False
    """Whether the server speaks HTTPS."""
    headers: dict[str, str] | None = None
    """Further headers of each request to a server."""
    api_key: SecretStr | None = env("MEMKIT_CHROMA_API_KEY")
    """Key of Chroma Cloud, or the token of a server. Env: `MEMKIT_CHROMA_API_KEY`."""
    tenant: str | None = None
    """Tenant; None is the default one, or the key's own in the cloud."""
    database: str | None = None
    """Database; None is the default one, or the key's own in the cloud."""
    timeout_s: float = 30.0
    """Seconds per request to a server or the cloud."""

    @property
    def mode(self) -> Literal["embedded", "server", "cloud"]:
        """Where the database is."""
        if self.host is not None:
            return "server"
        return "cloud" if self.api_key is not None and self.path is None else "embedded"


class _StaleIndexError(BackendError):
    """The graph in memory and the records on disk do not agree."""


class _NotYetError(BackendUnavailableError):
    """A server reads a graph that a first write is just making."""


class CollectionGoneError(BackendError):
    """The collection does not exist."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One client and what is known of its collection."""

    client: ClientAPI
    pid: int
    seen: _Look
    count: int = 0
    added: int | None = None  # by the write under way, where it knows: to count all takes longer than a write
    users: int = 0
    retired: bool = False
    max_batch: int = 0
    collection: Collection | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


class ChromaSessions:
    """The client of one store, opened at first use and again whenever it may have gone stale."""

    def __init__(self, settings: ChromaSettings, client: ClientAPI | None) -> None:
        self._settings = settings
        self._given = client
        self._path = None if settings.path is None else settings.path.absolute()
        self._lock: SharedLock | None = None
        self._guard = RLock()
        self._session: Session | None = None
        self._left: list[Session] = []
        self.embedded = client is None and settings.mode == "embedded"

    @property
    def in_memory(self) -> bool:
        """Whether the data is gone with the process."""
        return self.embedded and self._path is None

    @property
    def path(self) -> Path | None:
        """Where an embedded database is."""
        return self._path if self.embedded else None

    def place(self, folder: Path) -> None:
        """Keep an embedded database without a path of its own in this folder."""
        if self.in_memory:
            self._path = folder

    # Clients.

    def _connect(self) -> ClientAPI:
        if self._given is not None:
            return self._given
        import chromadb
        from chromadb.config import DEFAULT_DATABASE, DEFAULT_TENANT
        from chromadb.config import Settings as VendorSettings

        given = self._settings
        key = given.api_key.get_secret_value() if given.api_key else None
        # Neither a `.env` of the working directory nor telemetry.
        quiet = VendorSettings(_env_file=None, anonymized_telemetry=False)  # pyright: ignore[reportCallIssue]
        tenant, database = given.tenant or DEFAULT_TENANT, given.database or DEFAULT_DATABASE
        if given.mode == "cloud":
            quiet.chroma_server_ssl_verify = True
            return _within(
                given.timeout_s, lambda: chromadb.CloudClient(given.tenant, given.database, key, quiet)
            )
        if given.host is not None:
            headers = dict(given.headers or {})
            if key is not None:
                headers.setdefault("Authorization", f"Bearer {key}")
            host = given.host
            self._probe(host, headers)
            client = _within(
                given.timeout_s,
                lambda: chromadb.HttpClient(
                    host, given.port, given.ssl, headers, settings=quiet, tenant=tenant, database=database
                ),
            )
            for http in _http(client):
                http.timeout = given.timeout_s
            return client
        if self._path is None:
            return self._ephemeral(quiet)
        self._path.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(self._own_spelling(), quiet, tenant, database)

    def _probe(self, host: str, headers: dict[str, str]) -> None:
        """Ask whether a server is there, with a limit of time, which building the client has not."""
        import httpx

        scheme = "https" if self._settings.ssl else "http"
        url = f"{scheme}://{host}:{self._settings.port}/api/v2/heartbeat"
        httpx.get(url, headers=headers, timeout=self._settings.timeout_s).raise_for_status()

    def _own_spelling(self) -> str:
        """Return the path, written as no other client of this process writes it.

        The vendor keeps one shared system per spelling; under a spelling of its own this store neither gets
        another's stale graph nor closes what the host application uses.
        """
        return str(self._path) + "".join("/." if bit == "1" else "/" for bit in f"{next(_openings):b}/")

    def _ephemeral(self, quiet: Any) -> ClientAPI:
        """Return a client in memory, in a database of its own: all in-memory clients share one system."""
        import chromadb

        quiet.chroma_api_impl, quiet.is_persistent = "chromadb.api.rust.RustBindingsAPI", False
        name = f"memkit-{uuid.uuid4().hex}"
        chromadb.AdminClient(quiet).create_database(name)
        return chromadb.EphemeralClient(quiet, database=name)

    def where(self) -> str:
        """Return where the database is, for messages."""
        if self._given is not None:
            return "with the given client"
        if self._settings.mode == "embedded":
            return f"at {self._path or 'memory'}"
        return f"at {self._settings.host}:{self._settings.port}" if self._settings.host else "in the cloud"

    def call(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the vendor; the one place where its errors become ours."""
        try:
            return call(*args, **kwargs)
        except MemkitError:
            raise
        except Exception as error:
            raise _translated(error, f"Chroma {self.where()}") from error
        except BaseException as error:  # a panic of the vendor's Rust code is no Exception
            if type(error).__name__ != "PanicException":
                raise
            raise BackendUnavailableError(
                f"Chroma {self.where()} failed: {error}.", backend="chroma"
            ) from error

    def operate(self, work: Callable[[Session], R], *, write: bool = False) -> R:
        """Run one piece of work on a client that sees everything written so far."""
        for pause_s in _PAUSES_S:
            try:
                return self._operate(work, write)
            except _NotYetError:
                time.sleep(pause_s)
        return self._operate(work, write)

    def _operate(self, work: Callable[[Session], R], write: bool) -> R:
        try:
            with self._locked(write), self._using(write) as session:
                return work(session)
        except _StaleIndexError:
            with self._locked(True):
                self._retire()
                with self._using(True) as session:
                    return self._again(work, session)
        except CollectionGoneError:
            self._forget_collection()
            with self._locked(write), self._using(write) as session:
                return work(session)

    def _again(self, work: Callable[[Session], R], session: Session) -> R:
        try:
            return work(session)
        except _StaleIndexError as error:
            raise BackendResponseError(
                f"Chroma {self.where()} has lost vectors of collection {self._settings.collection_name!r}: another "
                "program wrote to it at the same time. Make it anew with `memory.rebuild(...)`.",
                backend="chroma",
            ) from error

    @contextmanager
    def _locked(self, write: bool) -> Generator[None]:
        if not self.embedded or self._path is None:
            yield
            return
        if self._lock is None:
            self.call(import_module, "chromadb")  # takes seconds, for which nobody should be kept out
            with self._guard:
                self._lock = self._lock or SharedLock(self._path / "memkit.lock", backend="chroma")
        with self._lock.exclusive() if write else self._lock.shared():
            yield

    @contextmanager
    def _using(self, write: bool) -> Generator[Session]:
        session = self._enter()
        if write and self.embedded and self._path is not None:
            # Before the change, so that others open anew even where this process dies within it.
            self._path.joinpath(_MARK).write_text(uuid.uuid4().hex)
            session.added = None
        try:
            yield session
        finally:
            if write:
                session.seen = self._look()
                more = session.added
                session.count = self._count(session) if more is None else session.count + more
            with self._guard:
                session.users -= 1
                if session.retired and not session.users:
                    self._end(session)

    def _enter(self) -> Session:
        with self._guard:
            session = self._session
            if session is not None and session.pid != os.getpid():
                # A forked child must not touch its parent's client, not even close it.
                self._left.append(session)
                self._session = session = None
            if session is not None and self._is_stale(session):
                self._retire()
                session = None
            if session is None:
                with _opening:
                    client = self.call(self._connect)
                session = Session(client=client, pid=os.getpid(), seen=self._look())
                session.count = self._count(session)
                self._session = session
            session.users += 1
            return session

    def _is_stale(self, session: Session) -> bool:
        """Return whether somebody else has written since this session last looked."""
        now, before = self._look(), session.seen
        if now == before:
            return False
        session.seen = now
        if now.mark != before.mark or now.graphs != before.graphs:
            return True
        # Another client of the same folder has written: into this collection, or into one of its own.
        return self._count(session) != session.count

    def _look(self) -> _Look:
        """Return what the folder looks like.

        The database file is not opened: closing it would end the locks that the vendor's own SQLite holds on it
        in this process (https://sqlite.org/howtocorrupt.html, 2.2).
        """
        path = self._path
        if not self.embedded or path is None or not path.is_dir():
            return _Look()
        graphs: set[tuple[str, int, int]] = set()
        database = (0, 0)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    graphs |= _states(entry.path)
                elif entry.name == "chroma.sqlite3":
                    state = entry.stat()
                    database = state.st_mtime_ns, state.st_size
        mark = path / _MARK
        return _Look(mark.read_text() if mark.exists() else "", frozenset(graphs), database)

    def _count(self, session: Session) -> int:
        """Return how many points the database holds; it knows of them before any graph does."""
        if not self.embedded or (found := self.collection(session)) is None:
            return 0
        try:
            return self.call(found.count)
        except CollectionGoneError:
            return -1

    def _retire(self) -> None:
        with self._guard:
            session, self._session = self._session, None
            if session is not None:
                session.retired = True
                if not session.users:
                    self._end(session)

    def _end(self, session: Session) -> None:
        if self._given is None:
            sockets = _http(session.client)
            self.call(cast("Callable[[], None]", cast(Any, session.client).close))
            for http in sockets:
                http.close()

    def _forget_collection(self) -> None:
        with self._guard:
            if self._session is not None:
                self._session.collection = None

    def close(self) -> None:
        """Close the client, unless it was given; the next call opens another."""
        self._retire()
        if self._lock is not None:
            self._lock.close()

    def collection(self, session: Session) -> Collection | None:
        """Return the collection, or None where there is none."""
        if session.collection is None:
            try:
                found = self.call(
                    session.client.get_collection, self._settings.collection_name, embedding_function=None
                )
            except CollectionGoneError:
                return None
            session.collection, session.facts = found, dict(found.metadata or {})
        return session.collection


def _within(timeout_s: float, make: Callable[[], R]) -> R:
    """Return a client, or give up: building one asks the server, and the vendor waits for its answer without end.

    Raises:
        TimeoutError: It took too long.
    """
    made: Future[R] = Future()

    def build() -> None:
        try:
            made.set_result(make())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            made.set_exception(error)

    Thread(target=build, name="memkit-chroma", daemon=True).start()
    return made.result(timeout_s)


def copied(path: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a copy of an embedded database: the vendor's library writes into the files of a graph that it reads.

    Raises:
        BackendUnavailableError: It cannot be read.
    """
    folder = tempfile.TemporaryDirectory(prefix="memkit-chroma-")
    try:
        # First the graphs, then the records, which may be ahead of them but not behind.
        shutil.copytree(
            path,
            folder.name,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("chroma.sqlite3*", "memkit.*"),
        )
        source = (path / "chroma.sqlite3").resolve().as_uri()
        with (
            closing(sqlite3.connect(f"{source}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(Path(folder.name) / "chroma.sqlite3")) as new,
        ):
            old.backup(new)
    except (OSError, sqlite3.Error) as error:
        folder.cleanup()
        raise BackendUnavailableError(
            f"Chroma at {path} cannot be read: {error}.", backend="chroma"
        ) from error
    return folder


def _http(client: ClientAPI) -> list[Any]:
    """Return the HTTP clients inside, which the vendor lets wait for ever and never closes."""
    parts: list[Any] = [client, getattr(client, "_admin_client", None)]
    found = [getattr(getattr(part, "_server", None), "_session", None) for part in parts]
    return [http for http in found if http is not None]


def _states(folder: str) -> set[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as files:
            states = [(file.path, file.stat()) for file in files]
    except OSError:
        return set()  # dropped meanwhile
    return {(path, state.st_mtime_ns, state.st_size) for path, state in states}


def _translated(error: Exception, where: str) -> MemkitError:
    """Return our error for one of the vendor's."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = re.sub(r"\s+", " ", str(error)).strip()[:300].rstrip(".")
    cause = error.__cause__ or error.__context__
    if cause is not None:
        kinds |= {kind.__name__ for kind in type(cause).__mro__}
    message = f"{where} failed: {text or type(error).__name__}."
    if "Error finding id" in text:
        return _StaleIndexError(message, backend="chroma")
    if "Nothing found on disk" in text:
        return _NotYetError(message, backend="chroma")
    if "NotFoundError" in kinds and "ollection" in text:
        return CollectionGoneError(message, backend="chroma")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return AuthenticationError(f"{message} Check `api_key` (`MEMKIT_CHROMA_API_KEY`).", backend="chroma")
    for names, kind in _KINDS:
        if kinds & names:
            return kind(message, backend="chroma")
    if "database is locked" in text or "unable to open database" in text or "readonly database" in text:
        return BackendUnavailableError(message, backend="chroma")
    return BackendError(message, backend="chroma")


_KINDS: Final[Sequence[tuple[set[str], type[BackendError]]]] = (
    ({"ChromaAuthError", "AuthorizationError"}, AuthenticationError),
    ({"RateLimitError", "QuotaError"}, RateLimitError),
    ({"TimeoutException", "TimeoutError"}, BackendTimeoutError),
    ({"TransportError", "HTTPStatusError", "OSError"}, BackendUnavailableError),
)
