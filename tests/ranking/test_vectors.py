from __future__ import annotations

import math
import zlib
from collections import Counter

import numpy as np
import pytest

from memkit.embedders.base import Embedder
from memkit.embedders.hash import HashEmbedder
from memkit.errors import CorruptLedgerError, InvalidInputError
from memkit.ranking.vectors import (
    ColumnTable,
    RowTable,
    decode_many,
    dequantise,
    encode,
    encode_many,
    quantise,
)


def unit(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize(("kind", "size", "error"), [("f32", 4, 0), ("f16", 2, 2e-4), ("i8", 1, 2e-3)])
def test_vectors_survive_storage(kind: str, size: int, error: float) -> None:
    rows = unit(20, 96)
    blobs = encode_many(rows, kind)  # type: ignore[arg-type]  # parametrised literals
    assert all(96 * size < len(b) <= 96 * size + 5 for b in blobs)
    assert np.abs(decode_many(blobs, 96) - rows).max() <= error


def test_kinds_may_be_mixed_and_order_is_kept() -> None:
    rows = unit(3, 8)
    blobs = [encode(rows[0], "i8"), encode(rows[1], "f32"), encode(rows[2], "f16")]
    assert np.allclose(decode_many(blobs, 8), rows, atol=5e-3)
    assert decode_many([], 8).shape == (0, 8)


def test_a_blob_of_another_dimension_or_kind_is_corruption() -> None:
    blob = encode(unit(1, 8)[0], "f32")
    for bad in (blob[:-1], b"\x09" + blob[1:], b""):
        with pytest.raises(CorruptLedgerError, match="rebuild"):
            decode_many([blob, bad], 8)


def test_a_vector_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="NaN"):
        encode(np.array([1.0, np.nan], np.float32), "f16")


def test_quantising_twice_is_quantising_once() -> None:
    codes, scales = quantise(unit(50, 64))
    again, _ = quantise(dequantise(codes, scales))
    assert (again == codes).all()
    assert (quantise(np.zeros((1, 4), np.float32))[0] == 0).all()


@pytest.mark.parametrize("table", [RowTable(64), ColumnTable(64)])
def test_a_table_scores_what_it_was_given(table: RowTable | ColumnTable) -> None:
    rows, query = unit(40, 64), unit(1, 64, seed=9)[0]
    for i in range(0, 40, 8):
        table.put(i, [None if n == 3 else rows[n] for n in range(i, i + 8)])
    for slots in (np.arange(40), np.array([5, 39, 3])):
        found = table.cosines(query, slots)
        assert np.allclose(found[slots != 3], (rows[slots] @ query)[slots != 3], atol=0.02)
        assert np.isnan(found[slots == 3]).all()
    table.keep(np.array([39, 1]))
    assert np.allclose(table.cosines(query, np.arange(2)), rows[[39, 1]] @ query, atol=0.02)
    assert table.nbytes > 0


def test_the_hash_embedder_gives_unit_rows_for_any_text() -> None:
    texts = ["Ann bought a bike", "", "🎉", "\ud800", "the of and", "猫は好き", "x" * 1_000_000]
    rows = HashEmbedder().embed(texts)
    assert rows.shape == (7, 1024)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert isinstance(HashEmbedder(), Embedder)


def test_a_hash_row_depends_on_its_own_text_alone() -> None:
    embedder = HashEmbedder()
    assert (embedder.embed(["a cat", "a dog"])[1] == embedder.embed(["a dog"], purpose="query")[0]).all()
    assert HashEmbedder.identity == "hash/1024/v1"


def test_texts_that_share_words_or_parts_of_words_are_near() -> None:
    one, same, parts, other = HashEmbedder().embed(
        ["She photographs birds", "birds she photographed", "bird photography", "The invoice is overdue"]
    )
    assert one @ same > 0.95
    assert one @ parts > one @ other + 0.2


def test_a_hash_row_does_not_change_between_versions() -> None:
    row = HashEmbedder().embed(["I adopted a grey cat called Whiskers"])[0]
    filled = np.flatnonzero(row)
    assert (len(filled), int(filled.sum()), round(float(np.abs(row).sum()), 4)) == PINNED


PINNED = (55, 28598, 6.5159)


@pytest.mark.parametrize("stems", [["cat", "tea", "cat"], ["banana", "bandana"], ["cat"]])
def test_a_hash_row_is_the_sum_of_words_and_of_their_parts(stems: list[str]) -> None:
    def unit_of(features: list[bytes]) -> np.ndarray:
        row = np.zeros(1024)
        for feature, count in Counter(map(zlib.crc32, features)).items():
            row[feature % 1024] += (1 + math.log(count)) * (-1 if feature >> 31 else 1)
        return row / np.linalg.norm(row)

    grams = [f"<{s}>"[at : at + n] for s in stems for n in (3, 4, 5) for at in range(len(s) + 3 - n)]
    law = unit_of([b"w" + s.encode() for s in stems]) + unit_of([b"c" + gram.encode() for gram in grams])
    assert HashEmbedder().embed([" ".join(stems)])[0] == pytest.approx(law / np.linalg.norm(law), abs=1e-6)


def test_a_row_is_packed_alone_as_among_others() -> None:
    rows = np.concatenate([unit(9, 96), np.eye(1, 96, dtype=np.float32)])
    for kind in ("f32", "f16", "i8"):
        assert encode_many(rows, kind) == [encode(row, kind) for row in rows]


def test_a_table_of_columns_holds_the_same_however_its_rows_come() -> None:
    rows = np.random.default_rng(5).standard_normal((300, 64)).astype(np.float32)
    rows[7] = 0
    whole, listed, parts = ColumnTable(64), ColumnTable(64), ColumnTable(64)
    whole.put(0, rows)
    listed.put(0, list(rows))
    for first in range(0, 300, 7):
        parts.put(first, rows[first : first + 7])
    codes, scales = quantise(rows)
    for query in rows[:9]:
        told, _ = quantise(query[None, :])
        exact = (codes.astype(np.float64) @ told[0].astype(np.float64)) * scales * (np.abs(query).max() / 127)
        for table in (whole, listed, parts):
            np.testing.assert_allclose(table.cosines(query, None), exact, rtol=1e-5, atol=1e-7)
