"""Processes that work on a memory and die when they are told to, forked off one that has everything loaded.

`python -m tests.faults.workers SOCKET` waits on a socket and forks a worker for each connection; a worker takes orders
as lines of JSON and answers each with one. So a kill costs milliseconds instead of a start of Python.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from tests.faults.disk import Disk

ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_S = 60.0


Ending = Literal["close", "kill", "hang up"]
"""How a process ends."""
ENDINGS: Final[tuple[Ending, ...]] = ("close", "kill", "hang up")


class Killed(Exception):
    """The worker is gone."""


class Refusal(Exception):
    """A call raised an error of ours; `args` are its type's name and its message."""

    @property
    def kind(self) -> str:
        """The name of the error's class."""
        return str(self.args[0])


# ------------------------------------------------------------------------------------- in the tests


class Nursery:
    """The process that workers are forked off."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self._place = str(folder / "w.sock")
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
        if library is not None:
            environment["LD_PRELOAD"] = str(library)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.workers", self._place],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("The parent of the workers did not come up.")

    def worker(self) -> Worker:
        """Return a new worker."""
        return Worker(self._place)

    def close(self) -> None:
        """End it; its workers end when their connections do."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Worker:
    """A process with a memory of its own."""

    def __init__(self, place: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect(place)
        self._lines = self._socket.makefile("rwb")
        self.pid: int = self._answer()

    def start(self, order: str, /, **fields: Any) -> None:
        """Give an order without waiting for its answer."""
        try:
            self._lines.write(json.dumps({"order": order, **fields}).encode() + b"\n")
            self._lines.flush()
        except OSError as error:
            raise Killed from error

    def finish(self) -> Any:
        """Wait for the answer.

        Raises:
            Killed: The worker died meanwhile.
            Refusal: The call raised an error of ours.
        """
        return self._answer()

    def do(self, order: str, /, **fields: Any) -> Any:
        """Give an order and return its answer."""
        self.start(order, **fields)
        return self._answer()

    def call(self, method: str, /, *args: Any, arm: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """Call a method of the worker's memory."""
        return self.do("call", method=method, args=args, kwargs=kwargs, arm=arm)

    def fileno(self) -> int:
        """Where an answer is waited for."""
        return self._socket.fileno()

    def kill(self) -> None:
        """End the process, as `kill -9` does, whatever it is doing."""
        os.kill(self.pid, signal.SIGKILL)
        with suppress(ConnectionError):
            while self._lines.readline():  # Until it is really gone: a write that is under way still ends.
                pass
        self.leave()

    def end(self, how: Ending) -> None:
        """End in one of the ways that a process may."""
        if how == "kill":
            self.kill()
            return
        if how == "close":
            self.do("close")
        self.leave()

    def leave(self) -> None:
        """Hang up; a worker that is alive ends at once, without closing anything."""
        with suppress(OSError):  # It is gone, with what was still to be sent.
            self._lines.close()
        self._socket.close()

    def _answer(self) -> Any:
        try:
            line = self._lines.readline()
        except ConnectionError as error:
            raise Killed from error
        if not line:
            raise Killed
        answer = json.loads(line)
        if "refused" in answer:
            raise Refusal(*answer["refused"])
        if "broken" in answer:
            raise AssertionError(f"An error that is none of ours escaped:\n{answer['broken']}")
        return answer["value"]


# ------------------------------------------------------------------------------------- in the workers


class Hand:
    """What a worker does for its orders."""

    def __init__(self) -> None:
        from tests.faults.victim import Killer

        self.disk = Disk()
        self.killer = Killer("", 0)
        self.memory: Any = None

    def open(
        self,
        path: str,
        *,
        llm: bool | str = False,
        index: bool = False,
        embedder: str = "hash",
        timeout: float = 30.0,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        rich: dict[str, Any] | None = None,
    ) -> None:
        """Open a memory whose every write passes the killer and the disk; `llm` may be the URL of a server."""
        from memkit import Memory
        from memkit.ledger.sqlite import SqliteLedger
        from memkit.ranking.text import TOKENIZER_VERSION, tokens
        from tests.faults import victim

        folder = Path(path)
        self.disk.watch(folder)
        ledger = SqliteLedger(
            folder / "memory.db",
            tokenize=tokens,
            tokenizer_version=TOKENIZER_VERSION,
            on_step=self.killer,
            busy_timeout_s=timeout,
            synchronous=synchronous,
        )
        store: Any = "auto"
        if index:
            folder.mkdir(parents=True, exist_ok=True)
            store = victim.index(folder)
            store.killer = self.killer
        if rich is not None:
            from tests.faults import lives

            self.memory = lives.rich(folder, ledger, self.killer, **{"store": store, **rich})
            return
        self.memory = Memory(
            folder,
            ledger=ledger,
            vector_store=store,
            embedder=embedder,
            llm=victim.served(llm) if isinstance(llm, str) else victim.script(self.killer) if llm else None,
        )

    def call(
        self, *, method: str, args: list[Any], kwargs: dict[str, Any], arm: dict[str, Any] | None
    ) -> Any:
        """Call a method of the memory, or a function of `actions`, under a fault."""
        from tests.faults import actions, crowd, lives

        if arm is not None and "step" in arm:
            self.killer.step, self.killer.left, self.killer.armed = arm["step"], arm["nth"], True
        elif arm is not None:
            self.disk.arm(arm["fault"], arm["nth"])
        try:
            ours = [vars(module)[method] for module in (actions, lives, crowd) if method in vars(module)]
            named: Callable[..., Any] | None = ours[0] if ours else None
            done = (
                named(self.memory, *args, **kwargs)
                if named
                else getattr(self.memory, method)(*args, **kwargs)
            )
        finally:
            self.killer.armed = False
            self.calls = self.disk.disarm()
        return plain(done)

    def counted(self, **fields: Any) -> list[Any]:
        """Return what `call` does, and how many calls of the disk it took."""
        self.disk.disarm()
        return [self.call(**fields), self.calls]

    def clock(self, seconds: float) -> None:
        """Set this process's clock so many seconds ahead of the real one, or back."""
        real, ahead = time.__dict__.setdefault("real_time_ns", time.time_ns), round(seconds * 1e9)
        time.time_ns = lambda: real() + ahead

    def trace(self, file: str | None) -> None:
        """Record what the disk is told."""
        self.disk.trace(None if file is None else Path(file))

    def mark(self, number: int) -> None:
        """Note an acknowledgement in the trace."""
        self.disk.mark(number)

    def close(self) -> None:
        """Close the memory as a program that ends well does."""
        self.memory.close()


def plain(value: Any) -> Any:
    """Return a result as JSON values."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def serve(connection: socket.socket, hand: Hand) -> None:
    """Do what comes over a connection until it ends."""
    import traceback

    from memkit.errors import MemkitError

    lines = connection.makefile("rwb")

    def say(**answer: Any) -> None:
        lines.write(json.dumps(answer).encode() + b"\n")
        lines.flush()

    say(value=os.getpid())
    while line := lines.readline():
        order = json.loads(line)
        try:
            say(value=getattr(hand, order.pop("order"))(**order))
        except MemkitError as error:
            say(refused=[type(error).__name__, str(error)])
        except BaseException:
            say(broken=traceback.format_exc())


def main(place: str) -> None:
    """Load everything once, then fork a worker for each connection."""
    from memkit import Memory
    from tests.faults import actions, lives, victim

    with Memory(":memory:", llm=victim.script(), embedder="hash") as memory:
        actions.everything(memory)
    with lives.rich(":memory:", None, None, embedder=0, store="auto", graph="sqlite") as memory:
        lives.everything(memory)
    hand = Hand()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(16)
        print("ready", flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                with suppress(ConnectionError):
                    serve(connection, hand)
                os._exit(0)
            connection.close()


if __name__ == "__main__":
    main(sys.argv[1])
