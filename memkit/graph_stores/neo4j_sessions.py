"""How the Neo4j store reaches a database: settings, drivers, transactions, and errors in our words."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from pydantic import SecretStr

from memkit.errors import (
    AuthenticationError,
    BackendResponseError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    MemkitError,
    RateLimitError,
    did_you_mean,
)
from memkit.graph_stores.base import GraphStoreSettings
from memkit.graph_stores.neo4j_cypher import Rows, Statement
from memkit.settings import env

if TYPE_CHECKING:
    from neo4j import AsyncDriver, Driver

    _ByLoop = WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[AsyncDriver, asyncio.Lock]]

if find_spec("neo4j") is None:
    raise ModuleNotFoundError("No module named 'neo4j'", name="neo4j")

R = TypeVar("R")
Work = Generator[Statement, Rows, R]
"""What is done in one transaction: it yields statements and is sent their rows, and may be done again."""

SCHEMES: Final = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_TRIES: Final = 20
_GONE_TRIES: Final = 5
_LOST_TRIES: Final = 2
"""A pooled connection may have been closed since; a new one that is lost as well says that the server is gone."""
_FIRST_WAIT_S: Final = 0.02
_MAX_WAIT_S: Final = 0.5
_GONE: Final = "Neo.ClientError.Statement.EntityNotFound"
"""A node that was matched was deleted by another transaction before it could be locked."""


class Neo4jSettings(GraphStoreSettings):
    """Settings of the Neo4j graph."""

    provider_name = "neo4j"

    url: str | None = env("NEO4J_URI")
    """Address, `neo4j+s://host:7687`; `+s` verifies the certificate, `+ssc` takes any; also `NEO4J_URL`."""
    username: str | None = env("NEO4J_USERNAME", "neo4j")
    """None with no password: a server without authentication."""
    password: SecretStr | None = env("NEO4J_PASSWORD")
    database: str | None = env("NEO4J_DATABASE")
    """Name of the database; None: the one that the server says is the user's."""
    base_label: bool = False
    """Whether entities also carry the label `__Entity__`, as mem0 gives it."""
    timeout_s: float = 30.0
    """Seconds after which a call without an answer fails."""

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        check_url(self.url)

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Return the environment variable of each field that has one; both names of the address are in use."""
        found = super().variables()
        if not os.environ.get("NEO4J_URI") and os.environ.get("NEO4J_URL"):
            found["url"] = "NEO4J_URL"
        return found


def check_url(url: str | None) -> None:
    """Return if the driver can take an address.

    Raises:
        ConfigurationError: Another scheme, no host, or a password in it, which would be shown in logs.
    """
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host, secret = parts.hostname, parts.username is not None
    except ValueError as error:
        raise ConfigurationError("`url` of the graph store is not an address.") from error
    if secret:
        raise ConfigurationError(
            "`url` of the graph store holds a user; give `username` and `password` instead."
        )
    if parts.scheme not in SCHEMES:
        raise ConfigurationError(
            f"`url` begins with {parts.scheme!r}.{did_you_mean(parts.scheme, SCHEMES)} Known: {', '.join(SCHEMES)}."
        )
    if not host:
        raise ConfigurationError(f"`url` names no host: {url!r}. Example: 'neo4j+s://localhost:7687'.")


class Neo4jSessions:
    """A sync driver, and one async driver for each event loop, made at first use."""

    def __init__(self, backend: str, settings: Neo4jSettings, client: Driver | None) -> None:
        self._backend, self._settings, self._given = backend, settings, client
        if client is None and settings.url is None:
            raise ConfigurationError(
                "The graph store 'neo4j' needs `url`, such as 'neo4j+s://host:7687', or the environment variable "
                "NEO4J_URI."
            )
        self._lock = threading.Lock()
        self._restart()

    def _restart(self) -> None:
        self._pid = os.getpid()
        self._driver: Driver | None = self._given
        self._turn = threading.Lock()
        self._adrivers: _ByLoop = WeakKeyDictionary()

    def _options(self) -> dict[str, Any]:
        chosen = self._settings
        password = None if chosen.password is None else chosen.password.get_secret_value()
        return {
            "auth": None if password is None else (chosen.username or "neo4j", password),
            "connection_timeout": chosen.timeout_s,
            "connection_acquisition_timeout": chosen.timeout_s,
            "max_transaction_retry_time": 0,
            "notifications_min_severity": "OFF",
            "telemetry_disabled": True,
            "user_agent": "memkit",
        }

    # Transactions.

    def run(self, work: Callable[[], Work[R]], *, alone: bool = False) -> R:
        """Do work in one transaction, again where the database asks for that, and return its value.

        It runs in a thread of its own, as the driver's sockets wait for ever.

        Args:
            alone: Only while no other work of this kind runs here: two writes would wait for each other there.
        """
        driver, turn = self._connected()
        future: Future[R] = Future()

        def attempt() -> None:
            try:
                with turn if alone else nullcontext():
                    future.set_result(self._attempts(driver, work))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                future.set_exception(error)

        threading.Thread(target=attempt, name="memkit-neo4j", daemon=True).start()
        try:
            return future.result(self._settings.timeout_s)
        except MemkitError:
            raise
        except TimeoutError as error:
            self._leave(driver)
            raise self._too_late() from error
        except Exception as error:
            raise self._translated(error) from error

    async def arun(self, work: Callable[[], Work[R]], *, alone: bool = False) -> R:
        """Do work like `run`, without blocking the event loop."""
        driver, turn = self._aconnected()
        try:
            async with asyncio.timeout(self._settings.timeout_s), turn if alone else nullcontext():
                return await self._aattempts(driver, work)
        except MemkitError:
            raise
        except TimeoutError as error:
            raise self._too_late() from error
        except Exception as error:
            raise self._translated(error) from error

    def _attempts(self, driver: Any, work: Callable[[], Work[R]]) -> R:
        tries = 0
        while True:
            try:
                with (
                    driver.session(database=self._settings.database) as session,
                    session.begin_transaction(timeout=self._settings.timeout_s) as transaction,
                ):
                    going = work()
                    try:
                        statement = next(going)
                        while True:
                            rows = transaction.run(statement[0], dict(statement[1])).data()
                            statement = going.send(rows)
                    except StopIteration as stop:
                        transaction.commit()
                        return stop.value
            except Exception as error:
                tries += 1
                if (wait := _wait(error, tries)) is None:
                    raise
                time.sleep(wait)

    async def _aattempts(self, driver: Any, work: Callable[[], Work[R]]) -> R:
        tries = 0
        while True:
            try:
                async with (
                    driver.session(database=self._settings.database) as session,
                    await session.begin_transaction(timeout=self._settings.timeout_s) as transaction,
                ):
                    going = work()
                    try:
                        statement = next(going)
                        while True:
                            result = await transaction.run(statement[0], dict(statement[1]))
                            statement = going.send(await result.data())
                    except StopIteration as stop:
                        await transaction.commit()
                        return stop.value
            except Exception as error:
                tries += 1
                if (wait := _wait(error, tries)) is None:
                    raise
                await asyncio.sleep(wait)

    # Drivers.

    def _connected(self) -> tuple[Driver, threading.Lock]:
        with self._lock:
            if self._pid != os.getpid():
                self._restart()
            driver = self._driver
            if driver is None:
                from neo4j import GraphDatabase

                driver = cast(
                    "Driver", cast("Any", GraphDatabase).driver(self._settings.url, **self._options())
                )
                self._driver = driver
            return driver, self._turn

    def _aconnected(self) -> tuple[AsyncDriver, asyncio.Lock]:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._pid != os.getpid():
                self._restart()
            if loop not in self._adrivers:
                from neo4j import AsyncGraphDatabase

                made = cast("Any", AsyncGraphDatabase).driver(self._settings.url, **self._options())
                self._adrivers[loop] = made, asyncio.Lock()
            return self._adrivers[loop]

    def _leave(self, driver: Driver) -> None:
        """Go on with a new driver: a call on this one hangs, and may hang for ever, in its turn to write too."""
        with self._lock:
            if driver is not self._driver:
                return
            self._turn = threading.Lock()
            if driver is not self._given:
                self._driver = None
                threading.Thread(target=driver.close, name="memkit-neo4j", daemon=True).start()

    def close(self) -> None:
        """Close what this store opened; async drivers of loops that run are closed there."""
        with self._lock:
            driver, left = self._driver, list(self._adrivers.items())
            if self._pid == os.getpid():
                self._restart()
            else:
                return
        if driver is not None and driver is not self._given:
            driver.close()
        for loop, (other, _) in left:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(other.close(), loop)

    async def aclose(self) -> None:
        """Close the async driver of this event loop."""
        with self._lock:
            known = self._adrivers.pop(asyncio.get_running_loop(), None)
        if known is not None:
            await known[0].close()

    # Errors.

    def _where(self) -> str:
        place = "the given driver" if self._settings.url is None else self._settings.url
        return f"{place!r}" + (f", database {self._settings.database!r}" if self._settings.database else "")

    def _too_late(self) -> BackendTimeoutError:
        return BackendTimeoutError(
            f"The graph at {self._where()} did not answer within {self._settings.timeout_s:g} s.",
            backend=self._backend,
        )

    def _translated(self, error: Exception) -> MemkitError:
        """Return an error of ours; a message of the server may hold texts of memories, and is only the cause."""
        from neo4j import exceptions as theirs

        code = str(getattr(error, "code", None) or type(error).__name__)
        where = self._where()
        if code.endswith("AuthenticationRateLimit"):
            return RateLimitError(
                f"The graph at {where} refuses more tries to log in.", backend=self._backend
            )
        if (
            isinstance(error, theirs.AuthError | theirs.Forbidden | theirs.AuthConfigurationError)
            or ".Security." in code
        ):
            return AuthenticationError(
                f"The graph at {where} refused the user {self._settings.username!r} ({code}). Check `username`, "
                "`password` and the user's roles.",
                backend=self._backend,
            )
        if code.endswith(("DatabaseNotFound", "DatabaseUnavailable")):
            return BackendUnavailableError(
                f"There is no database for the graph at {where} ({code}). Create it, or name another `database`.",
                backend=self._backend,
            )
        if "TimedOut" in code or "Timeout" in code:
            return self._too_late()
        if isinstance(error, theirs.ConfigurationError | theirs.CertificateConfigurationError):
            return ConfigurationError(f"The driver cannot use the settings of the graph at {where} ({code}).")
        lost = theirs.ServiceUnavailable | theirs.SessionExpired | theirs.TransientError | OSError
        if isinstance(error, lost):
            return BackendUnavailableError(
                f"The graph at {where} cannot be reached ({code}).", backend=self._backend
            )
        return BackendResponseError(
            f"The graph at {where} refused a statement ({code}).", backend=self._backend
        )


def _wait(error: Exception, tries: int) -> float | None:
    """Return how long to wait before the same is done again, None where that does not help."""
    from neo4j import exceptions as theirs

    if isinstance(error, theirs.ServiceUnavailable | theirs.SessionExpired):
        return _FIRST_WAIT_S if tries < _LOST_TRIES else None
    passing = isinstance(error, theirs.TransientError | theirs.ConstraintError)
    gone = isinstance(error, theirs.Neo4jError) and error.code == _GONE
    if tries >= (_GONE_TRIES if gone else _TRIES if passing else 0):
        return None
    return min(_MAX_WAIT_S, _FIRST_WAIT_S * 2**tries) * random.uniform(0.5, 1.5)


def is_forbidden(error: AuthenticationError) -> bool:
    """Return whether a user who was let in may not do something."""
    from neo4j.exceptions import Forbidden

    return isinstance(error.__cause__, Forbidden)
