"""Settings of the ledger in one SQLite file: `ledger={"provider": "sqlite", "config": {...}}`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, cast

from pydantic import BeforeValidator, Field

from ...settings import ProviderSettings

if TYPE_CHECKING:
    from ..packing import Packing

Vectors = Literal["auto", "float32", "float16", "int8"]

KINDS: Final[Mapping[str, Packing | None]] = {"auto": None, "float32": "f32", "float16": "f16", "int8": "i8"}
"""What a `vectors` setting is to the ledger."""


def _text_of(path: object) -> object:
    return os.fspath(cast("os.PathLike[str]", path)) if isinstance(path, os.PathLike) else path


class SqliteSettings(ProviderSettings):
    """How the ledger's file is kept."""

    provider_name: ClassVar[str | None] = "sqlite"

    path: Annotated[str, BeforeValidator(_text_of)] | None = None
    """The file, or a folder for it; None is the memory's own `path`."""
    vectors: Vectors = "auto"
    """Numbers of embeddings as kept on disk; searches compute in float32 whatever it is. `float32` keeps them as the
    embedder gave them, `float16` halves them and keeps recall at ten at 1.000, `int8` quarters them (0.996). `auto` is
    `int8` for hashed embeddings, which lose nothing by it, else `float16`. A store keeps what it was made with until
    `rebuild(embedder=...)`."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """`FULL`: one fsync a write, and what is acknowledged survives a power loss. `NORMAL`: none, and the last writes
    may be lost then, though not when a process is killed."""
    busy_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds to wait for another process's write before `BackendUnavailableError`."""
