"""What one turn of a LlamaIndex agent with one tool call costs, counted at the doors of memory, model and embedder.

    python -m benchmarks llama-index-turn [--systems memkit,mem0,block] [--out FOLDER]

`memkit` is `MemkitMemory`, `mem0` is `Mem0Memory`, `block` is the native `Memory` with a `VectorMemoryBlock`. The
same scripted models serve all of them from a local server: a function-calling model that looks up the weather once and
answers, and a memory's model that returns the one fact that a turn has. For memkit and mem0 every turn is a session of
its own, so what is known comes from the memory alone. A `VectorMemoryBlock` finds what was said in the same session,
and only what the queue has flushed: so for `block` all turns are one session, with limits low enough that a turn is
flushed when the next one comes. Searches and adds are those that reach the memory: of a `Memory` of memkit or mem0, or
of the block's vector store. Each system lives in an environment that is made beside the results at the first run.
"""

from __future__ import annotations

from benchmarks._agent_turn.parent import LABELS, ROOT, Benchmark, run

_LLAMA_INDEX = ("llama-index-core", "llama-index-llms-openai", "llama-index-embeddings-openai")
BENCHMARK = Benchmark(
    name="llama-index-turn",
    worker="benchmarks._agent_turn.llama_index_agents",
    systems=("memkit", "mem0", "block"),
    packages={
        "memkit": (
            *_LLAMA_INDEX, "openai", "-e", str(ROOT), "-e", str(ROOT / "integrations/tools"),
            "-e", str(ROOT / "integrations/llama-index"),
        ),
        "mem0": (*_LLAMA_INDEX, "llama-index-memory-mem0", "chromadb"),
        "block": (*_LLAMA_INDEX, "llama-index-vector-stores-chroma"),
    },
    labels={
        "searches": "searches of the memory",
        "adds": "adds to the memory",
        **LABELS,
        "recalled_percent": "shown of what was said in earlier turns, %",
    },
)  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Measure every system and write the table."""
    run(BENCHMARK, __doc__, argv)


if __name__ == "__main__":
    main()
