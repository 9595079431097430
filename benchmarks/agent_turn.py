"""What one turn of an agent with one tool call costs, counted at the model's and the embedder's door.

    python -m benchmarks agent-turn [--systems memkit,langmem-tools,langmem-manager,mem0] [--out FOLDER]

The same scripted models serve every system from a local server: an agent's model that looks up the weather once and
answers, and a memory's model that returns one fact a turn. Every turn is a thread of its own, so what is known comes
from the memory alone. Each system lives in an environment that is made beside the results at the first run.
"""

from __future__ import annotations

from benchmarks._agent_turn.parent import LABELS, ROOT, Benchmark, run

_LANGCHAIN = ("langchain", "langgraph", "langchain-openai")
BENCHMARK = Benchmark(
    name="agent-turn",
    worker="benchmarks._agent_turn.langchain_agents",
    systems=("memkit", "langmem-tools", "langmem-manager", "mem0"),
    packages={
        "memkit": (
            *_LANGCHAIN, "openai", "-e", str(ROOT), "-e", str(ROOT / "integrations/tools"),
            "-e", str(ROOT / "integrations/langchain"),
        ),
        "langmem": (*_LANGCHAIN, "langmem"),
        "mem0": (*_LANGCHAIN, "mem0ai>=2,<3", "chromadb"),
    },
    labels=LABELS,
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Measure every system and write the table."""
    run(BENCHMARK, __doc__, argv)


if __name__ == "__main__":
    main()
