"""Questions over several facts, with and without the graph: `python -m benchmarks graph`.

A generated world of 2,000 facts about people, companies and cities, that change over the years. Recall at ten is the
share of the facts that a question needs among the ten memories found. Calls of a model are counted, times are of the
processor, in one run, and what is left of the world is looked for in every file after it is deleted and forgotten.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks._graph.world import Question, World, make
from memkit import Memory
from memkit.embedders.hash import HashEmbedder

_HERE = Path(__file__).parent
USER: Final = "ann"


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `graph.json` and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks graph", description=__doc__)
    parser.add_argument("--stores", default="none,sqlite", help="which; `none` is no graph")
    parser.add_argument("--facts", type=int, default=2000)
    parser.add_argument("--questions", type=int, default=60, help="of each kind")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args(argv)
    world = make(args.facts, args.questions)
    result: dict[str, Any] = {"facts": len(world.facts), "stores": {}}
    for store in args.stores.split(","):
        with tempfile.TemporaryDirectory() as folder:
            result["stores"][store] = _measured(world, store, Path(folder))
        print(store, json.dumps(result["stores"][store]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "graph.json").write_text(json.dumps(result, indent=1) + "\n")


def _measured(world: World, store: str, folder: Path) -> dict[str, Any]:
    memory = Memory(folder, llm=None, embedder=HashEmbedder(), graph_store=None if store == "none" else store)
    began = time.process_time()
    ids = [_stored(memory, fact.text, fact.since, fact.until) for fact in world.facts]
    figures: dict[str, Any] = {"add_ms": _ms(began, len(ids)), "recall_at_10": {}, "model_calls": 0}
    searches = 0.0
    count = 0
    for kind, questions in world.questions.items():
        recalls: list[float] = []
        for question in questions:
            began = time.process_time()
            found = memory.search(question.text, user_id=USER, limit=10, as_of=question.as_of)
            searches += time.process_time() - began
            count += 1
            figures["model_calls"] += found.usage.llm_calls
            recalls.append(_recall(question, ids, {item.id for item in found.results}))
        figures["recall_at_10"][kind] = round(sum(recalls) / len(recalls), 3)
    figures["search_ms"] = round(1e3 * searches / count, 3)
    if store != "none":
        figures["walked"] = _walked(memory, world, ids)
    memory.delete_all(user_id=USER)
    left = 0 if store == "none" else len(memory.graph.relations(user_id=USER))
    memory.forget(user_id=USER)
    memory.close()
    names = {fact.text.split()[0].encode() for fact in world.facts}
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    figures["left_after_delete"] = left
    figures["names_left_in_files"] = sum(any(name in data for data in files) for name in names)
    return figures


def _stored(memory: Memory, text: str, since: int, until: int | None) -> str:
    added = memory.add(text, user_id=USER, infer=False, valid_from=f"{since}-01-01").results[0].id
    assert added is not None
    if until is not None:
        memory.update(added, valid_until=f"{until - 1}-12-31")
    return added


def _recall(question: Question, ids: list[str], found: set[str]) -> float:
    wanted = {ids[place] for place in question.evidence}
    return len(wanted & found) / len(wanted)


def _walked(memory: Memory, world: World, ids: list[str]) -> float:
    """Return the share of 3-hop questions whose facts are all among the neighbours of the one that is named."""
    right = 0
    questions = world.questions["3 hops"]
    for question in questions:
        name = question.text.split()[-1].rstrip("?")
        near = memory.graph.neighbours(name, depth=3, limit=10_000, user_id=USER)
        said = {memory_id for relation in near for memory_id in relation.memory_ids}
        right += {ids[place] for place in question.evidence} <= said
    return round(right / len(questions), 3)


def _ms(began: float, count: int) -> float:
    return round(1e3 * (time.process_time() - began) / count, 3)
