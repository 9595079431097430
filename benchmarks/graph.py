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
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks._graph.world import Question, World, make
from memkit import Memory
from memkit.embedders.hash import HashEmbedder

_HERE = Path(__file__).parent
USER: Final = "ann"


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `graph.json` and `graph.md`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks graph", description=__doc__)
    parser.add_argument("--stores", default="none,sqlite,networkx,neo4j", help="which; `none` is no graph")
    parser.add_argument("--facts", type=int, default=2000)
    parser.add_argument("--questions", type=int, default=60, help="of each kind")
    parser.add_argument("--rounds", type=int, default=5, help="of all questions; the best counts")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args(argv)
    world = make(args.facts, args.questions)
    result: dict[str, Any] = {"facts": len(world.facts), "questions": args.questions, "stores": {}}
    with ExitStack() as stack:
        kept = {name: _kept(name, stack) for name in args.stores.split(",")}
        for name, memory in kept.items():
            result["stores"][name] = _filled(memory, world)
            print(name, result["stores"][name], flush=True)
        _searched(kept, world, args.rounds, result["stores"])
        for name, memory in kept.items():
            result["stores"][name].update(_emptied(memory, world, name))
            print(name, json.dumps(result["stores"][name]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "graph.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "graph.md").write_text(_table(result))


@dataclass(slots=True)
class _Kept:
    """A memory with a graph, where it lies, and what it called the facts."""

    memory: Memory
    folder: Path
    ids: list[str] = field(default_factory=list[str])


def _kept(name: str, stack: ExitStack) -> _Kept:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    graph: Any = None if name == "none" else name
    if name == "neo4j":
        from tests.bolt import BoltServer

        server = stack.enter_context(closing(BoltServer()))
        graph = {"provider": "neo4j", "config": server.settings(server.create())}
    memory = Memory(folder, llm=None, embedder=HashEmbedder(), graph_store=graph)
    return _Kept(stack.enter_context(closing(memory)), folder)


def _filled(kept: _Kept, world: World) -> dict[str, Any]:
    """Store the facts one by one, and tell how long one takes."""
    began, clock = time.process_time(), time.perf_counter()
    kept.ids += [_stored(kept.memory, fact.text, fact.since, fact.until) for fact in world.facts]
    return {
        "add_ms": _ms(time.process_time() - began, len(kept.ids)),
        "add_wall_ms": _ms(time.perf_counter() - clock, len(kept.ids)),
    }


def _searched(kept: dict[str, _Kept], world: World, rounds: int, out: dict[str, Any]) -> None:
    """Ask every question of every memory in turn, and note what is found and the processor's time of the best round."""
    asked = [(kind, question) for kind, questions in world.questions.items() for question in questions]
    best = {name: [float("inf")] * len(asked) for name in kept}
    recalls: dict[str, dict[str, list[float]]] = {name: {} for name in kept}
    calls = dict.fromkeys(kept, 0)
    for turn in range(rounds):
        for n, (kind, question) in enumerate(asked):
            for name, one in kept.items():
                began = time.process_time()
                found = one.memory.search(question.text, user_id=USER, limit=10, as_of=question.as_of)
                best[name][n] = min(best[name][n], time.process_time() - began)
                calls[name] += found.usage.llm_calls
                if turn == 0:
                    recall = _recall(question, one.ids, {item.id for item in found.results})
                    recalls[name].setdefault(kind, []).append(recall)
    for name, figures in out.items():
        figures["search_ms"] = _ms(sum(best[name]), len(asked))
        figures["recall_at_10"] = {kind: round(sum(all) / len(all), 3) for kind, all in recalls[name].items()}
        figures["model_calls"] = calls[name]


def _emptied(kept: _Kept, world: World, name: str) -> dict[str, Any]:
    """Walk, delete and forget, and look for what is left."""
    memory = kept.memory
    figures: dict[str, Any] = {} if name == "none" else {"walked": _walked(memory, world, kept.ids)}
    memory.delete_all(user_id=USER)
    figures["left_after_delete"] = 0 if name == "none" else len(memory.graph.relations(user_id=USER))
    memory.forget(user_id=USER)
    figures["left_after_forget"] = 0 if name == "none" else len(memory.graph.entities(user_id=USER).results)
    memory.close()
    names = {fact.text.split()[0].encode() for fact in world.facts}
    files = [path.read_bytes() for path in kept.folder.rglob("*") if path.is_file()]
    figures["names_left_in_files"] = sum(any(name in data for data in files) for name in names)
    return figures


def _table(result: dict[str, Any]) -> str:
    """Return the figures as a page."""
    stores: dict[str, dict[str, Any]] = result["stores"]
    kinds = list(next(iter(stores.values()))["recall_at_10"])
    plain = stores.get("none", {}).get("search_ms")
    lines = [
        "# The graph",
        "",
        f"`python -m benchmarks graph`: a generated world of {result['facts']:,} facts, {result['questions']} "
        "questions of each kind, no model, the `hash` embedder. Recall at ten is the share of the facts that a "
        "question needs among the ten memories found. Times are of the client's processor, unless they are wall times; "
        "a search is the best of its rounds. `neo4j` is its driver against a local Bolt server. `walked` is the share "
        "of 3-hop questions whose facts are all among `neighbours(depth=3)`.",
        "",
        "| graph | "
        + " | ".join(f"recall, {kind}" for kind in kinds)
        + " | search, ms | times none | add, ms | "
        "add, wall ms | walked | model calls | left after delete | after forget | names left in files |",
        "| --- |" + " --- |" * (len(kinds) + 9),
    ]
    for name, one in stores.items():
        times = "" if not plain else f"{one['search_ms'] / plain:.2f}"
        cells = [*(f"{one['recall_at_10'][kind]:.3f}" for kind in kinds), f"{one['search_ms']:.2f}", times]
        cells += [f"{one['add_ms']:.2f}", f"{one['add_wall_ms']:.2f}", str(one.get("walked", ""))]
        cells += [str(one[what]) for what in _COUNTS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


_COUNTS: Final = ("model_calls", "left_after_delete", "left_after_forget", "names_left_in_files")


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


def _ms(seconds: float, count: int) -> float:
    return round(1e3 * seconds / count, 3)
