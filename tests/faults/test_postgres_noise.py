"""Lines to PostgreSQL that are cut at any byte, many a time in a commit, and a server that is killed: whole or not at all.

`FAULT_SEED` draws other moments, `FAULT_LIVES` more calls: 10 of them take minutes.
"""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from memkit.errors import BackendError, ConflictError
from tests.faults.test_postgres import Proxy, assert_no_secret, opened
from tests.faults.test_postgres_storm import assert_whole
from tests.postgres import PostgresServer

pytestmark = pytest.mark.engine
SEED = int(os.environ.get("FAULT_SEED", "1"))
CALLS = 12 * int(os.environ.get("FAULT_LIVES", "1"))
USERS: Final = (
    "ann",
    "'; DROP TABLE memkit.record; --",
    "%s %(a)s $1 {0} \\",
    "\u202eann\u0301\n\t \U0001f41d",
    '"memkit"."owner"' * 20,
)


class Noise(Proxy):
    """Cuts lines by chance, and passes on to whoever listens behind it."""

    def __init__(self, port: int, seed: int) -> None:
        self.dice, self.loud, self.cuts = random.Random(seed), False, 0
        super().__init__(port)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.loud and self.dice.random() < (0.4 if b"COMMIT" in data else 0.05):
                    self.cuts += 1
                    if self.dice.random() < 0.5:
                        # What was asked arrives in part or as a whole, and what is answered does not.
                        end = target if not up else source
                        end.shutdown(socket.SHUT_RDWR)
                        target.sendall(data[: self.dice.choice((len(data), self.dice.randrange(len(data))))])
                        time.sleep(0.05)
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Writer(threading.Thread):
    """Writes for one user, and knows what may be there."""

    def __init__(self, memory: Any, number: int) -> None:
        super().__init__()
        self.memory, self.dice, self.user = memory, random.Random(SEED * 100 + number), USERS[number]
        self.sure: dict[str, str] = {}
        """Texts of what was acknowledged, by id."""
        self.perhaps: list[tuple[set[str], set[str]]] = []
        """Of each call that failed: what is there if it was done, and if it was not."""
        self.wrong: list[BaseException] = []
        self.failed = 0

    def run(self) -> None:
        for number in range(CALLS):
            try:
                self.step(number)
            except (BackendError, ConflictError) as error:
                assert_no_secret(error)
                self.failed += 1
            except BaseException as error:
                self.wrong.append(error)
                return

    def step(self, number: int) -> None:
        memory, pick = self.memory, self.dice.random()
        if pick < 0.6 or not self.sure:
            texts = [
                f"{self.name} saw thing {number} {n} by the sea" for n in range(self.dice.choice((1, 2, 20)))
            ]
            self.perhaps.append((set(texts), set()))
            done = memory.add_many(texts, user_id=self.user)
            self.sure.update(zip([one.id for one in done.results], texts, strict=True))
        elif pick < 0.75:
            id = self.dice.choice([*self.sure])
            self.perhaps.append(({f"{self.name} corrected {number}"}, {self.sure.pop(id)}))
            memory.update(id, f"{self.name} corrected {number}")
            self.sure[id] = f"{self.name} corrected {number}"
        elif pick < 0.9:
            self.perhaps.append((set(), {self.sure.pop(id := self.dice.choice([*self.sure]))}))
            memory.delete(id)
        else:
            id = self.dice.choice([*self.sure])
            text = self.sure.pop(id)
            self.perhaps.append((set(), {text}))
            done = memory.delete(id)
            self.perhaps[-1] = {text}, set()
            memory.undo(done.operation_id)
            self.sure[id] = text
        self.perhaps.pop()

    def check(self, there: list[str]) -> None:
        """All that was acknowledged is there, and of what failed all or nothing."""
        assert self.wrong == []
        assert len(there) == len(set(there)), "written twice"
        left = set(there) - set(self.sure.values())
        assert len(left) == len(there) - len(self.sure), "lost"
        for done, undone in self.perhaps:
            assert (done <= left and not undone & left) or (undone <= left and not done & left), "half done"
            left -= done | undone
        assert not left, "nobody wrote it"


def test_lines_that_are_cut_and_a_server_that_is_killed_lose_and_halve_nothing(
    own_postgres: PostgresServer, tmp_path: Path
) -> None:
    url = own_postgres.url(own_postgres.create(vector=False))
    noise = Noise(own_postgres.port, SEED)
    try:
        with (
            opened(tmp_path / "near", url) as near,
            opened(tmp_path / "far", url.replace(f":{own_postgres.port}/", f":{noise.port}/")) as far,
        ):
            for memory in (near, far):
                memory.add("The first of all", user_id="first", infer=False)
            writers = [Writer(far if number % 4 else near, number) for number in range(len(USERS))]
            noise.loud = True
            for writer in writers:
                writer.start()
            while any(writer.is_alive() for writer in writers):
                time.sleep(2.0)
                own_postgres.kill()
                own_postgres.start()
            noise.loud = False
            for writer in writers:
                writer.join()
                there = near.get_all(user_id=writer.user, limit=100_000).results
                writer.check([item.memory for item in there])
            assert noise.cuts > len(writers)
            assert near.repair().pending == [] and near.health().ok
            assert near.count(user_id="first") == 2
            print(
                f"\n{noise.cuts} cuts, {[writer.failed for writer in writers]} calls failed of {CALLS} each"
            )
            assert_whole(own_postgres, url)
    finally:
        noise.close()
