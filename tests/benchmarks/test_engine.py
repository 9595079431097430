"""The engine's benchmark: the command runs, and its goals are judged as they are written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._engine import goals, report
from benchmarks._engine.bench import Bench
from benchmarks._engine.worker import workload

ROOT = Path(__file__).parents[2]


def make_bench(folder: Path) -> Bench:
    return Bench(
        disk=folder,
        environments=folder,
        systems=["memkit"],
        sizes=[1000, 10_000, 100_000],
        runs=1,
        quick=False,
    )


def row(bench: Bench, text: str, against: str = "") -> goals.Row:
    (found,) = (each for each in goals.rows(bench) if each.text == text and each.against_name == against)
    return found


@pytest.mark.engine
def test_the_command_writes_a_table_of_goals(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks", "engine", "--quick", "--runs", "1", "--no-plots"),
        *("--sizes", "1000", "--systems", "memkit,sqlite+numpy", "--scenarios", "search,adapters"),
        *("--out", str(tmp_path), "--disk", str(tmp_path)),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    data = json.loads((tmp_path / "engine.json").read_text("utf-8"))
    judged = {goal["text"]: goal for goal in data["goals"] if goal["met"] is not None}
    assert judged["search of 1,000 of all, ten hydrated, p50 (1,000)"]["against_name"] == "sqlite+numpy"
    assert judged["recall@10 of its vectors, one owner (1,000)"]["own"] >= 0.999
    assert "a tool call adds, CPU (1,000)" in judged
    table = (
        (tmp_path / "engine.md").read_text("utf-8").partition("## Goals")[2].partition("\n\nNot measured")[0]
    )
    lines = table.strip().splitlines()
    assert len(lines) == len(judged) + 2
    assert {line.count(" | ") for line in lines[2:]} == {7}
    assert not list(tmp_path.glob("memkit-bench-*")), "the stores are removed"


def test_a_ratio_under_its_bound_is_met_and_one_over_it_is_not(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    bench.note("search", "sqlite+numpy", 100_000, p50_ms=1.0, cpu_ms=1.0)
    bench.note("search", "memkit", 100_000, p50_ms=0.9, cpu_ms=1.2)
    found = row(bench, "search of 1,000 of all, ten hydrated, p50 (100,000)", "sqlite+numpy")
    assert (found.met, found.ratio, found.cpu_ratio) == (True, 0.9, 1.2)
    bench.note("search", "memkit", 100_000, p50_ms=1.3)
    bench.note("search", "memkit", 100_000, p50_ms=1.3)
    assert row(bench, "search of 1,000 of all, ten hydrated, p50 (100,000)", "sqlite+numpy").met is False


def test_a_rate_is_met_from_its_bound_up(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    bench.note("add", "limit", 1000, per_second=1000)
    bench.note("add", "memkit", 1000, per_second=500)
    assert row(bench, "durable single add, rate (1,000)", "limit").met is True
    bench.note("add", "limit", 1000, per_second=1010)
    assert row(bench, "durable single add, rate (1,000)", "limit").met is False


def test_one_loss_in_a_run_is_not_outweighed_by_rounds_without(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    for lost in (0, 1, 0, 0, 0):
        bench.note("two-processes", "memkit", 1000, lost=lost, seen_of_20=20 - lost)
    assert row(bench, "two processes: lost").met is False
    assert row(bench, "two processes: the other's writes seen at once, of 20").met is False


def test_what_was_not_measured_is_named(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    bench.note("import", "memkit", 0, cpu_ms=1, heavy=0)
    table = report.write(bench, tmp_path, command="x", plots=False)
    assert "import: heavy modules loaded" in table
    assert "import, CPU" not in table
    assert "Not measured in this run: import, CPU" in (tmp_path / "engine.md").read_text("utf-8")


@pytest.mark.engine
def test_pictures_are_drawn_from_what_was_measured(tmp_path: Path) -> None:
    bench = make_bench(tmp_path)
    for size in bench.sizes:
        bench.note("search", "memkit", size, p50_ms=1.0, cpu_ms=1.0)
        bench.note("search", "sqlite+numpy", size, p50_ms=2.0, cpu_ms=1.0)
    report.write(bench, tmp_path, command="x", plots=True)
    drawn = {path.name for path in tmp_path.glob("*.svg")}
    assert drawn == {"engine-search.svg", "engine-goals.svg"}


def test_memories_differ_and_are_found_by_their_number() -> None:
    texts = [workload.text(number) for number in range(5000)]
    assert len(set(texts)) == 5000
    assert [workload.number_of(text) for text in texts[:50]] == list(range(50))
    assert 105 < sum(map(len, texts)) / len(texts) < 125


def test_the_model_finds_every_fact_of_a_conversation_and_no_other() -> None:
    prompt = "\n".join(message["content"] for message in workload.conversation(7))
    found = workload.extracted(f"m1: {workload.facts(6)[0]}\n{prompt}")
    assert [fact["text"] for fact in found["memories"]] == workload.facts(7)
