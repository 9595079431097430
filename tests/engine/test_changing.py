"""update, delete, delete_all, history: what changes, what stays, what can be read afterwards."""

from __future__ import annotations

import pytest

from memkit.errors import InvalidInputError, MemoryNotFoundError, ScopeError
from tests.engine.faces import CountingEmbedder, Face, World


def one(memory: Face, text: str = "I live in Oslo.", **more: object) -> str:
    return memory.add(text, user_id="u", infer=False, **more).results[0].id


# ------------------------------------------------------------------------------------- missing


def test_update_and_delete_of_a_missing_memory_raise(memory: Face) -> None:
    for call in (
        lambda: memory.update("nothing", "x"),
        lambda: memory.delete("nothing"),
        lambda: memory.forget(memory_id="nothing"),
    ):
        with pytest.raises(MemoryNotFoundError, match="nothing") as error:
            call()
        assert vars(error.value)["memory_id"] == "nothing"


def test_a_deleted_memory_is_missing(memory: Face) -> None:
    id = one(memory)
    memory.delete(id)
    assert memory.get(id) is None
    with pytest.raises(MemoryNotFoundError):
        memory.delete(id)
    with pytest.raises(MemoryNotFoundError):
        memory.update(id, "x")


# ------------------------------------------------------------------------------------- update


def test_what_is_omitted_is_unchanged(memory: Face) -> None:
    id = one(memory, metadata={"a": 1}, expires_at="2999-01-01")
    before = memory.get(id)
    memory.update(id, "I live in Bergen.")
    after = memory.get(id)
    assert after.memory == "I live in Bergen."
    assert after.version == before.version + 1 and after.updated_at > before.updated_at
    same = {"memory", "version", "updated_at"}
    assert after.model_dump(exclude=same) == before.model_dump(exclude=same)


def test_none_clears(memory: Face) -> None:
    id = one(memory, metadata={"a": 1}, expires_at="2999-01-01")
    memory.update(id, valid_until="2999-01-01")
    assert memory.get(id).valid_until is not None
    memory.update(id, expires_at=None, valid_until=None, metadata=None)
    item = memory.get(id)
    assert item.expires_at is None and item.valid_until is None and item.metadata == {}
    assert item.memory == "I live in Oslo."


def test_metadata_merges(memory: Face) -> None:
    id = one(memory, metadata={"a": 1, "b": {"c": 1}})
    memory.update(id, metadata={"b": {"d": 2}, "e": 3})
    assert memory.get(id).metadata == {"a": 1, "b": {"d": 2}, "e": 3}
    memory.update(id, metadata={})
    assert memory.get(id).metadata == {"a": 1, "b": {"d": 2}, "e": 3}


def test_a_new_text_is_found_and_the_old_is_not(memory: Face) -> None:
    id = one(memory, "The bicycle is green.")
    one(memory, "Dinner was fish.")
    memory.update(id, "The submarine is yellow.")
    assert memory.found("yellow submarine", user_id="u")[0] == "The submarine is yellow."
    assert all("bicycle" not in text for text in memory.found("green bicycle", user_id="u"))


def test_pinned_and_mem0s_data(memory: Face) -> None:
    id = one(memory)
    memory.update(id, pinned=True)
    assert memory.get(id).pinned
    result = memory.update(id, data="By another name.")
    assert memory.get(id).memory == "By another name." and result["message"] == "Memory updated successfully!"
    with pytest.raises(InvalidInputError, match="`data`"):
        memory.update(id, "a", data="b")


def test_an_update_to_the_same_writes_nothing(memory: Face) -> None:
    id = one(memory, metadata={"a": 1})
    result = memory.update(id, "I live in Oslo.", metadata={"a": 1}, pinned=False)
    assert result.count == 0
    assert memory.get(id).version == 1 and len(memory.history(id)) == 1


def test_an_update_without_a_new_text_embeds_nothing(world: World) -> None:
    embedder = CountingEmbedder()
    memory = world.open(embedder=embedder)
    id = one(memory)
    embedder.requests.clear()
    memory.update(id, metadata={"a": 1}, pinned=True, expires_at="2999-01-01")
    assert embedder.requests == []
    memory.update(id, "Other.")
    assert embedder.requests == [("document", 1)]


@pytest.mark.parametrize(
    ("given", "names"),
    [({}, "Nothing to update"), ({"text": ""}, "`text`"), ({"text": "  "}, "`text`"), ({"text": 5}, "`text`"),
     ({"metadata": [1]}, "metadata"), ({"metadata": {"a": float("nan")}}, "metadata"), ({"pinned": None}, "pinned"),
     ({"expires_at": "soon"}, "expires_at"), ({"valid_until": True}, "valid_until"),
     ({"text": "x" * 5_000_000}, "bytes"), ({"text": "\ud800"}, "surrogate")],
)  # fmt: skip
def test_bad_updates_say_what_is_wrong_and_change_nothing(
    memory: Face, given: dict[str, object], names: str
) -> None:
    id = one(memory)
    with pytest.raises(InvalidInputError, match=names):
        memory.update(id, **given)
    assert memory.get(id).version == 1


def test_metadata_cannot_move_a_memory_to_another_scope(memory: Face) -> None:
    id = one(memory)
    with pytest.raises(ScopeError, match="user_id"):
        memory.update(id, metadata={"user_id": "v"})
    assert memory.get(id).user_id == "u"


def test_two_memories_may_come_to_say_the_same(memory: Face) -> None:
    first, second = one(memory, "A thing."), one(memory, "Another thing.")
    memory.update(second, "A thing.")
    assert memory.get(first).memory == memory.get(second).memory == "A thing."


def test_correcting_a_verbatim_memory_leaves_the_turn_as_it_was_said(memory: Face) -> None:
    id = memory.add([{"role": "user", "content": "I live in Olso."}], user_id="u").results[0].id
    memory.update(id, "I live in Oslo.")
    assert memory.get(id).memory == "I live in Oslo."
    assert [m.content for m in memory.messages(user_id="u")] == ["I live in Olso."]
    assert memory.history(id)[0].after.memory == "I live in Olso."


# ------------------------------------------------------------------------------------- delete


def test_delete_says_what_it_did(memory: Face) -> None:
    id = one(memory)
    result = memory.delete(id)
    assert (result.message, result.count, result.ids) == ("Memory deleted successfully!", 1, [id])
    assert memory.texts(user_id="u") == [] and memory.found("Oslo", user_id="u") == []
    assert memory.count(user_id="u") == 0


def test_delete_all_takes_everything_of_the_scope_and_nothing_else(memory: Face) -> None:
    memory.add_many([f"note {n}" for n in range(300)], user_id="u")
    memory.add("gone already", user_id="u", infer=False, expires_at="2020-01-01")
    memory.add("in a run", user_id="u", run_id="r", infer=False)
    memory.add("other", user_id="v", infer=False)
    result = memory.delete_all(user_id="u", run_id="r")
    assert result.count == 1 and memory.count(user_id="u") == 300
    result = memory.delete_all(user_id="u")
    assert result.count >= 300 and memory.count(user_id="u") == 0
    assert memory.texts(user_id="v") == ["other"]
    assert memory.undo(result.operation_id).count == result.count
    assert memory.count(user_id="u") == 300, "one transaction, undone as one"


def test_delete_all_across_users_needs_to_be_said(memory: Face) -> None:
    one(memory)
    with pytest.raises(ScopeError, match="allow_global"):
        memory.delete_all()
    assert memory.count(user_id="u") == 1
    memory.add("other", agent_id="a", infer=False)
    assert memory.delete_all(allow_global=True).count == 2


def test_delete_all_of_an_agent_leaves_what_users_told_it(memory: Face) -> None:
    memory.add("mine", user_id="u", agent_id="bot", infer=False)
    memory.add("the bot's", agent_id="bot", infer=False)
    assert memory.delete_all(agent_id="bot").count == 1
    assert memory.texts(user_id="u") == ["mine"]


# ------------------------------------------------------------------------------------- history


def test_history_is_complete_oldest_first_and_survives_deletion(memory: Face) -> None:
    result = memory.add([{"role": "user", "content": "I live in Oslo.", "name": "ana"}], user_id="u")
    id = result.results[0].id
    updated = memory.update(id, "I live in Bergen.", metadata={"a": 1})
    deleted = memory.delete(id)
    events = memory.history(id)
    assert [e.event for e in events] == ["ADD", "UPDATE", "DELETE"]
    assert [e.operation_id for e in events] == [
        result.operation_id,
        updated.operation_id,
        deleted.operation_id,
    ]
    assert [(e.old_memory, e.new_memory) for e in events] == [
        (None, "I live in Oslo."), ("I live in Oslo.", "I live in Bergen."), ("I live in Bergen.", None),
    ]  # fmt: skip
    assert events[1].before.metadata == {} and events[1].after.metadata == {"a": 1}
    assert events[1]["old_memory"] == events[1].get("old_memory") == "I live in Oslo."
    assert events[0].get("old_memory", "nothing") is None and "new_memory" in events[0]
    assert [e.seq for e in events] == sorted(e.seq for e in events)
    assert all(e.memory_id == id for e in events)
    assert events[0].at <= events[1].at <= events[2].at
    assert events[0].after.sources[0].message_id == memory.messages(user_id="u")[0].id, "from which message"


def test_history_says_who_and_why(world: World) -> None:
    from memkit.llms.fake import FakeLLM
    from tests.engine.faces import answer, fact

    llm = FakeLLM([
        answer(fact("The user lives in Oslo.", quote="I live in Oslo")),
        answer(fact("The user lives in Bergen.", quote="I moved to Bergen", action="supersede", replaces="m1")),
    ])  # fmt: skip
    memory = world.open(llm=llm)
    old = (
        memory.add([{"role": "user", "content": "I live in Oslo.", "name": "ana"}], user_id="u").results[0].id
    )
    new = (
        memory.add([{"role": "user", "content": "I moved to Bergen.", "name": "ana"}], user_id="u")
        .results[0]
        .id
    )
    added, closed = memory.history(old)
    assert (added.event, closed.event) == ("ADD", "SUPERSEDE")
    assert added.actor == closed.actor == "ana"
    assert new in closed.reason
    assert closed.before.valid_until is None and closed.after.valid_until is not None


def test_history_is_the_same_after_reopening(world: World, memory: Face) -> None:
    id = one(memory)
    memory.update(id, "B.")
    before = memory.history(id)
    memory.close()
    assert world.open().history(id) == before
