"""Settings of the ledger in PostgreSQL: `ledger={"provider": "postgresql", "config": {...}}`."""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import unquote

from pydantic import Field, SecretStr

from ...settings import ProviderSettings, env
from ..sqlite.settings import Vectors

_SCHEMA = r"[A-Za-z_][A-Za-z0-9_]{0,62}"


class PostgresSettings(ProviderSettings):
    """Where the database is, and how it is used."""

    provider_name: ClassVar[str | None] = "postgresql"

    url: SecretStr = env("MEMKIT_POSTGRES_URL", SecretStr(""))
    """`postgresql://user:password@host:5432/database`, as libpq reads it; empty: libpq's own variables (`PGHOST`, ...).
    `?schema_name=team` in it is the setting of that name."""
    schema_name: str = Field(default="memkit", pattern=f"^{_SCHEMA}$")
    """The schema that holds the tables; made at the first write. Stores with different ones share a database."""
    sslmode: str | None = None
    """As libpq has it. Not given here, in the URL or in `PGSSLMODE`: `verify-full` for another machine, `prefer` for
    this one."""
    minconn: int = Field(default=1, ge=0)
    """Connections kept open when nothing is going on."""
    maxconn: int = Field(default=16, ge=1)
    """Connections at one time, for threads and for each event loop; whoever needs one more waits."""
    connect_timeout_s: int = Field(default=10, ge=1)
    """Seconds to wait for a connection."""
    statement_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds for one statement before `BackendTimeoutError`; migrating, rebuilding and erasing take what they take."""
    busy_timeout_s: float = Field(default=15.0, gt=0)
    """Seconds to wait for somebody else's write to the same owner before `BackendUnavailableError`."""
    vectors: Vectors = "auto"
    """Numbers of embeddings as kept; searches compute in float32 whatever it is. As for SQLite: `auto` is `int8` for
    hashed embeddings, else `float16`. A store keeps what it was made with until `rebuild(embedder=...)`."""


def split_url(settings: PostgresSettings) -> tuple[str, str]:
    """Return the URL as libpq reads it, and the schema."""
    url, schema = settings.url.get_secret_value(), settings.schema_name
    found = re.search(r"(?<=[?&])schema_name=([^&]*)&?", url)
    if found is None:
        return url, schema
    given = PostgresSettings(url=SecretStr(""), schema_name=unquote(found[1]))
    return (url[: found.start()] + url[found.end() :]).rstrip("?&"), given.schema_name
