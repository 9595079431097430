"""What SQLite leaves behind on a page: copies of rows that moved, in the unused space between pointers and cells.

`secure_delete` zeroes what is deleted where it lies. When a page is split or joined, though, its cells are laid out
anew over the old ones, and what showed between them is kept, unreachable by any statement. Here it is zeroed in the
file itself (https://www.sqlite.org/fileformat2.html section 1.6), which costs one read of the file instead of the
rewriting of every page that VACUUM is.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CHUNK_BYTES: Final = 16 << 20
_HEADERS: Final = {2: 12, 5: 12, 10: 8, 13: 8}
"""Length of the header of a b-tree page, by its first byte. Other pages begin with a zero: they hold a page number,
which is below 2**24 in every file under 64 GB."""
_LARGEST: Final = 64 << 30
_DATABASE_HEADER: Final = 100
_MAGIC: Final = b"SQLite format 3\0"

_lock = threading.Lock()
_open: dict[tuple[int, int], int] = {}
"""File descriptors by device and inode. Closing one would drop the locks that SQLite has on the file in this process,
so each is kept until no ledger of the process has the file open."""

SUPPORTED: Final = hasattr(os, "pread") and hasattr(os, "pwrite")


def wipe(path: Path) -> bool:
    """Zero the unused space of every page; False when the file is not laid out as expected, and then nothing is done.

    Only while the write lock is held and the write-ahead log is empty: nobody else writes to the file then, and nobody
    reads unused space.
    """
    if not SUPPORTED:
        return False
    file = _descriptor(path)
    size = os.fstat(file).st_size
    head = os.pread(file, _DATABASE_HEADER, 0)
    page = int.from_bytes(head[16:18], "big")
    if head[:16] != _MAGIC or page < 512 or page & (page - 1) or size % page or size > _LARGEST:
        return False
    step = max(_CHUNK_BYTES // page, 1) * page
    found: list[tuple[int, int]] = []
    for start in range(0, size, step):
        unused = _unused(os.pread(file, step, start), page, start)
        if unused is None:
            return False
        found += unused
    for offset, length in found:
        os.pwrite(file, bytes(length), offset)
    os.fsync(file)
    return True


def _unused(data: bytes, page: int, start: int) -> list[tuple[int, int]] | None:
    """Return (offset in the file, length) of unused spaces that are not zero; None where a page makes no sense."""
    found: list[tuple[int, int]] = []
    zeros = bytes(page)
    for base in range(0, len(data), page):
        at = base + (_DATABASE_HEADER if start + base == 0 else 0)
        header = _HEADERS.get(data[at])
        if header is None:
            continue
        low = at + header + 2 * int.from_bytes(data[at + 3 : at + 5], "big")
        high = base + (int.from_bytes(data[at + 5 : at + 7], "big") or 65536)
        if not low <= high <= base + page:
            return None
        if data[low:high] != zeros[: high - low]:
            found.append((start + low, high - low))
    return found


def _descriptor(path: Path) -> int:
    with _lock:
        key = _key(path)
        assert key is not None, "an open ledger has a file"
        file = _open.get(key)
        if file is None:
            file = _open[key] = os.open(path, os.O_RDWR)
        return file


def close_unused(in_use: Iterable[Path]) -> None:
    """Close the descriptors of files that no ledger of this process has open any more."""
    with _lock:
        if not _open:
            return
        keys = {_key(path) for path in in_use}
        for key in [key for key in _open if key not in keys]:
            os.close(_open.pop(key))


def held() -> set[tuple[int, int]]:
    """Return device and inode of the files that are kept open."""
    with _lock:
        return set(_open)


def _key(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
