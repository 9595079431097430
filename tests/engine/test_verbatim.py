"""Remembering without a model: what is kept as a message, what becomes a memory, what is the same."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import BackendUnavailableError, InvalidInputError, ScopeError
from tests.engine.faces import CountingEmbedder, Face, World, down


def turn(text: str, role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **more}


def events(result: Any) -> list[str]:
    return [outcome.event for outcome in result.results]


def kept(memory: Face, **scope: Any) -> list[Any]:
    return [message.content for message in memory.messages(**(scope or {"user_id": "u"}))]


# ------------------------------------------------------------------------------------- what is kept


def test_what_has_a_role_is_kept_as_a_message_whatever_infer_is(memory: Face) -> None:
    memory.add([turn("one")], user_id="u", infer=False)
    memory.add([turn("two")], user_id="u", infer=True)
    assert kept(memory) == ["one", "two"]


def test_a_bare_text_is_a_message_only_with_infer(memory: Face) -> None:
    memory.add("bare", user_id="u", infer=False)
    assert kept(memory) == []
    memory.add("said", user_id="u", infer=True)
    assert [(m.role, m.content) for m in memory.messages(user_id="u")] == [("user", "said")]
    assert sorted(memory.texts(user_id="u")) == ["bare", "said"]


def test_a_bare_text_is_a_fact_and_a_turn_a_message(memory: Face) -> None:
    memory.add(["bare", turn("said")], user_id="u", infer=False)
    assert {i.memory: i.kind for i in memory.get_all(user_id="u").results} == {
        "bare": "fact",
        "said": "message",
    }
    memory.add("Always answer in French.", user_id="u", infer=False, kind="instruction")
    assert memory.search("French", user_id="u", kinds="instruction").results[0].kind == "instruction"


def test_system_prompts_are_kept_and_never_remembered(memory: Face) -> None:
    result = memory.add([turn("You are a pirate.", "system"), turn("Hello, I am Ana.")], user_id="u")
    assert events(result) == ["NONE", "ADD"] and "System" in result.results[0].reason
    assert kept(memory) == ["You are a pirate.", "Hello, I am Ana."]
    assert memory.texts(user_id="u") == ["Hello, I am Ana."]
    assert memory.found("pirate", user_id="u") in ([], ["Hello, I am Ana."])


def test_recalled_text_is_never_remembered_again(memory: Face) -> None:
    memory.add("The cat is called Ada.", user_id="u", infer=False, kind="preference")
    context = str(memory.context("What is the cat called?", user_id="u"))
    assert "Ada" in context
    result = memory.add([turn(f"{context}\n\nI also have a dog."), turn(context)], user_id="u")
    assert [o.memory for o in result.results if o.event == "ADD"] == ["I also have a dog."]
    assert result.results[1].event == "NONE" and "recalled" in result.results[1].reason


def test_there_is_one_outcome_for_each_input_in_order(memory: Face) -> None:
    items = ["bare", turn("said"), turn("sys", "system"), turn("said"), turn("img", "tool"), "bare"]
    result = memory.add(items, user_id="u", infer=False)
    assert [o.memory for o in result.results] == ["bare", "said", "sys", "said", "img", "bare"]
    assert events(result) == ["ADD", "ADD", "NONE", "NONE", "ADD", "ADD"]
    assert result.results[3].id == result.results[1].id
    assert all(o.reason for o in result.results if o.event == "NONE"), "nothing is left out without a reason"


def test_add_many_gives_one_outcome_for_each_input_in_order(memory: Face) -> None:
    result = memory.add_many([f"note {n}" for n in range(500)], user_id="u")
    assert [o.memory for o in result.results] == [f"note {n}" for n in range(500)]
    assert len({o.id for o in result.results}) == 500 == memory.count(user_id="u")
    (operation,) = {e.operation_id for o in result.results[::100] for e in memory.history(o.id)}
    assert operation == result.operation_id
    memory.undo(operation)
    assert memory.count(user_id="u") == 0, "a batch is one operation"


def test_add_many_takes_what_add_takes(memory: Face) -> None:
    for given in ("just a text", turn("a message"), iter(["a", "generator"]), ("a", "tuple")):
        memory.add_many(given, user_id="u")
    assert sorted(memory.texts(user_id="u")) == sorted(
        ["just a text", "a message", "a", "generator", "a", "tuple"]
    )
    with pytest.raises(InvalidInputError):
        memory.add_many(5, user_id="u")
    with pytest.raises(InvalidInputError, match=r"messages\[1\]"):
        memory.add_many(["fine", ""], user_id="u")
    assert memory.count(user_id="u") == 6


def test_a_batch_with_one_bad_item_writes_nothing(memory: Face) -> None:
    with pytest.raises(InvalidInputError, match=r"messages\[2\]") as error:
        memory.add([turn("a"), turn("b"), {"role": "user"}], user_id="u")
    assert vars(error.value)["index"] == 2
    assert kept(memory) == [] and memory.count(user_id="u") == 0


# ------------------------------------------------------------------------------------- what is the same


def test_the_same_turn_again_is_the_same_memory_and_both_messages_are_kept(memory: Face) -> None:
    first = memory.add([turn("I live in Oslo.")], user_id="u")
    second = memory.add([turn("I live in Oslo.")], user_id="u")
    assert events(second) == ["NONE"] and second.results[0].id == first.results[0].id
    assert memory.count(user_id="u") == 1
    assert kept(memory) == ["I live in Oslo.", "I live in Oslo."]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (turn("x"), turn("x"), True),
        (turn("x"), turn("y"), False),
        (turn("x"), turn("x", "assistant"), False),
        (turn("x", name="ana"), turn("x", name="bob"), False),
        (turn("x", name="ana"), turn("x", name="ana"), True),
        (turn("x", created_at="2024-01-01"), turn("x", created_at="2024-01-02"), False),
        (turn("x", created_at="2024-01-01"), turn("x", created_at="2024-01-01T00:00:00Z"), True),
        (turn("x", created_at="2024-01-01T01:00:00+01:00"), turn("x", created_at="2024-01-01"), True),
        (turn("x", created_at="2024-01-01"), turn("x"), False),
        (turn("x", run_id="r1"), turn("x", run_id="r2"), False),
        (turn("x", run_id="r1"), turn("x", run_id="r1"), True),
        (turn("x", id="1"), turn("x", id="2"), False),
        (turn("x", id="1"), turn("x", id="1"), True),
        (turn("x", id="1"), turn("other", id="1"), True),
        (turn("x", id="1", run_id="r1"), turn("x", id="1", run_id="r2"), False),
        (turn("x", id=1), turn("x", id="1"), True),
        (turn("x", metadata={"a": 1}), turn("x"), True),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_turns_are_the_same_by_run_speaker_text_and_time_or_id(
    memory: Face, first: dict[str, Any], second: dict[str, Any], same: bool, together: bool
) -> None:
    if together:
        memory.add([first, second], user_id="u")
    else:
        memory.add([first], user_id="u")
        memory.add([second], user_id="u")
    assert memory.count(user_id="u") == (1 if same else 2)


def test_an_id_given_twice_in_one_run_is_one_message_and_the_first_content_is_kept(memory: Face) -> None:
    memory.add([turn("first", id="m1"), turn("second", id="m1")], user_id="u", run_id="r")
    memory.add([turn("third", id="m1")], user_id="u", run_id="r")
    assert kept(memory) == ["first"] and memory.texts(user_id="u") == ["first"]
    memory.add([turn("elsewhere", id="m1")], user_id="u", run_id="s")
    memory.add([turn("another's", id="m1")], user_id="v", run_id="r")
    assert sorted(kept(memory)) == ["elsewhere", "first"]
    assert kept(memory, user_id="v") == ["another's"]


def test_bare_texts_without_infer_are_never_deduplicated(memory: Face) -> None:
    memory.add(["same", "same"], user_id="u", infer=False)
    memory.add("same", user_id="u", infer=False)
    memory.add_many(["same"], user_id="u")
    assert memory.texts(user_id="u") == ["same"] * 4


def test_bare_texts_with_infer_are_turns(memory: Face) -> None:
    memory.add("same", user_id="u")
    memory.add("same", user_id="u")
    assert memory.texts(user_id="u") == ["same"] and kept(memory) == ["same", "same"]


def test_another_users_turn_is_never_the_same(memory: Face) -> None:
    for scope in (
        {"user_id": "u"},
        {"user_id": "v"},
        {"agent_id": "u"},
        {"run_id": "u"},
        {"user_id": "u", "agent_id": "a"},
    ):
        assert events(memory.add([turn("x", id="1")], **scope)) == ["ADD"]


def test_a_deleted_turn_may_be_remembered_again(memory: Face) -> None:
    id = memory.add([turn("x")], user_id="u").results[0].id
    deleted = memory.delete(id)
    again = memory.add([turn("x")], user_id="u")
    assert events(again) == ["ADD"] and memory.count(user_id="u") == 1
    memory.undo(deleted.operation_id)
    assert set(memory.texts(user_id="u")) == {"x"}


def test_identical_adds_in_flight_together_keep_both_messages_and_one_memory(memory: Face) -> None:
    results = memory.together([("add", {"messages": [turn("x")], "user_id": "u"})] * 8)
    assert sorted(e for r in results for e in events(r)) == ["ADD"] + ["NONE"] * 7
    assert len({r.results[0].id for r in results}) == 1
    assert len(kept(memory)) == 8 and memory.count(user_id="u") == 1


def test_order_within_a_run_is_time_then_insertion(memory: Face) -> None:
    memory.add(
        [
            turn("b", created_at="2024-01-02"),
            turn("c", created_at="2024-01-02"),
            turn("a", created_at="2024-01-01"),
        ],
        user_id="u",
        run_id="r",
    )
    assert kept(memory, user_id="u", run_id="r") == ["a", "b", "c"]


def test_an_items_own_run_and_time_hold_inside_the_calls_scope(memory: Face) -> None:
    memory.add(
        [turn("a", run_id="r1"), turn("b", run_id="r2", created_at="2024-01-01"), turn("c")],
        user_id="u",
        agent_id="bot",
    )
    items = {i.memory: i for i in memory.get_all(user_id="u").results}
    assert {text: i.run_id for text, i in items.items()} == {"a": "r1", "b": "r2", "c": None}
    assert {i.agent_id for i in items.values()} == {"bot"}
    assert items["b"].created_at.year == 2024
    with pytest.raises(ScopeError, match="r1"):
        memory.add([turn("x", run_id="r1")], user_id="u", run_id="r2")
    memory.add([turn("fine", run_id="r2")], user_id="u", run_id="r2")


# ------------------------------------------------------------------------------------- the embedder is down


def test_what_cannot_be_embedded_is_kept_and_the_same_call_finishes_it(world: World) -> None:
    embedder = CountingEmbedder(down("embedder"))
    memory = world.open(embedder=embedder)
    items = [
        "bare",
        turn("said", name="ana"),
        "bare too",
        turn("dated", created_at="2024-01-01", id="m1"),
        turn("sys", "system"),
    ]
    operations: set[str | None] = set()
    for _ in range(2):
        with pytest.raises(BackendUnavailableError, match="down") as error:
            memory.add(items, user_id="u", infer=False, metadata={"k": 1}, kind="event")
        assert error.value.retryable and error.value.operation_id
        operations.add(error.value.operation_id)
    assert len(operations) == 1, "one operation, tried again"
    assert kept(memory) == ["dated", "said", "sys"], "turns are kept once, in order of time"
    assert memory.count(user_id="u") == 0
    embedder.error = None
    result = memory.add(items, user_id="u", infer=False, metadata={"k": 1}, kind="event")
    assert [o.memory for o in result.results] == ["bare", "said", "bare too", "dated", "sys"]
    assert events(result) == ["ADD"] * 4 + ["NONE"]
    assert {result.operation_id} == operations
    assert len(kept(memory)) == 3 and memory.count(user_id="u") == 4
    assert {i.kind for i in memory.get_all(user_id="u").results} == {"event"}
    assert memory.stats().unfinished == 0


def test_a_resumed_turn_is_still_the_same_turn(world: World) -> None:
    embedder = CountingEmbedder(down("embedder"))
    memory = world.open(embedder=embedder)
    with pytest.raises(Exception, match="down"):
        memory.add([turn("x")], user_id="u")
    embedder.error = None
    assert memory.repair().finished
    assert memory.texts(user_id="u") == ["x"]
    (item,), (message,) = memory.get_all(user_id="u").results, memory.messages(user_id="u")
    assert item.created_at == message.created_at and item.sources[0].message_id == message.id
    assert events(memory.add([turn("x")], user_id="u")) == ["NONE"]


def test_another_process_finishes_what_could_not_be_embedded(world: World) -> None:
    memory = world.open(embedder=CountingEmbedder(down("embedder")))
    with pytest.raises(Exception, match="down"):
        memory.add(["text", turn("x")], user_id="u", infer=False)
    memory.close()
    again = world.open()
    report = again.repair()
    assert len(report.finished) == 1 and report.failed == {}
    assert sorted(again.texts(user_id="u")) == ["text", "x"]


@pytest.mark.parametrize(
    "error", [ConnectionError("reset by peer"), TimeoutError("slow"), RuntimeError("bug")]
)
def test_a_callers_own_embedder_that_raises_something_else_loses_nothing_either(
    world: World, error: Exception
) -> None:
    from memkit.errors import BackendError

    embedder = CountingEmbedder(error)
    memory = world.open(embedder=embedder)
    with pytest.raises(BackendError, match=str(error)) as raised:
        memory.add([turn("x")], user_id="u")
    assert type(raised.value.__cause__) is type(error)
    assert isinstance(raised.value, BackendUnavailableError) == isinstance(error, OSError)
    assert kept(memory) == ["x"]
    embedder.error = None
    assert events(memory.add([turn("x")], user_id="u")) == ["ADD"]
    assert kept(memory) == ["x"]


def test_one_batch_is_one_embedding_request(world: World) -> None:
    embedder = CountingEmbedder()
    memory = world.open(embedder=embedder)
    result = memory.add_many([f"note {n}" for n in range(100)] + ["note 1"], user_id="u")
    assert embedder.requests == [("document", 100)], "equal texts are embedded once"
    assert result.usage.embedding_calls == 1 and result.usage.llm_calls == 0
    embedder.requests.clear()
    assert memory.search("note 5", user_id="u").usage.embedding_calls == 1
    assert embedder.requests == [("query", 1)]


def test_a_megabyte_is_kept_and_found(memory: Face) -> None:
    text = "The secret word is xylophone. " + "lorem ipsum dolor " * 58_000
    id = memory.add([turn(text)], user_id="u").results[0].id
    memory.add("Something short.", user_id="u", infer=False)
    assert memory.get(id).memory == text and kept(memory) == [text]
    assert memory.found("xylophone", user_id="u")[0] == text
    context = memory.context("xylophone", user_id="u", max_tokens=100)
    assert "xylophone" in context.evidence and context.tokens <= 100, "a long memory is cut, not left out"
    with pytest.raises(InvalidInputError, match="Split it"):
        memory.add("x" * 5_000_000, user_id="u")
    assert len(memory.search("lorem ipsum " * 90_000, user_id="u").results) == 2
