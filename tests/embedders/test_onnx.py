"""Exports of sentence-transformers from a folder: a table of four words as a model, and MiniLM itself."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memkit import Memory
from memkit.embedders.minilm import MiniLMEmbedder
from memkit.embedders.onnx import OnnxEmbedder
from memkit.errors import BackendError, ConfigurationError
from tests.embedders.minilm_forward import copy_export, needs_weights

pytest.importorskip("onnx")
pytest.importorskip("tokenizers")

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "ramen", "lisbon", "query:")
TABLE = np.array(
    [[9, 9, 9], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2], [3, 0, 4], [0, 5, 0]], np.float32
)  # fmt: skip
POOLINGS = {
    "cls": [1, 0, 0],
    "max": [3, 1, 4],
    "lasttoken": [0, 1, 0],
    "mean": [4, 1, 4],
}


def export(
    target: Path,
    *,
    output: str = "last_hidden_state",
    inputs: Sequence[str] = (),
    words: Sequence[str] = WORDS,
) -> Path:
    """Write a model whose token vectors are rows of a table, or whose only row is the sum of a text's."""
    from onnx import TensorProto, helper, numpy_helper

    target.mkdir(parents=True, exist_ok=True)
    taken = ("input_ids", "attention_mask", *inputs)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    if output == "sentence_embedding":
        nodes.append(helper.make_node("ReduceSum", ["rows", "axis"], [output], keepdims=0))
    else:
        nodes.append(helper.make_node("Identity", ["rows"], [output]))
    graph = helper.make_graph(
        nodes,
        "table",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in taken],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(TABLE, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    model: Any = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 20)])
    (target / "model.onnx").write_bytes(model.SerializeToString())
    write_tokeniser(target / "tokenizer.json", words)
    return target


def write_tokeniser(path: Path, words: Sequence[str]) -> None:
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, processors

    made: Any = tokenizers.Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]")
    )
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_padding(length=12)
    made.save(str(path))


def settle(target: Path, name: str, content: Any) -> None:
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text(json.dumps(content))


def at(path: Path, **settings: Any) -> OnnxEmbedder:
    return OnnxEmbedder(OnnxEmbedder.Settings(path=path, **settings))


def unit(row: Sequence[float]) -> Any:
    return pytest.approx(np.asarray(row) / np.linalg.norm(row), abs=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_tokens_are_pooled_as_the_folder_says(pooling: str, tmp_path: Path) -> None:
    export(tmp_path)
    key = pooling if pooling == "lasttoken" else f"{pooling}_{'token' if pooling == 'cls' else 'tokens'}"
    settle(tmp_path, "1_Pooling/config.json", {"word_embedding_dimension": 3, f"pooling_mode_{key}": True})
    rows = at(tmp_path).embed(["lisbon", "ramen lisbon ramen ramen ramen"])
    assert rows[0] == unit(POOLINGS[pooling])
    assert rows.dtype == np.float32


def test_an_export_as_sentence_transformers_lays_it_out_is_read(tmp_path: Path) -> None:
    export(tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "model.onnx").rename(tmp_path / "onnx" / "model.onnx")
    steps = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    settle(
        tmp_path,
        "modules.json",
        [{"type": f"sentence_transformers.models.{kind}", "path": place} for kind, place in steps],
    )
    settle(tmp_path, "1_Pooling/config.json", {"pooling_mode_max_tokens": True})
    embedder = at(tmp_path)
    assert embedder.embed(["lisbon"])[0] == unit(POOLINGS["max"])
    assert embedder.dim == 3
    embedder.close()
    assert embedder.embed(["lisbon"])[0] == unit(POOLINGS["max"]), "a closed one loads again"


def test_a_tokeniser_of_another_model_is_our_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It knows words for which the model has no row."""
    embedder = at(export(tmp_path, words=(*WORDS, "madrid")))
    assert embedder.embed(["lisbon"]).shape == (1, 3)
    with pytest.raises(BackendError, match="could not run"):
        embedder.embed(["madrid"])
    assert capfd.readouterr().err == ""


def test_a_text_gets_the_row_alone_that_it_gets_among_others(tmp_path: Path) -> None:
    embedder = at(export(tmp_path), threads=2)
    texts = ["ramen " * (at * 7 % 41) + "lisbon" for at in range(32)]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.abs(embedder.embed(texts) - alone).max() < 1e-6


def test_without_a_word_on_pooling_it_is_the_mean(tmp_path: Path) -> None:
    assert at(export(tmp_path)).embed(["lisbon"])[0] == unit(POOLINGS["mean"])


def test_padding_counts_for_nothing(tmp_path: Path) -> None:
    embedder = at(export(tmp_path))
    both = embedder.embed(["ramen", "lisbon ramen " * 9])
    assert both[0] == pytest.approx(embedder.embed(["ramen"])[0], abs=1e-6)


def test_a_sentence_embedding_is_taken_as_it_is(tmp_path: Path) -> None:
    settle(tmp_path, "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    assert at(export(tmp_path, output="sentence_embedding")).embed(["lisbon"])[0] == unit([4, 1, 4])


def test_a_step_that_the_export_leaves_out_is_refused(tmp_path: Path) -> None:
    settle(tmp_path, "modules.json", [{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    with pytest.raises(ConfigurationError, match=r"Dense.*sentence_embedding"):
        at(export(tmp_path)).embed(["lisbon"])


@pytest.mark.parametrize(
    "said",
    [
        {"pooling_mode_weightedmean_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
    ],
)
def test_a_pooling_that_is_not_known_is_refused(said: dict[str, bool], tmp_path: Path) -> None:
    settle(export(tmp_path), "1_Pooling/config.json", said)
    with pytest.raises(ConfigurationError, match="pooling"):
        at(tmp_path)


def test_the_prompts_of_the_model_come_before_the_text(tmp_path: Path) -> None:
    export(tmp_path)
    plain = at(tmp_path)
    assert plain.symmetric
    settle(tmp_path, "config_sentence_transformers.json", {"prompts": {"query": "query: ", "passage": ""}})
    embedder = at(tmp_path)
    assert not embedder.symmetric
    assert (embedder.embed(["ramen"], purpose="query") == plain.embed(["query: ramen"])).all()
    assert (embedder.embed(["ramen"]) == plain.embed(["ramen"])).all()


def test_a_text_is_cut_where_the_folder_says(tmp_path: Path) -> None:
    settle(export(tmp_path), "sentence_bert_config.json", {"max_seq_length": 3})
    rows = at(tmp_path).embed(["lisbon", "lisbon ramen ramen"])
    assert (rows[0] == rows[1]).all()


def test_inputs_that_the_model_takes_are_given_and_others_refused(tmp_path: Path) -> None:
    assert at(export(tmp_path / "a", inputs=["token_type_ids"])).embed(["lisbon"]).shape == (1, 3)
    with pytest.raises(ConfigurationError, match="pixel_values"):
        at(export(tmp_path / "b", inputs=["pixel_values"])).embed(["lisbon"])


def test_the_identity_follows_whatever_changes_the_vectors(tmp_path: Path) -> None:
    first, second = export(tmp_path / "a" / "mine"), export(tmp_path / "b" / "mine")
    assert at(first).identity == at(second).identity
    assert at(first).identity.startswith("onnx/mine/")
    settle(second, "sentence_bert_config.json", {"max_seq_length": 3})
    assert at(first).identity != at(second).identity
    assert at(first).identity != at(export(first, output="sentence_embedding")).identity


def test_no_texts_are_no_rows(tmp_path: Path) -> None:
    embedder = at(export(tmp_path))
    assert embedder.dim == 3
    assert embedder.embed([]).shape == (0, 3)


def test_a_file_can_be_chosen(tmp_path: Path) -> None:
    export(tmp_path)
    (tmp_path / "model.onnx").rename(tmp_path / "small.onnx")
    assert at(tmp_path, file="small.onnx").dim == 3
    with pytest.raises(ConfigurationError, match=r"model\.onnx"):
        at(tmp_path)


def test_a_folder_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="path"):
        OnnxEmbedder()


@pytest.mark.parametrize("path", ["x" * 5000, "~nobody-of-this-name/export", "a\0b"])
def test_a_path_that_no_folder_can_have_is_an_error_that_names_it(path: str) -> None:
    with pytest.raises(ConfigurationError, match="holds no export"):
        OnnxEmbedder(OnnxEmbedder.Settings(path=Path(path)))


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_must_be_positive(threads: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="threads"):
        at(tmp_path, threads=threads)


def test_files_that_are_damaged_are_our_errors(tmp_path: Path) -> None:
    for name, kind in (("model.onnx", BackendError), ("tokenizer.json", ConfigurationError)):
        place = export(tmp_path / name)
        (place / name).write_bytes(b"{")
        with pytest.raises(kind, match=r"could not|cannot"):
            at(place).embed(["x"])
    (export(tmp_path / "c") / "modules.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"modules\.json"):
        at(tmp_path / "c")


def test_a_memory_remembers_its_export_and_asks_for_it(tmp_path: Path) -> None:
    given = {"provider": "onnx", "config": {"path": str(export(tmp_path / "mine"))}}
    with Memory(tmp_path / "data", embedder=given, llm=None) as memory:
        memory.add("ramen", user_id="alice")
        assert memory.search("ramen", user_id="alice").results[0].memory == "ramen"
    with (
        Memory(tmp_path / "data", llm=None) as again,
        pytest.raises(ConfigurationError, match=r"onnx/mine/.*path"),
    ):
        again.add("lisbon", user_id="alice")


def test_without_tokenizers_the_error_says_what_to_type(tmp_path: Path) -> None:
    code = f"""
        import sys
        sys.modules["tokenizers"] = None
        from memkit.embedders.onnx import OnnxEmbedder
        from memkit.errors import ConfigurationError
        try:
            OnnxEmbedder(OnnxEmbedder.Settings(path={str(export(tmp_path))!r})).embed(["x"])
        except ConfigurationError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "pip install tokenizers" in done.stdout, done.stderr


@needs_weights
def test_minilm_from_a_folder_is_minilm(tmp_path: Path) -> None:
    texts = ["The weather is lovely today.", "It's so sunny outside!", "日本語", "ramen " * 400]
    ours, theirs = MiniLMEmbedder(), at(copy_export(tmp_path / "export"))
    assert np.abs(ours.embed(texts) - theirs.embed(texts)).max() < 1e-6
    ours.close()
    theirs.close()
