"""Transcripts of other programs become messages that `add` takes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import InvalidInputError, ScopeError
from memkit.transcripts import format_of, load_transcript, read_transcript


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    return path


def turn(role: str, content: str, **more: object) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


TALK = [turn("system", "Be kind."), turn("user", "I live in Oslo."), turn("assistant", "Noted.")]


def test_a_list_of_messages_is_read_as_it_is(tmp_path: Path) -> None:
    assert read_transcript(write(tmp_path / "talk.json", TALK)) == TALK


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_json_lines_are_read_line_by_line(tmp_path: Path, end: str) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_bytes(end.join(json.dumps(message) for message in TALK).encode())
    assert read_transcript(str(file)) == TALK


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    file = tmp_path / "talk.jsonl"
    file.write_text(
        "\n".join(json.dumps(turn("user", "a\u2028b"), ensure_ascii=False) for _ in range(2)), "utf-8"
    )
    assert [message["content"] for message in read_transcript(file)] == ["a\u2028b"] * 2


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(TALK).encode())
    assert read_transcript(file) == TALK


def test_conversations_are_runs_with_their_own_date(tmp_path: Path) -> None:
    file = write(
        tmp_path / "talks.json",
        [
            {"id": "monday", "date": "2025-03-03", "messages": TALK[1:2]},
            {"messages": [turn("user", "I moved.", created_at="2025-04-01")]},
        ],
    )
    assert read_transcript(file) == [
        {"run_id": "monday", "created_at": "2025-03-03", "role": "user", "content": "I live in Oslo."},
        {"run_id": "talks-2", "created_at": "2025-04-01", "role": "user", "content": "I moved."},
    ]


def test_other_names_of_the_same_thing_are_known_and_the_rest_is_metadata(tmp_path: Path) -> None:
    strange = {
        "role": "user",
        "text": "Hello there.",
        "timestamp": 1_735_689_600_000,
        "session_id": "s1",
        "speaker": "Ada",
        "mood": "good",
        "metadata": {"topic": "greeting"},
    }
    assert read_transcript(write(tmp_path / "talk.json", [strange])) == [
        {
            "role": "user",
            "content": "Hello there.",
            "created_at": 1_735_689_600.0,
            "run_id": "s1",
            "name": "Ada",
            "metadata": {"mood": "good", "topic": "greeting"},
        }
    ]


def test_turns_without_content_are_left_out_and_counted(tmp_path: Path) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    kept = {"role": "assistant", "content": None, "tool_calls": calls}
    found = load_transcript(
        write(tmp_path / "talk.json", [turn("user", " "), kept, {"role": "user", "content": []}])
    )
    assert found.messages == [kept]
    assert found.blank == 2


# ChatGPT


def node(message: object, parent: str | None, *children: str) -> dict[str, Any]:
    return {"message": message, "parent": parent, "children": list(children)}


def said(role: str, *parts: object, at: float | None = None, **more: object) -> dict[str, Any]:
    kind = "text" if all(isinstance(part, str) for part in parts) else "multimodal_text"
    return {
        "id": f"id-{parts[0]}",
        "author": {"role": role},
        "create_time": at,
        "content": {"content_type": kind, "parts": list(parts)},
        "recipient": "all",
        "metadata": {},
        **more,
    }


def conversation() -> dict[str, Any]:
    hidden = said("user", "About me", metadata={"is_visually_hidden_from_conversation": True})
    thoughts = said("assistant", "Hm") | {"content": {"content_type": "thoughts", "thoughts": []}}
    return {
        "title": "Moving",
        "conversation_id": "c-1",
        "create_time": 1_700_000_000.5,
        "current_node": "new-answer",
        "mapping": {
            "root": node(None, None, "system"),
            "system": node(said("system", ""), "root", "hidden"),
            "hidden": node(hidden, "system", "old", "new"),
            "old": node(said("user", "I live in Bergen.", at=1.0), "hidden"),
            "new": node(said("user", "I live in Oslo.", at=1_700_000_001.0), "hidden", "thoughts"),
            "thoughts": node(thoughts, "new", "tool"),
            "tool": node(said("assistant", "search(oslo)", recipient="browser"), "thoughts", "result"),
            "result": node(said("tool", "Oslo is a city."), "tool", "new-answer"),
            "new-answer": node(said("assistant", "Noted."), "result"),
        },
    }


def test_of_chatgpt_the_current_branch_is_read_as_the_page_shows_it(tmp_path: Path) -> None:
    found = load_transcript(write(tmp_path / "conversations.json", [conversation()]))
    shared = {"run_id": "c-1", "metadata": {"title": "Moving"}, "created_at": 1_700_000_001.0}
    assert found.format == "chatgpt"
    assert found.messages == [
        {"role": "user", "content": "I live in Oslo.", "id": "id-I live in Oslo.", **shared},
        {"role": "assistant", "content": "Noted.", "id": "id-Noted.", **shared},
    ]
    assert found.hidden == 6


def test_without_a_current_node_the_newest_leaf_counts(tmp_path: Path) -> None:
    data = conversation()
    data["current_node"] = None
    data["mapping"]["new-answer"]["message"]["create_time"] = 1_700_000_002.0
    messages = read_transcript(write(tmp_path / "conversations.json", [data]))
    assert [message["content"] for message in messages] == ["I live in Oslo.", "Noted."]


def test_a_tree_with_a_circle_ends(tmp_path: Path) -> None:
    data = conversation()
    data["mapping"]["root"]["parent"] = "new-answer"
    assert len(read_transcript(write(tmp_path / "conversations.json", [data]))) == 2


def test_conversations_come_in_the_order_of_their_beginning(tmp_path: Path) -> None:
    late, early = conversation(), conversation()
    late["create_time"], late["conversation_id"] = 1_800_000_000.0, "c-2"
    messages = read_transcript(write(tmp_path / "conversations.json", [late, early]))
    assert [message["run_id"] for message in messages] == ["c-1", "c-1", "c-2", "c-2"]


def test_pictures_are_kept_as_files_and_spoken_words_as_text(tmp_path: Path) -> None:
    data = conversation()
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1"}
    spoken = {"content_type": "audio_transcription", "text": "My cat."}
    data["mapping"]["new"]["message"] = said("user", picture, spoken)
    (first, _) = read_transcript(write(tmp_path / "conversations.json", [data]))
    assert first["content"] == [
        {"type": "file", "file": {"file_id": "file-service://file-1"}},
        {"type": "text", "text": "My cat."},
    ]


def test_the_whole_export_may_be_given_as_a_zip(tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("chat.html", "<html>")
        archive.writestr("conversations-000.json", json.dumps([conversation()]))
        archive.writestr("conversations-001.json", json.dumps([conversation()]))
    assert len(read_transcript(file)) == 4


def test_what_is_read_is_what_add_takes(tmp_path: Path) -> None:
    with Memory(":memory:") as memory:
        for name, value in (("talk.json", TALK), ("conversations.json", [conversation()])):
            messages = read_transcript(write(tmp_path / name, value))
            assert len(memory.add(messages, user_id="ada", infer=False).results) == len(messages)


# What cannot be read


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"[]", "no messages"),
        (b'{"messages": []}', "no messages"),
        (b"Hello there", "neither JSON nor JSON lines"),
        (b'{"role": "user", "content": "a"}\n{"role": ', "line 2"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'["hello"]', "entry 0"),
        (b'[{"role": "user", "content": "a"}, {"content": "b"}]', "entry 1 .* no `role`"),
        (b'[{"messages": [{"role": "user"}]}]', r"messages\[0\] of entry 0 .* no `content`"),
        (b'{"format": "memkit", "type": "header"}', "memkit import"),
        (b"PK\x05\x06" + bytes(18), "no conversations.json"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=says):
        read_transcript(file)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nowhere\.json.*cannot be read"):
        read_transcript(tmp_path / "nowhere.json")


def test_a_transcript_cannot_choose_whose_memories_it_becomes(tmp_path: Path) -> None:
    messages = read_transcript(write(tmp_path / "talk.json", [turn("user", "Hello.", user_id="eve")]))
    with Memory(":memory:") as memory, pytest.raises(ScopeError, match="user_id"):
        memory.add(messages, user_id="ada")


def test_formats_are_told_apart_by_their_content() -> None:
    assert format_of([conversation()]) == "chatgpt"
    assert format_of(TALK) == "openai"
    assert format_of([{"type": "header", "format": "memkit"}]) == "memkit"
