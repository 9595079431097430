"""PostgreSQL for whoever uses it: addresses without secrets, TLS, and the driver's errors as ours."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import (
    AuthenticationError,
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    InvalidInputError,
    MemkitError,
)

if TYPE_CHECKING:
    from .postgres_pool import Session

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a database is and how to get in; it is shown without the password."""

    conninfo: str
    where: str
    """Host, port and database, for messages."""

    def __repr__(self) -> str:
        return f"Address({self.where!r})"


def address_of(url: str | None, given: Mapping[str, Any]) -> Address:
    """Return the address that a URL (or a libpq string) and single settings say together; the latter win.

    Where the server is not on this machine, and neither the URL, the settings nor `PGSSLMODE` speak of TLS, its
    certificate and name are verified.

    Raises:
        ConfigurationError: The URL cannot be read.
    """
    try:
        parts = conninfo_to_dict(
            url or "", **{key: value for key, value in given.items() if value is not None}
        )
    except psycopg.Error:
        # Not chained: the driver's text may quote a piece of the password.
        raise ConfigurationError(
            "The address of PostgreSQL cannot be read. Write 'postgresql://user:password@host:5432/database', with "
            "characters such as '@', '/', ':' and spaces of the password percent-encoded."
        ) from None
    host = str(parts.get("hostaddr") or parts.get("host") or os.environ.get("PGHOST") or "")
    if (
        "sslmode" not in parts
        and "service" not in parts
        and "PGSSLMODE" not in os.environ
        and not _is_near(host)
    ):
        parts["sslmode"] = "verify-full"
        if "sslrootcert" not in parts and "PGSSLROOTCERT" not in os.environ and (roots := _trusted_roots()):
            parts["sslrootcert"] = roots
    parts.setdefault("connect_timeout", 10)
    parts.setdefault("application_name", "memkit")
    port = parts.get("port") or os.environ.get("PGPORT") or 5432
    database = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""
    return Address(conninfo=make_conninfo("", **parts), where=f"{host or 'localhost'}:{port}/{database}")


def _is_near(hosts: str) -> bool:
    """Return whether all hosts are sockets or loopback addresses of this machine."""
    return all(_is_loopback(host.strip()) for host in hosts.split(","))


def _is_loopback(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trusted_roots() -> str | None:
    """Return the file of certificates to trust; None where libpq has one of the user's by itself."""
    if Path("~/.postgresql/root.crt").expanduser().exists():
        return None
    return next((bundle for bundle in _BUNDLES if os.path.exists(bundle)), "system")


# ------------------------------------------------------------------------------------------------ errors


class TooLateError(Exception):
    """The server did not answer within the time of one statement."""


_REFUSED: Final = re.compile(
    r"authentication failed|no password supplied|pg_hba\.conf|role \"[^\"]*\" (does not exist|is not permitted)"
)
_NO_DATABASE: Final = re.compile(r"database \"[^\"]*\" does not exist")
_CLOCK: Final = re.compile(r"timeout expired|timed out|TooLate")
_LOCKED: Final = "55P03"
"""The SQLSTATE of a lock not got, which was waited for as long as anybody wanted."""
_NOW_AND_THEN: Final = ("08", "40", "53", "57P0", _LOCKED)
"""SQLSTATEs of what may go well later: connection, conflict, resources, shutdown, a lock not got."""


def translated(error: Exception, where: str, backend: str) -> MemkitError:
    """Return our error for one of the driver's, without secrets, to be chained to it."""
    text = re.sub(r"\s+", " ", str(error)).strip()[:300].rstrip(".") or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    said = f"PostgreSQL at {where} failed: {text}."
    if isinstance(error, TooLateError) or state == "57014" or (not state and _CLOCK.search(text)):
        return BackendTimeoutError(f"PostgreSQL at {where} did not answer in time: {text}.", backend=backend)
    if state[:2] == "28" or _REFUSED.search(text):
        return AuthenticationError(f"{said} Check user and password.", backend=backend)
    if state == "3D000" or _NO_DATABASE.search(text):
        return ConfigurationError(f"{said} Make it with `CREATE DATABASE`, or name another.")
    if state == "42501":
        return AuthenticationError(f"{said} Grant the right, or use another role.", backend=backend)
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
        return isinstance(error, psycopg.OperationalError) and not (
            _REFUSED.search(str(error)) or _NO_DATABASE.search(str(error)) or _CLOCK.search(str(error))
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
