"""What every part of the PostgreSQL ledger stands on: reads of one moment, transactions, and twins of both.

Each operation is written once, as `async def` over a session; `reading` and `writing` make the blocking method and the
awaited one of it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from ...errors import BackendError, BackendUnavailableError, ConfigurationError
from ...postgres.address import address_of
from ...postgres.errors import is_lost
from ...postgres.pool import Pools, Shelf, Terms
from ...postgres.session import Session, Statement
from ...runtime import run_inline
from ...scope import Owner
from ..base import Ledger
from ..packing import Packing, State
from ..sqlite.settings import KINDS
from .schema import NEWEST, migrate, schema_version, store_lock
from .settings import PostgresSettings, split_url

P = ParamSpec("P")
R = TypeVar("R")
L = TypeVar("L", bound="PostgresBase")

NAME: Final = "postgresql"
_OWNERS_KEPT: Final = 100_000
_GONE: Final = ("42P01", "3F000")
"""SQLSTATEs of a table or schema that is not there."""
_LONG_S: Final = 24 * 3600.0
_IDLE_IN_TRANSACTION_S: Final = 60
"""The server ends a transaction whose client stands still, so that what it has locked is free for others."""


@dataclass(slots=True)
class Book:
    """What every part of a ledger has to know of its store."""

    tokenize: Callable[[str], Sequence[str]]
    tokenizer_version: str
    salt: int = 0
    owners: dict[int, Owner] = field(default_factory=dict[int, Owner])

    def words(self, actor: str | None, text: str) -> list[str]:
        """Return the distinct tokens that a record is found by."""
        return list(dict.fromkeys(self.tokenize(text if actor is None else f"{actor}: {text}")))

    async def learn(self, s: Session, numbers: Sequence[int]) -> None:
        """Read the owners of some numbers; they are never used again, so what was read once holds."""
        unknown = [number for number in set(numbers) if number not in self.owners]
        if not unknown:
            return
        if len(self.owners) + len(unknown) > _OWNERS_KEPT:
            self.owners.clear()
            unknown = list(set(numbers))
        rows = await s.rows("SELECT no, kind, id FROM owner WHERE no = ANY(%s)", (unknown,))
        self.owners.update((row[0], Owner(kind=row[1], id=row[2])) for row in rows)


STATE: Final = "event, reset, gen, dim, packing, tokenizer"
"""The columns that `state_of` reads."""


def state_of(row: Sequence[Any]) -> State:
    """Return the state of a row of `STATE`."""
    return State(event=row[0], reset=row[1], gen=row[2], dim=row[3], packing=row[4])


async def read_state(s: Session) -> State:
    """Return how far the store has come."""
    row = await s.row(f"SELECT {STATE} FROM state")
    assert row is not None, "a store has a state"
    return state_of(row)


class PostgresBase(Ledger):
    """The ledger in one schema of a PostgreSQL database.

    Args:
        settings: Where it is.
        tokenize: Splits a record's `actor: text` into the words of the keyword index.
        tokenizer_version: Of `tokenize`; a store made with another one gets a new keyword index when it is opened.
        on_step: Called at each step of a write with its name (`begin`, `messages`, `records`, `commit`, `committed`;
            an erasure adds `erased`, `scrubbed`); for tests that stop a process there.

    Raises:
        ConfigurationError: The address cannot be read.
    """

    name = NAME
    persistent = True
    erased_as = "rows deleted and vacuumed"

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        tokenize: Callable[[str], Sequence[str]],
        tokenizer_version: str,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        url, self._schema = split_url(settings)
        address = address_of(
            url, {"sslmode": settings.sslmode, "connect_timeout": settings.connect_timeout_s}
        )
        self._settings = settings
        self._packing: Packing | None = KINDS[settings.vectors]
        self._book = Book(tokenize=tokenize, tokenizer_version=tokenizer_version)
        self._lock_number = store_lock(self._schema)
        self._pools = Pools(
            Terms(
                address=address,
                backend=NAME,
                least=settings.minconn,
                most=settings.maxconn,
                timeout_s=settings.statement_timeout_s,
                prepare=self._prepare,
            )
        )
        self._timeout_text = f"{settings.statement_timeout_s * 1000:.0f}"
        self.location = f"postgresql://{address.where} (schema {self._schema})"
        self._step: Callable[[str], None] = on_step or _no_step
        self._ready = False
        self._began()

    def _began(self) -> None:
        self._pid = os.getpid()
        self._workers: set[str] = set()
        self._unreleased: dict[str, tuple[str | None, bool]] = {}
        """Jobs to give back with their error, and whether they wait for anyone, once the server can be reached."""
        self._handed: dict[str, set[int]] = {}
        """Numbers of outbox entries that were read and are not done."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    # ------------------------------------------------------------------------------------- life

    async def _prepare(self, s: Session) -> None:
        """Set up a new connection; in statements, since poolers refuse such options of a connection."""
        settings = self._settings
        await s.rows(
            "SELECT set_config('search_path', concat_ws(', ', %s::text, (SELECT quote_ident(n.nspname) FROM"
            " pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector')), false),"
            " set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false),"
            " set_config('default_transaction_isolation', 'read committed', false), set_config('jit', 'off', false)",
            (
                f'"{self._schema}", public',
                self._timeout_text,
                f"{settings.busy_timeout_s * 1000:.0f}",
                f"{_IDLE_IN_TRANSACTION_S * 1000}",
            ),
        )

    @property
    def opened(self) -> bool:
        """Whether the store was found in this process; asking needs no connection."""
        return self._ready

    def open(self, *, create: bool = True) -> bool:
        """Open, migrate, and return whether a ledger is there; `create=False` never makes one."""
        return self._ready or run_inline(self._open(self._pools.blocking(), create=create))

    async def aopen(self, *, create: bool = True) -> bool:
        """Open like `open` without blocking the event loop."""
        return self._ready or await self._open(self._pools.awaited(), create=create)

    async def _open(self, shelf: Shelf, *, create: bool) -> bool:
        if self._ready:
            return True

        async def look(s: Session) -> bool | None:
            version = await schema_version(s, self._schema, self.location)
            if version == NEWEST:
                await self._read_book(s)
                return await self._tokenizer(s) == self._book.tokenizer_version
            return False if version or create else None

        ready = await shelf.operate(look)
        if ready is None:
            return False
        if not ready:
            await self._transact(shelf, self._bring_up, exclusive=True, again=True)
        self._ready = True
        return True

    async def _bring_up(self, s: Session) -> None:
        """Make or migrate the tables, and bring the keyword index to this tokenizer."""
        if await s.one("SHOW server_encoding") != "UTF8":
            raise ConfigurationError(
                f"The database of {self.location} is not encoded in UTF8, so that it cannot hold every text. Type: "
                "CREATE DATABASE memkit ENCODING 'UTF8' TEMPLATE template0"
            )
        version = await schema_version(s, self._schema, self.location)
        if version < NEWEST:
            await migrate(s, self._schema, version)
        await self._read_book(s)
        if await self._tokenizer(s) != self._book.tokenizer_version:
            from .words import rebuild_words

            await rebuild_words(s, self._book)

    async def _read_book(self, s: Session) -> None:
        self._book.owners = {}
        self._book.salt = int(await s.one("SELECT value FROM meta WHERE key = 'salt'"))

    async def _tokenizer(self, s: Session) -> str | None:
        return cast("str | None", await s.one("SELECT tokenizer FROM state"))

    # ------------------------------------------------------------------------------------- access

    async def _look(
        self, shelf: Shelf, work: Callable[[Session], Awaitable[R]], empty: Callable[[], R], *, snapshot: bool
    ) -> R:
        """Read; return what `empty` gives while there is no ledger."""
        if not self._ready and not await self._open(shelf, create=False):
            return empty()

        async def moment(s: Session) -> R:
            await s.begin("ISOLATION LEVEL REPEATABLE READ READ ONLY")
            value = await work(s)
            await s.commit()
            return value

        return await self._operate(shelf, moment if snapshot else work)

    async def _transact(
        self,
        shelf: Shelf,
        work: Callable[[Session], Awaitable[R]],
        *,
        again: bool,
        exclusive: bool = False,
        long: bool = False,
    ) -> R:
        """Write in one durable transaction.

        With `again` it may be done twice, so that it is where nobody can say whether a commit arrived.
        """
        committing = False
        how = "pg_advisory_xact_lock" + ("" if exclusive else "_shared")

        async def transaction(s: Session) -> R:
            nonlocal committing
            if committing and not again:
                raise self._unknown()
            first: list[Statement] = [(f"SELECT {how}(%s)", (self._lock_number,))]
            if exclusive or long:
                # Whoever has the store alone may have much to do.
                s.patience(_LONG_S)
                first.append(("SET LOCAL statement_timeout = 0", ()))
            await s.begin("", *first)
            self._step("begin")
            value = await work(s)
            self._step("commit")
            committing = True
            try:
                await s.commit()
            except Exception as error:
                committing = is_lost(error)
                raise
            self._step("committed")
            return value

        return await self._operate(shelf, transaction)

    async def _operate(self, shelf: Shelf, work: Callable[[Session], Awaitable[R]]) -> R:
        try:
            return await shelf.operate(work)
        except BackendError as error:
            if getattr(error.__cause__, "sqlstate", None) in _GONE:
                raise self._vanished() from error.__cause__
            raise

    def _vanished(self) -> BackendUnavailableError:
        """Return the error for a store whose tables were dropped; the next call begins with looking for them."""
        self._ready = False
        return BackendUnavailableError(
            f"The tables of the ledger {self.location} are gone: somebody has dropped them, or a database was restored "
            "without them. Restore a backup; a write from now on begins an empty ledger.",
            backend=NAME,
            retryable=False,
        )

    def _unknown(self) -> BackendUnavailableError:
        return BackendUnavailableError(
            f"The connection to {self.location} was lost while a change was being committed; whether it was is not "
            "known. Look before you do it again.",
            backend=NAME,
        )


def _no_step(name: str) -> None:
    """Do nothing at a step of a write; tests stop a process here."""


# ------------------------------------------------------------------------------------------------- twins


class _Twins(Generic[L, P, R]):
    """Becomes the blocking method of its name, and the awaited one with an `a` before it."""

    def __init__(
        self,
        work: Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]],
        perform: Callable[[L, Shelf, Callable[[Session], Awaitable[R]]], Coroutine[Any, Any, R]],
    ) -> None:
        self._work, self._perform = work, perform

    def __set_name__(self, owner: type, name: str) -> None:
        work, perform = self._work, self._perform

        @functools.wraps(work)
        def blocking(ledger: L, /, *args: P.args, **kwargs: P.kwargs) -> R:
            shelf = ledger._pools.blocking()  # pyright: ignore[reportPrivateUsage]  twins are its own methods
            return run_inline(perform(ledger, shelf, lambda s: work(ledger, s, *args, **kwargs)))

        @functools.wraps(work)
        async def awaited(ledger: L, /, *args: P.args, **kwargs: P.kwargs) -> R:
            shelf = ledger._pools.awaited()  # pyright: ignore[reportPrivateUsage]
            return await perform(ledger, shelf, lambda s: work(ledger, s, *args, **kwargs))

        awaited.__name__ = _twin_name(name)
        setattr(owner, name, _without_session(blocking))
        setattr(owner, awaited.__name__, _without_session(awaited))


def _twin_name(name: str) -> str:
    return f"_a{name[1:]}" if name.startswith("_") else f"a{name}"


def twin(method: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return the awaited twin of a method that `reading` or `writing` made."""
    bound = cast("Any", method)
    return getattr(bound.__self__, _twin_name(bound.__name__))


def _without_session(method: Callable[..., Any]) -> Callable[..., Any]:
    """Give a twin the signature that its callers see."""
    import inspect

    signature = inspect.signature(method)
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "s"]
    method.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  inspect reads it
    return method


Operation = Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]]
"""An operation as it is written."""


def reading(
    empty: Callable[[], Any], *, snapshot: bool = False
) -> Callable[[Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]]], Callable[Concatenate[L, P], R]]:
    """Make the twins of a read; `empty` gives its answer while there is no ledger.

    With `snapshot` its statements see one moment; without, it is one statement, or what they see may differ.
    """

    async def perform(ledger: L, shelf: Shelf, work: Callable[[Session], Awaitable[R]]) -> R:
        return await ledger._look(shelf, work, empty, snapshot=snapshot)  # pyright: ignore[reportPrivateUsage]

    def made(
        work: Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[L, P], R]:
        return cast("Callable[Concatenate[L, P], R]", _Twins(work, perform))

    return made


def writing(
    *,
    again: bool = False,
    exclusive: bool = False,
    long: bool = False,
    empty: Callable[[], Any] | None = None,
) -> Callable[[Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]]], Callable[Concatenate[L, P], R]]:
    """Make the twins of a write, which is one transaction.

    Args:
        again: Doing it twice is as good as once.
        exclusive: Nobody else writes meanwhile.
        long: It may take longer than one statement usually does.
        empty: Gives its answer while there is no ledger; without, it makes one.
    """

    async def perform(ledger: L, shelf: Shelf, work: Callable[[Session], Awaitable[R]]) -> R:
        if not await ledger._open(shelf, create=empty is None):  # pyright: ignore[reportPrivateUsage]
            return cast("R", empty() if empty is not None else None)
        return await ledger._transact(  # pyright: ignore[reportPrivateUsage]
            shelf, work, again=again, exclusive=exclusive, long=long
        )

    def made(
        work: Callable[Concatenate[L, Session, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[L, P], R]:
        return cast("Callable[Concatenate[L, P], R]", _Twins(work, perform))

    return made
