"""Adds up what a CI run did: pytest's reports and the stages, every skip with its reason.

    python scripts/totals.py FOLDER

FOLDER holds `*.xml` (JUnit reports) and `stages` (lines of state, name and seconds, separated by tabs).
Exits with 1 if anything failed, or if a report ran no test at all.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

PYTEST_STAGES = {"test": "test.xml", "engines": "engines.xml", "matrix": "matrix-*.xml"}


def main(folder: Path) -> int:
    passed = failed = 0
    skips: Counter[str] = Counter()
    for stage, pattern in PYTEST_STAGES.items():
        ran, broken, reasons = read_reports(folder, pattern)
        print(f"{stage}: ran {ran + broken} tests, skipped {reasons.total()}")
        if ran + broken == 0:
            print(f"{stage}: ran no test, which counts as a failure")
            broken = 1
        passed, failed = passed + ran, failed + broken
        skips += reasons

    for line in (folder / "stages").read_text("utf-8").splitlines():
        state, name, seconds = line.split("\t")
        print(f"  {state:6} {name:12} {seconds:>4} s")
        if name not in PYTEST_STAGES:
            passed, failed = passed + (state == "ok"), failed + (state != "ok")
        elif state != "ok" and failed == 0:
            failed = 1

    print(f"skipped: {skips.total()}" + (", because" if skips else ""))
    for reason, count in skips.most_common():
        print(f"  {count:4} x {reason}")
    print(f"total: {passed} passed, {failed} failed, {skips.total()} skipped")
    return 1 if failed else 0


def read_reports(folder: Path, pattern: str) -> tuple[int, int, Counter[str]]:
    """The same over every report whose name fits."""
    passed = failed = 0
    skips: Counter[str] = Counter()
    for path in sorted(folder.glob(pattern)):
        ran, broken, reasons = read_report(path)
        passed, failed = passed + ran, failed + broken
        skips += reasons
    return passed, failed, skips


def read_report(path: Path) -> tuple[int, int, Counter[str]]:
    """The tests that passed, that failed, and the reasons of those that were skipped."""
    passed = failed = 0
    skips: Counter[str] = Counter()
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif (skipped := case.find("skipped")) is not None:
            kind = "expected failure: " if skipped.get("type") == "pytest.xfail" else ""
            skips[kind + (skipped.get("message") or "no reason given").removeprefix("Skipped: ")] += 1
        else:
            passed += 1
    return passed, failed, skips


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
