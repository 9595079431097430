"""The run of scripted conversations in both wire formats: each with every outcome and what is known at its end."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from memkit import errors
from memkit.testing.local_server import Fault, LocalServer
from tests.engine.faces import Face, Mode, World
from tests.faults.victim import run

from .scripted import CASES, WIRES, Answers, Case, llm_of, messages_of, schemas_of

KILLED = [pytest.mark.engine, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]
OFTEN = 6
"""In the second format each case of so many runs with every change, the others with the engines."""


def marks(n: int, case: Case, wire: str) -> list[pytest.MarkDecorator]:
    if any("kill" in call for call in case["calls"]):
        return KILLED
    return [pytest.mark.engine] if wire != "openai" and n % OFTEN else []


PARAMETERS = [
    pytest.param(case, wire, id=f"{wire}-{case['name']}", marks=marks(n, case, wire))
    for wire in WIRES
    for n, case in enumerate(CASES)
]


@pytest.fixture(scope="module")
def servers() -> Generator[dict[str, LocalServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(wire.server()) for name, wire in WIRES.items()}


@pytest.fixture
def world(tmp_path: Path, case: Case) -> Generator[World]:
    # That both faces keep the laws is tested elsewhere; conversations take turns with them.
    mode: Mode = "async" if CASES.index(case) % 2 else "sync"
    made = World(tmp_path, mode)
    yield made
    made.close()


@pytest.mark.parametrize(("case", "wire"), PARAMETERS)
def test_a_conversation_ends_as_it_should(
    case: Case, wire: str, servers: dict[str, LocalServer], world: World
) -> None:
    memory: Face | None = None
    server, format_ = servers[wire], WIRES[wire]
    for n, call in enumerate(case["calls"]):
        server.reset()
        server.say(Answers(call["replies"], format_))
        if "kill" in call:
            order = {
                "name": case["name"],
                "call": n,
                "path": str(world.path),
                "url": server.base_url,
                "wire": wire,
            }
            died = run("tests.extraction.scripted", json.dumps(order), check=False)
            assert died.returncode == -signal.SIGKILL, died.stderr
            continue
        if memory is None:
            memory = world.open(llm=llm_of(server.base_url, format_), schemas=schemas_of(case))
        made(memory, call, server)
    assert memory is not None
    check_end(memory, case)


def made(memory: Face, call: Case, server: LocalServer) -> None:
    """Make one call and compare what became of everything in it."""
    if call.get("repair"):
        report = memory.repair()
        assert not report.failed
        return
    for reply in call["replies"]:
        if isinstance(reply, dict) and "status" in reply:
            server.fail(Fault(status=reply["status"], message="injected"))
    if "error" in call:
        with pytest.raises(getattr(errors, call["error"])) as raised:
            memory.add(messages_of(call), user_id="u")
        assert raised.value.operation_id
        assert memory.stats().unfinished == call["unfinished"]
        return
    result = memory.add(messages_of(call), user_id="u")
    shown = [f"{outcome.event}: {outcome.reason}: {outcome.memory}" for outcome in result.results]
    left = list(shown)
    for wanted in call["outcomes"]:
        event, _, reason = wanted.partition(": ")
        same = [outcome for outcome in left if outcome.startswith(f"{event}:") and reason in outcome]
        assert same, (wanted, shown)
        left.remove(same[0])
    assert not left, shown
    if "model_calls" in call:
        assert result.usage.llm_calls == server.count() == call["model_calls"]
    if "windows" in call:
        assert server.count() >= call["windows"]


def check_end(memory: Face, case: Case) -> None:
    """Compare what is known in the end, what is past, and whose words it rests on."""
    now = memory.get_all(user_id="u").results
    everything = memory.get_all(user_id="u", include_closed=True).results
    ids = {item.id for item in now}
    assert sorted(item.memory for item in now if item.data is None) == sorted(case["facts"])
    assert sorted(item.memory for item in everything if item.id not in ids) == sorted(case["closed"])
    records = [
        {"kind": item.kind, **{k: v for k, v in item.data.items() if v != []}}
        for item in now
        if item.data is not None
    ]
    assert records == [
        {**wanted, **{name: None for name in record if name not in wanted}}
        for wanted, record in zip(case.get("records", []), records, strict=True)
    ]
    for item in now:
        assert item.actor_id == case.get("actors", {}).get(item.memory)
    if "messages" in case:
        assert len(memory.messages(user_id="u")) == case["messages"]
    sound(memory, everything)


def sound(memory: Face, items: list[Any]) -> None:
    """Each memory has its whole history and rests on turns that are kept; the queue is empty unless an error left work."""
    kept = {message.id for message in memory.messages(user_id="u")}
    for item in items:
        events = memory.history(item.id)
        assert events[0].event == "ADD" and len(events) == item.version
        assert events[-1].after.memory == item.memory and events[-1].after.data == item.data
        assert item.sources and all(source.message_id in kept and source.quote for source in item.sources)


def test_the_run_is_large_and_of_many_languages() -> None:
    events = [
        o.partition(":")[0] for case in CASES for call in case["calls"] for o in call.get("outcomes", ())
    ]
    assert len(CASES) >= 80 and {"ADD", "SUPERSEDE", "NONE", "REJECT"} == set(events)
    assert sum("a lie and the truth in" in case["name"] for case in CASES) >= 12
