"""Turns that are only kept, and what a later `add` learns from them: once, at once or after a pause."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import InvalidInputError, ScopeError
from memkit.llms.fake import FakeLLM
from tests.engine.faces import CountingEmbedder, Face, World, answer, down, fact, prompt_of

PARIS = {"role": "user", "content": "I live in Paris.", "id": "m1"}
HELLO = {"role": "assistant", "content": "Hello.", "id": "m2"}


def contents(memory: Face, **scope: Any) -> list[Any]:
    return [message.content for message in memory.messages(**scope)]


# ------------------------------------------------------------------------------------- keep


def test_keeping_makes_no_memory_and_asks_no_model_and_no_embedder(world: World) -> None:
    llm, embedder = FakeLLM([]), CountingEmbedder()
    memory = world.open(llm=llm, embedder=embedder)
    kept = memory.keep([PARIS, HELLO], user_id="u", run_id="r", metadata={"app": 1})
    assert [(m.id, m.role, m.content, m.metadata) for m in kept] == [
        ("m1", "user", "I live in Paris.", {"app": 1}),
        ("m2", "assistant", "Hello.", {"app": 1}),
    ]
    assert memory.count(user_id="u") == 0 and llm.calls == [] and embedder.requests == []
    assert contents(memory, user_id="u", run_id="r") == ["I live in Paris.", "Hello."]


def test_a_payload_comes_back_and_reaches_no_memory(world: World) -> None:
    memory = world.open()
    given = {
        "role": "assistant",
        "content": "",
        "id": "m",
        "payload": {"deep": [1, {"ü": None}], "z": 1, "a": 2},
    }
    (kept,) = memory.keep(given, user_id="u", run_id="r")
    assert (
        list(kept.payload) == ["deep", "z", "a"] and kept.payload == given["payload"] and kept.content == ""
    )
    memory.keep({**PARIS, "payload": {"secret": 1}}, user_id="u", run_id="r")
    memory.add(PARIS, user_id="u", run_id="r")
    assert memory.get_all(user_id="u").results[0].metadata == {}
    memory.close()
    assert world.open().messages(user_id="u")[0].payload == given["payload"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"role": "user", "content": "x", "payload": 3}, "payload"),
        ({"role": "user", "content": "x", "payload": {"x": object()}}, "JSON"),
        ({"role": "nobody", "content": "x"}, "role"),
    ],
)
def test_a_wrong_turn_is_refused_whole(memory: Face, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        memory.keep([PARIS, wrong], user_id="u", run_id="r")
    assert memory.count_messages(user_id="u") == 0
    with pytest.raises(InvalidInputError, match="payload"):
        memory.add({"role": "user", "content": "x", "payload": {}}, user_id="u")


def test_keeping_nothing_keeps_nothing_and_a_scope_is_still_needed(memory: Face) -> None:
    assert memory.keep([], user_id="u", run_id="r") == []
    with pytest.raises(ScopeError):
        memory.keep([])


def test_a_turn_given_again_is_one_turn_with_its_first_content(memory: Face) -> None:
    memory.keep(PARIS, user_id="u", run_id="r")
    (again,) = memory.keep({**PARIS, "content": "Something else."}, user_id="u", run_id="r")
    assert again.content == "I live in Paris." and memory.count_messages(user_id="u") == 1
    memory.keep(PARIS, user_id="u", run_id="other")
    assert memory.runs(user_id="u") == ["other", "r"]


def test_replacing_puts_the_active_turns_aside_and_leaves_archived_ones(memory: Face) -> None:
    kept = memory.keep([{"role": "user", "content": str(n)} for n in range(3)], user_id="u", run_id="r")
    memory.mark_messages([kept[0].id], status="archived", user_id="u")
    memory.keep({"role": "user", "content": "other run"}, user_id="u", run_id="r2")
    memory.keep([{"role": "user", "content": "new"}], user_id="u", run_id="r", replace=True)
    assert contents(memory, user_id="u", run_id="r") == ["0", "new"]
    assert contents(memory, user_id="u", run_id="r", status="deleted") == ["1", "2"]
    assert contents(memory, user_id="u", run_id="r2") == ["other run"]


def test_pages_counts_and_ids(memory: Face) -> None:
    kept = memory.keep([{"role": "user", "content": str(n)} for n in range(5)], user_id="u", run_id="r")
    assert contents(memory, user_id="u", limit=2, offset=1) == ["2", "3"]
    assert contents(memory, user_id="u", offset=9) == []
    assert contents(memory, user_id="u", ids=[kept[3].id, "unknown", kept[0].id]) == ["3", "0"]
    assert contents(memory, user_id="other", ids=[kept[3].id]) == []
    assert memory.mark_messages([kept[0].id, "unknown"], status="deleted", user_id="u") == 1
    assert memory.mark_messages([kept[1].id], status="deleted", user_id="other") == 0
    assert (memory.count_messages(user_id="u"), memory.count_messages(user_id="u", status=None)) == (4, 5)
    with pytest.raises(InvalidInputError, match="archived"):
        memory.mark_messages([kept[0].id], status="gone", user_id="u")
    with pytest.raises(InvalidInputError, match="offset"):
        memory.messages(user_id="u", offset=-1)


def test_a_bound_handle_keeps_and_reads_only_its_own(memory: Face) -> None:
    ann = memory.bind(user_id="ann@example.com")
    ann.keep(PARIS, run_id="r")
    memory.keep(PARIS, user_id="bob", run_id="b")
    assert ann.runs() == ["r"] and contents(ann) == ["I live in Paris."]
    with pytest.raises(ScopeError):
        ann.keep(PARIS, user_id="bob")
    with pytest.raises(ScopeError):
        ann.runs(allow_global=True)


def test_forgetting_erases_kept_turns(memory: Face) -> None:
    memory.keep({**PARIS, "payload": {"x": "Paris"}}, user_id="u", run_id="r")
    assert memory.forget(user_id="u").messages == 1
    assert memory.count_messages(user_id="u", status=None) == 0


# ------------------------------------------------------------------------------------- learning from kept turns


def test_a_kept_turn_is_learned_once_verbatim(memory: Face) -> None:
    memory.keep([PARIS, HELLO], user_id="u", run_id="r")
    assert [o.event for o in memory.add([PARIS, HELLO], user_id="u", run_id="r").results] == ["ADD", "ADD"]
    assert [o.event for o in memory.add([PARIS, HELLO], user_id="u", run_id="r").results] == ["NONE", "NONE"]
    assert (memory.count(user_id="u"), memory.count_messages(user_id="u")) == (2, 2)


def test_a_kept_turn_is_learned_once_by_the_model(world: World) -> None:
    llm = FakeLLM([answer(fact("The user lives in Paris.", quote="I live in Paris."))])
    memory = world.open(llm=llm)
    memory.keep(PARIS, user_id="u", run_id="r")
    assert [o.event for o in memory.add([PARIS, HELLO], user_id="u", run_id="r").results] == ["ADD"]
    assert {o.event for o in memory.add([PARIS, HELLO], user_id="u", run_id="r").results} == {"NONE"}
    assert len(llm.calls) == 1 and memory.count_messages(user_id="u") == 2


def test_one_id_given_twice_in_a_call_is_learned(world: World) -> None:
    llm = FakeLLM([answer(fact("The user lives in Paris.", quote="I live in Paris."))])
    memory = world.open(llm=llm)
    memory.add([PARIS, PARIS], user_id="u", run_id="r")
    assert memory.texts(user_id="u") == ["The user lives in Paris."]


# ------------------------------------------------------------------------------------- after a pause


def test_turns_of_one_run_that_follow_each_other_are_learned_in_one_call(world: World) -> None:
    llm = FakeLLM(lambda _: answer(fact("The user lives in Paris.", quote="I live in Paris.")))
    memory = world.open(llm=llm)
    first = memory.add(PARIS, user_id="u", run_id="r", background=True, after_seconds=3600)
    second = memory.add(HELLO, user_id="u", run_id="r", background=True, after_seconds=3600)
    assert (first.pending, second.pending) == (["extraction"], ["extraction"])
    assert memory.stats().unfinished == 1 and llm.calls == []
    memory.flush(timeout=20)
    (call,) = llm.calls
    assert "I live in Paris." in prompt_of(call) and "Hello." in prompt_of(call)
    assert memory.texts(user_id="u") == ["The user lives in Paris."]
    event = memory.history(memory.get_all(user_id="u").results[0].id)[0]
    assert event.operation_id == second.operation_id


def test_other_runs_and_other_options_wait_for_themselves(world: World) -> None:
    llm = FakeLLM(lambda _: answer())
    memory = world.open(llm=llm)
    for more in ({"run_id": "r"}, {"run_id": "r2"}, {"run_id": "r", "metadata": {"x": 1}}):
        memory.add(
            {"role": "user", "content": "I live in Paris."},
            user_id="u",
            background=True,
            after_seconds=3600,
            **more,
        )
    assert memory.stats().unfinished == 3
    memory.flush(timeout=20)
    assert len(llm.calls) == 3


def test_a_run_that_the_messages_name_waits_for_itself_too(world: World) -> None:
    llm = FakeLLM(lambda _: answer())
    memory = world.open(llm=llm)
    for run, said in (("a", PARIS), ("b", HELLO), ("a", {**HELLO, "id": "m8"})):
        memory.add({**said, "run_id": run}, user_id="u", background=True, after_seconds=3600)
    assert memory.stats().unfinished == 2
    memory.forget(user_id="u", run_id="a")
    assert memory.stats().unfinished == 1
    memory.flush(timeout=20)
    assert len(llm.calls) == 1


def test_what_waits_is_done_at_the_end_or_by_the_next_process(world: World) -> None:
    llm = FakeLLM(lambda _: answer(fact("The user lives in Paris.", quote="I live in Paris.")))
    memory = world.open(llm=llm)
    memory.add(PARIS, user_id="u", run_id="r", background=True, after_seconds=3600)
    memory.close()
    assert len(llm.calls) == 1
    broken = world.open(llm=FakeLLM([down("model")]))
    broken.add({**PARIS, "id": "m9"}, user_id="v", run_id="r", background=True, after_seconds=3600)
    broken.close()
    last = world.open(llm=llm)
    last.repair()
    assert last.texts(user_id="v") == ["The user lives in Paris."]


def test_what_is_due_is_done_without_being_asked(world: World) -> None:
    llm = FakeLLM(lambda _: answer(fact("The user lives in Paris.", quote="I live in Paris.")))
    memory = world.open(llm=llm)
    memory.add(PARIS, user_id="u", run_id="r", background=True, after_seconds=0.01)
    while not memory.count(user_id="u"):  # the test's time limit ends a wait in vain
        pass
    assert len(llm.calls) == 1


@pytest.mark.parametrize("wrong", [-1, True, "5", float("nan"), 10**9])
def test_a_wrong_delay_is_refused(memory: Face, wrong: object) -> None:
    with pytest.raises(InvalidInputError, match="after_seconds"):
        memory.add(PARIS, user_id="u", background=True, after_seconds=wrong)
    with pytest.raises(InvalidInputError, match="background"):
        memory.add(PARIS, user_id="u", after_seconds=1)
