"""A file of lines that several processes share: appended to, or replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from memkit.errors import BackendUnavailableError, ConfigurationError
from memkit.vector_stores.locking import SharedLock

_FORMAT: Final = "memkit lines 1"


class LinesFile:
    """Lines under a header that names this state of the file.

    An appended line is durable when `append` returns; one that was cut off by a crash is not read. A replaced file is
    the old or the new one, whatever happens.
    """

    def __init__(self, path: Path, *, backend: str, timeout_s: float) -> None:
        self.path, self._backend = path, backend
        self._lock = SharedLock(path.with_name(f"{path.name}.lock"), backend=backend, timeout_s=timeout_s)
        self._state, self._read = "", 0

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep every other writer out."""
        with self._lock.exclusive():
            yield

    def news(self) -> tuple[bool, list[str]]:
        """Return whether everything read before is void, and the lines that are new.

        Raises:
            BackendUnavailableError: The file cannot be read.
            ConfigurationError: It is some other file.
        """
        with self._translated("read"):
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                void, self._state, self._read = bool(self._state), "", 0
                return void, []
            with file:
                return self._news(file)

    def _news(self, file: BinaryIO) -> tuple[bool, list[str]]:
        header = file.readline()
        state = header.decode("utf-8", "replace").rstrip("\n")
        if not state.startswith(_FORMAT) or not header.endswith(b"\n"):
            raise ConfigurationError(
                f"{str(self.path)!r} was not written by memkit. Choose another `path`.", path=str(self.path)
            )
        # Nobody shortens a file of this state: somebody put another one in its place.
        void = state != self._state or os.fstat(file.fileno()).st_size < self._read
        if void:
            self._state, self._read = state, len(header)
        file.seek(self._read)
        data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        return void, whole.decode("utf-8").split("\n")[:-1]

    def unread(self) -> None:
        """Take everything for new again: what was read could not be used."""
        self._state, self._read = "", 0

    def append(self, lines: Sequence[str]) -> bool:
        """Add lines durably; False where the file has no sound end, and has to be replaced. Only in `alone`."""
        with self._translated("written"):
            if not self._state or self.path.stat().st_size != self._read:
                return False
            data = "".join(f"{line}\n" for line in lines).encode()
            with self.path.open("ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self._read += len(data)
            return True

    def replace(self, lines: Sequence[str]) -> None:
        """Put other lines in the place of all, or of the file where there are none. Only in `alone`."""
        with self._translated("written"):
            if not lines:
                self.path.unlink(missing_ok=True)
                self._state, self._read = "", 0
                return
            state = f"{_FORMAT} {uuid4()}"
            data = "".join(f"{line}\n" for line in (state, *lines)).encode()
            beside = self.path.with_name(f"{self.path.name}.new")
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            _sync_folder(self.path.parent)
            self._state, self._read = state, len(data)

    @contextmanager
    def _translated(self, what: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise BackendUnavailableError(
                f"The graph in {str(self.path)!r} cannot be {what}: {error.strerror or error}.",
                backend=self._backend,
            ) from error

    def close(self) -> None:
        """Free the lock."""
        self._lock.close()


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Elsewhere a folder cannot be opened; the rename is durable with the next flush of the volume.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
