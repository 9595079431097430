"""Two memories on one path: each sees at once what the other did, erasures, rebuilds and resets included."""

from __future__ import annotations

import pytest

from memkit.errors import EmbedderMismatchError
from tests.engine.faces import AxisEmbedder, Face, World


@pytest.fixture
def pair(world: World) -> tuple[Face, Face]:
    first, second = world.open(), world.open()
    first.add("I live in Oslo.", user_id="u", infer=False)
    assert first.found("Oslo", user_id="u") == second.found("Oslo", user_id="u") == ["I live in Oslo."]
    return first, second


def test_each_search_sees_the_others_writes(pair: tuple[Face, Face]) -> None:
    first, second = pair
    id = second.add("I have a cat.", user_id="u", infer=False).results[0].id
    assert "I have a cat." in first.found("cat", user_id="u")
    first.update(id, "I have a dog.")
    assert "I have a dog." in second.found("dog", user_id="u")
    second.delete(id)
    assert first.found("dog cat", user_id="u") in ([], ["I live in Oslo."])
    second.forget(user_id="u")
    assert first.found("Oslo", user_id="u") == [] and first.count(user_id="u") == 0


def test_what_was_found_before_is_shown_as_it_is_now(world: World) -> None:
    first, second = world.open(), world.open()
    texts = [f"I keep a {animal}." for animal in ("cat", "dog", "hen")]
    tags = {"tags": ["pet", {"since": [2020]}]}
    ids = [first.add(text, user_id="u", infer=False, metadata=tags).results[0].id for text in texts]

    def found() -> dict[str, tuple[str, object, int]]:
        items = first.search("What do I keep?", user_id="u").results
        return {item.id: (item.memory, item.metadata, item.version) for item in items}

    before = {id: (text, tags, 1) for id, text in zip(ids, texts, strict=True)}
    assert found() == before == found()
    second.update(ids[0], metadata={"tags": []})
    assert found() == before | {ids[0]: (texts[0], {"tags": []}, 2)}
    second.delete(ids[1])
    assert found() == {ids[0]: (texts[0], {"tags": []}, 2), ids[2]: before[ids[2]]}
    second.forget(memory_id=ids[0])
    assert found() == {ids[2]: before[ids[2]]}
    second.update(ids[2], expires_at="2020-01-01")
    assert found() == {}


def test_what_a_caller_does_to_a_result_is_in_no_other(world: World) -> None:
    memory = world.open()
    tags = {"tags": ["pet", {"since": [2020]}]}
    memory.add("I keep a cat.", user_id="u", infer=False, metadata=tags)
    for _ in range(3):
        (item,) = memory.search("cat", user_id="u").results
        assert item.metadata == tags and item.entities == []
        item.metadata["tags"][1]["since"].append(2021)
        item.metadata["tags"].append("gone")
        item.metadata["more"] = 1
        item.memory, item.sources = "no cat", []
        item.entities.append("x")


def test_a_rebuild_with_another_embedder_is_noticed_before_anything_is_written(
    pair: tuple[Face, Face],
) -> None:
    first, second = pair
    second.rebuild(embedder=AxisEmbedder())
    with pytest.raises(EmbedderMismatchError, match="rebuild"):
        first.search("Oslo", user_id="u")
    with pytest.raises(EmbedderMismatchError, match="rebuild"):
        first.add("x", user_id="u", infer=False)
    assert first.texts(user_id="u") == ["I live in Oslo."]
    assert second.found("I live in Oslo.", user_id="u") == ["I live in Oslo."]


def test_a_rebuild_with_another_embedder_of_the_same_size_is_noticed_too(pair: tuple[Face, Face]) -> None:
    first, second = pair
    second.rebuild(embedder=AxisEmbedder("other/v1", 1024))
    with pytest.raises(EmbedderMismatchError, match="rebuild"):
        first.add("x", user_id="u", infer=False)
    with pytest.raises(EmbedderMismatchError, match="rebuild"):
        first.search("Oslo", user_id="u")


def test_after_a_reset_the_other_goes_on(pair: tuple[Face, Face]) -> None:
    first, second = pair
    second.reset()
    assert first.texts(user_id="u") == [] and first.found("Oslo", user_id="u") == []
    first.add("I live in Bergen.", user_id="u", infer=False)
    assert second.found("Bergen", user_id="u") == first.found("Bergen", user_id="u") == ["I live in Bergen."]


def test_after_a_reset_another_embedder_may_come_and_is_noticed(
    world: World, pair: tuple[Face, Face]
) -> None:
    first, second = pair
    second.reset()
    third = world.open(embedder=AxisEmbedder())
    third.add("I live in Bergen.", user_id="u", infer=False)
    with pytest.raises(EmbedderMismatchError, match="rebuild"):
        first.add("x", user_id="u", infer=False)
    assert third.found("I live in Bergen.", user_id="u") == ["I live in Bergen."]
