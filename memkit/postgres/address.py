"""Where a PostgreSQL database is: an address that is checked before anybody connects, and shown without its password.

What libpq would take apart wrongly, and try for seconds, is refused here. A message quotes only what cannot be a piece
of the password.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import ConfigurationError, did_you_mean

_SHAPE: Final = "'postgresql://user:password@host:5432/database'"
_ESCAPES: Final = (
    f"Write {_SHAPE}, with characters such as '@', '/', ':', '%' and spaces of the password percent-encoded."
)
_SCHEME: Final = re.compile(r"postgres(?:ql)?://")
_LAST_PORT: Final = 65_535
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret")
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
        ConfigurationError: The URL cannot be read, or names no database, no port or no option that there is.
    """
    parts = _parts(url or "", {key: value for key, value in given.items() if value is not None})
    _check(url or "", parts)
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
    parts["client_encoding"] = "UTF8"
    port = parts.get("port") or os.environ.get("PGPORT") or 5432
    database = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""
    return Address(conninfo=make_conninfo("", **parts), where=f"{host or 'localhost'}:{port}/{database}")


# ------------------------------------------------------------------------------------------------ checks


def _parts(url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] | None = None
    with suppress(psycopg.Error):
        found = {**conninfo_to_dict(url), **given}
    # Not where it is caught: the driver's text may quote a piece of the password, and would stay in the context.
    if found is None:
        raise ConfigurationError(f"The address of PostgreSQL cannot be read.{_odd_option(url)} {_ESCAPES}")
    return found


def _check(url: str, parts: Mapping[str, Any]) -> None:
    """Refuse what a connection would only be tried with in vain.

    Raises:
        ConfigurationError: It is said what is wrong.
    """
    is_url = _SCHEME.match(url) is not None
    if is_url and _is_torn(url[url.index("://") + 3 :]):
        raise ConfigurationError(
            f"The address of PostgreSQL holds an '@' that does not end the password. {_ESCAPES}"
        )
    _check_ports(str(parts.get("port") or ""), "@" in url or not is_url)
    mode, wait = parts.get("sslmode"), str(parts.get("connect_timeout", 10))
    if mode is not None and mode not in _MODES:
        raise ConfigurationError(
            f"`sslmode` is one of {', '.join(_MODES)}, not {mode!r}.{did_you_mean(str(mode), _MODES)}"
        )
    if not wait.strip().isdecimal():
        raise ConfigurationError(f"`connect_timeout` of PostgreSQL is in whole seconds, not {wait!r}.")
    named = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("service")
    if is_url and not named and "PGSERVICE" not in os.environ:
        raise ConfigurationError(f"The address of PostgreSQL names no database. Write {_SHAPE}.")


def _is_torn(rest: str) -> bool:
    """Return whether an '@' of the password, or one after a '/' of it, is taken for the end of the password."""
    end = next((place for place, letter in enumerate(rest) if letter in "@/"), len(rest))
    return "@" in rest[end + 1 :].partition("?")[0]


def _check_ports(ports: str, may_be_quoted: bool) -> None:
    for port in ports.split(","):
        if port and not (port.isdecimal() and 0 < int(port) <= _LAST_PORT):
            # Of a URL without a host the password stands where the port is looked for.
            told = f", not {port!r}" if may_be_quoted else ""
            raise ConfigurationError(
                f"The port of PostgreSQL is a number from 1 to {_LAST_PORT}{told}. {_ESCAPES}"
            )


def _odd_option(url: str) -> str:
    """Return a sentence about an option that is not known; nothing where it may be a piece of a secret."""
    query = url.partition("?")[2] if _SCHEME.match(url) else ""
    names = [pair.partition("=")[0] for pair in query.split("&") if "=" in pair]
    known = _options()
    odd = [name for name in names if name not in known]
    if not odd or "@" in query or not set(names).isdisjoint(_SECRETS):
        return ""
    return f" It has no option {odd[0]!r}.{did_you_mean(odd[0], known)}"


def _options() -> Iterable[str]:
    from psycopg.pq import Conninfo

    return [option.keyword.decode() for option in Conninfo.get_defaults()]


# --------------------------------------------------------------------------------------------------- TLS


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
