"""A model that fails in every way, processes that are killed meanwhile: what was said is kept, and learned once.

`FAULT_SEED` draws other faults, `FAULT_LIVES` more calls: 20 of them take minutes.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Final

import pytest

from memkit.testing.openai_server import Fault, OpenAIServer
from tests.engine.faces import answer, fact
from tests.faults.audit import broken_laws
from tests.faults.workers import Killed, Nursery, Refusal, Worker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked"),
]
SEED = int(os.environ.get("FAULT_SEED", "1"))
CALLS = 24 * int(os.environ.get("FAULT_LIVES", "1"))
USER: Final[dict[str, Any]] = {"user_id": "u"}
STEPS: Final = ("begin", "messages", "records", "commit", "committed")
FAULTS: Final = (
    Fault(status=429, retry_after="0"),
    Fault(status=500),
    Fault(status=503, retry_after="0.1"),
    Fault(drop=True),
    Fault(status=200, body="<html>Bad gateway</html>"),
    Fault(status=200, body='{"id": "x", "object": "chat.completion", "choices": []}'),
    Fault(delay_s=0.8),
)
_SAID: Final = re.compile(r"\[(\d+)\] user [^\n]*?: (The number of (\w+) is \d+\.)")


class Model:
    """Learns one kind of sentence, and does it badly while it is moody."""

    def __init__(self, seed: int) -> None:
        self.dice, self.lock = random.Random(seed), Lock()
        self.moody = True
        self.misled = set[str]()
        """Sentences of which it said something that cannot be remembered."""
        self.working: dict[str, Worker] = {}
        """Which process says what."""

    def __call__(self, body: Mapping[str, Any]) -> Any:
        said = _SAID.findall("\n".join(str(message["content"]) for message in body["messages"]))
        honest = answer(*(fact(text, int(number)) for number, text, _ in said))
        with self.lock:
            mood = self.dice.random() if self.moody else 1.0
            texts = [text for _, text, _ in said]
            if mood < 0.1:
                return json.dumps(honest)[: self.dice.randrange(60)]
            if mood < 0.2:
                self.misled.update(texts)
                return answer(*(fact(text, 77, action="supersede", replaces="m99") for text in texts))
            if mood < 0.35:
                for text in texts:
                    if (worker := self.working.get(text)) is not None:
                        os.kill(worker.pid, signal.SIGKILL)
            elif mood < 0.45:
                twice = [fact(text, int(number)) for number, text, _ in said for _ in range(3)]
                return answer(*twice, fact("Somebody owns 12 boats.", 1, quote="nobody said this"))
        return honest


def test_what_a_failing_model_was_told_is_kept_and_learned_once(nursery: Nursery, place: Path) -> None:
    dice, model = random.Random(SEED), Model(SEED)
    path = place / "s"
    told, gone, done = set[str](), set[str](), set[str]()
    """Said in a call that failed, that was killed, that returned."""
    with OpenAIServer(reply=model) as server:

        def opened() -> Worker:
            worker = nursery.worker()
            worker.do("open", path=str(path), llm=server.base_url)
            return worker

        def begin(worker: Worker) -> str:
            text = f"The number of {Talker.name(dice)} is {dice.randrange(10**6)}."
            if (told or gone) and dice.random() < 0.4:
                text = dice.choice(sorted(told | gone))
            if dice.random() < 0.4:
                server.fail(dice.choice(FAULTS), path="chat")
            arm = {"step": dice.choice(STEPS), "nth": dice.randint(1, 4)} if dice.random() < 0.15 else None
            model.working[text] = worker
            worker.start(
                "call", method="add", args=[[{"role": "user", "content": text}]], arm=arm,
                kwargs={**USER, "idempotency_key": text},
            )  # fmt: skip
            return text

        working = {worker: begin(worker) for worker in (opened(), opened())}
        for number in range(CALLS):
            ready, _, _ = select.select([*working], [], [], 60)
            assert ready, f"nobody gets on: {[*working.values()]}"
            for worker in ready:
                text = working.pop(worker)
                try:
                    worker.finish()
                    done.add(text)
                except Refusal:
                    told.add(text)
                except Killed:
                    gone.add(text)
                    worker.leave()
                    worker = opened()
                if number + len(working) < CALLS:
                    working[worker] = begin(worker)
                else:
                    worker.leave()
        for worker in working:
            worker.kill()
            gone.add(working[worker])
        model.moody = False
        server.reset()

        worker = opened()
        report = worker.call("repair")
        assert report["failed"] == {} and worker.call("stats")["unfinished"] == 0
        said = Counter(turn["content"] for turn in worker.call("messages", **USER))
        learned = Counter(item["memory"] for item in worker.call("get_all", limit=1000, **USER)["results"])
        assert set(said.values()) == {1} and set(learned.values()) == {1}, "each once"
        assert done | told <= set(said) <= done | told | gone, "what was said is kept"
        assert set(said) - model.misled <= set(learned) <= set(said), (
            "what is kept is learned, and nothing else"
        )
        assert worker.call("found_by_their_words") == []
        for text in sorted(told | gone | done):
            again = worker.call("add", [{"role": "user", "content": text}], idempotency_key=text, **USER)
            assert again["operation_id"]
        assert len(worker.call("messages", **USER)) == len(told | gone | done)
        worker.do("close")
        worker.leave()
    assert broken_laws(path / "memory.db") == []


class Talker:
    """Makes up names."""

    @staticmethod
    def name(dice: random.Random) -> str:
        return "".join(dice.choices("bcdfghklmnprstvz", k=7)).title()
