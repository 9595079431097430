"""A process that writes to a PostgreSQL ledger until it is told to die, and says what was acknowledged.

`python -m tests.faults.postgres_child URL USER STEP NTH` dies by itself at the nth step of that name; with `-` for the
step it goes on until somebody kills it. `CHILD_GRAPH` names a graph store; what it writes says a relation then.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import mkdtemp

from pydantic import SecretStr

from memkit import Memory
from memkit.ledger.postgres import PostgresLedger
from memkit.ledger.postgres.settings import PostgresSettings
from memkit.ranking.standing import indexed
from memkit.ranking.text import TOKENIZER_VERSION


def main(url: str, user: str, step: str, nth: int) -> None:
    """Add memories and print each one's text when it was acknowledged."""
    left = [nth]

    def die(name: str) -> None:
        if name == step:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    ledger = PostgresLedger(
        PostgresSettings(url=SecretStr(url)),
        tokenize=indexed,
        tokenizer_version=TOKENIZER_VERSION,
        on_step=die,
    )
    home, graph = Path(mkdtemp(dir=os.environ["CHILD_FOLDER"])), os.environ.get("CHILD_GRAPH")
    memory = Memory(home, llm=None, embedder="hash", ledger=ledger, graph_store=graph)
    said = "works at Thing" if graph else "has seen thing number "
    number = 0
    while True:
        text = f"{user} {said}{number}{'of' if graph else ' in '}{os.getpid()}"
        memory.add(text, user_id=user)
        print(text, flush=True)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
