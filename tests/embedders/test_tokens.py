"""Vectors of tokens: from the same run as the text's own row, with ids and places; and small, for storing."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from memkit.embedders.base import CodeEmbedder, TokenEmbedder
from memkit.embedders.batches import BATCH_TOKENS, batches
from memkit.embedders.hash import HashEmbedder
from memkit.embedders.minilm import MiniLMEmbedder
from memkit.embedders.minilm_weights import vocabulary
from memkit.embedders.projection import AXES, SCALE, WIDTH, project
from memkit.embedders.wordpiece import WordPiece
from tests.embedders.minilm_forward import folder, forward, needs_weights, weights

TEXTS = ("She adores spicy ramen.", "", "日本語 Ünïcödé e\u0301!", "word " * 400, "Where does Ada live?")
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##able", "ramen", "!", "京", "e")


@pytest.fixture(scope="module")
def embedder() -> Iterator[MiniLMEmbedder]:
    made = MiniLMEmbedder()
    yield made
    made.close()


def small() -> WordPiece:
    return WordPiece({piece: at for at, piece in enumerate(PIECES)})


# Places in a text.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ramen!", ["Ramen", "!"]),
        ("  unable\tramen", ["un", "able", "ramen"]),
        ("rámen", ["rámen"]),
        ("ra\u0301men e\u0301", ["ra\u0301men", "e\u0301"]),
        ("ra\u200bmen", ["ra\u200bmen"]),
        ("ra\x00men", ["ra\x00men"]),
        ("京ramen", ["京", "ramen"]),
        ("unabla ramen", ["unabla", "ramen"]),
        ("", []),
    ],
)
def test_a_piece_knows_where_in_the_text_it_stands(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in small().pieces(text, 256)[1]] == expected


def test_pieces_have_the_ids_that_are_encoded_and_places_in_order() -> None:
    tokeniser = WordPiece({piece: at for at, piece in enumerate([*PIECES, *map(chr, range(97, 123))])})
    drawn = random.Random(7)
    ranges = ((32, 127), (0, 128), (0x300, 0x370), (0, 0x3000), (0x10000, 0x12000))
    for _ in range(1000):
        text = "".join(chr(drawn.randrange(*drawn.choice(ranges))) for _ in range(24))
        ids, spans = tokeniser.pieces(text, 20)
        assert [2, *ids, 3] == tokeniser.encode(text, 20) == tokeniser.framed(ids), ascii(text)
        assert all(0 <= begin < end <= len(text) for begin, end in spans)
        assert all(before[0] <= after[0] for before, after in pairwise(spans)), ascii(text)


@needs_weights
@pytest.mark.parametrize(
    "text", ["Alice likes spicy ramen, doesn't she?", "İstanbul ß ﬁ", "日本語の $5.00 «é»"]
)
def test_places_are_those_of_the_library(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    oracle = tokenizers.Tokenizer.from_file(str(folder() / "tokenizer.json"))
    oracle.no_padding()
    text = unicodedata.normalize("NFC", text)
    ours = WordPiece(vocabulary(folder() / "vocab.txt")).pieces(text, 256)[1]
    assert ours == oracle.encode(text).offsets[1:-1]


# Vectors.


@needs_weights
def test_token_vectors_are_those_of_the_float64_forward_at_unit_length(embedder: MiniLMEmbedder) -> None:
    exact = weights()
    rows, tokens = embedder.embed_tokens(TEXTS)
    for row, found in zip(rows, tokens, strict=True):
        states, sentence = forward(exact, [101, *found.ids.tolist(), 102])
        own = states[1:-1]
        assert np.abs(found.vectors - own / np.linalg.norm(own, axis=1, keepdims=True)).max(initial=0) < 5e-6
        assert np.abs(row - sentence).max() < 5e-7


@needs_weights
def test_token_vectors_come_with_the_rows_of_embed(embedder: MiniLMEmbedder) -> None:
    rows, tokens = embedder.embed_tokens(TEXTS)
    assert (rows == embedder.embed(TEXTS)).all()
    assert [len(found) for found in tokens][1::2] == [0, 254]
    for found in tokens:
        assert found.vectors.shape == (len(found), 384)
        assert found.vectors.dtype == np.float32
        assert found.spans.shape == (len(found), 2)
        assert found.ids.dtype == found.spans.dtype == np.int32
        assert not {101, 102} & set(found.ids.tolist()), "the special ones are left out"
    words = [TEXTS[4][begin:end] for begin, end in tokens[4].spans]
    assert words == ["Where", "does", "Ada", "live", "?"]


@needs_weights
def test_no_texts_have_no_tokens() -> None:
    fresh = MiniLMEmbedder()
    rows, tokens = fresh.embed_tokens([])
    assert rows.shape == (0, 384) and tokens == []
    assert fresh._loaded is None


@needs_weights
def test_an_embedder_says_whether_it_knows_tokens(embedder: MiniLMEmbedder) -> None:
    assert isinstance(embedder, TokenEmbedder)
    assert not isinstance(HashEmbedder(), TokenEmbedder)
    assert isinstance(embedder, CodeEmbedder) and embedder.token_identity
    assert getattr(HashEmbedder(), "token_identity", None) is None


@needs_weights
def test_codes_are_the_projected_tokens_of_the_same_run(embedder: MiniLMEmbedder) -> None:
    many = [*TEXTS, *(f"note {n} about {'tea ' * n}" for n in range(40))]
    rows, tokens = embedder.embed_tokens(many)
    same, codes = embedder.embed_codes(many)
    assert (same == rows).all()
    for found, code in zip(tokens, codes, strict=True):
        assert code.codes.dtype == np.int8 and code.codes.shape == (len(found), WIDTH)
        assert (code.spans == found.spans).all()
        off = np.abs(code.codes.astype(int) - project(found.vectors).astype(int))
        assert off.max(initial=0) <= 1, "rounding apart"
    assert embedder.embed_codes([])[1] == []


@needs_weights
def test_late_interaction_can_be_turned_off() -> None:
    plain = MiniLMEmbedder(MiniLMEmbedder.Settings(late_interaction=False))
    assert plain.token_identity is None
    assert plain.identity == MiniLMEmbedder().identity, "the vectors are the same"


# Runs.


def test_a_run_holds_neighbours_in_length_within_the_budget() -> None:
    drawn = random.Random(7)
    encoded = [[0] * drawn.choice((2, 9, 30, 256, 600)) for _ in range(200)]
    runs = list(batches(encoded))
    assert sorted(at for run in runs for at in run) == list(range(200))
    longest = [max(len(encoded[at]) for at in run) for run in runs]
    assert longest == sorted(longest)
    for run, length in zip(runs, longest, strict=True):
        assert len(run) == 1 or len(run) * length <= BATCH_TOKENS
    assert list(batches([])) == []


# Small.


def test_the_axes_are_orthonormal() -> None:
    axes = np.load(AXES).astype(np.float64)
    assert axes.shape == (384, WIDTH)
    assert np.abs(axes.T @ axes - np.eye(WIDTH)).max() < 1e-3


def test_a_projected_row_has_one_scale_and_unit_length() -> None:
    rows = project(np.random.default_rng(7).normal(size=(200, 384)).astype(np.float32))
    assert rows.dtype == np.int8 and rows.shape == (200, WIDTH)
    assert np.abs(np.linalg.norm(rows / SCALE, axis=1) - 1).max() < 0.02
    assert project(np.zeros((0, 384), np.float32)).shape == (0, WIDTH)
    assert not project(np.zeros((1, 384), np.float32)).any()


@needs_weights
def test_projected_tokens_keep_what_is_alike(embedder: MiniLMEmbedder) -> None:
    texts = [
        "Next Friday we drive to Antwerp to hear the organ.",
        "My sister plays the cello in an orchestra.",
        "The rent for the workshop doubled, so I moved to a barn.",
        "He is allergic to hazelnuts, even traces send him to hospital.",
    ]
    full = np.concatenate([found.vectors for found in embedder.embed_tokens(texts)[1]])
    less = project(full) / SCALE
    pairs = np.triu_indices(len(full), 1)
    related = np.corrcoef((full @ full.T)[pairs], (less @ less.T)[pairs])[0, 1]
    arbitrary = full @ np.linalg.qr(np.random.default_rng(7).normal(size=(384, WIDTH)))[0]
    arbitrary /= np.linalg.norm(arbitrary, axis=1, keepdims=True)
    assert related > 0.75
    assert related > np.corrcoef((full @ full.T)[pairs], (arbitrary @ arbitrary.T)[pairs])[0, 1]


@needs_weights
@pytest.mark.engine
def test_the_axes_are_what_their_script_writes(embedder: MiniLMEmbedder, tmp_path: Path) -> None:
    """Up to how a machine adds: the script is run on a part of its words, which give nearly the same first axes."""
    from scripts.minilm_axes import fit, texts

    part = fit(embedder, texts(vocabulary(embedder.weights.vocabulary), 4000)).astype(np.float64)
    kept = np.linalg.norm(np.load(AXES).astype(np.float64).T @ part, axis=0)
    assert kept[:16].min() > 0.97
    assert kept.mean() > 0.9
