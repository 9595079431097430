"""Our tokeniser: its own rules on a small vocabulary, and the same ids as the `tokenizers` library on the model's."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Sequence
from typing import Any

import pytest

from memkit.embedders.minilm_weights import vocabulary
from memkit.embedders.wordpiece import WordPiece, words
from tests.embedders.minilm_forward import folder, needs_weights

SMALL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##able", "##a", "able", "unab", "ramen", "!", "京", "a"]
TEXTS = (
    "Alice likes spicy ramen, doesn't she?", "ΟΔΟΣ ΣΑΣ Ωμέγα", "İstanbul STRASSE ß ẞ ﬁ Ǆ", "[SEP] hello [MASK]",
    "日本語のテキスト 한국어 \U0002a700\U0002b820\U0002b920", "é e\u0301 Å ñ", "a" * 100, "a" * 101, "👩\u200d👩\u200d👧",
    "$5.00 + <|endoftext|> ^_^ `x` ~", "\u202e\u0000 x\x85y\u2028z\ufffd", "word " * 3000, "", " \n\t\r",
    "unaffable " * 200, "ŀ'n «quoted» — dash… ¿qué?", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0939\u093f\u0928\u094d\u0926\u0940",
)  # fmt: skip


def small() -> WordPiece:
    return WordPiece({piece: at for at, piece in enumerate(SMALL)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ramen!", [9, 10]),
        ("unable", [1]),
        ("unabla", [1]),
        ("una", [4, 6]),
        ("unaable", [4, 6, 5]),
        ("UNA una", [4, 6, 4, 6]),
        ("a京a", [12, 11, 12]),
        ("rámen", [9]),
        ("ra\u200bmen", [9]),
        ("ramen\u00a0ramen", [9, 9]),
        ("[SEP]", [1, 1, 1]),
        ("", []),
    ],
)
def test_a_word_is_its_longest_known_pieces_from_the_left(text: str, expected: list[int]) -> None:
    assert small().encode(text, 256) == [2, *expected, 3]


def test_a_word_over_100_characters_is_unknown() -> None:
    tokeniser = WordPiece({piece: at for at, piece in enumerate([*SMALL[:4], "a", "##a"])})
    assert tokeniser.encode("a" * 100, 256) == [2, 4, *[5] * 99, 3]
    assert tokeniser.encode("a" * 101, 256) == [2, 1, 3]


@pytest.mark.parametrize("most", [2, 3, 4, 7, 8])
def test_a_long_text_is_cut_and_still_ends_with_its_separator(most: int) -> None:
    ids = small().encode("una ramen una ramen", most)
    assert ids == [2, *[4, 6, 9, 4, 6, 9][: most - 2], 3]


def test_each_character_is_lowered_by_itself() -> None:
    assert words("ΟΔΟΣ") == ["οδοσ"]


def test_lone_surrogates_are_text() -> None:
    assert small().encode("\ud800 ramen", 256) == [2, 1, 9, 3]


@pytest.fixture(scope="module")
def oracle() -> Any:
    tokenizers: Any = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer.from_file(str(folder() / "tokenizer.json"))
    made.no_padding()
    made.enable_truncation(256)
    made.encode_special_tokens = True
    return made


@pytest.fixture(scope="module")
def tokeniser() -> WordPiece:
    return WordPiece(vocabulary(folder() / "vocab.txt"))


@needs_weights
def test_both_files_hold_the_same_vocabulary() -> None:
    found = vocabulary(folder() / "vocab.txt")
    assert len(found) == 30_522
    assert found == vocabulary(folder() / "tokenizer.json")


@needs_weights
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_get_the_ids_of_the_library(text: str, oracle: Any, tokeniser: WordPiece) -> None:
    assert tokeniser.encode(text, 256) == oracle.encode(text).ids


@needs_weights
def test_characters_get_the_ids_of_the_library(oracle: Any, tokeniser: WordPiece) -> None:
    """All but marks, signs and format characters whose kind differs between two versions of Unicode."""
    codes = [
        code
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in {"Cn", "Co", "Cs"}
    ]
    differing: list[int] = []
    for at in range(0, len(codes), 5000):
        chosen = codes[at : at + 5000]
        texts = [f"ab{chr(code)}cd" for code in chosen]
        encoded: Sequence[Any] = oracle.encode_batch(texts)
        differing += [
            code
            for code, text, expected in zip(chosen, texts, encoded, strict=True)
            if tokeniser.encode(text, 256) != expected.ids
        ]
    assert len(differing) < 1500
    assert {unicodedata.category(chr(code))[0] for code in differing} <= {"C", "M", "P", "S"}
    assert [code for code in differing if code < 0x600] == []
