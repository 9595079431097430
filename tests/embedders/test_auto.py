"""Which embedder serves somebody who chose none: the store's own, else the best that is here and needs nothing."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from memkit import AsyncMemory, Memory
from memkit.embedders import minilm_weights
from memkit.errors import ConfigurationError, UnknownProviderError
from tests.embedders.minilm_forward import needs_weights

HASH, MINILM = "hash/1024/v1", "minilm/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def _choosing(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.delenv("MEMKIT_LOCAL_EMBEDDER")


def hide(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """The package of the weights is hidden, and the hub's cache is an empty folder."""
    monkeypatch.setitem(sys.modules, minilm_weights.PACKAGE, None)
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hide(monkeypatch, tmp_path)


def chosen(memory: Memory) -> str:
    memory.add("She adores spicy ramen", user_id="alice")
    return memory.health().chosen["embedder"]


@needs_weights
def test_a_new_store_takes_the_model_that_is_here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "memkit"), Memory(tmp_path, llm=None) as memory:
        assert chosen(memory) == f"{MINILM} (no key, and the model is here)"
        assert memory.health().hints == []
        assert memory.search("favourite Japanese food", user_id="alice").results
    assert [line for line in caplog.messages if "embedder" in line] == [
        f"memkit: embedder {MINILM} (no key, and the model is here)"
    ]


@needs_weights
async def test_the_async_face_takes_it_too(tmp_path: Path) -> None:
    async with AsyncMemory(tmp_path, llm=None) as memory:
        await memory.add("She adores spicy ramen", user_id="alice")
        assert (await memory.health()).chosen["embedder"].startswith(MINILM)
        found = await memory.search("favourite Japanese food", user_id="alice")
        assert found.results[0].memory == "She adores spicy ramen"


@pytest.mark.usefixtures("no_weights")
def test_without_weights_it_is_hash(tmp_path: Path) -> None:
    with Memory(tmp_path, llm=None) as memory:
        assert chosen(memory) == f"{HASH} (no key, no model: words and structure)"
        assert memory.health().hints


def test_without_the_extra_it_is_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with Memory(tmp_path, llm=None) as memory:
        assert chosen(memory) == f"{HASH} (no key, no model: words and structure)"


def test_damaged_weights_are_left_alone_and_named(tmp_path: Path) -> None:
    place = minilm_weights.downloaded()
    place.mkdir(parents=True)
    for name in ("model.safetensors", "vocab.txt"):
        (place / name).write_bytes(b"half of it")
    with Memory(tmp_path / "store", llm=None) as memory:
        said = chosen(memory)
    assert said.startswith(f"{HASH} (no key; ")
    assert str(place / "model.safetensors") in said
    assert minilm_weights.DOWNLOAD in said


@needs_weights
def test_a_store_made_without_the_model_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        hide(before, tmp_path)
        with Memory(tmp_path / "store", llm=None) as memory:
            chosen(memory)
    with Memory(tmp_path / "store", llm=None) as memory:
        memory.add("The invoice is due on Friday", user_id="alice")
        assert memory.search("spicy ramen", user_id="alice").results[0].memory == "She adores spicy ramen"
        assert memory.health().chosen["embedder"] == f"{HASH} (the store was made with it)"
        memory.rebuild(embedder="minilm")
    with Memory(tmp_path / "store", llm=None) as memory:
        found = memory.search("favourite Japanese food", user_id="alice").results
        assert found[0].memory == "She adores spicy ramen"
        assert memory.health().chosen["embedder"] == f"{MINILM} (the store was made with it)"


@needs_weights
def test_a_store_whose_model_is_gone_says_what_to_type_and_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Memory(tmp_path / "store", llm=None) as memory:
        kept = memory.add("She adores spicy ramen", user_id="alice").results[0].id
    hide(monkeypatch, tmp_path)
    with Memory(tmp_path / "store", llm=None) as memory:
        for command in (minilm_weights.DOWNLOAD, minilm_weights.INSTALL):
            with pytest.raises(ConfigurationError, match=command):
                memory.search("ramen", user_id="alice")
        assert (memory.get(kept) or pytest.fail("gone")).memory == "She adores spicy ramen"
        assert len(memory.get_all(user_id="alice").results) == len(memory.history(kept)) == 1


@needs_weights
def test_a_variable_names_the_keyless_embedder_of_new_stores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Memory(tmp_path / "before", llm=None) as memory:
        assert chosen(memory).startswith(MINILM)
    monkeypatch.setenv("MEMKIT_LOCAL_EMBEDDER", "hash")
    with Memory(tmp_path / "after", llm=None) as memory:
        assert chosen(memory) == f"{HASH} (no key, MEMKIT_LOCAL_EMBEDDER is set)"
    with Memory(tmp_path / "before", llm=None) as memory:
        assert chosen(memory).startswith(MINILM), "a store keeps its own"
    monkeypatch.setenv("MEMKIT_LOCAL_EMBEDDER", "minilmm")
    with (
        Memory(tmp_path / "new", llm=None) as memory,
        pytest.raises(UnknownProviderError, match="Did you mean 'minilm'"),
    ):
        memory.add("x", user_id="alice")
