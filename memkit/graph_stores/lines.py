"""A file of lines that several processes share: appended to, or replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from uuid import uuid4

from memkit.errors import BackendUnavailableError, ConfigurationError
from memkit.vector_stores.locking import SharedLock

_FORMAT: Final = "memkit lines 1"


class Place(NamedTuple):
    """Where a line lies, in bytes without its end."""

    start: int
    length: int


class LinesFile:
    """Lines under a header that names this state of the file.

    An appended line is durable when `append` returns; one that was cut off by a crash is not read. A blanked line is
    of spaces, and one that a crash left with a space at either end counts as blanked: no line may begin or end with
    one. A replaced file is the old or the new one, whatever happens.
    """

    def __init__(self, path: Path, *, backend: str, timeout_s: float) -> None:
        self.path, self._backend = path, backend
        self._lock = SharedLock(path.with_name(f"{path.name}.lock"), backend=backend, timeout_s=timeout_s)
        self._state: str = ""
        self._read: int = 0
        self.blank: int = 0
        """Bytes of blanked lines, as far as they were read."""
        self.torn: list[Place] = []
        """Lines that somebody was kept from blanking out to the end."""

    @property
    def size(self) -> int:
        """Bytes that were read."""
        return self._read

    @contextmanager
    def alone(self) -> Generator[None]:
        """Keep every other writer out."""
        with self._lock.exclusive():
            yield

    def news(self) -> tuple[bool, list[tuple[Place, str]]]:
        """Return whether everything read before is void, and the lines that are new, each with its place.

        Raises:
            BackendUnavailableError: The file cannot be read.
            ConfigurationError: It is some other file.
        """
        with self._translated("read"):
            try:
                file = self.path.open("rb")
            except FileNotFoundError:
                void = bool(self._state)
                self.unread()
                return void, []
            with file:
                return self._news(file)

    def _news(self, file: BinaryIO) -> tuple[bool, list[tuple[Place, str]]]:
        header = file.readline()
        state = header.decode("utf-8", "replace").rstrip("\n")
        if not state.startswith(_FORMAT) or not header.endswith(b"\n"):
            raise ConfigurationError(
                f"{str(self.path)!r} was not written by memkit. Choose another `path`.", path=str(self.path)
            )
        # Nobody shortens a file of this state: somebody put another one in its place.
        void = state != self._state or os.fstat(file.fileno()).st_size < self._read
        if void:
            self.unread()
            self._state, self._read = state, len(header)
        file.seek(self._read)
        found: list[tuple[Place, str]] = []
        for line in file.read().split(b"\n")[:-1]:
            if line[:1] == b" " or line[-1:] == b" ":
                self.blank += len(line)
                if line.strip(b" "):
                    self.torn.append(Place(self._read, len(line)))
            else:
                found.append((Place(self._read, len(line)), line.decode("utf-8")))
            self._read += len(line) + 1
        return void, found

    def unread(self) -> None:
        """Take everything for new again: what was read could not be used."""
        self._state, self._read, self.blank = "", 0, 0
        self.torn.clear()

    def append(self, lines: Sequence[str]) -> list[Place] | None:
        """Add lines durably and return their places; None where the file has no sound end. Only in `alone`."""
        with self._translated("written"):
            if not self._state or self.path.stat().st_size != self._read:
                return None
            with self.path.open("ab") as file:
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
                os.fsync(file.fileno())
            return self._passed(lines)

    def blank_out(self, places: Iterable[Place]) -> None:
        """Leave nothing but spaces of some lines, durably. Only in `alone`."""
        with self._translated("written"), self.path.open("r+b") as file:
            for place in places:
                file.seek(place.start)
                file.write(b" " * place.length)
                self.blank += place.length
            file.flush()
            os.fsync(file.fileno())

    def _passed(self, lines: Iterable[str]) -> list[Place]:
        """Return the places of lines that were written where reading had come to."""
        places: list[Place] = []
        for line in lines:
            places.append(Place(self._read, len(line.encode())))
            self._read += places[-1].length + 1
        return places

    def replace(self, lines: Sequence[str]) -> list[Place]:
        """Put other lines in the place of all, or of the file where there are none; return their places.

        Only in `alone`.
        """
        with self._translated("written"):
            self.unread()
            if not lines:
                self.path.unlink(missing_ok=True)
                return []
            state = f"{_FORMAT} {uuid4()}"
            data = "".join(f"{line}\n" for line in (state, *lines)).encode()
            beside = self.path.with_name(f"{self.path.name}.new")
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            _sync_folder(self.path.parent)
            self._state, self._read = state, len(state) + 1
            return self._passed(lines)

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
