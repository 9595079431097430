"""Which process is this, and is that other one still there: without any package and on every platform."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """A process, told apart from a later one that got the same number."""

    host: str
    pid: int
    started: str
    """The system's own start mark of the process; empty where the platform gives none."""


def this_process() -> ProcessMark:
    """Return the mark of the calling process."""
    return _mark(os.getpid())


@lru_cache(maxsize=1)
def _mark(pid: int) -> ProcessMark:
    # By its number: a forked child is somebody else.
    return ProcessMark(host=_host(), pid=pid, started=process_start(pid) or "")


def is_alive(mark: ProcessMark) -> bool | None:
    """Return whether the process is there; None when it runs on another host and cannot be asked."""
    if mark.host != _host():
        return None
    started = process_start(mark.pid)
    return started is not None and started == mark.started


def process_start(pid: int) -> str | None:
    """Return the start mark of a process, an empty text where the platform gives none, None when it is gone."""
    if sys.platform == "win32":
        return _windows_start(pid)
    stat = Path("/proc") / str(pid) / "stat"
    try:
        # The name in parentheses may hold spaces; field 22 counts from the last parenthesis. A zombie is gone.
        fields = stat.read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""
    return ""


@lru_cache(maxsize=1)
def _host() -> str:
    return platform.node() or "localhost"


def _windows_start(pid: int) -> str | None:
    if sys.platform != "win32":
        return None
    import ctypes
    from ctypes import wintypes

    query_limited, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32
    handle = kernel.OpenProcess(query_limited, False, pid)
    if not handle:
        return None
    try:
        code = wintypes.DWORD()
        if kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value != still_active:
            return None
        times = [wintypes.FILETIME() for _ in range(4)]
        if not kernel.GetProcessTimes(handle, *(ctypes.byref(t) for t in times)):
            return ""
        return str((times[0].dwHighDateTime << 32) | times[0].dwLowDateTime)
    finally:
        kernel.CloseHandle(handle)
