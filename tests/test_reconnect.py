"""A memory as JSON without secrets, and the way back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memkit import AsyncMemory, Memory
from memkit.embedders.hash import HashEmbedder
from memkit.errors import ConfigurationError
from memkit.llms.fake import FakeLLM
from memkit.reconnect import describe, reconnect


def through_json(memory: Memory | AsyncMemory) -> dict[str, Any]:
    return json.loads(json.dumps(describe(memory)))


class Ours(HashEmbedder):
    """An embedder that no name leads to."""

    provider_name = None
    identity = "ours/1"  # type: ignore[assignment]


def test_the_open_memory_of_the_place_is_used(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", embedder=Ours()) as memory:
        assert reconnect(through_json(memory)) is memory


def test_a_memory_in_memory_is_found_while_it_is_open() -> None:
    with Memory(":memory:") as other, Memory(":memory:") as memory:
        described = through_json(memory)
        assert reconnect(described) is memory is not other
    with pytest.raises(ConfigurationError, match="Give the memory a `path`"):
        reconnect(described)


async def test_an_awaited_memory_comes_back_as_its_other_face(tmp_path: Path) -> None:
    async with AsyncMemory(tmp_path / "store") as memory:
        await memory.add("I drink tea.", user_id="ada")
        again = reconnect(through_json(memory))
        assert isinstance(again, Memory)
        assert again.count(user_id="ada") == 1


def test_a_handle_comes_back_bound(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        ada = memory.bind(user_id="ada", agent_id="cook")
        again = reconnect(through_json(ada))
        assert again.scope == ada.scope


def test_of_several_open_ones_the_one_that_is_made_of_the_same_is_used(tmp_path: Path) -> None:
    with (
        Memory(tmp_path / "store", instructions="a") as one,
        Memory(tmp_path / "store", instructions="b") as two,
    ):
        assert reconnect(through_json(one)) is one
        assert reconnect(through_json(two)) is two


def test_a_closed_one_is_opened_again_with_the_providers_of_its_names(tmp_path: Path) -> None:
    with Memory(
        tmp_path / "store", embedder="hash", vector_store="memory", llm=None, instructions="Food."
    ) as one:
        one.add("I drink tea.", user_id="ada")
        described = through_json(one)
    again = reconnect(described)
    try:
        assert describe(again) == described
        assert again.count(user_id="ada") == 1
        assert reconnect(described) is again
    finally:
        again.close()
    assert reconnect(described) is not again
    reconnect(described).close()


def test_no_secret_is_written_down(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    config = {
        "model": "gpt-x",
        "api_key": "sk-hidden",
        "base_url": "https://user:hidden@example.org/v1",
        "default_headers": {"Authorization": "hidden"},
        "max_tokens": 9,
    }
    memory = Memory(
        tmp_path, llm={"provider": "openai", "config": config}, embedder={"provider": "openai", "config": {}}
    )
    described = describe(memory)
    assert "hidden" not in json.dumps(described)
    assert described["llm"] == {
        "provider": "openai",
        "config": {"model": "gpt-x", "base_url": "https://example.org/v1", "max_tokens": 9},
    }
    memory.close()


def test_describing_touches_nothing(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "store")
    describe(memory)
    memory.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["embedder", "hooks"])
def test_what_was_made_with_an_object_must_be_open(part: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"embedder": Ours()} if part == "embedder" else {"hooks": [object()]}
    with Memory(tmp_path / "store", **given) as memory:
        described = through_json(memory)
    with pytest.raises(ConfigurationError, match=rf"{part}\. Open it first"):
        reconnect(described)
    with Memory(tmp_path / "store", **given) as memory:
        assert reconnect(described) is memory


def test_without_the_object_that_was_its_model_turns_wait_for_it(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", llm=FakeLLM()) as memory:
        described = through_json(memory)
    again = reconnect(described)
    with pytest.raises(ConfigurationError, match="the turns are kept and wait"):
        again.add("I drink tea.", user_id="ada")
    assert [turn.text for turn in again.messages(user_id="ada")] == ["I drink tea."]
    assert again.count(user_id="ada") == 0
    again.close()


def test_another_process_opens_the_place(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        memory.add("I drink tea.", user_id="ada")
        described = json.dumps(describe(memory))
        code = (
            "import json, sys; from memkit.reconnect import reconnect; "
            "print(reconnect(json.loads(sys.argv[1])).count(user_id='ada'))"
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, described], capture_output=True, text=True, check=True
        )
    assert done.stdout == "1\n"
