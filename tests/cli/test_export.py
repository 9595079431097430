"""An export holds everything, and comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory, __version__
from memkit.transfer.archive import CHUNK
from tests.cli.conftest import Memkit

UNTOLD = {"version", "updated_at"}  # an import is the first version in its new place


def fill(path: Path) -> None:
    """Every kind of record: two users, an agent, a run; turns, facts, closed, pinned, with blocks and metadata."""
    blocks = [{"type": "text", "text": "Look at this."}, {"type": "file", "file": {"file_id": "f1"}}]
    with Memory(path) as memory:
        memory.add(
            [
                {
                    "role": "user",
                    "content": "I live in Oslo. ☀",
                    "created_at": "2025-03-03T09:00:00+01:00",
                    "id": "m1",
                },
                {"role": "assistant", "content": "Noted.", "run_id": "r1", "metadata": {"n": 1}},
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": blocks, "name": "Ada"},
            ],
            user_id="ada",
            infer=False,
        )
        closed = memory.add(
            "I work at Acme.", user_id="ada", agent_id="bot", infer=False, kind="fact"
        ).results[0]
        memory.update(
            str(closed.id), valid_until="2025-06-01", pinned=True, metadata={"topic": {"deep": [1, None]}}
        )
        memory.add("Twice.", user_id="ada", infer=False)
        memory.add("Twice.", user_id="ada", infer=False)
        memory.add("Expires.", user_id="ada", infer=False, expires_at="2999-01-01", valid_from="2020-01-01")
        memory.add([{"role": "user", "content": "Bob's."}], user_id="bob")
        memory.add("Of the agent.", agent_id="bot", run_id="r9", infer=False)
        memory.add("Of the run.", run_id="r9", infer=False)


def told(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in UNTOLD} for line in lines if line["type"] != "header"]


def test_an_export_begins_with_what_wrote_it(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    header, *rest = memkit("export", "--all", "--path", "a").lines
    assert (header["type"], header["format"], header["memkit"]) == ("header", "memkit", __version__)
    assert header["embedder"].startswith("hash/")
    assert {line["type"] for line in rest} == {"message", "memory"}
    ids = [line["id"] for line in rest if line["type"] == "memory"]
    assert len(ids) == len(set(ids)) == 10


def test_an_export_comes_back_as_it_was(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    before = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text("utf-8").splitlines()]
    report = memkit("import", "all.jsonl", "--path", "b", "--json").json
    assert (report["memories"], report["messages"], report["present"]) == (10, 5, 0)
    assert told(memkit("export", "--all", "--path", "b").lines) == told(before)
    for query, user in (("Where does she live?", "ada"), ("Bob", "bob")):
        found = [memkit("search", query, "--user", user, "--path", path, "--json").json for path in "ab"]
        first, second = ([(item["id"], item["score"]) for item in one["results"]] for one in found)
        assert first == second


def test_an_export_comes_in_once(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    memkit("import", "all.jsonl", "--path", "b")
    before = memkit("stats", "--path", "b", "--json").json
    again = memkit("import", "all.jsonl", "--path", "b", "--json").json
    assert (again["memories"], again["messages"], again["present"], again["operations"]) == (0, 0, 10, [])
    assert memkit("stats", "--path", "b", "--json").json == before
    assert memkit("import", "all.jsonl", "--path", "a", "--json").json["present"] == 10


def test_what_was_deleted_after_an_import_stays_deleted(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    memkit("export", "--user", "bob", "--path", "a", "--output", "bob.jsonl")
    memkit("import", "bob.jsonl", "--path", "b")
    with Memory(tmp_path / "b") as memory:
        memory.delete_all(user_id="bob")
    assert memkit("import", "bob.jsonl", "--path", "b", "--json").json["memories"] == 0


def test_a_scope_exports_only_itself(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    assert {line["user_id"] for line in memkit("export", "--user", "bob", "--path", "a").lines[1:]} == {"bob"}
    lines = memkit("export", "--user", "ada", "--agent", "bot", "--path", "a").lines[1:]
    assert [line["memory"] for line in lines] == ["I work at Acme."]


def test_an_import_for_another_user_has_ids_of_its_own_and_keeps_the_old_ones(
    memkit: Memkit, tmp_path: Path
) -> None:
    fill(tmp_path / "a")
    memkit("export", "--user", "ada", "--path", "a", "--output", "ada.jsonl")
    for _ in range(2):
        memkit("import", "ada.jsonl", "--path", "a", "--user", "carl")
    ada, carl = (
        memkit("list", "--user", user, "--path", "a", "--all", "--include-closed", "--json").json["results"]
        for user in ("ada", "carl")
    )
    assert [item["metadata"]["imported_id"] for item in carl] == [item["id"] for item in ada]
    assert [item["memory"] for item in carl] == [item["memory"] for item in ada]
    assert not {item["id"] for item in carl} & {item["id"] for item in ada}


def test_the_environment_does_not_choose_whose_an_export_becomes(
    memkit: Memkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    monkeypatch.setenv("MEMKIT_USER_ID", "eve")
    memkit("import", "all.jsonl", "--path", "b")
    assert [owner["id"] for owner in memkit("scopes", "--path", "b", "--json").json["results"]] == [
        "ada",
        "bob",
    ]


def test_a_dry_run_counts_and_writes_nothing(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    report = memkit("import", "all.jsonl", "--path", "b", "--dry-run", "--json").json
    assert (report["memories"], report["messages"], report["present"]) == (10, 5, 0)
    assert not (tmp_path / "b").exists()
    assert memkit("import", "all.jsonl", "--path", "a", "--dry-run", "--json").json["present"] == 10


def test_a_verbatim_turn_points_at_its_message_across_pieces(memkit: Memkit, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": f"Turn {n}."} for n in range(CHUNK + 20)]
    with Memory(tmp_path / "a") as memory:
        memory.add_many(turns, user_id="ada")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    memkit("import", "all.jsonl", "--path", "b")
    assert told(memkit("export", "--all", "--path", "b").lines) == told(
        memkit("export", "--all", "--path", "a").lines
    )
    with Memory(tmp_path / "b") as memory:
        first = memory.get_all(user_id="ada").results[0]
        assert memory.forget(memory_id=first.id).messages == 1


def test_adding_the_same_turn_again_after_an_import_is_no_second_memory(
    memkit: Memkit, tmp_path: Path
) -> None:
    fill(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    memkit("import", "all.jsonl", "--path", "b")
    turn = {"role": "user", "content": "I live in Oslo. ☀", "created_at": "2025-03-03T08:00:00Z", "id": "m1"}
    with Memory(tmp_path / "b") as memory:
        assert [o.event for o in memory.add([turn], user_id="ada", infer=False).results] == ["NONE"]


def test_an_import_can_be_undone(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    memkit("export", "--user", "bob", "--path", "a", "--output", "bob.jsonl")
    (operation,) = memkit("import", "bob.jsonl", "--path", "b", "--json").json["operations"]
    memkit("undo", operation, "--path", "b")
    assert memkit("list", "--user", "bob", "--path", "b", "--json").json["results"] == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"type": "memory", "id": "x"}', "Line 2"),
        ('{"type": "memroy"}', "Line 2"),
        (
            '{"type": "header", "format": "memkit", "format_version": 99, "memkit": "9.0"}',
            "format version 99",
        ),
        (
            '{"type": "message", "id": "m", "role": "user", "content": "x", "created_at": "2025-01-01"}',
            "No scope",
        ),
    ],
)
def test_a_line_that_cannot_be_read_stops_everything(
    memkit: Memkit, tmp_path: Path, line: str, says: str
) -> None:
    header = '{"type": "header", "format": "memkit", "format_version": 1}'
    (tmp_path / "bad.jsonl").write_text(f"{header}\n{line}\n", "utf-8")
    assert says in memkit("import", "bad.jsonl", code=1).err
    assert not (tmp_path / "memkit-home").exists()


def test_a_file_takes_its_place_only_when_it_is_whole(memkit: Memkit, tmp_path: Path) -> None:
    fill(tmp_path / "a")
    done = memkit("export", "--all", "--path", "a", "--output", "all.jsonl", "--json").json
    assert done == {"output": "all.jsonl", "memories": 10, "messages": 5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "all.jsonl"]
    failed = memkit("export", "--all", "--path", "a", "--output", "no/where.jsonl", code=1)
    assert "Error: no/where.jsonl: No such file" in failed.err


def test_an_export_says_whose(memkit: Memkit) -> None:
    memkit("export", code=2)
    memkit("export", "--all", "--user", "ada", code=2)
