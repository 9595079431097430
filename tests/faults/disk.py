"""The failing disk of `disk.c`: built once, told what to do from inside a process, and its trace played back."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

SOURCE: Final = Path(__file__).with_name("disk.c")
SECTOR: Final = 512
_HEAD: Final = struct.Struct("=B7xqqq")

Fault = Literal["kill", "full", "broken", "broken sync"]
_MODES: Final[dict[Fault, int]] = {"kill": 1, "full": 2, "broken": 3, "broken sync": 4}


def why_not() -> str | None:
    """Return why there can be no failing disk here, None where there can."""
    if not sys.platform.startswith("linux"):
        return "the failing disk is made for Linux"
    return None if shutil.which("gcc") else "no gcc: the failing disk cannot be built"


def build(folder: Path) -> Path:
    """Return the library to preload."""
    made = folder / "disk.so"
    if not made.exists():
        part = folder / f"disk.{os.getpid()}.so"
        subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(part), str(SOURCE), "-ldl"], check=True)
        part.replace(made)
    return made


class Disk:
    """The library from inside a process that it was preloaded into; elsewhere it does nothing."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(None) if "disk.so" in os.environ.get("LD_PRELOAD", "") else None

    def watch(self, folder: Path) -> None:
        """Concern files below a folder only."""
        if self._library is not None:
            self._library.fault_watch(str(folder.resolve()).encode())

    def arm(self, fault: Fault, nth: int) -> None:
        """Let the n-th call from now on fail: `full` and all after it, the others once."""
        assert self._library is not None, "this process has no failing disk"
        self._library.fault_arm(_MODES[fault], nth)

    def disarm(self) -> int:
        """Work well again, and return how many calls there were since it was armed or disarmed."""
        if self._library is None:
            return 0
        calls = int(self._library.fault_calls())
        self._library.fault_arm(0, 0)
        return calls

    def trace(self, file: Path | None) -> None:
        """Record every change and sync from here on."""
        self._library.fault_trace(b"" if file is None else str(file).encode())

    def mark(self, number: int) -> None:
        """Note in the trace that something was acknowledged."""
        self._library.fault_mark(number)


# ------------------------------------------------------------------------------------- after a power loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a trace: W(rite), T(runcate), S(ync), U(nlink) or M(ark)."""

    kind: str
    path: str
    offset: int
    data: bytes


def steps(trace: Path) -> Iterator[Step]:
    """Yield the calls of a trace."""
    raw = trace.read_bytes()
    at = 0
    while at < len(raw):
        kind, offset, name, length = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        path = raw[at : at + name].decode()
        yield Step(kind=chr(kind), path=path, offset=offset, data=raw[at + name : at + name + length])
        at += name + length


@dataclass(slots=True)
class _File:
    durable: bytes | None = None
    """What is certainly on the disk; None while the file is not."""
    waiting: list[Step] = field(default_factory=list[Step])

    def sync(self, count: int) -> None:
        """Make the first calls that wait durable."""
        for one in self.waiting[:count]:
            self.durable = _applied(self.durable, one)
        del self.waiting[:count]


class PowerLoss:
    """What may be on the disk after the power went off: everything synced, and any part of the rest."""

    def __init__(self, before: Path | None = None) -> None:
        """Begin with the files of a folder, synced long ago."""
        there = sorted(before.iterdir()) if before is not None else ()
        self._files = {str(path): _File(path.read_bytes()) for path in there}
        self.acknowledged = -1
        """The number of the last mark."""

    def add(self, step: Step) -> None:
        """Go one call further."""
        if step.kind == "M":
            self.acknowledged = step.offset
            return
        file = self._files.setdefault(step.path, _File())
        if step.kind == "S":
            file.sync(len(file.waiting))
            self._sync_names(step.path)
        else:
            file.waiting.append(step)

    def _sync_names(self, folder: str) -> None:
        """What a synced folder no longer names is gone for good."""
        for path, file in self._files.items():
            gone = [n for n, one in enumerate(file.waiting, 1) if one.kind == "U"]
            if gone and os.path.dirname(path) == folder:
                file.sync(gone[-1])

    def leave(self, folder: Path, rng: random.Random | None) -> None:
        """Write the files of this moment into a folder: without anything unsynced, or with random parts of it."""
        for path, file in self._files.items():
            content = file.durable
            for step in file.waiting if rng is not None else ():
                assert rng is not None
                fate = rng.random()
                if fate < 0.5:
                    content = _applied(content, step)
                elif fate < 0.8 and step.kind == "W":
                    content = _applied(content, _torn(step, rng))
            if content is not None:
                (folder / Path(path).name).write_bytes(content)


def _applied(content: bytes | None, step: Step) -> bytes | None:
    if step.kind == "U":
        return None
    old = content or b""
    if step.kind == "T":
        return old[: step.offset].ljust(step.offset, b"\0")
    old = old.ljust(step.offset, b"\0")
    return old[: step.offset] + step.data + old[step.offset + len(step.data) :]


def _torn(step: Step, rng: random.Random) -> Step:
    """Return the first sectors of a write."""
    whole = len(step.data) // SECTOR
    return Step(
        kind="W", path=step.path, offset=step.offset, data=step.data[: SECTOR * rng.randint(0, whole)]
    )
