"""The head of a ranking is what a full sort gives, however little of it is worked out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memkit.ranking.signals import DECIMALS, best_rows
from memkit.ranking.vectors import products


@given(
    st.integers(0, 6_000),
    st.integers(1, 120),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 6, 9]),
)
def test_the_best_rows_hold_the_head_of_a_full_sort_and_all_that_tie_with_it(
    size: int, count: int, seed: int, decimals: int
) -> None:
    score = np.random.default_rng(seed).standard_normal(size).round(decimals)
    rounded = score.round(DECIMALS)
    rows = best_rows(score, count)
    assert len(set(rows.tolist())) == len(rows)
    if size > count:
        border = np.sort(rounded)[-count]
        assert set(np.flatnonzero(rounded >= border)) <= set(rows.tolist())
    else:
        assert len(rows) == size


def test_the_best_of_many_rows_are_few() -> None:
    score = np.random.default_rng(3).standard_normal(100_000)
    assert len(best_rows(score, 64)) < 200


@pytest.mark.parametrize("rows", [0, 1, 1_000, 1_001, 5_000])
def test_products_are_those_of_a_matrix_and_a_vector(rows: int) -> None:
    generator = np.random.default_rng(rows)
    matrix = generator.standard_normal((rows, 48), dtype=np.float32)
    query = generator.standard_normal(48, dtype=np.float32)
    found = products(matrix, query)
    assert found.dtype == np.float32
    assert np.allclose(found, matrix.astype(np.float64) @ query, atol=1e-4)
