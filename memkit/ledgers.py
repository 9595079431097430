"""Which ledger a configuration names, and how it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from .config import place
from .errors import ConfigurationError, MissingDependencyError, UnknownProviderError, did_you_mean
from .ledger.base import Ledger
from .ledger.sqlite.settings import KINDS, SqliteSettings

if TYPE_CHECKING:
    from .ledger.postgres.settings import PostgresSettings

LEDGERS: Final = ("postgresql", "sqlite")
_SCHEMES: Final = ("postgres://", "postgresql://")
_OF_A_URL: Final = re.compile(r"([\w+.-]*)://|(postg\w*):", re.IGNORECASE)
_OF_LIBPQ: Final = re.compile(r"\s*(host|hostaddr|port|dbname|user|password|service)\s*=")
"""How a libpq string of keys and values begins, and hardly a file."""


def check_ledger(given: Any) -> None:
    """Return when a ledger can be made of what was given, as far as that needs neither network nor disk.

    Raises:
        ConfigurationError: It names none, or its settings do not fit.
        MissingDependencyError: The driver's extra is not installed.
    """
    if not isinstance(given, Ledger):
        settings_of(given)


def make_ledger(given: Any, file: Path | None) -> Ledger:
    """Return the ledger that a configuration names; `file` is the one of SQLite where no other is named."""
    if isinstance(given, Ledger):
        return given
    from .ranking.standing import indexed
    from .ranking.text import TOKENIZER_VERSION

    settings = settings_of(given)
    if not isinstance(settings, SqliteSettings):
        from .ledger.postgres import PostgresLedger

        return PostgresLedger(settings, tokenize=indexed, tokenizer_version=TOKENIZER_VERSION)
    from .ledger.sqlite import SqliteLedger

    return SqliteLedger(
        file if settings.path is None else place(settings.path)[0],
        tokenize=indexed,
        tokenizer_version=TOKENIZER_VERSION,
        vector_kind=KINDS[settings.vectors],
        synchronous=settings.synchronous,
        busy_timeout_s=settings.busy_timeout_s,
    )


def settings_of(given: Any) -> SqliteSettings | PostgresSettings:
    """Return the settings of the ledger that is named: nothing, a name, a file, a URL, or `{"provider", "config"}`.

    Raises:
        UnknownProviderError: There is no ledger of that name.
        ConfigurationError: A key is unknown, or a value does not fit.
    """
    if given is None or given in ("auto", "sqlite"):
        return SqliteSettings()
    if isinstance(given, Mapping):
        return _of_mapping(cast("Mapping[str, Any]", given))
    if isinstance(given, str):
        if given.startswith(_SCHEMES) or _OF_LIBPQ.match(given):
            return _postgres({"url": given})
        if given in ("postgres", "postgresql"):
            return _postgres({})
        if found := _OF_A_URL.match(given):
            scheme = found[1] or found[2] or ""
            raise ConfigurationError(
                f"Unknown ledger {scheme!r}.{did_you_mean(scheme.lower().partition('+')[0], LEDGERS)} Give a file, a "
                "URL such as 'postgresql://user:password@host:5432/database', or leave it out."
            )
    if isinstance(given, str | os.PathLike):
        return SqliteSettings(path=os.fspath(cast("str | os.PathLike[str]", given)))
    raise ConfigurationError(f"`ledger` is a file, a URL, a dict or a Ledger, not {type(given).__name__}.")


def ledger_shown(given: str) -> str:
    """Return a ledger as it was named, a database without user and password."""
    try:
        settings = settings_of(given)
        if isinstance(settings, SqliteSettings):
            return given
        from .ledger.postgres.settings import split_url
        from .postgres.address import address_of

        return f"postgresql://{address_of(split_url(settings)[0], {}).where}"
    except (ConfigurationError, MissingDependencyError):
        return "(set)"


def _of_mapping(given: Mapping[str, Any]) -> SqliteSettings | PostgresSettings:
    unknown = [key for key in given if key not in ("provider", "config")]
    config: object = given.get("config") or {}
    if unknown or not isinstance(config, Mapping):
        raise ConfigurationError(
            '`ledger` as a dict is {"provider": "sqlite", "config": {"path": ..., "vectors": "float16"}}'
            + (f", without {', '.join(map(repr, unknown))}." if unknown else ".")
        )
    values = dict(cast("Mapping[str, Any]", config))
    name = given.get("provider", "sqlite")
    if name in ("postgres", "postgresql"):
        return _postgres(values)
    if name != "sqlite":
        raise UnknownProviderError("ledger", str(name), LEDGERS)
    return SqliteSettings(**values)


def _postgres(values: dict[str, Any]) -> PostgresSettings:
    from importlib.util import find_spec

    if find_spec("psycopg") is None:
        raise MissingDependencyError("The ledger 'postgresql'", "postgres", "psycopg")
    from .ledger.postgres.settings import PostgresSettings

    return PostgresSettings(**values)
