"""Nothing heavy, no network and no file before the first explicit call."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

HEAVY = {
    "aiohttp", "anyio", "chromadb", "click", "grpc", "httpcore", "httpcore2", "httpx", "httpx2", "langchain",
    "langchain_core", "langgraph", "llama_index", "numpy", "onnxruntime", "openai", "pandas", "psycopg",
    "requests", "rich", "sqlalchemy", "sqlite3", "tenacity", "torch", "typer", "urllib3", "yaml",
}  # fmt: skip

PROBE = """
import json, sys

CHANGES = {"os.mkdir", "os.remove", "os.rename", "subprocess.Popen", "sqlite3.connect"}

def note(event, args):
    touched = event.startswith("socket.") or event in CHANGES
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        touched = True
    if touched:
        events.append(f"{event} {args!r}"[:300])

events = []
sys.addaudithook(note)
before = set(sys.modules)
CODE
modules = sorted({name.split(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"modules": modules, "events": events}))
"""


def probe(code: str, folder: Path) -> Any:
    program = PROBE.replace("CODE", textwrap.dedent(code).strip())
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "code", ["import memkit", "import memkit; memkit.Memory; memkit.AsyncMemory; memkit.MemoryItem"]
)
def test_import_loads_nothing_heavy_and_touches_nothing(code: str, tmp_path: Path) -> None:
    seen = probe(code, tmp_path)
    assert set(seen["modules"]) & HEAVY == set()
    assert seen["events"] == []


@pytest.mark.parametrize("place", ["'data'", "'data/memory.db'", "':memory:'", ""])
@pytest.mark.parametrize("face", ["Memory", "AsyncMemory"])
def test_constructing_touches_neither_network_nor_disk(face: str, place: str, tmp_path: Path) -> None:
    seen = probe(f"import memkit; memkit.{face}({place})", tmp_path)
    assert seen["events"] == []


def test_the_engine_needs_no_vendor_package(tmp_path: Path) -> None:
    """With every extra hidden, memkit still remembers and finds."""
    code = """
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"chromadb", "openai", "langchain_core", "httpx", "httpx2", "onnxruntime"}:
                    raise ModuleNotFoundError(name, name=name)

        sys.meta_path.insert(0, Hidden())
        import memkit
        from memkit.errors import MissingDependencyError

        with memkit.Memory(":memory:", llm=None, embedder="hash") as memory:
            memory.add("The spare key is under the blue pot.", user_id="ada", infer=False)
            assert memory.search("Where is the spare key?", user_id="ada").results
            try:
                memkit.Memory(":memory:", vector_store="chroma").add("x", user_id="ada", infer=False)
            except MissingDependencyError as error:
                assert "memkit-ai[chroma]" in str(error), error
            else:
                raise AssertionError("a missing extra went unnoticed")
    """
    probe(code, tmp_path)


def test_the_first_awaited_call_imports_nothing_heavy_in_the_event_loop(tmp_path: Path) -> None:
    code = """
        import asyncio, threading

        class Watch:
            seen = set()

            def find_spec(self, name, path=None, target=None):
                if name in {"numpy", "sqlite3", "memkit.engine.search", "memkit.ledger.sqlite.ledger"}:
                    self.seen.add((name, threading.current_thread() is threading.main_thread()))

        sys.meta_path.insert(0, Watch())
        import memkit

        async def main():
            async with memkit.AsyncMemory(":memory:", llm=None, embedder="hash") as memory:
                await memory.add("tea", user_id="ada", infer=False)

        asyncio.run(main())
        assert {name for name, _ in Watch.seen} == {"numpy", "sqlite3", "memkit.engine.search", "memkit.ledger.sqlite.ledger"}
        assert not any(in_loop for _, in_loop in Watch.seen), Watch.seen
    """
    probe(code, tmp_path)


def test_a_memory_without_a_model_loads_nothing_that_reads_answers_and_no_event_loop(tmp_path: Path) -> None:
    """That takes longer than the first add and search themselves."""
    code = """
        import memkit

        with memkit.Memory(":memory:", llm=None, embedder="hash") as memory:
            memory.add("The spare key is under the blue pot since 3 December.", user_id="ada")
            assert memory.search("Where is the spare key?", user_id="ada").results
        late = {"asyncio", "memkit.engine.learn", "memkit.extraction.relations", "memkit.extraction.verify"}
        assert late.isdisjoint(sys.modules), late.intersection(sys.modules)
    """
    probe(code, tmp_path)
