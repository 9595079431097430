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
