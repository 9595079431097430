"""The lock on a folder: many readers or one writer, over threads and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from memkit.errors import BackendUnavailableError
from memkit.vector_stores.locking import SharedLock

HOLD = """
import sys
from pathlib import Path
from memkit.vector_stores.locking import SharedLock
lock = SharedLock(Path(sys.argv[1]), backend="test")
with lock.exclusive() if sys.argv[2] == "exclusive" else lock.shared():
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(path: Path, how: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_readers_share_and_a_writer_is_alone(tmp_path: Path) -> None:
    lock = SharedLock(tmp_path / "x" / "lock", backend="test", timeout_s=0.05)
    with lock.shared(), lock.shared(), pytest.raises(BackendUnavailableError), lock.exclusive():
        pass
    with lock.exclusive(), pytest.raises(BackendUnavailableError, match="lock"), lock.shared():
        pass
    with lock.exclusive():
        pass
    lock.close()


def test_other_processes_are_kept_out_until_they_end(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = SharedLock(path, backend="test", timeout_s=0.05)
    writer = hold(path, "exclusive")
    with pytest.raises(BackendUnavailableError), lock.shared():
        pass
    end(writer)
    reader = hold(path, "shared")
    with lock.shared():
        pass
    with pytest.raises(BackendUnavailableError), lock.exclusive():
        pass
    end(reader)
    with lock.exclusive():
        pass
    lock.close()


def test_writers_in_threads_take_turns(tmp_path: Path) -> None:
    lock, inside, most = SharedLock(tmp_path / "lock", backend="test"), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with lock.exclusive():
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    lock.close()


GREEDY = """
import sys, time
from pathlib import Path
from memkit.vector_stores.locking import SharedLock
lock = SharedLock(Path(sys.argv[1]), backend="test")
while True:
    with lock.exclusive():
        print("held", flush=True)
        time.sleep(0.05)
"""


def test_one_that_takes_it_again_at_once_leaves_it_to_others_first(tmp_path: Path) -> None:
    lock = SharedLock(tmp_path / "lock", backend="test", timeout_s=10)
    greedy = [
        subprocess.Popen(
            [sys.executable, "-c", GREEDY, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for process in greedy:
            assert process.stdout is not None and process.stdout.readline() == "held\n"
        for _ in range(10):
            with lock.exclusive():
                pass
    finally:
        for process in greedy:
            end(process)
    lock.close()
