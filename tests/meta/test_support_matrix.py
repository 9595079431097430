"""The page of what is supported: current, complete, and strict about the word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import support_matrix as matrix

NUMBERS = json.loads(matrix.NUMBERS.read_text("utf-8"))
REAL = next(row for row in matrix.rows() if row.key == "vector_store/pgvector/a server")
STAND_IN = next(row for row in matrix.rows() if row.key == "vector_store/qdrant/a server")
PROVEN = {"passed": 9, "failed": 0, "laws": 3, "scope": 1, "crash": 1, "writers": 1}


def test_the_page_is_what_its_numbers_say() -> None:
    assert matrix.PAGE.read_text("utf-8") == matrix.page(NUMBERS), "run `python scripts/support_matrix.py`"


def test_every_store_ledger_and_model_has_a_row() -> None:
    assert matrix.missing() == [], "step 4: add its row to scripts/support_matrix.py and run it"
    assert set(NUMBERS) <= {row.key for row in matrix.rows()}, "numbers of a row that is gone"


def test_a_store_is_supported_by_scope_crash_and_two_writers_on_a_real_engine_alone() -> None:
    assert matrix.status(REAL, PROVEN) == "**supported**"
    for proof in matrix.PROOFS:
        assert matrix.status(REAL, {**PROVEN, proof: 0}) == "*protocol-tested*"
    assert matrix.status(STAND_IN, PROVEN) == "*protocol-tested*"
    assert matrix.status(REAL, {**PROVEN, "failed": 2}) == "broken: 2 runs failed"
    assert matrix.status(REAL, {}) == "not tested"


def test_numbers_are_read_from_the_reports_of_a_run(tmp_path: Path) -> None:
    store = "tests.conformance.test_vector_stores.TestPgvector"
    faults = "tests.faults.test_pgvector_faults.TestPgvectorFaults"
    cases = [
        (store, "test_pages[sync]", ""),
        (store, "test_pages[async]", ""),
        (store, "test_a_small_tenant_gets_its_full_result[sync]", ""),
        (store, "test_down[sync]", '<skipped message="Skipped: no database"/>'),
        (store, "test_broken[sync]", "<failure/>"),
        (store + "Else", "test_pages[sync]", ""),
        (faults, "test_a_kill_at_a_step_of_the_index_loses_nothing[after upsert-2]", ""),
        (faults, "test_two_writers_leave_one_whole_index", "<error/>"),
    ]
    rows = "".join(f'<testcase classname="{of}" name="{name}">{more}</testcase>' for of, name, more in cases)
    (tmp_path / "engines.xml").write_text(f"<testsuites><testsuite>{rows}</testsuite></testsuites>")
    seen = matrix.numbers_of(tmp_path)[REAL.key]
    assert seen == {
        "laws": 2, "laws_skipped": 1, "passed": 3, "failed": 1, "skipped": 1, "reasons": {"no database": 1},
        "scope": 1, "crash": 1, "writers": 0,
    }  # fmt: skip


@pytest.mark.parametrize("row", matrix.ROWS, ids=lambda row: row.key)
def test_the_tests_that_a_row_names_exist(row: matrix.Row) -> None:
    files = [
        *(matrix.ROOT / "tests" / "conformance").glob("*.py"),
        *(matrix.ROOT / "tests" / "faults").glob("*.py"),
    ]
    text = "\n".join(path.read_text("utf-8") for path in files)
    for suite in row.suites:
        assert f"class {suite.rpartition('.')[2]}(" in text, f"no suite {suite}"
