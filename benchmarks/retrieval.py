"""How well memories are found, and at what cost, beside peers. No LLM, no network, no text of the data in the results.

    python -m benchmarks retrieval --data FOLDER                        # everything but the peers
    python -m benchmarks retrieval --data FOLDER --peers all            # peers in environments of their own
    python -m benchmarks retrieval --data FOLDER --tasks turns,large --levels keyless --sets locomo
    python -m benchmarks retrieval --data FOLDER --fit                  # fit the calibrated scores anew
    python -m benchmarks retrieval --tasks facts,languages,growth       # needs no data

FOLDER holds conversation sets as `<name>-<split>.json`: conversations with turns (id, session, date, speaker, text) and
questions (question, category, evidence: turn ids). Every conversation is one user's. Vectors, and what was measured of
each conversation, are kept in `--cache`: a run that was stopped goes on where it was, unless the code changed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks._retrieval import (
    ablation,
    facts,
    fitting,
    generated,
    languages,
    packing,
    peers,
    report,
    speed,
    turns,
)
from benchmarks._retrieval.cached import LEVELS
from benchmarks._retrieval.run import Run

RESULTS: Final = Path(__file__).parent / "results"
TASKS: Final[Mapping[str, Callable[[Run], None]]] = {
    "turns": turns.turns,
    "isolation": turns.isolation,
    "large": turns.large,
    "embedders": turns.embedders,
    "ablation": ablation.ablation,
    "context": packing.packing,
    "facts": facts.facts,
    "languages": languages.languages,
    "growth": generated.growth,
    "peers": peers.peers,
    "speed": speed.speed,
    "ingest": speed.ingest,
}
NEEDS_NO_DATA: Final = ("facts", "languages", "growth")


def main(argv: list[str] | None = None) -> None:
    """Measure, then write `retrieval.json`, `retrieval.md` and the pictures."""
    parser = _parser()
    asked = parser.parse_args(argv)
    folder: Path | None = asked.data
    tasks = _some(parser, "--tasks", asked.tasks, tuple(TASKS))
    levels = _some(parser, "--levels", asked.levels, LEVELS)
    chosen = "" if asked.peers == "none" else ",".join(peers.SYSTEMS) if asked.peers == "all" else asked.peers
    run = Run(
        folder=folder,
        split=asked.split,
        only=[name for name in asked.sets.split(",") if name],
        levels=levels,
        peers=_some(parser, "--peers", chosen, tuple(peers.SYSTEMS)) if chosen else [],
        cache=asked.cache,
        environments=asked.environments,
        quick=asked.quick,
    )
    if folder is None and (asked.fit or not set(tasks) <= set(NEEDS_NO_DATA)):
        parser.error("Say where the conversation sets are: --data FOLDER")
    if folder is not None and asked.fit:
        for level in levels:
            fitting.fit(folder, run.embedder(level), asked.split)
        return
    for name in tasks:
        started = time.monotonic()
        TASKS[name](run)
        print(f"-------- {name}: {time.monotonic() - started:.0f} s", flush=True)
    command = "python -m benchmarks retrieval" + "".join(f" {word}" for word in _public(argv or ()))
    print(report.write(run, asked.out, command=command, plots=not asked.no_plots))
    print(f"\nresults in {asked.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kept = Path(tempfile.gettempdir()) / "memkit-retrieval"
    parser.add_argument("--data", type=Path, help="folder of <name>-<split>.json")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--sets", default="", help="some of the sets, comma-separated")
    parser.add_argument("--tasks", default=",".join(TASKS), help="some of the default, comma-separated")
    parser.add_argument("--levels", default=",".join(LEVELS), help="some of the default, comma-separated")
    parser.add_argument(
        "--peers", default="none", help=f'"all", "none", or some of {", ".join(peers.SYSTEMS)}'
    )
    parser.add_argument("--fit", action="store_true", help="print constants for memkit/ranking/constants.py")
    parser.add_argument("--quick", action="store_true", help="two conversations of each set, small worlds")
    parser.add_argument("--cache", type=Path, default=kept, help="vectors and what was measured")
    parser.add_argument(
        "--environments", type=Path, default=RESULTS, help="where the peers' environments are"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--no-plots", action="store_true")
    return parser


def _some(parser: argparse.ArgumentParser, option: str, given: str, known: Sequence[str]) -> list[str]:
    """Return the names that were asked for, in the order of the known ones."""
    names = given.split(",")
    for name in names:
        if name not in known:
            parser.error(f"{option}: unknown {name!r}. Known: {', '.join(known)}.")
    return [name for name in known if name in names]


def _public(argv: Sequence[str]) -> list[str]:
    """Return the words of a command with folders of this machine left out."""
    hidden = {"--data": "FOLDER", "--cache": "FOLDER", "--environments": "FOLDER", "--out": "FOLDER"}
    return [hidden.get(before, word) for before, word in zip(["", *argv], argv, strict=False)]


if __name__ == "__main__":
    main()
