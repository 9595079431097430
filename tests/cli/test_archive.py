"""An export holds history, deleted memories, turns as they were kept, and the stored values; a broken one is refused."""

from __future__ import annotations

import json
import resource
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.item_types import DeleteItem, GetItem, PutItem, SearchItems
from memkit.transfer.archive import export_lines, file_lines, import_archive, read_archive
from tests.cli.conftest import Memkit


def opened(path: Path, **given: Any) -> Any:
    return Memory(path, llm=None, embedder="hash", **given)


def lived(path: Path) -> dict[str, str]:
    """A store with a past; returns the ids of its memories by name."""
    ids: dict[str, str] = {}
    with opened(path) as memory:

        def add(name: str, text: Any, **given: Any) -> str:
            result = memory.add(text, user_id="ada", infer=False, **given)
            ids[name] = str(result.results[0].id)
            return result.operation_id

        turn = {
            "role": "user",
            "content": "I live in Olso.",
            "id": "t1",
            "created_at": "2025-01-01T00:00:00Z",
        }
        add("corrected", [turn])
        memory.update(ids["corrected"], "I live in Oslo.", metadata={"fixed": True})
        memory.update(ids["corrected"], pinned=True)
        add("deleted", "Nothing of this is true.")
        memory.delete(ids["deleted"])
        add("back", "It was gone for a while.", metadata={"n": [1, {"a": None}]})
        memory.undo(memory.delete(ids["back"]).operation_id)
        add("closed", "I work at Acme.", kind="fact")
        memory.update(ids["closed"], valid_until="2025-06-01")
        add("over", "The offer holds.", expires_at="2025-02-01")
        memory.repair()
        memory.keep(
            [{"role": "assistant", "content": "Only kept.", "id": "k1", "payload": {"call": {"id": 7}}},
             {"role": "user", "content": "Taken away.", "id": "k2"}], user_id="ada", run_id="r",
        )  # fmt: skip
        memory.mark_messages(["k2"], user_id="ada", run_id="r", status="deleted")
        memory.items([
            PutItem(namespace=("files", "a"), key="k", value={"deep": [1, None, "☀"]}, texts=["a sunny file"]),
            PutItem(namespace=("files",), key="short", value="v", ttl=3600.0),
            PutItem(namespace=("files",), key="gone", value="v"),
        ])  # fmt: skip
        memory.items([DeleteItem(namespace=("files",), key="gone")])
        memory.items([PutItem(namespace=("files", "a"), key="k", value={"deep": 2}, texts=["a sunny file"])])
    return ids


def moved(memkit: Memkit, tmp_path: Path) -> dict[str, str]:
    ids = lived(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    report = memkit("import", "all.jsonl", "--path", "b", "--json").json
    assert (report["memories"], report["messages"], report["items"], report["conflicts"]) == (5, 3, 2, [])
    return ids


def told(path: Path) -> list[dict[str, Any]]:
    with opened(path) as memory:
        return [line for line in export_lines(memory, None) if line["type"] != "header"]


def test_everything_comes_back_as_it_was(memkit: Memkit, tmp_path: Path) -> None:
    moved(memkit, tmp_path)
    assert told(tmp_path / "b") == told(tmp_path / "a")


def test_history_comes_back_and_goes_on(memkit: Memkit, tmp_path: Path) -> None:
    ids = moved(memkit, tmp_path)
    untold = {"seq", "operation_id"}
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        for id in ids.values():
            before, after = (
                [e.model_dump(exclude=untold) for e in memory.history(id)] for memory in (one, other)
            )
            assert before == after and before
        events = {name: [e.event for e in other.history(id)] for name, id in ids.items()}
        assert events == {
            "corrected": ["ADD", "UPDATE", "UPDATE"],
            "deleted": ["ADD", "DELETE"],
            "back": ["ADD", "DELETE", "RESTORE"],
            "closed": ["ADD", "UPDATE"],
            "over": ["ADD", "EXPIRE"],
        }
        assert other.get(ids["deleted"]) is None
        assert other.search("gone for a while", user_id="ada").results[0].memory.startswith("It was")
        changed = other.update(ids["corrected"], "I live in Bergen.")
        other.undo(changed.operation_id)
        assert other.get(ids["corrected"]) == one.get(ids["corrected"]).model_copy(
            update={"version": 5, "updated_at": other.get(ids["corrected"]).updated_at}
        )
        again = other.add(
            [{"role": "user", "content": "I live in Olso.", "id": "t1", "created_at": "2025-01-01T00:00:00Z"}],
            user_id="ada", infer=False,
        )  # fmt: skip
        known = one.add(
            [{"role": "user", "content": "I live in Olso.", "id": "t1", "created_at": "2025-01-01T00:00:00Z"}],
            user_id="ada", infer=False,
        )  # fmt: skip
        assert [o.event for o in again.results] == [o.event for o in known.results]


def test_turns_keep_what_an_adapter_gave_and_whether_they_were_learned(
    memkit: Memkit, tmp_path: Path
) -> None:
    moved(memkit, tmp_path)
    with opened(tmp_path / "b") as memory:
        (kept,) = memory.messages(user_id="ada", run_id="r")
        assert kept.payload == {"call": {"id": 7}}
        assert [m.id for m in memory.messages(user_id="ada", run_id="r", status="deleted")] == ["k2"]
        learned = memory.add(
            [{"role": "assistant", "content": "Only kept.", "id": "k1"}],
            user_id="ada",
            run_id="r",
            infer=False,
        )
        assert [o.event for o in learned.results] == ["ADD"], "it was only kept, so it is learned now"


def test_stored_values_come_back_and_are_found(memkit: Memkit, tmp_path: Path) -> None:
    moved(memkit, tmp_path)
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        keys = [(("files", "a"), "k"), (("files",), "short"), (("files",), "gone")]
        gets = [GetItem(namespace=namespace, key=key, refresh=False) for namespace, key in keys]
        assert one.items(gets) == other.items(gets)
        (found,) = other.items([SearchItems(prefix=("files",), query="sunny", limit=1)])
        assert found[0].key == "k" and found[0].version == 2


def test_what_is_there_with_other_content_is_left_and_named(memkit: Memkit, tmp_path: Path) -> None:
    ids = moved(memkit, tmp_path)
    with opened(tmp_path / "b") as memory:
        memory.update(ids["back"], "Mine now.")
        memory.items([PutItem(namespace=("files",), key="short", value="mine")])
    report = memkit("import", "all.jsonl", "--path", "b", "--json").json
    assert (report["memories"], report["messages"], report["items"], report["operations"]) == (0, 0, 0, [])
    assert report["conflicts"] == [ids["back"], "files/short"] and report["present"] == 7
    assert ids["back"] in memkit("import", "all.jsonl", "--path", "b").err
    with opened(tmp_path / "b") as memory:
        assert memory.get(ids["back"]).memory == "Mine now."


@pytest.mark.parametrize("lines", [1, 3, -1])
def test_an_export_that_was_cut_off_is_refused_before_anything_is_written(
    memkit: Memkit, tmp_path: Path, lines: int
) -> None:
    lived(tmp_path / "a")
    memkit("export", "--all", "--path", "a", "--output", "all.jsonl")
    whole = (tmp_path / "all.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(whole[:lines]), "utf-8")
    assert "cut off" in memkit("import", "cut.jsonl", "--path", "b", code=1).err
    (tmp_path / "torn.jsonl").write_text("".join(whole[:4]) + whole[4][:30], "utf-8")
    assert "Line 5 of 'torn.jsonl' is not JSON" in memkit("import", "torn.jsonl", "--path", "b", code=1).err
    assert not (tmp_path / "b").exists()


def test_an_export_of_the_first_version_is_still_read(memkit: Memkit, tmp_path: Path) -> None:
    header = {"type": "header", "format": "memkit", "format_version": 1, "memkit": "0.1.0"}
    turn = {"type": "message", "id": "m", "seq": 1, "role": "user", "content": "Hi.", "created_at": "2025-01-01T00:00:00Z", "user_id": "u"}  # fmt: skip
    item = {
        "type": "memory",
        "id": "x",
        "memory": "Hi.",
        "kind": "message",
        "role": "user",
        "user_id": "u",
        "sources": [{"message_id": "m"}],
    }
    item |= dict.fromkeys(("created_at", "updated_at", "valid_from"), "2025-01-01T00:00:00Z")
    (tmp_path / "old.jsonl").write_text("\n".join(map(json.dumps, (header, turn, item))), "utf-8")
    assert memkit("import", "old.jsonl", "--path", "b", "--json").json["memories"] == 1
    with opened(tmp_path / "b") as memory:
        assert [e.reason for e in memory.history("x")] == ["import"]


def test_what_was_forgotten_is_in_no_export(tmp_path: Path) -> None:
    ids = lived(tmp_path / "a")
    with opened(tmp_path / "a") as memory:
        memory.forget(memory_id=ids["corrected"])
        lines = json.dumps(list(export_lines(memory, None)))
    assert "Oslo" not in lines and "Olso" not in lines and ids["corrected"] not in lines


@pytest.mark.engine
@pytest.mark.skipif(sys.platform == "win32", reason="resource limits of POSIX")
def test_moving_a_large_store_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as memory:
        for part in range(4):
            memory.add_many([f"note {part} {n} " + "lorem ipsum " * 40 for n in range(2000)], user_id="u")
    with opened(tmp_path / "a") as memory, (tmp_path / "all.jsonl").open("w", encoding="utf-8") as out:
        number, before = count(), 0
        for line in export_lines(memory, None):
            if next(number) == 2000:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            out.write(json.dumps(line) + "\n")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000
    path = tmp_path / "all.jsonl"
    with opened(tmp_path / "b") as memory:
        peaks: list[int] = []
        import_archive(
            memory,
            read_archive(file_lines(path), "all.jsonl"),
            advance=lambda _: peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss),
        )
        assert memory.count(user_id="u") == 8_000
    assert peaks[-1] - peaks[4] < 40_000
