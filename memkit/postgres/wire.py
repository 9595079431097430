"""Values that are sent to PostgreSQL as it reads them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Wire(bytes):
    """A value as the server reads it in binary; a cast beside its place says of which type."""


class WireDumper(Dumper):
    """Sends a `Wire` as it is."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: Any) -> bytes:
        """Return the bytes."""
        return bytes(obj)


def vector_on_wire(row: npt.NDArray[np.float32]) -> Wire:
    """Return a row for `%s::vector`. Source: vector_recv in https://github.com/pgvector/pgvector."""
    return Wire(struct.pack(">hh", len(row), 0) + row.astype(">f4").tobytes())


def vectors_on_wire(rows: npt.NDArray[np.float32], type: int, *, half: bool = False) -> Wire:
    """Return rows for `%s::vector[]`, or with `half` for `%s::halfvec[]`, given the number of that type."""
    import numpy as np

    count, dim = rows.shape
    number, size = (">f2", 2) if half else (">f4", 4)
    items = np.zeros(count, [("size", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("row", number, (dim,))])
    items["size"], items["dim"], items["row"] = 4 + size * dim, dim, rows
    return Wire(struct.pack(">iiIii", 1, 0, type, count, 1) + items.tobytes())


def vector_off_wire(value: bytes) -> npt.NDArray[np.float32]:
    """Return a column of type `vector` that was read in binary."""
    import numpy as np

    return np.frombuffer(value, ">f4", offset=4).astype(np.float32)
