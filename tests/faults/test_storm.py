"""Two processes, random calls, kills at random moments: what both see is always what was acknowledged.

Hypothesis drives it against an oracle in memory and prints the calls that failed; `FAULT_SEED` and `FAULT_STORMS` give
other storms and more of them, and `FAULT_SHRINK=1` takes minutes to find the fewest calls.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.faults.audit import broken_laws
from tests.faults.disk import why_not
from tests.faults.oracle import Oracle
from tests.faults.workers import ENDINGS, Ending, Killed, Nursery, Refusal, Worker

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked"),
]
SEED = int(os.environ.get("FAULT_SEED", "1"))
STORMS = int(os.environ.get("FAULT_STORMS", "12"))
USERS = ("ann", "ben", "cleo")

who = st.sampled_from(USERS)
which = st.integers(0, 1_000_000)
process = st.integers(0, 1)
STEPS = st.fixed_dictionaries(
    {
        "step": st.sampled_from(["begin", "messages", "records", "commit", "committed", "model", "erased"]),
        "nth": st.integers(1, 2),
    }
)
CALLS = st.fixed_dictionaries({"fault": st.just("kill"), "nth": st.integers(1, 60)})
fault = st.none() | st.none() | (STEPS if why_not() else STEPS | CALLS)


class Storm(RuleBasedStateMachine):
    """Two workers on one memory; each is alive before every rule."""

    nursery: ClassVar[Nursery]
    folder: ClassVar[Path]
    opened: ClassVar[dict[str, Any]]

    @initialize()
    def begin(self) -> None:
        self.path = Path(tempfile.mkdtemp(dir=self.folder))
        self.oracle = Oracle()
        self.numbers = itertools.count()
        self.workers = [self.open(), self.open()]

    def open(self) -> Worker:
        worker = self.nursery.worker()
        worker.do("open", path=str(self.path), **self.opened)
        return worker

    # ------------------------------------------------------------------------------------- one write

    def write(
        self, p: int, arm: Any, method: str, *args: Any, then: Callable[[Oracle, Any], None], **kwargs: Any
    ) -> Any:
        """Let process `p` write something; the oracle learns it if it was done, whole or not at all if `p` died."""
        before, after = self.oracle, self.oracle.copy()
        try:
            done = self.workers[p].call(method, *args, arm=arm, **kwargs)
        except Killed:
            self.workers[p].leave()
            self.workers[p] = self.open()
            then(after, None)
            self.workers[1 - p].call("repair")
            seen = self.seen(1 - p)
            for candidate in (after, before):
                candidate.learn_ids(seen["live"])
            wrong = [candidate.differences(seen) for candidate in (after, before)]
            assert [] in wrong, f"half done: {method} {args}: {wrong}"
            self.oracle = (after, before)[wrong.index([])]
            return None
        then(after, done)
        self.oracle = after
        return done

    def seen(self, p: int) -> Any:
        ids = [key for key in self.oracle.memories if not key.startswith("new ")]
        return self.workers[p].call("look", ids)

    def agree(self) -> None:
        """Both processes see what was acknowledged."""
        for p in (0, 1):
            assert self.oracle.differences(self.seen(p)) == [], f"process {p}"

    def text(self) -> str:
        return f"text number{next(self.numbers)} about something"

    # ------------------------------------------------------------------------------------- rules

    @rule(p=process, user=who, count=st.integers(1, 4), arm=fault)
    def add(self, p: int, user: str, count: int, arm: Any) -> None:
        texts = [self.text() for _ in range(count)]

        def then(oracle: Oracle, done: Any) -> None:
            ids = [f"new {text}" for text in texts] if done is None else [o["id"] for o in done["results"]]
            made = dict(zip(ids, texts, strict=True))
            oracle.add(done["operation_id"] if done else "lost", user, made, [])

        done = self.write(p, arm, "add_many", texts, user_id=user, then=then)
        if done is not None:
            found = self.workers[1 - p].call("search", texts[0], user_id=user, limit=50)
            assert done["results"][0]["id"] in [hit["id"] for hit in found["results"]], (
                "not seen by the next search"
            )

    @rule(p=process, user=who, arm=fault)
    def learn(self, p: int, user: str, arm: Any) -> None:
        said = f"My number is {next(self.numbers)}."
        fact = said.replace("My", "The user's")

        def then(oracle: Oracle, done: Any) -> None:
            id = f"new {fact}" if done is None else done["results"][0]["id"]
            oracle.add(done["operation_id"] if done else "lost", user, {id: fact}, [said])

        self.write(p, arm, "add", [{"role": "user", "content": said}], user_id=user, then=then)

    @rule(p=process, user=who, arm=fault)
    def keep(self, p: int, user: str, arm: Any) -> None:
        said = self.text()
        turns = [{"role": "user", "content": said}]
        self.write(
            p, arm, "keep", turns, user_id=user, run_id="r", then=lambda o, _: o.add("", user, {}, [said])
        )

    @precondition(lambda self: self.oracle.live())
    @rule(p=process, n=which, arm=fault)
    def update(self, p: int, n: int, arm: Any) -> None:
        live, text = self.oracle.live(), self.text()
        id = live[n % len(live)]
        self.write(
            p,
            arm,
            "update",
            id,
            text,
            then=lambda o, done: o.update(done["operation_id"] if done else "lost", id, text),
        )

    @precondition(lambda self: self.oracle.live())
    @rule(p=process, n=which, arm=fault)
    def delete(self, p: int, n: int, arm: Any) -> None:
        live = self.oracle.live()
        id = live[n % len(live)]
        self.write(
            p,
            arm,
            "delete",
            id,
            then=lambda o, done: o.delete(done["operation_id"] if done else "lost", [id]),
        )

    @rule(p=process, user=who, arm=fault)
    def delete_all(self, p: int, user: str, arm: Any) -> None:
        keys = self.oracle.live(user)
        self.write(
            p,
            arm,
            "delete_all",
            user_id=user,
            then=lambda o, done: o.delete(done["operation_id"] if done else "lost", keys),
        )

    @precondition(lambda self: any(op != "lost" for op, _ in self.oracle.operations))
    @rule(p=process, n=which, arm=fault)
    def undo(self, p: int, n: int, arm: Any) -> None:
        places = [place for place, (op, _) in enumerate(self.oracle.operations) if op != "lost"]
        place = places[-1 - n % min(3, len(places))]
        operation = self.oracle.operations[place][0]
        if self.oracle.conflicts(place):
            with pytest.raises(Refusal) as refused:
                self.workers[p].call("undo", operation)
            assert refused.value.kind == "ConflictError"
        else:
            self.write(
                p,
                arm,
                "undo",
                operation,
                then=lambda o, done: o.undo(done["operation_id"] if done else "lost", place),
            )

    @rule(p=process, user=who, arm=fault)
    def forget(self, p: int, user: str, arm: Any) -> None:
        self.write(p, arm, "forget", user_id=user, then=lambda o, _: o.forget(user))

    @rule(users=st.tuples(who, who), kill=st.sampled_from([None, 0, 1]), count=st.integers(1, 3))
    def both_at_once(self, users: tuple[str, str], kill: int | None, count: int) -> None:
        """Each process adds something at the same time, and one of them is killed at an unknown moment."""
        texts = [[self.text() for _ in range(count)] for _ in users]
        fields: Any = {"method": "add_many", "arm": None}
        for worker, user, given in zip(self.workers, users, texts, strict=True):
            worker.start("call", args=[given], kwargs={"user_id": user}, **fields)
        if kill is not None:
            self.workers[kill].kill()
        for p in {0, 1} - {kill}:
            ids = [outcome["id"] for outcome in self.workers[p].finish()["results"]]
            self.oracle.add("lost", users[p], dict(zip(ids, texts[p], strict=True)), [])
        if kill is not None:
            self.add_if_there(kill, users[kill], texts[kill])
        self.agree()

    def add_if_there(self, p: int, user: str, texts: list[str]) -> None:
        """What process `p` was killed at is there as a whole, or not at all."""
        self.workers[p] = self.open()
        there = {text: id for id, (_, text) in self.seen(1 - p)["live"].items() if text in texts}
        assert len(there) in (0, len(texts)), "half a batch"
        if there:
            self.oracle.add("lost", user, {there[text]: text for text in texts}, [])

    @rule(p=process, how=st.sampled_from(ENDINGS))
    def leave_and_come_back(self, p: int, how: Ending) -> None:
        self.workers[p].end(how)
        self.workers[p] = self.open()
        self.agree()

    @rule(p=process, user=who)
    def search(self, p: int, user: str) -> None:
        live = {key: self.oracle.memories[key].text for key in self.oracle.live(user)}
        found = self.workers[p].call("search", "text number about something", user_id=user, limit=100)
        ids = [hit["id"] for hit in found["results"]]
        assert set(ids) <= set(live) and len(ids) == len(set(ids)), "another's, or one that is gone"
        for id, text in list(live.items())[-3:]:
            found = self.workers[p].call("search", text, user_id=user, limit=100)
            assert id in [hit["id"] for hit in found["results"]]

    @rule()
    def compare(self) -> None:
        self.agree()

    def teardown(self) -> None:
        if not hasattr(self, "workers"):
            return
        try:
            self.agree()
            if self.opened.get("index"):
                for worker in self.workers:
                    worker.call("repair")
                there = self.workers[0].call("in_index")
                assert there["index"] == there["ledger"]
            assert not (self.path / "memory.db").exists() or broken_laws(self.path / "memory.db") == []
            for worker in self.workers:
                worker.do("close")
        finally:
            for worker in self.workers:
                worker.leave()


@pytest.mark.parametrize("index", [False, True], ids=["ledger alone", "with an index"])
def test_two_processes_and_kills_leave_what_was_acknowledged(
    nursery: Nursery, place: Path, index: bool
) -> None:
    class ThisStorm(Storm):
        pass

    ThisStorm.nursery, ThisStorm.folder, ThisStorm.opened = nursery, place, {"llm": True, "index": index}
    run_state_machine_as_test(
        seed(SEED)(ThisStorm),
        settings=settings(
            max_examples=STORMS,
            stateful_step_count=25,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[Phase.generate, Phase.shrink] if os.environ.get("FAULT_SHRINK") else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
