"""undo: all or nothing, itself undoable, refused where later changes stand in the way."""

from __future__ import annotations

from contextlib import suppress

import pytest

from memkit.errors import ConflictError, InvalidInputError, OperationNotFoundError
from tests.engine.faces import Face, World


def one(memory: Face, text: str = "A.") -> tuple[str, str]:
    result = memory.add(text, user_id="u", infer=False)
    return result.results[0].id, result.operation_id


def test_an_unknown_operation_is_not_found(memory: Face) -> None:
    for _ in range(2):
        with pytest.raises(OperationNotFoundError, match="nothing"):
            memory.undo("nothing")
        one(memory)
    with pytest.raises(InvalidInputError):
        memory.undo("")


def test_undo_of_an_add_removes_and_of_that_restores(memory: Face) -> None:
    id, operation = one(memory)
    undone = memory.undo(operation)
    assert (undone.count, undone.ids) == (1, [id]) and memory.get(id) is None
    redone = memory.undo(undone.operation_id)
    assert memory.get(id).memory == "A."
    memory.undo(redone.operation_id)
    assert memory.get(id) is None
    assert [e.event for e in memory.history(id)] == ["ADD", "DELETE", "RESTORE", "DELETE"]
    assert operation in memory.history(id)[1].reason


def test_undo_of_an_update_brings_everything_back(memory: Face) -> None:
    id, _ = one(memory, "The bicycle is green.")
    memory.update(id, metadata={"a": 1}, expires_at="2999-01-01")
    before = memory.get(id)
    updated = memory.update(
        id,
        "The submarine is yellow.",
        metadata={"b": 2},
        pinned=True,
        expires_at=None,
        valid_until="2999-01-01",
    )
    memory.undo(updated.operation_id)
    after = memory.get(id)
    changed = {"version", "updated_at"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert memory.found("green bicycle", user_id="u") == ["The bicycle is green."]


def test_undo_of_a_delete_restores(memory: Face) -> None:
    id, _ = one(memory)
    deleted = memory.delete(id)
    memory.undo(deleted.operation_id)
    assert memory.texts(user_id="u") == ["A."] and memory.found("A", user_id="u") == ["A."]
    assert memory.history(id)[-1].event == "RESTORE"


def test_later_operations_stand_in_the_way_and_are_named(memory: Face) -> None:
    id, added = one(memory)
    first = memory.update(id, "B.").operation_id
    second = memory.update(id, "C.").operation_id
    with pytest.raises(ConflictError) as error:
        memory.undo(added)
    assert list(error.value.operations) == [first, second] and first in str(error.value)
    with pytest.raises(ConflictError):
        memory.undo(first)
    memory.undo(second)
    memory.undo(first)
    assert memory.get(id).memory == "A."
    memory.undo(added)
    assert memory.count(user_id="u") == 0


def test_all_or_nothing(memory: Face) -> None:
    result = memory.add(["A.", "B.", "C."], user_id="u", infer=False)
    memory.update(result.results[1].id, "X.")
    with pytest.raises(ConflictError):
        memory.undo(result.operation_id)
    assert memory.count(user_id="u") == 3


def test_an_operation_is_undone_once(memory: Face) -> None:
    id, added = one(memory)
    undone = memory.undo(added)
    with pytest.raises(ConflictError) as error:
        memory.undo(added)
    assert list(error.value.operations) == [undone.operation_id]
    assert memory.get(id) is None


def test_two_undos_at_once_are_one(memory: Face) -> None:
    id, added = one(memory)
    results = memory.together([("undo", {"operation_id": added})] * 6)
    assert sum(not isinstance(r, Exception) for r in results) == 1, results
    assert all(isinstance(r, ConflictError) for r in results if isinstance(r, Exception)), results
    assert [e.event for e in memory.history(id)] == ["ADD", "DELETE"]


def test_what_was_forgotten_cannot_come_back(memory: Face) -> None:
    id, added = one(memory)
    receipt = memory.forget(memory_id=id)
    with pytest.raises(InvalidInputError, match="erased"):
        memory.undo(receipt.operation_id)
    with suppress(OperationNotFoundError, InvalidInputError, ConflictError):
        memory.undo(added)
    assert memory.get(id) is None and memory.count(user_id="u") == 0


def test_what_changed_memories_that_were_forgotten_since_is_not_undone_in_part(memory: Face) -> None:
    added = memory.add(["A secret.", "B."], user_id="u", infer=False)
    secret, other = (outcome.id for outcome in added.results)
    corrected = memory.update(secret, "C secret.").operation_id
    emptied = memory.delete_all(user_id="u").operation_id
    memory.forget(memory_id=secret)
    for operation in (corrected, emptied):
        with pytest.raises(InvalidInputError, match="forgotten since"):
            memory.undo(operation)
    with pytest.raises(OperationNotFoundError):
        memory.bind(user_id="v").undo(corrected)
    assert memory.get(other) is None and memory.count(user_id="u") == 0
    again = memory.add(["C.", "D."], user_id="u", infer=False)
    memory.forget(memory_id=again.results[0].id)
    memory.undo(again.operation_id)
    assert memory.count(user_id="u") == 0, "of what was added, the forgotten is gone as an undo wants it"


def test_an_undo_of_turns_keeps_the_messages(memory: Face) -> None:
    result = memory.add([{"role": "user", "content": "A."}], user_id="u")
    memory.undo(result.operation_id)
    assert memory.count(user_id="u") == 0 and len(memory.messages(user_id="u")) == 1
    again = memory.add([{"role": "user", "content": "A."}], user_id="u")
    assert [o.event for o in again.results] == ["ADD"]


def test_a_restored_fact_and_a_newer_twin_may_both_be(world: World) -> None:
    from memkit.llms.fake import FakeLLM
    from tests.engine.faces import answer, fact

    oslo = answer(fact("The user lives in Oslo.", quote="I live in Oslo"))
    memory = world.open(llm=FakeLLM([oslo, oslo]))
    first = memory.add("I live in Oslo.", user_id="u").results[0].id
    deleted = memory.delete(first)
    second = memory.add("I live in Oslo!", user_id="u").results[0].id
    assert second != first
    memory.undo(deleted.operation_id)
    assert memory.get(first) is not None and memory.get(second) is not None


def test_undo_survives_reopening(world: World, memory: Face) -> None:
    id, added = one(memory)
    memory.close()
    again = world.open()
    again.undo(added)
    assert again.get(id) is None


def test_an_update_is_undone_once(memory: Face) -> None:
    id, _ = one(memory)
    updated = memory.update(id, "B.").operation_id
    undone = memory.undo(updated).operation_id
    with pytest.raises(ConflictError, match=undone):
        memory.undo(updated)
    assert len(memory.history(id)) == 3
    memory.undo(undone)
    assert memory.get(id).memory == "B."
    memory.undo(updated)
    assert memory.get(id).memory == "A.", "redone, it can be undone again"


# ------------------------------------------------------------------------------------- many, models, expiry, erasure


def test_an_undo_of_many_is_one_operation_and_comes_back_as_one(memory: Face) -> None:
    added = memory.add_many([f"note {n}" for n in range(700)], user_id="u")
    undone = memory.undo(added.operation_id)
    assert undone.count == 700 and memory.count(user_id="u") == 0
    assert memory.undo(undone.operation_id).count == 700 and memory.count(user_id="u") == 700
    gone = memory.delete_all(user_id="u")
    memory.undo(gone.operation_id)
    assert memory.count(user_id="u") == 700 and memory.found("note 321", user_id="u")[0] == "note 321"


def test_one_changed_memory_of_many_holds_the_whole_undo_up_until_it_is_undone(memory: Face) -> None:
    added = memory.add_many([f"note {n}" for n in range(300)], user_id="u")
    id = added.results[299].id
    later = [memory.update(id, "changed").operation_id, memory.delete(id).operation_id]
    with pytest.raises(ConflictError, match="newest first") as error:
        memory.undo(added.operation_id)
    assert list(error.value.operations) == later and memory.count(user_id="u") == 299
    for operation in reversed(error.value.operations):
        memory.undo(operation)
    assert memory.undo(added.operation_id).count == 300 and memory.count(user_id="u") == 0


def test_an_undo_of_what_was_learned_brings_back_what_it_closed(world: World) -> None:
    from memkit.llms.fake import FakeLLM
    from tests.engine.faces import answer, fact

    llm = FakeLLM([
        answer(fact("The user lives in Oslo.", quote="I live in Oslo")),
        answer(fact("The user lives in Bergen.", quote="I moved to Bergen", action="supersede", replaces="m1")),
    ])  # fmt: skip
    memory = world.open(llm=llm)
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    moved = memory.add("I moved to Bergen.", user_id="u")
    assert memory.texts(user_id="u") == ["The user lives in Bergen."]
    undone = memory.undo(moved.operation_id)
    assert memory.texts(user_id="u") == ["The user lives in Oslo."] and memory.get(old).valid_until is None
    memory.undo(undone.operation_id)
    assert memory.texts(user_id="u") == ["The user lives in Bergen."]


def test_an_undo_of_an_expiry_is_in_the_history_and_makes_nothing_visible(memory: Face) -> None:
    id = memory.add("It held.", user_id="u", infer=False, expires_at="2020-01-01").results[0].id
    assert memory.repair().expired == 1 and memory.repair().expired == 0
    expired = memory.history(id)[-1]
    assert (expired.event, expired.reason) == ("EXPIRE", "expired")
    memory.undo(expired.operation_id)
    assert memory.texts(user_id="u") == [] and memory.found("It held", user_id="u") == []
    assert memory.repair().expired == 0, "what was taken back is not written again"
    assert [e.event for e in memory.history(id)] == ["ADD", "EXPIRE", "RESTORE"]


def test_no_undo_brings_a_forgotten_text_back(memory: Face) -> None:
    added = memory.add(["A secret.", "B."], user_id="u", infer=False)
    secret, other = (outcome.id for outcome in added.results)
    operations = [
        memory.update(secret, "C secret.").operation_id,
        memory.delete_all(user_id="u").operation_id,
    ]
    memory.forget(memory_id=secret)
    for operation in [*reversed(operations), added.operation_id, *operations]:
        with suppress(OperationNotFoundError, InvalidInputError, ConflictError):
            memory.undo(operation)
        assert memory.get(secret) is None
        assert not any(
            "secret" in item.memory for item in memory.get_all(user_id="u", include_closed=True).results
        )
    assert [e.event for e in memory.history(secret)] == ["FORGET"] and memory.history(other)
