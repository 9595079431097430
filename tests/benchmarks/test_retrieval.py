"""The benchmark of retrieval: figures as they are defined, sets of its own, results that hold no text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import retrieval
from benchmarks._engine.bench import Worker
from benchmarks._retrieval import (
    ablation,
    cached,
    data,
    facts,
    goals,
    languages,
    metrics,
    packing,
    peers,
    report,
    speed,
)
from benchmarks._retrieval.run import WORKER, Run
from benchmarks._retrieval.worker import systems
from memkit.embedders.base import Purpose, TokenCodes
from memkit.embedders.hash import HashEmbedder
from memkit.ranking.late import pack
from memkit.testing import FakeEmbedder

SPOKEN = (
    ("Ann", "I adopted a kitten named Pepper last weekend."),
    ("Ben", "Lovely! I finally sold my old Vespa to Carla."),
    ("Ann", "My flight to Reykjavik leaves on the ninth."),
    ("Ben", "I started baking sourdough with my uncle."),
    ("Ann", "The landlord wants to paint the hallway green."),
    ("Ben", "My knee hurts since the marathon in Ghent."),
)
ASKED = (
    ("What is the name of Ann's kitten?", 0, "single-hop"),
    ("Who bought Ben's Vespa?", 1, "single-hop"),
    ("Where does Ann fly?", 2, "temporal"),
    ("Why does Ben's knee hurt?", 5, "multi-hop"),
    ("What is the name of Ben's kitten?", 0, "adversarial"),
)


def write_sets(folder: Path) -> None:
    """Two conversations that differ in their people."""
    conversations = [
        {
            "id": f"c{number}",
            "turns": [
                {"id": f"t{n}", "session": 1 + n // 3, "date": "2024-05-01T10:00:00", "speaker": who[speaker],
                 "text": said}
                for n, (speaker, said) in enumerate(SPOKEN)
            ],
            "questions": [
                {"question": _renamed(text, who), "category": kind, "evidence": [f"t{at}"]}
                for text, at, kind in ASKED
            ],
        }
        for number, who in enumerate(({"Ann": "Ann", "Ben": "Ben"}, {"Ann": "Zoe", "Ben": "Yuri"}))
    ]  # fmt: skip
    (folder / "locomo-dev.json").write_text(json.dumps({"conversations": conversations}), "utf-8")


def _renamed(text: str, who: dict[str, str]) -> str:
    for old, new in who.items():
        text = text.replace(old, new)
    return text


def make_run(tmp_path: Path, **options: Any) -> Run:
    given: dict[str, Any] = {
        "folder": tmp_path, "split": "dev", "only": [], "levels": ["keyless"], "peers": [], "cache": tmp_path / "c",
        "environments": tmp_path, "quick": True,
    }  # fmt: skip
    return Run(**{**given, **options})


class Signs(HashEmbedder):
    """Gives each word and each sign as a token."""

    token_identity = "signs/1"

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[npt.NDArray[np.float32], list[TokenCodes]]:
        spans = [[found.span() for found in re.finditer(r"\w+|[^\w\s]", text)] for text in texts]
        codes = [TokenCodes(np.ones((len(each), 4), np.int8), np.array(each, np.int32)) for each in spans]
        return self.embed(texts, purpose=purpose), codes


def test_the_ablation_compares_the_tokens_that_a_search_does(tmp_path: Path) -> None:
    write_sets(tmp_path)
    conversation = data.load(tmp_path, "locomo")[0]
    tokens = ablation.tokens_of(Signs(), conversation)("Who bought the Vespa?")
    (packed,) = tokens.stored([conversation.entries[1].rid]).values()
    assert len(tokens.asked) == 4
    assert packed == pack(np.ones((len("Ben said Lovely I finally sold my old Vespa to Carla".split()), 4), np.int8),
                          Signs.token_identity)  # fmt: skip


@pytest.mark.parametrize(
    "tasks",
    ["turns,isolation", pytest.param("turns,isolation,large,ablation,context", marks=pytest.mark.engine)],
)
def test_the_command_measures_its_tasks_and_writes_no_text(tmp_path: Path, tasks: str) -> None:
    write_sets(tmp_path)
    arguments = ["--data", str(tmp_path), "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    retrieval.main([*arguments, "--levels", "keyless", "--tasks", tasks, "--no-plots"])
    data = json.loads((tmp_path / "out" / "retrieval.json").read_text("utf-8"))
    found = {(row["task"], row["system"], row["of"], row["kind"]): row for row in data["figures"]}
    assert found["turns", "keyless", "locomo", "all"]["questions"] == 8
    assert found["turns", "keyless", "locomo", "all"]["R@10"] == 1.0
    assert found["turns", "keyless", "locomo", "adversarial"]["questions"] == 2
    assert found["isolation", "keyless", "locomo", "all"]["leaks"] == 0
    assert found["answerable", "keyless", "locomo", "T3 of another user"]["questions"] == 16
    if "context" in tasks:
        assert found["large", "keyless", "locomo", "all"]["questions"] == 8
        assert found["ablation", "keyless: no speaker", "locomo", "all"]["R@10"] > 0.5
        assert found["context", "keyless", "locomo", "all"]["of_full"] > 0
    written = "".join(path.read_text("utf-8") for path in (tmp_path / "out").iterdir())
    kept = "".join(path.read_text("utf-8") for path in (tmp_path / "cache").rglob("*.json"))
    for text in (*(said for _, said in SPOKEN), *(asked for asked, _, _ in ASKED)):
        assert text not in written and text not in kept
    assert str(tmp_path) not in written


def test_what_was_measured_is_not_measured_again_until_the_code_changes(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    made: list[int] = []
    for _ in range(2):
        assert run.kept(lambda: made.append(1) or {"a": 1}, "x", by=["benchmarks/retrieval.py"]) == {"a": 1}
    assert len(made) == 1
    run.kept(lambda: made.append(1) or {"a": 1}, "x", by=["benchmarks/engine.py"])
    assert len(made) == 2


def test_metrics_are_what_their_names_say() -> None:
    found = metrics.of_places([2, 12], 4)
    assert (found["R@1"], found["R@5"], found["R@20"]) == (0, 0.25, 0.5)
    assert (found["hit@1"], found["hit@5"], found["MRR"]) == (0, 1, 0.5)
    ideal = sum(1 / np.log2(place + 1) for place in (1, 2, 3, 4))
    assert found["nDCG@10"] == pytest.approx((1 / np.log2(3)) / ideal)
    assert metrics.ranked([7, 5, 9], frozenset({5})) == metrics.of_places([2], 1)
    assert metrics.auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([0, 0, 1, 1])) == pytest.approx(0.875)


def test_probabilities_at_the_base_rate_keep_their_order() -> None:
    p, y = np.array([0.1, 0.2, 0.3, 0.6]), np.array([0.0, 1.0, 1.0, 1.0])
    moved = metrics.at_base_rate(p, y)
    assert moved.mean() == pytest.approx(0.75, abs=1e-6)
    assert list(np.argsort(moved)) == [0, 1, 2, 3]


def test_a_goal_is_met_at_its_bound_and_missing_without_a_figure(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.note("turns", "keyless", "locomo", "all", **{"R@10": 0.80})
    run.note("isolation", "keyless", "locomo", "all", leaks=1)
    found = {goal.text: goal for goal in goals.goals(run)}
    assert found["R@10 keyless, locomo"].met is True
    assert found["R@10 keyless, realtalk"].met is None
    assert found["leaks, keyless, locomo"].met is False
    table = report.goal_table(found.values())
    assert "| R@10 keyless, locomo | 80.0 % | ≥ 80.0 % | 77.5 % | met |" in table
    assert "realtalk" not in table


def test_vectors_are_kept_by_text_and_not_asked_for_twice(tmp_path: Path) -> None:
    made: list[HashEmbedder] = []

    def make() -> HashEmbedder:
        made.append(HashEmbedder())
        return made[-1]

    for _ in range(2):
        kept = cached.Cached("hash/1024/v1", 1024, make, tmp_path / "v.db")
        assert np.array_equal(kept.embed(["one", "two", "one"]), HashEmbedder().embed(["one", "two", "one"]))
        kept.end()
    assert len(made) == 1


def test_other_embedders_keep_the_order_of_cosines() -> None:
    texts = [said for _, said in SPOKEN]
    inner = FakeEmbedder()
    plain = inner.embed(texts)
    for name, least in (("rotated", -1.0), ("squeezed", 0.5)):
        rows = cached.Proxy(inner, name).embed(texts)
        assert rows.shape == (len(texts), 1536)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        cosines = (rows @ rows.T)[np.triu_indices(len(texts), 1)]
        assert cosines.min() > least and cosines.max() < 0.9
        kept = (plain @ plain.T)[np.triu_indices(len(texts), 1)]
        assert np.corrcoef(cosines, kept)[0, 1] > 0.6


def test_a_peer_reads_its_vectors_from_the_file(tmp_path: Path) -> None:
    kept = cached.Cached("hash/1024/v1", 1024, HashEmbedder, tmp_path / "v.db")
    items = [
        {"id": f"u{n % 2}/{n}", "text": said, "words": said, "speaker": who, "user": f"u{n % 2}", "session": "1",
         "date": "", "seq": n}
        for n, (who, said) in enumerate(SPOKEN)
    ]  # fmt: skip
    kept.embed([item["text"] for item in items] + ["kitten Pepper"])
    kept.end()
    system = systems.make("dense", systems.Embedder(str(tmp_path / "v.db"), 1024), tmp_path)
    system.add(items)
    assert system.search("kitten Pepper", "u0", 5)[0] == "u0/0"
    assert {each.split("/")[0] for each in system.search("kitten Pepper", "u0", 5)} == {"u0"}


# ------------------------------------------------------------------------------ sets of the benchmark


def test_every_language_is_found_as_well_as_english() -> None:
    assert len(languages.PAIRS) == 8 and {len(pairs) for pairs in languages.PAIRS.values()} == {25}
    found = languages.measure()
    english = found["en"]
    assert english["R@10"] >= 0.95 and english["R@1"] >= 0.9
    for name, metrics_of in found.items():
        assert metrics_of["R@10"] >= 0.85 * english["R@10"], name
        assert metrics_of["MRR"] >= 0.85 * english["MRR"], name


def test_the_world_has_as_many_updates_as_it_is_asked_for() -> None:
    said = facts.world(500)
    assert sum(each.number > 0 for each in said) == 500
    assert len({(each.user, each.person, each.matter, each.number) for each in said}) == len(said)
    assert [each.at for each in said] == sorted(each.at for each in said)


def check_world(found: dict[str, float]) -> None:
    assert found["newest_first"] >= 0.98
    assert found["no_old_one"] == 1.0
    assert found["as_of_first"] >= 0.98


def test_the_newest_value_is_found_first_and_an_old_one_only_as_of_its_time() -> None:
    check_world(facts.measure(50))


@pytest.mark.engine
def test_a_world_of_500_updates_is_found_in_its_newest_state() -> None:
    found = facts.measure(500)
    assert found["updates"] == 500
    check_world(found)


def test_quotes_of_the_world_prove_their_facts_and_no_changed_ones() -> None:
    rates = facts.verdicts(500)
    assert min(rates.values()) >= 0.95, rates


def test_the_stable_part_of_a_context_hardly_changes_in_a_hundred_turns() -> None:
    found = packing.stability("hash", 0, turns=40)
    assert found["turns"] == 39 and found["characters"] > 100
    assert found["stable"] >= 0.9


def test_a_peer_keeps_its_files_in_one_folder_that_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sets(tmp_path)
    run = make_run(tmp_path)
    made = HashEmbedder()
    run.cache.mkdir()
    run._embedders["minilm"] = cached.Cached(made.identity, made.dim, HashEmbedder, run.cache / "minilm.db")
    seen: list[Path] = []

    def here(system: str, packages: object, environment: str, scratch: Path) -> Worker:
        seen.append(scratch)
        return Worker(system, sys.executable, script=WORKER, scratch=scratch)

    monkeypatch.setattr(run, "worker", here)
    conversation = run.sets["locomo"][0]
    with peers.opened(run, "dense") as worker:
        assert list(seen[0].iterdir())
        peers.add(run, worker, [conversation])
        found = peers.ask(run, worker, conversation)
    assert [row["places"][0] for row in found if row["kind"] == "single-hop"] == [1, 1]
    assert not seen[0].exists()


def test_questions_are_taken_from_all_conversations_alike() -> None:
    asked = [(f"{user} {n}?", user) for user in ("ann", "ben") for n in range(10)]
    assert [user for _, user in speed._some(asked, 4)] == ["ann", "ann", "ben", "ben"]
    assert speed._some(asked, 200) == asked
