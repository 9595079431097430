"""Transcripts of other programs as messages: OpenAI-style JSON and JSONL, and the exports of ChatGPT."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, cast

from .errors import InvalidInputError

MessageDict = dict[str, Any]
"""A message as `Memory.add` takes it: `role, content` and, where known, `name, created_at, metadata, run_id, id`."""
TranscriptFormat = Literal["openai", "chatgpt", "memkit"]

EXPORT_FORMAT: Final = "memkit"
"""The value of `format` in the first line of memkit's own exports."""

_KEPT: Final = frozenset(
    {"role", "content", "name", "created_at", "metadata", "run_id", "id", "tool_calls", "tool_call_id"}
    # Not to be imported by a file; left in so that `add` can say how to give them.
    | {"user_id", "agent_id"}
)
_RUN_KEYS: Final = ("run_id", "conversation_id", "session_id", "thread_id", "id")
_TIME_KEYS: Final = ("created_at", "create_time", "date", "timestamp", "time")
_RENAMED: Final[Mapping[str, str]] = {
    "actor_id": "name",
    "author": "name",
    "conversation_id": "run_id",
    "create_time": "created_at",
    "date": "created_at",
    "message_id": "id",
    "session_id": "run_id",
    "speaker": "name",
    "text": "content",
    "thread_id": "run_id",
    "time": "created_at",
    "timestamp": "created_at",
}
_MILLISECONDS: Final = 100_000_000_000
"""Numbers above this are milliseconds since 1970 (as seconds, they would be after the year 5138)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What a file holds, in the order in which it was said."""

    format: TranscriptFormat
    messages: list[MessageDict]
    blank: int = 0
    """Turns without any content, which are left out."""
    hidden: int = 0
    """Turns that ChatGPT does not show: tools, thoughts, instructions, other branches."""


def read_transcript(path: str | PathLike[str]) -> list[MessageDict]:
    """Return the messages of a transcript as `Memory.add` takes them, in the order in which they were said.

    Turns without any content are left out; of a ChatGPT export, what the page shows of the current branch is read.

    Args:
        path: A JSON list of messages; JSON lines with a message each; one conversation or several, each
            `{"messages": [...]}` with its own `id` and `created_at` where known; `conversations.json` of a ChatGPT
            export, or the whole export as a zip file.

    Raises:
        InvalidInputError: The file cannot be read, or holds something else; it names the entry.
    """
    return load_transcript(path).messages


def load_transcript(path: str | PathLike[str]) -> Transcript:
    """Return the messages of a transcript with its format and what was left out."""
    file = Path(path)
    return parse_transcript(_entries(file), file.name)


def parse_transcript(entries: Sequence[object], name: str) -> Transcript:
    """Return the transcript that the entries of a file hold; `name` is what errors call the file."""
    found = format_of(entries)
    if found == "memkit":
        raise InvalidInputError(f"{name!r} is an export of memkit. Type: memkit import {name}")
    if found == "chatgpt":
        return _chatgpt(entries, name)
    return _openai(entries, name)


def format_of(entries: Sequence[object]) -> TranscriptFormat:
    """Return which program wrote the entries of a file."""
    first = entries[0] if entries else None
    if isinstance(first, dict) and cast("dict[str, object]", first).get("format") == EXPORT_FORMAT:
        return "memkit"
    if any(isinstance(entry, dict) and "mapping" in entry for entry in entries):
        return "chatgpt"
    return "openai"


def read_entries(path: str | PathLike[str]) -> list[object]:
    """Return the JSON values of a file: the items of a list, the lines of JSONL, or the one value there is.

    Raises:
        InvalidInputError: The file cannot be read, is not UTF-8 or not JSON; it names the line.
    """
    return _entries(Path(path))


def parse_entries(text: str, name: str) -> list[object]:
    """Return the JSON values of a text, like `read_entries`."""
    if not text.strip():
        raise InvalidInputError(f"{name!r} is empty. Give a transcript with at least one message.")
    try:
        value: object = json.loads(text)
    except ValueError as error:
        return _lines(text, name, error)
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _entries(path: Path) -> list[object]:
    try:
        if zipfile.is_zipfile(path):
            return _zipped(path)
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{os.fspath(path)!r} cannot be read: {error.strerror or error}.") from error
    return parse_entries(_decoded(raw, path.name), path.name)


def _zipped(path: Path) -> list[object]:
    """Return the conversations of a ChatGPT export, which newer ones spread over numbered files."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(
            name
            for name in archive.namelist()
            if (base := name.rpartition("/")[2]).startswith("conversations") and base.endswith(".json")
        )
        if not names:
            raise InvalidInputError(
                f"{path.name!r} holds no conversations.json. Give the export as ChatGPT made it."
            )
        return [entry for name in names for entry in parse_entries(_decoded(archive.read(name), name), name)]


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{name!r} is not UTF-8 (byte {error.start}). Give a JSON or JSONL transcript, or a ChatGPT export."
        ) from error


def _lines(text: str, name: str, whole: ValueError) -> list[object]:
    entries: list[object] = []
    # Not splitlines(): JSON may hold U+2028 and its like inside a string.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except ValueError as error:
            why = f"line {number}: {error}" if entries else str(whole)
            raise InvalidInputError(f"{name!r} is neither JSON nor JSON lines: {why}.") from error
    return entries


# OpenAI's shape, and what others made of it.


def _openai(entries: Sequence[object], name: str) -> Transcript:
    messages: list[MessageDict] = []
    many = sum(isinstance(entry, dict) and "messages" in entry for entry in entries) > 1
    blank = 0
    for index, entry in enumerate(entries):
        where = f"entry {index} of {name!r}"
        if not isinstance(entry, dict):
            raise InvalidInputError(
                f"{where} is no message but {type(entry).__name__}: {entry!r:.60}. A message is "
                '{"role": "user", "content": "I live in Oslo."}.',
                index=index,
            )
        data = cast("dict[str, object]", entry)
        inside = data.get("messages")
        if not isinstance(inside, list):
            found = [_message(data, {}, where, index)]
        else:
            shared = _conversation(data, f"{Path(name).stem}-{index + 1}" if many else None)
            found = [
                _message(item, shared, f"messages[{place}] of {where}", index)
                for place, item in enumerate(cast("list[object]", inside))
            ]
        kept = [message for message in found if not _is_blank(message)]
        blank += len(found) - len(kept)
        messages += kept
    if not messages:
        raise InvalidInputError(f"{name!r} holds no messages. Give a transcript with at least one.")
    return Transcript(format="openai", messages=messages, blank=blank)


def _conversation(data: Mapping[str, object], otherwise: str | None) -> MessageDict:
    """Return what all messages of a conversation share: its run, and when it was."""
    shared: MessageDict = {}
    run = next((data[key] for key in _RUN_KEYS if data.get(key)), otherwise)
    if run is not None:
        shared["run_id"] = run
    when = next((data[key] for key in _TIME_KEYS if data.get(key)), None)
    if when is not None:
        shared["created_at"] = _instant(when)
    return shared


def _message(item: object, shared: Mapping[str, Any], where: str, index: int) -> MessageDict:
    """Return one message; keys that `add` does not know become metadata, so that nothing is lost."""
    if not isinstance(item, dict):
        raise InvalidInputError(
            f"{where} is no message but {type(item).__name__}: {item!r:.60}.", index=index
        )
    data = cast("dict[str, object]", item)
    message: MessageDict = dict(shared)
    more: dict[str, object] = {}
    for key, value in data.items():
        target = key if key in _KEPT else _RENAMED.get(key)
        if value is None and key != "content":
            continue
        if (
            target is None
            or (target != key and target in data)
            or (target == "name" and not isinstance(value, str))
        ):
            more[key] = value
        else:
            message[target] = _instant(value) if target == "created_at" else value
    if "role" not in message or ("content" not in message and "tool_calls" not in message):
        raise InvalidInputError(
            f"{where} has no `{'role' if 'role' not in message else 'content'}`. A message is "
            '{"role": "user", "content": "I live in Oslo."}.',
            index=index,
        )
    if more:
        given = message.get("metadata")
        message["metadata"] = (
            {**more, **cast("dict[str, object]", given)} if isinstance(given, dict) else more
        )
    return message


def _instant(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > _MILLISECONDS:
        return value / 1000
    return value


def _is_blank(message: MessageDict) -> bool:
    content = message.get("content")
    if message.get("tool_calls"):
        return False
    return not content if not isinstance(content, str) else not content.strip()


# ChatGPT: a tree of turns, of which one branch is current.


def _chatgpt(entries: Sequence[object], name: str) -> Transcript:
    messages: list[MessageDict] = []
    hidden = 0
    conversations = [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]
    for conversation in sorted(conversations, key=lambda one: _number(one.get("create_time")) or 0.0):
        mapping = conversation.get("mapping")
        if not isinstance(mapping, dict):
            raise InvalidInputError(
                f"A conversation of {name!r} has no `mapping`. Give conversations.json as ChatGPT made it."
            )
        tree = cast("dict[str, dict[str, Any]]", mapping)
        before, shown = _number(conversation.get("create_time")), len(messages)
        for node in _branch(tree, conversation.get("current_node")):
            message = _chatgpt_message(node, conversation, before)
            if message is not None:
                before = message.get("created_at", before)
                messages.append(message)
        turns = sum(isinstance(node.get("message"), dict) for node in tree.values())
        hidden += turns - (len(messages) - shown)
    if not messages:
        raise InvalidInputError(f"{name!r} holds no messages. Give a transcript with at least one.")
    return Transcript(format="chatgpt", messages=messages, hidden=hidden)


def _branch(tree: Mapping[str, Mapping[str, Any]], current: object) -> Iterator[dict[str, Any]]:
    """Yield the messages from the root to the current node; without one, to the newest leaf."""
    at = current if isinstance(current, str) and current in tree else _newest_leaf(tree)
    path: dict[str, None] = {}  # in order, and quick to ask for a circle
    while isinstance(at, str) and at in tree and at not in path:
        path[at] = None
        at = tree[at].get("parent")
    for node in reversed(path):
        message = tree[node].get("message")
        if isinstance(message, dict):
            yield cast("dict[str, Any]", message)


def _newest_leaf(tree: Mapping[str, Mapping[str, Any]]) -> str | None:
    def when(node: str) -> float:
        message = tree[node].get("message")
        return (
            _number(cast("dict[str, Any]", message).get("create_time")) or 0.0
            if isinstance(message, dict)
            else 0.0
        )

    leaves = [node for node, data in tree.items() if not data.get("children")]
    return max(leaves, key=when, default=None)


def _chatgpt_message(
    data: Mapping[str, Any], conversation: Mapping[str, Any], before: float | None
) -> MessageDict | None:
    """Return a turn that the page shows, else None."""
    author = cast("dict[str, Any]", data.get("author") or {})
    extra = cast("dict[str, Any]", data.get("metadata") or {})
    role = author.get("role")
    if role not in ("user", "assistant") or extra.get("is_visually_hidden_from_conversation"):
        return None
    if data.get("recipient") not in (None, "all"):
        return None
    content = _chatgpt_content(cast("dict[str, Any]", data.get("content") or {}))
    if not content:
        return None
    message: MessageDict = {"role": role, "content": content}
    if (created := _number(data.get("create_time")) or before) is not None:
        message["created_at"] = created
    if data.get("id"):
        message["id"] = data["id"]
    if run := conversation.get("conversation_id") or conversation.get("id"):
        message["run_id"] = run
    if title := conversation.get("title"):
        message["metadata"] = {"title": title}
    return message


def _chatgpt_content(content: Mapping[str, Any]) -> str | list[MessageDict]:
    """Return the text of a turn, or blocks where it has files; empty for thoughts, instructions and the like."""
    if content.get("content_type") not in ("text", "multimodal_text"):
        return ""
    blocks: list[MessageDict] = []
    for part in cast("list[object]", content.get("parts") or []):
        if isinstance(part, str):
            if part.strip():
                blocks.append({"type": "text", "text": part})
        elif isinstance(part, dict):
            data = cast("dict[str, Any]", part)
            if isinstance(data.get("text"), str) and data["text"].strip():
                blocks.append({"type": "text", "text": data["text"]})
            elif isinstance(data.get("asset_pointer"), str):
                # The picture itself is another file of the export; a model could not look at it.
                blocks.append({"type": "file", "file": {"file_id": data["asset_pointer"]}})
    if all(block["type"] == "text" for block in blocks):
        return "\n".join(cast("list[str]", [block["text"] for block in blocks]))
    return blocks


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
