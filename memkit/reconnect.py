"""A memory as JSON without secrets, and the way back: for objects of frameworks that are written down and restored."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from .config import MemoryConfig, ProviderConfig
from .errors import ConfigurationError
from .facade import Facade, open_memories
from .schemas import import_path
from .settings import SecretStr

if TYPE_CHECKING:
    from .aio import AsyncMemory
    from .memory import Memory

log: Final = logging.getLogger("memkit")

_PROVIDERS: Final = ("vector_store", "llm", "embedder", "reranker")
_SECRET: Final = re.compile(r"key$|token$|secret|passw|credential|headers?$|^auth|_auth", re.IGNORECASE)
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]+@")

_lock = threading.Lock()
_reopened: dict[str, Memory] = {}
"""By ledger file; whoever asked may let go of them, and the next one finds them."""


def describe(memory: Memory | AsyncMemory) -> dict[str, Any]:
    """Return in plain JSON where a memory is, the providers it was given by name, and its scope; no secrets.

    What was given as an object is only named under `objects`: it cannot be written down.
    """
    config = memory._config  # pyright: ignore[reportPrivateUsage]
    made: dict[str, Any] = {"path": _place(memory), "instructions": config.instructions}
    objects = ["hooks"] if config.hooks else []
    for part in _PROVIDERS:
        written = _written(getattr(config, part))
        if written is _OBJECT:
            objects.append(part)
        else:
            made[part] = written
    paths = [import_path(model) for model in config.schemas]
    if None in paths:
        objects.append("schemas")
    elif paths:
        made["schemas"] = paths
    ledger = config.ledger
    if isinstance(ledger, str | os.PathLike):
        made["ledger"] = _USER_INFO.sub("", str(cast("str", ledger)))
    elif isinstance(ledger, Mapping):
        made["ledger"] = _without_secrets(cast("object", ledger))
    elif ledger is not None:
        objects.append("ledger")
    if memory._parts.file is None:  # pyright: ignore[reportPrivateUsage]
        made["memory"] = _identity(memory)
    if memory.scope is not None:
        made["scope"] = memory.scope.as_dict()
    return made | {"objects": objects}


def reconnect(description: Mapping[str, Any]) -> Memory:
    """Return the open memory of the described place, else open the place again with the described providers.

    One that is opened here stays open until it is closed or the process ends.

    Raises:
        ConfigurationError: It was kept in another process's memory, or made with an object (an embedder, an index, a
            hook) and is not open here.
    """
    described = dict(description)
    scope = cast("Mapping[str, str] | None", described.pop("scope", None))
    with _lock:
        memory = _open_one(described) or _opened_again(described)
    return memory if scope is None else memory.bind(**scope)


def _open_one(described: Mapping[str, Any]) -> Memory | None:
    """Return the open memory of the place, of several one that is made of the same."""
    same: list[Facade] = [
        memory
        for memory in open_memories()
        if _place(memory) == described.get("path")
        and ("memory" not in described or _identity(memory) == described["memory"])
    ]
    same.sort(key=lambda memory: describe(cast("Memory", memory)) == described)
    return same[-1].to_sync() if same else None


def _opened_again(described: dict[str, Any]) -> Memory:
    from .memory import Memory

    path, objects = described.pop("path", None), cast("Sequence[str]", described.pop("objects", ()))
    if "memory" in described or not isinstance(path, str):
        raise ConfigurationError(
            "This was kept in a memory in ':memory:', which ended with its process. Give the memory a `path`."
        )
    needed = [part for part in objects if part not in ("llm", "reranker", "schemas")]
    if needed:
        raise ConfigurationError(
            f"The memory at {path!r} was made with objects that cannot be written down: {', '.join(needed)}. Open it "
            f"first, for example `memory = Memory({path!r}, {needed[0]}=...)`, then restore this again."
        )
    given: dict[str, Any] = {"path": path, **described}
    if "llm" in objects:
        given["llm"] = _LostLLM(path)
    if objects:
        log.warning("memkit: %s opened again without its %s.", path, " and ".join(objects))
    _reopened[path] = Memory(MemoryConfig(**given))
    return _reopened[path]


def _place(memory: Facade) -> str:
    file = memory._parts.file  # pyright: ignore[reportPrivateUsage]
    return ":memory:" if file is None else os.path.realpath(file)


def _identity(memory: Facade) -> str:
    return memory._parts.worker_id  # pyright: ignore[reportPrivateUsage]


_OBJECT: Final = object()


def _written(given: ProviderConfig | None) -> object:
    """Return a provider as a configuration has it, or `_OBJECT` where it holds what JSON cannot."""
    if given is None:
        return None
    if given.provider == "instance":
        return _OBJECT
    config = given.config
    if config is not None and not isinstance(config, Mapping):
        config = {name: getattr(config, name) for name in sorted(config.model_fields_set)}
    try:
        plain = json.loads(json.dumps(_without_secrets(cast("object", config or {})), allow_nan=False))
    except (TypeError, ValueError):
        return _OBJECT
    return {"provider": given.provider, "config": plain or None}


def _without_secrets(value: object) -> object:
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {
            name: _without_secrets(inner)
            for name, inner in items
            if not isinstance(inner, SecretStr) and not _SECRET.search(str(name))
        }
    return _USER_INFO.sub("", str(value)) if isinstance(value, str | Path) else value


class _LostLLM:
    """Stands for a model that was an object: turns are kept and wait for it, instead of becoming verbatim memories."""

    def __init__(self, path: str) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """`lost`."""
        return "lost"

    def generate(self, *_: object, **_options: object) -> NoReturn:
        """Say what is missing.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "The model of this memory was an object, which cannot be written down; the turns are kept and wait for "
            f"it. Open the memory first, for example `memory = Memory({self._path!r}, llm=...)`."
        )
