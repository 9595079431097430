"""`python -m benchmarks NAME [options]`.

`agent-turn` and `llama-index-turn` (what a turn costs beside peers), `engine` (speed beside peers), `mcp` (latency),
`retrieval` (quality), `soak` (a long life: does it stay small).
"""

from __future__ import annotations

import sys

NAMES = ("agent-turn", "engine", "llama-index-turn", "mcp", "retrieval", "soak")


def main() -> None:
    """Run the benchmark that is named; without a name, the one that needs nothing but this machine."""
    name = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "engine"
    rest = sys.argv[2:] if len(sys.argv) > 1 and sys.argv[1] == name else sys.argv[1:]
    if name == "agent-turn":
        from benchmarks.agent_turn import main as run
    elif name == "engine":
        from benchmarks.engine import main as run
    elif name == "llama-index-turn":
        from benchmarks.llama_index_turn import main as run
    elif name == "mcp":
        from benchmarks.mcp import main as run
    elif name == "retrieval":
        from benchmarks.retrieval import main as run
    elif name == "soak":
        from benchmarks.soak import main as run
    else:
        raise SystemExit(f"Unknown benchmark {name!r}. Known: {', '.join(NAMES)}.")
    run(rest)


if __name__ == "__main__":
    main()
