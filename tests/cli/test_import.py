"""Transcripts go in once, whole, and as what they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.transfer.conversation import PIECE, with_ids
from tests.cli.conftest import Memkit
from tests.cli.test_transcripts import conversation

TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "I live in Oslo.", "created_at": "2025-03-03T09:00:00+01:00"},
    {"role": "assistant", "content": "Noted.", "created_at": "2025-03-03T09:00:05+01:00"},
    {"role": "user", "content": "Thanks!"},
    {"role": "user", "content": "Thanks!"},
]


def lines(path: Path, messages: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(message) for message in messages), "utf-8")
    return path


def held(memkit: Memkit, user: str = "ada") -> list[dict[str, Any]]:
    return memkit("list", "--user", user, "--all", "--json").json["results"][::-1]


def test_a_transcript_becomes_messages_and_memories(memkit: Memkit, tmp_path: Path) -> None:
    report = memkit("import", str(lines(tmp_path / "talk.jsonl", TALK)), "--user", "ada", "--json").json
    assert (report["messages"], report["already"], report["format"]) == (5, 0, "openai")
    assert report["events"] == {"ADD": 4, "NONE": 1}
    assert report["first"] == "2025-03-03T08:00:00+00:00"
    assert [item["memory"] for item in held(memkit)] == ["I live in Oslo.", "Noted.", "Thanks!", "Thanks!"]
    with Memory() as memory:
        assert [message.role for message in memory.messages(user_id="ada")].count("system") == 1


def test_the_same_file_again_stores_nothing_twice(memkit: Memkit, tmp_path: Path) -> None:
    file = str(lines(tmp_path / "talk.jsonl", TALK))
    memkit("import", file, "--user", "ada")
    before = memkit("stats", "--json").json
    again = memkit("import", file, "--user", "ada", "--json").json
    assert (again["already"], again["operations"]) == (5, [])
    assert "Nothing new." in memkit("import", file, "--user", "ada").out
    assert memkit("stats", "--json").json == before


def test_a_file_that_has_grown_brings_only_what_is_new(memkit: Memkit, tmp_path: Path) -> None:
    memkit("import", str(lines(tmp_path / "talk.jsonl", TALK)), "--user", "ada")
    grown = [*TALK, {"role": "user", "content": "I moved to Bergen."}]
    report = memkit("import", str(lines(tmp_path / "talk.jsonl", grown)), "--user", "ada", "--json").json
    assert report["events"] == {"ADD": 1, "NONE": 5}
    with Memory() as memory:
        assert len(memory.messages(user_id="ada")) == 6


def test_what_was_deleted_after_an_import_stays_deleted(memkit: Memkit, tmp_path: Path) -> None:
    file = str(lines(tmp_path / "talk.jsonl", TALK))
    memkit("import", file, "--user", "ada")
    with Memory() as memory:
        memory.delete(held(memkit)[0]["id"])
    memkit("import", file, "--user", "ada")
    assert len(held(memkit)) == 3


def test_the_same_file_may_belong_to_two_users(memkit: Memkit, tmp_path: Path) -> None:
    file = str(lines(tmp_path / "talk.jsonl", TALK))
    memkit("import", file, "--user", "ada")
    memkit("import", file, "--user", "bob")
    assert len(held(memkit, "ada")) == len(held(memkit, "bob")) == 4


def test_a_dry_run_says_what_would_be_stored_and_writes_nothing(memkit: Memkit, tmp_path: Path) -> None:
    file = str(lines(tmp_path / "talk.jsonl", TALK))
    done = memkit("import", file, "--user", "ada", "--dry-run")
    assert "Would store 5 messages" in done.out
    assert "Nothing was written." in done.out
    assert [path.name for path in tmp_path.iterdir()] == ["talk.jsonl"]


def test_chatgpt_conversations_are_runs(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "conversations.json").write_text(json.dumps([conversation()]), "utf-8")
    report = memkit("import", "conversations.json", "--user", "ada", "--json").json
    assert (report["format"], report["runs"], report["messages"], report["hidden"]) == ("chatgpt", 1, 2, 6)
    assert [(item["run_id"], item["metadata"]) for item in held(memkit)] == [("c-1", {"title": "Moving"})] * 2
    found = memkit("list", "--user", "ada", "--filter", '{"title": "Moving"}', "--run", "c-1", "--json").json
    assert len(found["results"]) == 2


def test_a_run_of_the_call_replaces_those_of_the_file(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "conversations.json").write_text(json.dumps([conversation()]), "utf-8")
    memkit("import", "conversations.json", "--user", "ada", "--run", "mine", "--agent", "bot")
    assert {(item["run_id"], item["agent_id"]) for item in held(memkit)} == {("mine", "bot")}


def test_a_transcript_comes_from_standard_input(memkit: Memkit) -> None:
    report = memkit("import", "-", "--user", "ada", "--json", stdin=json.dumps(TALK)).json
    assert report["messages"] == 5


def test_a_bad_message_stops_everything_before_anything_is_written(memkit: Memkit, tmp_path: Path) -> None:
    bad = [*TALK * 150, {"role": "wizard", "content": "Hello."}]
    done = memkit("import", str(lines(tmp_path / "talk.jsonl", bad)), "--user", "ada", code=1)
    assert "messages[750]" in done.err
    assert "wizard" in done.err
    assert memkit("stats", "--json").json["messages"] == 0


@pytest.mark.parametrize(
    ("format_", "code"), [("auto", 0), ("jsonl", 0), ("openai", 0), ("chatgpt", 2), ("csv", 2)]
)
def test_a_format_that_the_file_does_not_have_is_wrong_usage(
    memkit: Memkit, tmp_path: Path, format_: str, code: int
) -> None:
    memkit("import", str(lines(tmp_path / "t.jsonl", TALK)), "--user", "ada", "--format", format_, code=code)


def test_extraction_needs_a_model_and_says_which(memkit: Memkit, tmp_path: Path) -> None:
    done = memkit("import", str(lines(tmp_path / "t.jsonl", TALK)), "--user", "ada", "--infer", code=1)
    assert "OPENAI_API_KEY" in done.err
    assert memkit("stats", "--json").json["messages"] == 0


def test_with_a_model_the_turns_are_kept_and_facts_extracted_once(
    memkit: Memkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_LLM", "fake")
    file = str(lines(tmp_path / "t.jsonl", TALK))
    report = memkit("import", file, "--user", "ada", "--infer", "--json").json
    assert len(report["operations"]) == 1
    with Memory() as memory:
        assert len(memory.messages(user_id="ada")) == 5
    assert memkit("import", file, "--user", "ada", "--infer", "--json").json["already"] == 5


def test_ids_made_from_content_are_the_same_each_time_and_differ_for_each_turn() -> None:
    ids = [message["id"] for message in with_ids(TALK)]
    assert len(set(ids)) == len(ids)
    assert [message["id"] for message in with_ids([*TALK, *TALK])][: len(ids)] == ids
    other = [{"role": "user", "content": "Hello."}, {"role": "user", "content": "Thanks!"}]
    assert not {message["id"] for message in with_ids(other)} & set(ids)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_an_interrupted_import_leaves_whole_pieces_and_goes_on(
    memkit: Memkit, tmp_path: Path, sent: signal.Signals
) -> None:
    total = 6 * PIECE
    talk = [{"role": "user", "content": f"Fact number {n} is about thing {n % 97}."} for n in range(total)]
    file = str(lines(tmp_path / "long.jsonl", talk))
    command = [sys.executable, "-m", "memkit", "import", file, "--user", "ada"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        with Memory() as memory:
            while memory.count(user_id="ada") == 0 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    if sent == signal.SIGINT:
        assert process.returncode == 130, out + err
        assert "Interrupted" in err
        assert "Traceback" not in err
    with Memory() as memory:
        stored = memory.count(user_id="ada")
        assert 0 < stored < total, out + err
        assert stored % PIECE == 0
    report = memkit("import", file, "--user", "ada", "--json").json
    assert report["already"] == stored
    with Memory() as memory:
        assert memory.count(user_id="ada") == len(memory.messages(user_id="ada")) == total
