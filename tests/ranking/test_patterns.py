"""Patterns that are compiled when a text needs them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from memkit.ranking import when_elsewhere
from memkit.ranking.patterns import LatePattern

TODAY = datetime(2024, 5, 15, tzinfo=UTC)


def test_a_pattern_is_compiled_at_its_first_use_and_no_sooner() -> None:
    pattern = LatePattern(r"(?P<number>\d+)", re.IGNORECASE)
    assert "compiled" not in vars(pattern)
    found = pattern.search("gate 12, row 3")
    assert found is not None
    assert found["number"] == "12"
    assert [match[0] for match in pattern.finditer("gate 12, row 3")] == ["12", "3"]
    assert pattern.search("none") is None
    assert "compiled" in vars(pattern)


def test_english_months_compile_no_pattern_of_all_languages() -> None:
    """ "December" is a month in Dutch, too; only a word such as "volgende" beside it makes that worth a look."""
    late = {name: each for name, each in vars(when_elsewhere).items() if isinstance(each, LatePattern)}
    before = {name for name, each in late.items() if "compiled" in vars(each)}
    assert list(when_elsewhere.elsewhere_spans("My flight is on 14 December", TODAY)) == []
    after = {name for name, each in late.items() if "compiled" in vars(each)}
    assert after - before <= {"_DIRECTED", "_BARE_WEEKDAY"}
    assert list(when_elsewhere.elsewhere_spans("volgende december", TODAY))
