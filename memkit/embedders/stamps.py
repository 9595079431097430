"""Which large files were checked byte by byte, remembered beside the models that were fetched."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

MODELS_VARIABLE: Final = "MEMKIT_MODELS"

_checked: set[tuple[str, int, int, str]] = set()
"""What this process knows already: real path, size, time of change and digest."""


def models_folder() -> Path:
    """Return where fetched models lie: `MEMKIT_MODELS`, else `memkit/models` in the user's data directory."""
    if given := os.environ.get(MODELS_VARIABLE):
        return Path(given).expanduser()
    from platformdirs import user_data_path

    return user_data_path("memkit", appauthor=False) / "models"


def holds(path: Path, status: os.stat_result, digest: str) -> bool:
    """Return whether the file had this SHA-256 when it was read, and has not changed since.

    Args:
        path: The file.
        status: Its size and time of change, taken before it was read.
        digest: The SHA-256 that is asked for.
    """
    key = _key(path, status, digest)
    if key in _checked:
        return True
    try:
        said: object = json.loads(_stamp(key).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if said != list(key):
        return False
    _checked.add(key)
    return True


def put(path: Path, status: os.stat_result, digest: str) -> None:
    """Remember that the file has this SHA-256, for later processes too where its stamp can be written."""
    key = _key(path, status, digest)
    _checked.add(key)
    stamp = _stamp(key)
    part = stamp.with_name(f"{stamp.name}.{os.getpid()}.part")
    # A folder that cannot be written costs the next process a reading, and nothing else.
    with suppress(OSError):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(key), "utf-8")
        part.replace(stamp)


def _key(path: Path, status: os.stat_result, digest: str) -> tuple[str, int, int, str]:
    return os.path.realpath(path), status.st_size, status.st_mtime_ns, digest


def _stamp(key: tuple[str, int, int, str]) -> Path:
    name = hashlib.sha256(os.fsencode(key[0])).hexdigest()[:32]
    return models_folder() / ".checked" / f"{name}.json"
