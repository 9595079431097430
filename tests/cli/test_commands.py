"""Each command does what it says, and prints JSON and nothing else when asked to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memkit import Memory
from memkit.testing import OpenAIServer
from tests.cli.conftest import Memkit

HOME = "memkit-home"  # the store that the tests' MEMKIT_PATH names


def remember(memkit: Memkit, *texts: str, user: str = "ada") -> list[str]:
    return [memkit("add", text, "--user", user, "--json").json["results"][0]["id"] for text in texts]


# add


def test_a_text_is_remembered_and_found_by_another_process(memkit: Memkit, shell: Memkit) -> None:
    added = memkit("add", "I only drink oat milk.", "--user", "ada", "--json").json
    assert [outcome["event"] for outcome in added["results"]] == ["ADD"]
    found = shell("search", "Which milk?", "--user", "ada", "--json").json
    assert found["results"][0]["memory"] == "I only drink oat milk."
    assert found["results"][0]["id"] == added["results"][0]["id"]


@pytest.mark.parametrize("args", [(), ("-",)])
def test_a_text_comes_from_standard_input(memkit: Memkit, args: tuple[str, ...]) -> None:
    memkit("add", *args, "--user", "ada", "--no-infer", "--kind", "preference", stdin="Prefers tea.\n")
    (item,) = memkit("list", "--user", "ada", "--json").json["results"]
    assert (item["memory"], item["kind"]) == ("Prefers tea.", "preference")


def test_metadata_agent_and_run_are_stored(memkit: Memkit) -> None:
    memkit("add", "Note.", "--user", "ada", "--agent", "bot", "--run", "r1", "--metadata", '{"topic": "x"}')
    (item,) = memkit("list", "--user", "ada", "--json").json["results"]
    assert (item["agent_id"], item["run_id"], item["metadata"]) == ("bot", "r1", {"topic": "x"})


@pytest.mark.parametrize("from_stdin", [True, False])
def test_a_transcript_is_remembered_turn_by_turn(memkit: Memkit, tmp_path: Path, from_stdin: bool) -> None:
    talk = [
        {"role": "user", "content": "I have a cat.", "run_id": "r"},
        {"role": "assistant", "content": "Nice."},
    ]
    (tmp_path / "talk.json").write_text(json.dumps(talk), "utf-8")
    file = "-" if from_stdin else "talk.json"
    result = memkit(
        "add", "--file", file, "--user", "ada", "--run", "r2", "--json", stdin=json.dumps(talk)
    ).json
    assert [(o["memory"], o["role"]) for o in result["results"]] == [
        ("I have a cat.", "user"),
        ("Nice.", "assistant"),
    ]
    assert len(memkit("list", "--user", "ada", "--run", "r2", "--json").json["results"]) == 2


def test_what_adds_nothing_says_why_and_offers_no_undo(memkit: Memkit) -> None:
    assert "memkit undo" in memkit("add", "I have a cat.", "--user", "ada").out
    again = memkit("add", "I have a cat.", "--user", "ada").out
    assert again.startswith("NONE  I have a cat.")
    assert "memkit undo" not in again


# search, list, history, scopes


def test_search_takes_every_option(memkit: Memkit) -> None:
    remember(memkit, "I like green tea.")
    memkit(
        "add", "Tea is a plant.", "--user", "ada", "--kind", "fact", "--no-infer", "--metadata", '{"n": 3}'
    )
    found = memkit(
        "search", "tea", "--user", "ada", "--filter", '{"n": {"gte": 3}}', "--kinds", "fact, event", "--limit", "5",
        "--threshold", "0.01", "--explain", "--as-of", "2999-01-01", "--json",
    ).json  # fmt: skip
    assert [item["memory"] for item in found["results"]] == ["Tea is a plant."]
    assert found["explain"][0]["id"] == found["results"][0]["id"]
    assert "bm25" in memkit("search", "tea", "--user", "ada", "--explain").out


def test_search_knows_the_kinds_of_the_schemas_in_the_environment(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_SCHEMAS", "tests.engine.test_typed_models:Visit")
    for kind in ("visit", "fact,Visit"):
        assert memkit("search", "Rome", "--user", "ada", "--kinds", kind).out == ""
    assert "summary, visit" in memkit("search", "Rome", "--user", "ada", "--kinds", "visits", code=2).err


def test_nothing_found_says_so_beside_the_output(memkit: Memkit) -> None:
    done = memkit("search", "tea", "--user", "nobody")
    assert (done.out, done.err) == ("", "Nothing was found.\n")


def test_one_user_sees_nothing_of_another(memkit: Memkit) -> None:
    remember(memkit, "Secret of Ada.")
    assert memkit("search", "secret", "--user", "bob", "--json").json["results"] == []
    assert memkit("search", "secret", "--all-users", "--json").json["results"][0]["user_id"] == "ada"


def test_list_goes_page_by_page_or_through_all(memkit: Memkit) -> None:
    ids = remember(memkit, *(f"Number {n}." for n in range(5)))
    page = memkit("list", "--user", "ada", "--limit", "2", "--json").json
    seen = [item["id"] for item in page["results"]]
    while page["next_cursor"] is not None:
        page = memkit("list", "--user", "ada", "--limit", "2", "--cursor", page["next_cursor"], "--json").json
        assert len(page["results"]) <= 2
        seen += [item["id"] for item in page["results"]]
    assert seen == ids[::-1]
    assert "--cursor" in memkit("list", "--user", "ada", "--limit", "2").err
    everything = memkit("list", "--user", "ada", "--limit", "2", "--all", "--json").json
    assert [item["id"] for item in everything["results"]] == ids[::-1]


def test_list_shows_the_kinds_that_are_asked_for(memkit: Memkit) -> None:
    remember(memkit, "A turn.")
    memkit("add", "Answer briefly.", "--kind", "preference", "--no-infer", "--user", "ada")
    listed = memkit("list", "--kinds", "preference, fact", "--user", "ada", "--json").json["results"]
    assert [item["memory"] for item in listed] == ["Answer briefly."]
    assert "Did you mean 'fact'" in memkit("list", "--kinds", "fct", "--user", "ada", code=2).err


def test_list_shows_what_is_closed_only_when_asked(memkit: Memkit, tmp_path: Path) -> None:
    (item,) = remember(memkit, "I live in Oslo.")
    with Memory(tmp_path / HOME) as memory:
        memory.update(item, valid_until="2999-01-01")
        memory.update(item, valid_until="2020-01-01")
    assert memkit("list", "--user", "ada", "--json").json["results"] == []
    assert len(memkit("list", "--user", "ada", "--include-closed", "--json").json["results"]) == 1
    assert "until 2020-01-01" in memkit("list", "--user", "ada", "--include-closed").out


def test_history_shows_every_change_and_survives_deletion(memkit: Memkit, tmp_path: Path) -> None:
    (item,) = remember(memkit, "I live in Oslo.")
    with Memory(tmp_path / HOME) as memory:
        memory.update(item, "I live in Bergen.")
        memory.delete(item)
    events = memkit("history", item, "--json").json
    assert [event["event"] for event in events] == ["ADD", "UPDATE", "DELETE"]
    shown = memkit("history", item).out
    assert "was: I live in Oslo." in shown
    assert all(event["operation_id"] in shown for event in events)


def test_scopes_lists_owners_of_a_kind(memkit: Memkit) -> None:
    remember(memkit, "One.", user="ada")
    remember(memkit, "One.", "Two.", user="bob")
    memkit("add", "Three.", "--agent", "bot")
    assert [(o["id"], o["memories"]) for o in memkit("scopes", "--json").json["results"]] == [
        ("ada", 1),
        ("bob", 2),
    ]
    assert [o["id"] for o in memkit("scopes", "--prefix", "b", "--json").json["results"]] == ["bob"]
    assert [o["id"] for o in memkit("scopes", "--kind", "agent", "--json").json["results"]] == ["bot"]
    assert "2 memories, 2 messages" in memkit("scopes").out


# undo, forget, repair


def test_an_operation_is_undone_and_the_undo_too(memkit: Memkit) -> None:
    operation = memkit("add", "I like tea.", "--user", "ada", "--json").json["operation_id"]
    undone = memkit("undo", operation, "--json").json
    assert memkit("list", "--user", "ada", "--json").json["results"] == []
    assert "1 memory changed" in memkit("undo", undone["operation_id"]).out
    assert len(memkit("list", "--user", "ada", "--json").json["results"]) == 1


def test_with_a_user_by_id_calls_stay_inside_the_scope(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = memkit("add", "I like tea.", "--user", "ada", "--json").json
    memkit("history", added["results"][0]["id"], "--user", "bob", code=3)
    memkit("undo", added["operation_id"], "--user", "bob", code=3)
    monkeypatch.setenv("MEMKIT_USER_ID", "bob")
    memkit("forget", added["results"][0]["id"], "--yes", code=3)
    memkit("history", added["results"][0]["id"], "--user", "ada")


def test_a_memory_or_a_scope_is_erased(memkit: Memkit) -> None:
    first, _ = remember(memkit, "First.", "Second.")
    remember(memkit, "Bob's.", user="bob")
    assert memkit("forget", first, "--yes", "--json").json["memories"] == 1
    assert "First." not in memkit("history", first, "--json", code=None).out
    assert "1 memory" in memkit("forget", "--user", "ada", "--yes").out
    assert [o["id"] for o in memkit("scopes", "--json").json["results"] if o["memories"]] == ["bob"]
    memkit("forget", "--all", "--yes")
    assert memkit("list", "--all-users", "--json").json["results"] == []


@pytest.mark.parametrize(
    "args", [("--user", "ada"), ("--user", "ada", "--json"), (), ("--all", "--user", "ada"), ("x", "--all")]
)
def test_erasing_needs_a_yes_and_a_typed_scope(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    remember(memkit, "First.")
    monkeypatch.setenv("MEMKIT_USER_ID", "ada")
    memkit("forget", *args, code=2)
    assert len(memkit("list", "--json").json["results"]) == 1


def test_a_user_that_is_typed_blank_is_not_the_environments(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_USER_ID", "ada")  # and `--user "$WHO"` with a variable that nobody set
    memkit("add", "I sail.")
    for command in (("forget", "--yes"), ("search", "sail"), ("list",), ("export",), ("add", "I row.")):
        assert "`user_id` is blank" in memkit(*command, "--user", "", code=1).err
    assert [item["memory"] for item in memkit("list", "--json").json["results"]] == ["I sail."]


def test_rebuild_changes_the_embedder_for_good(memkit: Memkit) -> None:
    memkit("add", "I moved to Lisbon.", "--user", "ada")
    with OpenAIServer(dim=1536) as server:
        keys = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": server.base_url}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            done = memkit("rebuild", "--embedder", "openai", "--json").json
            assert done["count"] == 1 and server.count("/embeddings") == 1
            assert memkit("stats", "--json").json["embedder"].startswith("openai/")
            assert memkit("search", "Lisbon", "--user", "ada", "--json").json["results"]
    assert "1 memory" in memkit("rebuild", "--embedder", "hash").out
    assert memkit("search", "Lisbon", "--user", "ada", "--json").json["results"]
    assert "nonsense" in memkit("rebuild", "--embedder", "nonsense", code=1).err


def test_repair_reports_what_it_did(memkit: Memkit) -> None:
    remember(memkit, "First.")
    report = {"finished": [], "failed": {}, "expired": 0, "pending": [], "recovered": None}
    assert memkit("repair", "--json").json == report
    assert "0 extractions finished" in memkit("repair").out


# stats, doctor


def test_stats_counts(memkit: Memkit) -> None:
    remember(memkit, "First.", "Second.")
    found = memkit("stats", "--json").json
    assert (found["memories"], found["messages"], found["owners"]) == (2, 2, 1)
    assert "2 memories, 2 messages" in memkit("stats").out


def test_doctor_works_on_a_fresh_machine_and_writes_nothing(shell: Memkit, tmp_path: Path) -> None:
    report = shell("doctor", "--json").json
    assert report["ok"]
    assert not report["exists"]
    assert "hash" in report["chosen"]["embedder"]
    assert "OPENAI_API_KEY" in report["chosen"]["llm"]
    assert list(tmp_path.iterdir()) == []


def test_doctor_explains_a_store_that_is_there(memkit: Memkit) -> None:
    remember(memkit, "First.")
    report = memkit("doctor", "--json").json
    assert report["exists"]
    assert report["stats"]["memories"] == 1
    assert "1 memory and 1 message of 1 owner" in memkit("doctor").out


def test_doctor_never_shows_a_key(memkit: Memkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    for done in (memkit("doctor"), memkit("doctor", "--json")):
        assert "OPENAI_API_KEY" in done.out
        assert "very-secret" not in done.out + done.err


def test_doctor_ends_with_1_for_a_setting_that_cannot_be(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_VECTOR_STORE", "chrome")
    done = memkit("doctor", code=1)
    assert "PROBLEM" in done.out
    assert "Did you mean 'chroma'?" in done.out


def test_doctor_ends_with_1_for_a_damaged_ledger(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"not a database at all" * 1000)
    report = memkit("doctor", "--path", "bad.db", "--json", code=1).json
    assert "ledger" in report["problems"]


def test_doctor_says_that_a_place_cannot_be_written(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    report = memkit("doctor", "--path", "file/inside", "--json", code=1).json
    assert "ledger" in report["problems"]


# Options before and after the command


def test_shared_options_stand_before_or_after_the_command(memkit: Memkit, tmp_path: Path) -> None:
    memkit("--path", "one", "--user", "ada", "add", "First.")
    assert (tmp_path / "one").is_dir()
    assert len(memkit("--json", "--path", "one", "list", "--user", "ada").json["results"]) == 1
    assert memkit("--path", "two", "list", "--path", "one", "--user", "ada").out.startswith("First.")
    assert memkit("--user", "bob", "list", "--path", "one", "--user", "ada").out.startswith("First.")


def test_the_environment_names_place_and_user(
    memkit: Memkit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEMKIT_PATH", str(tmp_path / "env.db"))
    monkeypatch.setenv("MEMKIT_USER_ID", "ada")
    memkit("add", "First.")
    assert (tmp_path / "env.db").is_file()
    assert memkit("list", "--json").json["results"][0]["user_id"] == "ada"
    assert memkit("--user", "bob", "list", "--json").json["results"] == []


def test_reading_a_store_that_is_not_there_makes_none(memkit: Memkit, tmp_path: Path) -> None:
    for args in (("search", "x"), ("list",), ("export",)):
        memkit(*args, "--user", "ada")
    memkit("scopes")
    memkit("stats")
    memkit("repair")
    assert list(tmp_path.iterdir()) == []
