"""Several at once, with a model: one fact is stored once, one memory is superseded once, nothing is decided on stale ground."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory
from memkit.llms.fake import FakeLLM
from tests.engine.faces import Face, World, answer, fact

OSLO = answer(fact("The user lives in Oslo.", quote="I live in Oslo"))


def moved(town: str) -> dict[str, Any]:
    return answer(
        fact(f"The user lives in {town}.", quote=f"I moved to {town}", action="supersede", replaces="m1")
    )


def test_the_same_fact_told_eight_times_at_once_is_stored_once(world: World) -> None:
    memory = world.open(llm=FakeLLM(lambda _: OSLO))
    results = memory.together([("add", {"messages": "I live in Oslo.", "user_id": "u"})] * 8)
    assert not [r for r in results if isinstance(r, Exception)], results
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]
    assert sorted(o.event for r in results for o in r.results) == ["ADD"] + ["NONE"] * 7
    assert len({o.id for r in results for o in r.results}) == 1
    assert len(memory.messages(user_id="u")) == 8


def test_one_memory_superseded_by_several_at_once_is_closed_once(world: World) -> None:
    towns = ["Bergen", "Tromsø", "Bodø", "Voss"]

    def reply(messages: Any) -> Any:
        said = str(messages[-1]["content"])
        town = next((t for t in towns if f"moved to {t}" in said), None)
        return OSLO if town is None else moved(town)

    memory = world.open(llm=FakeLLM(reply))
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    results = memory.together(
        [("add", {"messages": f"I moved to {town}.", "user_id": "u"}) for town in towns]
    )
    assert not [r for r in results if isinstance(r, Exception)], results
    closings = [e for e in memory.history(old) if e.event == "SUPERSEDE"]
    assert len(closings) == 1 and memory.get(old).valid_until is not None
    for item in memory.get_all(user_id="u", include_closed=True).results:
        assert len(memory.history(item.id)) == item.version
    assert {o.memory for r in results for o in r.results} == {f"The user lives in {town}." for town in towns}


def changed_meanwhile(world: World, change: str) -> tuple[Face, str, Any]:
    """A memory that somebody changes while the model thinks about superseding it."""
    begun, go = threading.Event(), threading.Event()

    def think(_: Any) -> Any:
        begun.set()
        assert go.wait(20)
        return moved("Bergen")

    memory = world.open(llm=FakeLLM([OSLO, think]))
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    other = memory.raw.to_sync()

    def meddle() -> None:
        assert begun.wait(20)
        if change == "update":
            other.update(old, "The user lives in Rome.")
        elif change == "delete":
            other.delete(old)
        elif change == "pin":
            other.update(old, pinned=True)
        else:
            other.forget(memory_id=old)
        go.set()

    thread = threading.Thread(target=meddle)
    thread.start()
    result = memory.add("I moved to Bergen.", user_id="u")
    thread.join(30)
    return memory, old, result


def test_a_memory_whose_words_changed_meanwhile_is_not_closed_by_what_was_decided_before(
    world: World,
) -> None:
    memory, old, result = changed_meanwhile(world, "update")
    assert [o.event for o in result.results] == ["ADD"] and "meanwhile" in result.results[0].reason
    assert memory.get(old).memory == "The user lives in Rome." and memory.get(old).valid_until is None
    assert sorted(memory.texts(user_id="u")) == ["The user lives in Bergen.", "The user lives in Rome."]


def test_a_memory_that_was_only_pinned_meanwhile_is_still_superseded(world: World) -> None:
    memory, old, result = changed_meanwhile(world, "pin")
    assert [o.event for o in result.results] == ["SUPERSEDE"]
    assert memory.get(old).pinned and memory.get(old).valid_until is not None


def test_a_memory_deleted_meanwhile_stays_deleted(world: World) -> None:
    memory, old, result = changed_meanwhile(world, "delete")
    assert [o.event for o in result.results] == ["ADD"]
    assert memory.get(old) is None and memory.texts(user_id="u") == ["The user lives in Bergen."]


def test_a_memory_forgotten_meanwhile_stays_forgotten(world: World) -> None:
    memory, old, result = changed_meanwhile(world, "forget")
    assert memory.get(old) is None and all(event.event == "FORGET" for event in memory.history(old))
    assert "Oslo" not in repr(result), "an outcome does not bring the erased words back"


def test_messages_of_langchain_are_taken_as_they_are(memory: Face) -> None:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

    turns = [
        SystemMessage("Be nice."),
        HumanMessage("I live in Oslo.", name="ana", id="h1"),
        AIMessage("I see."),
        ToolMessage("42", tool_call_id="c1"),
    ]
    result = memory.add(turns, user_id="u")
    assert [o.event for o in result.results] == ["NONE", "ADD", "ADD", "ADD"]
    assert [(m.role, m.content) for m in memory.messages(user_id="u")] == [
        ("system", "Be nice."), ("user", "I live in Oslo."), ("assistant", "I see."), ("tool", "42"),
    ]  # fmt: skip
    assert memory.messages(user_id="u")[1].name == "ana"
    assert [
        o.event for o in memory.add(HumanMessage("I live in Oslo.", name="ana", id="h1"), user_id="u").results
    ] == ["NONE"]
    assert [o.event for o in memory.add_many(HumanMessage("Alone."), user_id="u").results] == ["ADD"]


@pytest.mark.parametrize("background", [False, True])
async def test_turns_written_for_a_call_that_is_cancelled_meanwhile_are_learned_by_the_next(
    tmp_path: Path, background: bool
) -> None:
    async with AsyncMemory(tmp_path, llm=FakeLLM(lambda _: OSLO), embedder="hash") as memory:
        await memory.add("Something before", user_id="u", infer=False)
        loop, seen = asyncio.get_running_loop(), threading.Event()

        def cancel() -> None:
            call.cancel()
            loop.call_soon(seen.set)

        def step(name: str) -> None:
            if name == "commit" and not seen.is_set():
                loop.call_soon_threadsafe(cancel)
                assert seen.wait(20)

        memory._parts.ledger._committer._on_step = step  # pyright: ignore[reportAttributeAccessIssue]
        call = asyncio.create_task(memory.add("I live in Oslo.", user_id="u", background=background))
        with pytest.raises(asyncio.CancelledError):
            await call
        if background:
            await memory.flush()
        else:
            assert len((await memory.repair()).finished) == 1
        assert (await memory.stats()).unfinished == 0
        assert "The user lives in Oslo." in {
            item.memory for item in (await memory.get_all(user_id="u")).results
        }
