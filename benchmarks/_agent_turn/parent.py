"""The models that every system is served by, what they were asked in a turn, and the table of it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from memkit.testing.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
LIKED = ("green tea", "long walks", "old maps", "black cats", "rye bread", "wild swimming")
TURNS = [
    f"I like {thing}. What is the weather in {city}?"
    for thing, city in zip(LIKED, ("Oslo", "Lisbon", "Ghent", "Turin", "Cork", "Graz"), strict=True)
]
LABELS: Mapping[str, str] = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Systems that play the same turns."""

    name: str
    worker: str
    """The module that has them."""
    systems: Sequence[str]
    """What comes before a hyphen is the environment."""
    packages: Mapping[str, Sequence[str]]
    """Of each environment, as pip takes them."""
    labels: Mapping[str, str]
    """The rows of the table."""


class Script:
    """The models of both sides, and what they were asked."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.prompt_chars: Counter[str] = Counter()
        self.recalled: dict[int, float] = {}
        """The share of what was liked in earlier turns that the agent's model was shown, by turn."""

    def __call__(self, body: Mapping[str, Any]) -> object:
        """Answer as the model that is asked for, and count."""
        model = "memory" if body["model"] == "memory" else "agent"
        self.calls[model] += 1
        self.prompt_chars[model] += len(json.dumps([body["messages"], body.get("tools")]))
        return self._agent(body) if model == "agent" else self._memory(body)

    def _agent(self, body: Mapping[str, Any]) -> object:
        messages = list(body["messages"])
        place = max(at for at, message in enumerate(messages) if message["role"] == "user")
        said = str(messages[place]["content"])
        if earlier := LIKED[: TURNS.index(said)]:
            shown = json.dumps(messages)
            self.recalled[len(earlier)] = mean(thing in shown for thing in earlier)
        answered = [message for message in messages[place:] if message["role"] == "tool"]
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
        if "attributed_to" in prompt:  # mem0's answer has a shape of its own
            fresh = prompt.rpartition("## New Messages")[2]
            said = next((turn for turn in TURNS if turn in fresh), None)
            return {"memory": [{"id": "0", "text": _fact(said), "attributed_to": "user"}] if said else []}
        said = max(TURNS, key=lambda turn: prompt.rfind(turn))
        if body.get("tools"):  # langmem's manager: this tool makes a memory, another edits one
            return {"tool_calls": [{"name": "Memory", "arguments": {"content": _fact(said)}}]}
        quote = said.split(".")[0]
        fact = {"text": _fact(said), "kind": "preference", "action": "add", "message": 1, "quote": quote}
        return {
            "memories": [{**fact, "replaces": None, "valid_from": None, "valid_until": None, "entities": []}],
            "relations": [],
        }


def _fact(said: str) -> str:
    return "The user likes " + said.removeprefix("I like ").split(".")[0] + "."


def run(benchmark: Benchmark, description: str | None, argv: list[str] | None) -> None:
    """Measure every system and write the table."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", default=",".join(benchmark.systems))
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    asked = parser.parse_args(argv)
    asked.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, float]] = {}
    for name in asked.systems.split(","):
        found = measure(benchmark.worker, name, _python(benchmark, name, asked.out))
        rows[name] = {key: found[key] for key in benchmark.labels}
    (asked.out / f"{benchmark.name}.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (asked.out / f"{benchmark.name}.md").write_text(table(rows, benchmark.labels), "utf-8")
    print(table(rows, benchmark.labels))


def measure(worker: str, name: str, python: str) -> dict[str, float]:
    """Play all turns with one system and return the counts of a turn; the first, which stores only, is left out."""
    script = Script()
    with OpenAIServer(reply=script) as server, tempfile.TemporaryDirectory() as folder:
        command = [python, "-m", worker, name, server.base_url, folder]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as player:
            assert player.stdin is not None
            _line(player, name)
            lines: list[dict[str, Any]] = []
            for number, turn in enumerate(TURNS):
                if number == 1:
                    script.calls.clear()
                    script.prompt_chars.clear()
                    server.reset()
                player.stdin.write(json.dumps(turn) + "\n")
                player.stdin.flush()
                lines.append(_line(player, name))
            player.stdin.close()
        texts = [text for request in server.embedded for text in request]
        requests = len(server.embedded)
    turns = len(TURNS) - 1
    return {
        "searches": sum(line["searches"] for line in lines[1:]) / turns,
        "adds": sum(line["adds"] for line in lines[1:]) / turns,
        "agent_calls": script.calls["agent"] / turns,
        "memory_calls": script.calls["memory"] / turns,
        "embedding_requests": requests / turns,
        "embedded_texts": len(texts) / turns,
        "embedded_twice": (len(texts) - len(set(texts))) / turns,
        "agent_prompt_chars": script.prompt_chars["agent"] / turns,
        "memory_prompt_chars": script.prompt_chars["memory"] / turns,
        "recalled_percent": 100 * mean(script.recalled.values()),
        "answered_ms": 1000 * median(line["answered_s"] for line in lines[1:]),
        "done_ms": 1000 * median(line["done_s"] for line in lines[1:]),
    }


def _line(player: subprocess.Popen[str], name: str) -> dict[str, Any]:
    assert player.stdout is not None
    for line in player.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise SystemExit(f"The worker of {name} ended early.")


def _python(benchmark: Benchmark, name: str, out: Path) -> str:
    """Return the interpreter of a system; its environment is made when it is missing."""
    kind = name.partition("-")[0]
    folder = (out / f".venv-{kind}-{benchmark.name}").resolve()
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    uv = [sys.executable, "-m", "uv"]
    if not python.exists():
        print(f"making an environment for {kind} in {folder.name} ...", flush=True)
        subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
        packages = benchmark.packages[kind]
        subprocess.run([*uv, "pip", "install", "-q", "--python", str(python), *packages], check=True)
    return str(python)


def table(rows: Mapping[str, Mapping[str, float]], labels: Mapping[str, str]) -> str:
    """Return the counts of a turn as Markdown."""
    lines = ["| per turn | " + " | ".join(rows) + " |", "|---|" + "---:|" * len(rows)]
    for key, label in labels.items():
        numbers = [row[key] for row in rows.values()]
        shown = [f"{number:,.0f}" if number >= 1000 else f"{number:.4g}" for number in numbers]
        lines.append(f"| {label} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"
