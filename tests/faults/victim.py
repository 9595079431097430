"""A process that is killed in the middle: `python -m tests.faults.victim '{"path", "how", "step", "nth"}'`.

It acknowledges each add that returned with one line on its standard output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memkit import Memory
from memkit.ledger.sqlite import SqliteLedger
from memkit.llms.fake import FakeLLM
from memkit.llms.openai import OpenAILLM
from memkit.ranking.text import TOKENIZER_VERSION, tokens
from memkit.settings import SecretStr
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.sqlite import SqliteStore
from tests.engine.faces import Face, answer, fact

ROOT = Path(__file__).resolve().parents[2]


def run(
    module_or_code: str, *args: str, check: bool = True, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        *(("-m", module_or_code) if module_or_code.startswith("tests.") else ("-c", module_or_code)),
        *args,
    ]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, cwd=ROOT, check=check, capture_output=True, text=True, timeout=90, env=environment
    )


def sound(memory: Memory | Face) -> None:
    """Each live record has its events, and the ledger's own check passes."""
    for item in memory.get_all(allow_global=True, include_closed=True, limit=10_000).results:
        events = memory.history(item.id)
        last = events[-1].after
        assert events[0].event == "ADD" and last is not None and last.memory == item.memory
        assert len(events) == item.version
        kept = {m.id for m in memory.messages(user_id=item.user_id)}
        assert all(source.message_id in kept for source in item.sources)
    assert memory.health().problems == {}


class Killer:
    """Ends this process, as `kill -9` does, when a step is reached for the n-th time after it was armed."""

    def __init__(self, step: str, nth: int) -> None:
        self.step, self.left, self.armed = step, nth, False

    def __call__(self, step: str) -> None:
        if self.armed and step == self.step:
            self.left -= 1
            if self.left == 0:
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)


class Index(SqliteStore):
    """An index on disk with a step before and after each of its writes."""

    name = "mortal"
    killer: Killer

    def upsert(self, records: Sequence[StoreRecord]) -> None:
        self.killer("before upsert")
        super().upsert(records)
        self.killer("after upsert")


def index(path: Path) -> Index:
    return Index(Index.Settings(path=str(path / "index.db")))


def script(killer: Killer | None = None) -> FakeLLM:
    """A model that finds the one fact of each conversation."""

    def reply(messages: Any) -> Any:
        if killer is not None:
            killer("model")
        said = [line for line in str(messages[-1]["content"]).splitlines() if "My number is" in line][-1]
        text = said[said.index("My number is") :].rstrip(".") + "."
        return answer(fact(text.replace("My", "The user's"), quote=text))

    return FakeLLM(reply)


def served(url: str) -> OpenAILLM:
    """A model behind a server that is not waited for long."""
    return OpenAILLM(
        OpenAILLM.Settings(base_url=url, api_key=SecretStr("none"), timeout_s=0.5, max_retries=1)
    )


def main() -> None:
    order = json.loads(sys.argv[1])
    path, how = Path(order["path"]), order["how"]
    killer = Killer(order["step"], order["nth"])
    path.mkdir(parents=True, exist_ok=True)
    ledger = SqliteLedger(
        path / "memory.db", tokenize=tokens, tokenizer_version=TOKENIZER_VERSION, on_step=killer
    )
    store: Any = "auto"
    if how == "index":
        store = index(path)
        store.killer = killer
    memory = Memory(
        path,
        ledger=ledger,
        vector_store=store,
        embedder="hash",
        llm=script(killer) if how == "extract" else None,
    )
    for n in range(6):
        killer.armed = n == 3
        turns = [
            {"role": "user", "content": f"My number is {n}."},
            {"role": "assistant", "content": f"I see, {n}."},
        ]
        memory.add(turns, user_id="u")
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()
    memory.close()


if __name__ == "__main__":
    main()
