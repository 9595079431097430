"""The errors of PostgreSQL's driver as ours, and which of them pass; extensions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import psycopg

from ..errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidInputError,
    MemkitError,
)

if TYPE_CHECKING:
    from .session import Session


class TooLateError(Exception):
    """The server did not answer within the time of one statement."""


_REFUSED: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role \"[^\"]*\" (does not exist|is not permitted)"
    r"|permission denied for database"
)
_NOT_TRUSTED: Final = re.compile(
    r"certificate verify failed|certificate for .* does not match|certificate (file|authority)|not support SSL"
    r"|private key file|sslrootcert|alert (unknown ca|certificate|handshake|bad certificate)|SSL error: unsupported"
)
_MISWRITTEN: Final = re.compile(
    r"invalid \"?\w+\"? value|invalid port number|invalid integer value|bad value for|definition of service"
    r"|service file|weak sslmode|could not match \d+ (ports?|host)|invalid connection option"
)
_NO_DATABASE: Final = re.compile(r"database \"[^\"]*\" does not exist")
_CLOCK: Final = re.compile(r"timeout expired|timed out|TooLate")
_LOCKED: Final = "55P03"
"""The SQLSTATE of a lock not got, which was waited for as long as anybody wanted."""
_NOW_AND_THEN: Final = ("08", "40", "53", "57P0", _LOCKED)
"""SQLSTATEs of what may go well later: connection, conflict, resources, shutdown, a lock not got."""


def translated(error: Exception, where: str, backend: str) -> MemkitError:
    """Return our error for one of the driver's, without secrets, to be chained to it."""
    # The driver's error keeps the connection, and that its password.
    vars(error).pop("_pgconn", None)
    text = re.sub(r"\s+", " ", str(error)).strip()[:300].rstrip(".") or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    said = f"PostgreSQL at {where} failed: {text}."
    if isinstance(error, TooLateError) or state == "57014" or (not state and _CLOCK.search(text)):
        return BackendTimeoutError(f"PostgreSQL at {where} did not answer in time: {text}.", backend=backend)
    if state == "42501":
        return AuthenticationError(f"{said} Grant the right, or use another role.", backend=backend)
    if state[:2] == "28" or _REFUSED.search(text):
        return AuthenticationError(f"{said} Check user and password.", backend=backend)
    if not state and _NOT_TRUSTED.search(text):
        return ConfigurationError(
            f"{said} Name the authority that has signed the server's certificate in the URL: "
            "'?sslmode=verify-full&sslrootcert=/path/of/ca.crt', and the host as the certificate has it."
        )
    if not state and _MISWRITTEN.search(text):
        return ConfigurationError(f"{said} Correct that option of its address.")
    if state == "3D000" or _NO_DATABASE.search(text):
        return ConfigurationError(f"{said} Make it with `CREATE DATABASE`, or name another.")
    if state == "25006":
        return BackendUnavailableError(
            f"{said} The server or the role only reads; give the address of one that writes.",
            backend=backend,
            retryable=False,
        )
    if state[:2] == "54":
        return InvalidInputError(f"{said} A text is too long for an index.")
    if state.startswith(_NOW_AND_THEN) or (
        not state and isinstance(error, psycopg.OperationalError | OSError)
    ):
        return BackendUnavailableError(f"PostgreSQL at {where} cannot be used: {text}.", backend=backend)
    return BackendError(said, backend=backend)


def is_lost(error: Exception) -> bool:
    """Return whether the connection is gone, and whatever was asked for with it."""
    state = getattr(error, "sqlstate", None) or ""
    return not isinstance(error, psycopg.Error) or (
        state[:2] in ("08", "57") and state != "57014"
        if state
        else isinstance(error, psycopg.OperationalError)
    )


def is_passing(error: Exception) -> bool:
    """Return whether the same statement may succeed when it is sent again."""
    state = getattr(error, "sqlstate", None) or ""
    if not state:
        return isinstance(error, psycopg.OperationalError) and not any(
            final.search(str(error)) for final in (_REFUSED, _NO_DATABASE, _CLOCK, _NOT_TRUSTED, _MISWRITTEN)
        )
    return state.startswith(_NOW_AND_THEN) and state != _LOCKED


async def make_extension(session: Session, name: str, where: str) -> None:
    """Have an extension in this database.

    Raises:
        ConfigurationError: It is not there, and this role could not make it; it says what to type.
    """
    if await session.one("SELECT 1 FROM pg_extension WHERE extname = %s", [name]):
        return
    try:
        await session.rows(f"CREATE EXTENSION {name} CASCADE")
    except psycopg.Error as error:
        product = {"vector": "pgvector", "vectorscale": "pgvectorscale"}.get(name, name)
        raise ConfigurationError(
            f"PostgreSQL at {where} has no extension {name!r}, and this role could not make it: "
            f"{str(error).splitlines()[0]}. Install {product} on the server, then let an administrator type in that "
            f"database: CREATE EXTENSION {name} CASCADE;"
        ) from error
