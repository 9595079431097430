"""Processes of the storm: each writes to a PostgreSQL ledger until somebody kills it, and looks for what others wrote.

`python -m tests.faults.postgres_writer URL FOLDER` forks one for each line on its standard input, so that none has to
load everything anew, and says its process id. A writer keeps a log of JSON lines in FOLDER: what it is about to do, and
that it is done. A line that is there was written before whatever came next.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any, Final

from memkit import Memory

USERS: Final = ("ann", "ben", "cleo")
"""All write for all of them."""
_LAST: Final = 4_096


class Writer:
    """One process, what it has written, and the log of that."""

    def __init__(self, url: str, folder: Path, number: int) -> None:
        self._folder, self._random = folder, random.Random(number)
        self._memory = Memory(folder / f"home{number}", llm=None, embedder="hash", ledger=url)
        self._path = folder / f"{os.getpid()}.log"
        self._log = self._path.open("w")
        self._name = f"w{number}p{os.getpid()}"
        self._count = 0
        self._mine: list[tuple[str, str]] = []
        """Id and text of what it may change."""

    def run(self) -> None:
        """Write for ever."""
        while True:
            self._step()

    def _step(self) -> None:
        pick = self._random.random()
        if pick < 0.6 or not self._mine:
            self._add()
        elif pick < 0.75:
            self._update()
        elif pick < 0.9:
            self._delete()
        else:
            self._there_and_back()
        if pick < 0.3:
            self._look_for_others()

    def _add(self) -> None:
        user = self._random.choice(USERS)
        texts = [self._text() for _ in range(self._random.randint(1, 4))]
        self._about({"add": texts})
        added = self._memory.add_many(texts, user_id=user)
        self._done({"user": user, "text": texts[0]})
        self._mine += [
            (one.id, text)
            for one, text in zip(added.results[1:], texts[1:], strict=True)
            if one.id is not None
        ]
        self._mine = self._mine[-20:]
        found = self._memory.search(texts[0], user_id=user, limit=3)
        self._check(texts[0] in [item.memory for item in found.results], f"its own {texts[0]!r} is not found")

    def _update(self) -> None:
        id, old = self._mine.pop()
        new = self._text()
        self._about({"drop": [old], "add": [new]})
        self._memory.update(id, new)
        self._done({})

    def _delete(self) -> None:
        id, text = self._mine.pop()
        self._about({"drop": [text]})
        self._memory.delete(id)
        self._done({})

    def _there_and_back(self) -> None:
        id, text = self._mine.pop()
        self._about({"drop": [text]})
        deleted = self._memory.delete(id)
        self._done({})
        self._about({"add": [text]})
        self._memory.undo(deleted.operation_id)
        self._done({})

    def _look_for_others(self) -> None:
        """What another process was told is written, this one finds in its next search."""
        for log in self._folder.glob("*.log"):
            told = [line for line in lines_of(log, _LAST) if line.get("text")] if log != self._path else []
            if told:
                text = told[-1]["text"]
                found = self._memory.search(text, user_id=told[-1]["user"], limit=3)
                seen = text in [item.memory for item in found.results]
                self._check(seen, f"{text!r} of another process is not found")
                self._write({"seen": text})

    def _text(self) -> str:
        self._count += 1
        return f"{self._name} saw thing{self._count} by the sea"

    def _about(self, what: dict[str, Any]) -> None:
        self._write({"about": what})

    def _done(self, told: dict[str, str]) -> None:
        self._write({"done": True, **told})

    def _check(self, true: bool, what: str) -> None:
        if not true:
            self._write({"wrong": what})

    def _write(self, line: dict[str, Any]) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


def lines_of(log: Path, last: int | None = None) -> list[dict[str, Any]]:
    """The whole lines of a log, or those of its last bytes; one that is cut off is none."""
    with log.open("rb") as file:
        if last is not None and file.seek(0, os.SEEK_END) > last:
            file.seek(-last, os.SEEK_END)
            file.readline()
        else:
            file.seek(0)
        lines = file.readlines()
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def _nurse(url: str, folder: Path) -> None:
    """Fork a writer for each line that is read."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Whatever a write and a search import is imported here.
    with Memory(folder / "nursery", llm=None, embedder="hash", ledger=url) as memory:
        memory.add("The first of all", user_id=USERS[0])
        memory.search("first", user_id=USERS[0])
    for number in itertools.count():
        if not sys.stdin.readline():
            return
        pid = os.fork()
        if pid == 0:
            Writer(url, folder, number).run()
        print(pid, flush=True)


if __name__ == "__main__":
    _nurse(sys.argv[1], Path(sys.argv[2]))
