"""Counting tokens as models do: by a table that is on this machine already, else by an estimate. Nothing is fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from memkit.errors import ConfigurationError, InvalidInputError
from memkit.ranking.token_estimate import estimate_tokens
from memkit.types import Tokenizer

ESTIMATE: Final = "estimate"
ESTIMATE_ERROR: Final = 0.25
"""What an estimate may be under the true number, as a share of it, over some hundred tokens of prose. It is added to
every estimate, so that a budget holds all the same."""
ENVIRONMENT: Final = "MEMKIT_TOKENIZER"

_HOST: Final = "https://openaipublic.blob.core.windows.net/encodings/"
# The newest table knows the most words; the older one counts as many or more, so a text that fits it fits both.
_TABLES: Final = {
    "cl100k_base": "cl100k_base.tiktoken",
    "o200k_base": "o200k_base.tiktoken",
}
_CACHES: Final = (
    ("llama_index", "core/_static/tiktoken_cache"),
    ("litellm", "litellm_core_utils/tokenizers"),
)

_lock = threading.Lock()
_known: dict[str, Counter] = {}


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts the tokens of a text.

    Attributes:
        name: The table, `estimate`, or `yours` for a function that was given.
        count: Tokens of a text.
    """

    name: str
    count: Callable[[str], int]


def counter(tokenizer: Tokenizer | None = None) -> Counter:
    """Return what counts tokens.

    Args:
        tokenizer: A function; the name of a table (`o200k_base`) or of a model that has one (`gpt-4o`); `estimate`.
            None takes the variable MEMKIT_TOKENIZER, else `cl100k_base`, which counts at least as much as newer
            tables do, where it is on this machine, else the estimate.

    Raises:
        ConfigurationError: The named table is not on this machine.
        InvalidInputError: It is none of these, or the function returned something else than a number.
    """
    if callable(tokenizer):
        return Counter("yours", _checked(tokenizer))
    if not isinstance(tokenizer, str | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(
            f"`tokenizer` must be a function or a name, not {tokenizer!r:.80}. Give a function from a text to its "
            f"number of tokens, a table such as 'o200k_base', a model, or {ESTIMATE!r}.",
            field="tokenizer",
        )
    name = tokenizer or os.environ.get(ENVIRONMENT) or ""
    with _lock:
        if name not in _known:
            _known[name] = _make(name)
        return _known[name]


def _checked(count: Callable[[str], Any]) -> Callable[[str], int]:
    def checked(text: str) -> int:
        found: object = count(text)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise InvalidInputError(
                f"`tokenizer` returned {found!r} for a text of {len(text)} characters. "
                "Give a function from a text to its number of tokens.",
                field="tokenizer",
            )
        return found

    return checked


def _make(name: str) -> Counter:
    if name == ESTIMATE:
        return Counter(ESTIMATE, estimated)
    table = name if name in _TABLES else _table_of(name) if name else None
    for wanted in [table] if table else list(_TABLES) if not name else []:
        found = _encoding(wanted)
        if found is not None:
            return Counter(wanted, found)
    if not name:
        return Counter(ESTIMATE, estimated)
    raise ConfigurationError(
        f"No table of tokens for {name!r} is on this machine, and none is fetched. Set TIKTOKEN_CACHE_DIR to a folder "
        f"that holds one and install `tiktoken`, give a function, or give {ESTIMATE!r}.",
        field="tokenizer",
    )


def estimated(text: str) -> int:
    """Return an estimate with its own error added."""
    return -(-estimate_tokens(text) * round(100 * (1 + ESTIMATE_ERROR)) // 100)


def _table_of(model: str) -> str | None:
    tiktoken = _tiktoken()
    if tiktoken is None:
        return None
    try:
        name: str = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return None
    return "o200k_base" if name == "o200k_harmony" else name


def _encoding(name: str) -> Callable[[str], int] | None:
    """Return the count of a table that is loaded already, or whose file lies in a known folder; else None."""
    tiktoken = _tiktoken()
    if tiktoken is None:
        return None
    loaded: dict[str, Any] = tiktoken.registry.ENCODINGS
    encoding = loaded.get(name)
    if encoding is None:
        folder = _folder(_TABLES.get(name, f"{name}.tiktoken"))
        if folder is None:
            return None
        encoding = _loaded(tiktoken, name, folder)

    def count(text: str) -> int:
        return len(encoding.encode_ordinary(text))

    return count


def _tiktoken() -> Any:
    if importlib.util.find_spec("tiktoken") is None:
        return None
    import tiktoken

    return tiktoken


def _folder(file: str) -> Path | None:
    name = hashlib.sha1((_HOST + file).encode(), usedforsecurity=False).hexdigest()
    folders = [
        Path(given) for key in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR") if (given := os.environ.get(key))
    ]
    folders.append(Path(tempfile.gettempdir()) / "data-gym-cache")
    folders += [Path(place) / within for package, within in _CACHES for place in _places(package)]
    return next((folder for folder in folders if (folder / name).is_file()), None)


def _places(package: str) -> list[str]:
    """Return the folders of a package without importing it."""
    loaded = sys.modules.get(package)
    if loaded is not None:
        return list(getattr(loaded, "__path__", []))
    found = importlib.util.find_spec(package)
    return list(found.submodule_search_locations or []) if found is not None else []


def _loaded(tiktoken: Any, name: str, folder: Path) -> Any:
    """Return an encoding read from a folder, through the only door its library has: a variable."""
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
