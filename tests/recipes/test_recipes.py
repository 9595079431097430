"""Recipes run as a reader runs them: a fresh process, a fresh folder, and what they print is what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memkit.testing.openai_server import OpenAIServer
from tests.embedders.minilm_forward import needs_weights

RECIPES = Path(__file__).parents[2] / "recipes"
QUICKSTART = RECIPES / "quickstart.py"
SMALL = sorted(path for path in RECIPES.glob("*.py") if path != QUICKSTART)
EXPECTED = re.compile(r"^ *# ?> ?(.*)$", re.MULTILINE)


def run(recipe: Path, folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(recipe), *arguments],
        cwd=folder,
        env=kept
        | {"MEMKIT_PATH": str(folder / "home"), "PYTHONIOENCODING": "utf-8", "COLUMNS": "80"}
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=150,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.parametrize("recipe", SMALL, ids=lambda path: path.stem)
def test_a_recipe_prints_what_it_says(recipe: Path, tmp_path: Path) -> None:
    expected = EXPECTED.findall(recipe.read_text("utf-8"))
    assert expected, f"{recipe.name} says nothing about what it prints"
    assert run(recipe, tmp_path).splitlines() == expected


@pytest.mark.parametrize("recipe", SMALL, ids=lambda path: path.stem)
def test_a_recipe_asks_one_question_and_is_short(recipe: Path) -> None:
    text = recipe.read_text("utf-8")
    assert text.split('"""')[1].splitlines()[0].endswith("?")
    assert len(text.splitlines()) <= 80


# The demo.

ANSWERS = {
    "Where do I live now?": "Ghent",
    "What am I allergic to?": "hazelnuts",
    "What is my dog afraid of?": "belt sander",
    "When do we drive to Antwerp?": "Next Friday we drive to Antwerp",
    "When does Tom start in Rotterdam?": "1 August",
}
BY_MEANING = "7. A question that shares no word with its answer"
LINE = re.compile(r"^  (\d\.\d\d)  (\d{4}-\d\d-\d\d)  (.+), session (\d+), turn (\d+)$")


def sections(printed: str) -> dict[str, list[str]]:
    """The blocks of the output by their first line, without the process at the right margin."""
    blocks = [block.splitlines() for block in printed.strip().split("\n\n")]
    return {re.sub(r"\s+process \d+$", "", block[0]): block[1:] for block in blocks}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("demo")
    return run(QUICKSTART, folder), folder


def test_the_demo_says_in_one_line_that_no_key_is_needed(demo: tuple[str, Path]) -> None:
    assert demo[0].splitlines()[1] == "No OPENAI_API_KEY: the embedded defaults are used."


def test_the_demo_fits_a_terminal_of_80_columns(demo: tuple[str, Path]) -> None:
    assert [line for line in demo[0].splitlines() if len(line) > 80 or line != line.rstrip()] == []


def test_the_demo_remembers_in_one_process_and_recalls_in_another(demo: tuple[str, Path]) -> None:
    processes = re.findall(r"process (\d+)$", demo[0], flags=re.MULTILINE)
    assert len(set(processes)) == 2


def answers(printed: str) -> dict[str, list[str]]:
    blocks = sections(printed)
    recalled = next(lines for title, lines in blocks.items() if title.startswith("2. Recall"))
    return {**blocks, recalled[0]: recalled[1:]}


def test_the_demo_finds_the_answer_with_score_date_speaker_and_turn(demo: tuple[str, Path]) -> None:
    found = answers(demo[0])
    for question, answer in ANSWERS.items():
        first = LINE.match(found[question][0])
        assert first is not None, found[question]
        assert 0 < float(first[1]) <= 1
        heads = [number for number, line in enumerate(found[question]) if LINE.match(line)]
        best = " ".join(line.strip() for line in found[question][: (heads[1:] or [None])[0]])
        assert answer in best, best
    assert LINE.match(found["When does Tom start in Rotterdam?"][0])[3] == "Tom"  # type: ignore[index]


def test_the_demo_shows_the_history_of_a_corrected_memory(demo: tuple[str, Path]) -> None:
    history = sections(demo[0])["3. The history of a memory"]
    assert [line.strip() for line in history if line.strip().isupper()] == ["ADD", "UPDATE"]
    text = "\n".join(history)
    assert text.index("I live in Utrecht") < text.index("I live in Ghent")


def test_in_the_demo_another_user_sees_none_of_it(demo: tuple[str, Path]) -> None:
    assert sections(demo[0])["4. Another user, 'leo', asks the same"] == ["5 questions, 0 memories found."]


def test_the_demo_shows_a_model_that_calls_tools(demo: tuple[str, Path]) -> None:
    lines = [line.strip() for line in sections(demo[0])["5. A model calls memory tools"]]
    assert [line.split(" ")[0] for line in lines if line.startswith(("Saved", "Unchanged"))] == [
        "Saved",
        "Unchanged",
    ]
    assert any(line.startswith("Nina wants a window seat on trains. (") for line in lines)
    assert lines[-1] == "search_memories has no argument 'user_id'. It takes: query, limit."


def test_the_demo_shows_an_agent_of_llama_index(demo: tuple[str, Path]) -> None:
    lines = [line.strip() for line in sections(demo[0])["6. An agent of LlamaIndex"]]
    assert "allergic to hazelnuts" in " ".join(lines[1:3]) and lines[-1] == "I do not know."


def test_without_a_model_the_demo_says_how_to_get_one(demo: tuple[str, Path]) -> None:
    lines = sections(demo[0])[BY_MEANING]
    assert lines[-1] == "  pip install -e '.[local]' && memkit models download minilm"


@needs_weights
@pytest.mark.engine
@pytest.mark.parametrize("store", ["sqlite", "chroma"])
def test_with_the_model_the_demo_finds_what_shares_no_word(store: str, tmp_path: Path) -> None:
    if store == "chroma":
        pytest.importorskip("chromadb")
    printed = run(QUICKSTART, tmp_path, "--store", store, MEMKIT_LOCAL_EMBEDDER="minilm")
    assert "Embedder: minilm/all-MiniLM-L6-v2" in printed
    found = answers(printed)
    for question, answer in ANSWERS.items():
        assert LINE.match(found[question][0]), found[question]
        assert answer in " ".join(line.strip() for line in found[question]), question
    assert sections(printed)[BY_MEANING] == [
        "  Does anyone avoid meat?",
        "        And I'm vegetarian, so no sausages on the road this time, Nina.",
        "  Words in common: none.",
    ]
    assert [line for line in printed.splitlines() if len(line) > 80] == []


def test_the_demo_cleans_up_after_itself(demo: tuple[str, Path]) -> None:
    assert list((demo[1] / "home").iterdir()) == []


def test_the_demo_runs_on_chroma_with_the_same_answers(demo: tuple[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    printed = run(QUICKSTART, tmp_path, "--store", "chroma")
    assert "chroma as the index" in printed
    found = answers(printed)
    for question, answer in ANSWERS.items():
        assert answer in " ".join(line.strip() for line in found[question])


def test_the_demo_takes_a_transcript_and_questions_of_ones_own(tmp_path: Path) -> None:
    chat = [
        {"role": "user", "content": "I keep eleven hives of bees on the roof."},
        {"role": "assistant", "content": "What do they eat in winter?"},
    ]
    (tmp_path / "chat.jsonl").write_text("\n".join(json.dumps(message) for message in chat), "utf-8")
    printed = run(QUICKSTART, tmp_path, "chat.jsonl", "--ask", "Where are the bees?", "--path", "kept")
    assert "2 turns of 1 session became 2 memories" in printed
    assert "eleven hives" in " ".join(answers(printed)["Where are the bees?"])
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["missing.json"], "'missing.json' cannot be read"), (["--store", "chromma"], "Did you mean 'chroma'?")],
)
def test_the_demo_says_what_is_wrong_in_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    error = run(QUICKSTART, tmp_path, *arguments, code=1)
    assert says in error
    assert "Traceback" not in error


def extract(body: Mapping[str, Any]) -> object:
    """Play a model: two facts, the second of which replaces the first; and an answer from the memories it is shown."""
    prompt = "\n".join(str(message["content"]) for message in body["messages"])
    if "response_format" not in body:
        return "You live in Ghent." if "Nina lives in Ghent" in prompt else "They do not tell."
    memories: list[dict[str, Any]] = []
    for city in ("Utrecht", "Ghent"):
        turn = re.search(rf"^\[(\d+)\] user.*I live in {city}", prompt, flags=re.MULTILINE)
        if turn is not None:
            old = re.search(r"^\W*(m\d+): Nina lives in Utrecht", prompt, flags=re.MULTILINE)
            memories.append(
                {
                    "text": f"Nina lives in {city}.",
                    "kind": "fact",
                    "action": "supersede" if old else "add",
                    "replaces": old[1] if old else None,
                    "message": int(turn[1]),
                    "quote": f"I live in {city}",
                    "entities": [],
                }
            )
    return {"memories": memories, "relations": []}


def test_with_a_key_the_demo_extracts_supersedes_and_answers(tmp_path: Path) -> None:
    with OpenAIServer(reply=extract) as server:
        printed = run(QUICKSTART, tmp_path, OPENAI_API_KEY="sk-test", OPENAI_BASE_URL=server.base_url)
        extractions = [body for body in server.chats if "response_format" in body]
    assert printed.splitlines()[1] == "OPENAI_API_KEY is set: a model extracts facts and answers."
    assert len(extractions) == 5, "one call a session"
    home = answers(printed)["Where do I live now?"]
    assert home[0].strip() == "You live in Ghent."
    assert "Nina lives in Ghent." in " ".join(home)
    assert "Utrecht" not in " ".join(home)
    history = [line.strip() for line in sections(printed)["3. The history of a memory"]]
    assert history == [
        "ADD",
        "Nina lives in Utrecht.",
        "SUPERSEDE, true until 2025-05-27",
        "Nina lives in Ghent.",
    ]
    assert "5 questions, 0 memories found." in printed
    assert "sk-test" not in printed


def test_a_refused_key_is_said_plainly(tmp_path: Path) -> None:
    with OpenAIServer(api_key="sk-right") as server:
        error = run(QUICKSTART, tmp_path, code=1, OPENAI_API_KEY="sk-wrong", OPENAI_BASE_URL=server.base_url)
    assert "AuthenticationError" in error
    assert "Traceback" not in error and "sk-wrong" not in error
