"""What one turn of an agent with one tool call costs, counted at the model's and the embedder's door.

    python -m benchmarks agent-turn [--systems memkit,langmem-tools,langmem-manager,mem0] [--out FOLDER]

The same scripted models serve every system from a local server: an agent's model that looks up the weather once and
answers, and a memory's model that returns one fact a turn. Every turn is a thread of its own, so what is known comes
from the memory alone. Each system lives in an environment that is made beside the results at the first run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from memkit.testing.openai_server import OpenAIServer

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).parent / "_agent_turn" / "worker.py"
TURNS = [
    f"I like {thing}. What is the weather in {city}?"
    for thing, city in zip(
        ("green tea", "long walks", "old maps", "black cats", "rye bread", "wild swimming"),
        ("Oslo", "Lisbon", "Ghent", "Turin", "Cork", "Graz"),
        strict=True,
    )
]
_LANGCHAIN = ("langchain", "langgraph", "langchain-openai")
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "memkit": (
        *_LANGCHAIN, "openai", "-e", str(ROOT), "-e", str(ROOT / "integrations/tools"),
        "-e", str(ROOT / "integrations/langchain"),
    ),
    "langmem": (*_LANGCHAIN, "langmem"),
    "mem0": (*_LANGCHAIN, "mem0ai>=2,<3", "chromadb"),
}  # fmt: skip


class Script:
    """The models of both sides, and what they were asked."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.prompt_chars: Counter[str] = Counter()

    def __call__(self, body: Mapping[str, Any]) -> object:
        """Answer as the model that is asked for, and count."""
        model = str(body["model"])
        self.calls[model] += 1
        self.prompt_chars[model] += len(json.dumps([body["messages"], body.get("tools")]))
        return self._agent(body) if model == "agent" else self._memory(body)

    def _agent(self, body: Mapping[str, Any]) -> object:
        messages = list(body["messages"])
        said = next(str(m["content"]) for m in reversed(messages) if m["role"] == "user")
        answered = [m for m in messages if m["role"] == "tool"]
        offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
        if not answered:
            calls = [{"name": "lookup_weather", "arguments": {"city": said.split()[-1].strip("?")}}]
            if "search_memory" in offered:
                calls.append({"name": "search_memory", "arguments": {"query": said}})
            return {"tool_calls": calls}
        if "manage_memory" in offered and len(answered) == 2:
            return {
                "tool_calls": [
                    {"name": "manage_memory", "arguments": {"content": _fact(said), "action": "create"}}
                ]
            }
        return f"It is sunny in {said.split()[-1].strip('?')}."

    def _memory(self, body: Mapping[str, Any]) -> object:
        prompt = json.dumps(body["messages"], ensure_ascii=False)
        said = max(TURNS, key=lambda turn: prompt.rfind(turn))
        if body.get("tools"):  # langmem's manager: this tool makes a memory, another edits one
            return {"tool_calls": [{"name": "Memory", "arguments": {"content": _fact(said)}}]}
        quote = said.split(".")[0]
        fact = {"text": _fact(said), "kind": "preference", "action": "add", "message": 1, "quote": quote}
        if "attributed_to" in prompt:  # mem0's answer has a shape of its own
            return {"memory": [{"id": "0", "text": _fact(said), "attributed_to": "user"}]}
        return {
            "memories": [{**fact, "replaces": None, "valid_from": None, "valid_until": None, "entities": []}],
            "relations": [],
        }


def _fact(said: str) -> str:
    return "The user likes " + said.removeprefix("I like ").split(".")[0] + "."


def main(argv: list[str] | None = None) -> None:
    """Measure every system and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", default="memkit,langmem-tools,langmem-manager,mem0")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = {name: measure(name, asked.out) for name in asked.systems.split(",")}
    (asked.out / "agent-turn.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (asked.out / "agent-turn.md").write_text(table(rows), "utf-8")
    print(table(rows))


def measure(name: str, out: Path) -> dict[str, float]:
    """Play all turns with one system and return the counts of a turn; the first, which stores only, is left out."""
    script = Script()
    with OpenAIServer(reply=script) as server, tempfile.TemporaryDirectory() as folder:
        command = [_python(name, out), str(WORKER), name, server.base_url, folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin is not None and worker.stdout is not None
            _line(worker, name)
            lines: list[dict[str, Any]] = []
            for number, turn in enumerate(TURNS):
                if number == 1:
                    script.calls.clear()
                    script.prompt_chars.clear()
                    server.reset()
                worker.stdin.write(json.dumps(turn) + "\n")
                worker.stdin.flush()
                lines.append(_line(worker, name))
            worker.stdin.close()
        texts = [text for request in server.embedded for text in request]
        requests = len(server.embedded)
    turns = len(TURNS) - 1
    return {
        "agent_calls": script.calls["agent"] / turns,
        "memory_calls": script.calls["memory"] / turns,
        "embedding_requests": requests / turns,
        "embedded_texts": len(texts) / turns,
        "embedded_twice": (len(texts) - len(set(texts))) / turns,
        "agent_prompt_chars": script.prompt_chars["agent"] / turns,
        "memory_prompt_chars": script.prompt_chars["memory"] / turns,
        "answered_ms": 1000 * median(line["answered_s"] for line in lines[1:]),
        "done_ms": 1000 * mean(line["done_s"] for line in lines[1:]),
    }


def _line(worker: subprocess.Popen[str], name: str) -> dict[str, Any]:
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit(f"The worker of {name} ended early.")


def _python(name: str, out: Path) -> str:
    """Return the interpreter of a system; its environment is made when it is missing."""
    kind = name.partition("-")[0]
    folder = (out / f".venv-{kind}-turn").resolve()
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    uv = [sys.executable, "-m", "uv"]
    if not python.exists():
        print(f"making an environment for {kind} in {folder.name} ...", flush=True)
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *PACKAGES[kind]], check=True)
    return str(python)


LABELS = {
    "agent_calls": "calls of the agent's model",
    "memory_calls": "calls of the memory's model",
    "embedding_requests": "embedding requests",
    "embedded_texts": "texts embedded",
    "embedded_twice": "… of these embedded before",
    "agent_prompt_chars": "characters sent to the agent's model",
    "memory_prompt_chars": "characters sent to the memory's model",
    "answered_ms": "until the answer, ms (the models answer at once)",
    "done_ms": "until it is learned, ms",
}


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Return the counts of a turn as Markdown."""
    lines = ["| per turn | " + " | ".join(rows) + " |", "|---|" + "---:|" * len(rows)]
    for key, label in LABELS.items():
        lines.append(f"| {label} | " + " | ".join(f"{row[key]:,.4g}" for row in rows.values()) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
