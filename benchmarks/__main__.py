"""`python -m benchmarks NAME [options]`.

`agent-turn` and `llama-index-turn` (what a turn costs beside peers), `engine` (speed beside peers), `graph` (questions
over several facts), `mcp` (latency),
`postgres` (over bare SQL), `retrieval` (quality), `soak` (a long life: does it stay small), `stores` (each over its
raw client).
"""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "agent-turn",
    "engine",
    "graph",
    "llama-index-turn",
    "mcp",
    "postgres",
    "retrieval",
    "soak",
    "stores",
)


def main() -> None:
    """Run the benchmark that is named; without a name, the one that needs nothing but this machine."""
    name = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "engine"
    rest = sys.argv[2:] if len(sys.argv) > 1 and sys.argv[1] == name else sys.argv[1:]
    if name not in NAMES:
        raise SystemExit(f"Unknown benchmark {name!r}. Known: {', '.join(NAMES)}.")
    importlib.import_module(f"benchmarks.{name.replace('-', '_')}").main(rest)


if __name__ == "__main__":
    main()
