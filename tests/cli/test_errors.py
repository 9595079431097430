"""How commands fail: a line that says what to type, an exit code, and JSON where JSON was asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Memkit

UNKNOWN = "3f0c1d2e-5b6a-4c7d-8e9f-0a1b2c3d4e5f"


def label(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(value)


WRONG_USAGE = [
    ("bogus",),
    ("search",),
    ("search", "x"),
    ("list",),
    ("add", "--user", "ada"),
    ("add", "text", "--file", "talk.json", "--user", "ada"),
    ("add", "text", "--user", "ada", "--kind", "fcat"),
    ("add", "text", "--user", "ada", "--metadata", "[1]"),
    ("add", "text", "--user", "ada", "--metadata", "{"),
    ("list", "--user", "ada", "--filter", "nonsense"),
    ("list", "--all-users", "--user", "ada"),
    ("list", "--user", "ada", "--limit", "many"),
    ("search", "x", "--user", "ada", "--kinds", "fact,fcat"),
    ("scopes", "--kind", "planet"),
    ("import", "--user", "ada"),
    ("--no-such-option",),
]
OURS = [
    (("list", "--user", "ada", "--filter", '{"n": {"eqq": 1}}'), "FilterError"),
    (("list", "--user", " "), "ScopeError"),
    (("list", "--user", "ada", "--limit", "0"), "InvalidInputError"),
    (("list", "--user", "ada", "--cursor", "mine"), "InvalidInputError"),
    (("search", "x", "--user", "ada", "--threshold", "7"), "InvalidInputError"),
    (("search", "x", "--user", "ada", "--as-of", "yesterday"), "InvalidInputError"),
    (("import", "nowhere.json", "--user", "ada"), "InvalidInputError"),
    (("add", "--file", "nowhere.json", "--user", "ada"), "InvalidInputError"),
    (("stats", "--path", " "), "ConfigurationError"),
]
NOT_FOUND = [
    (("history", UNKNOWN), "MemoryNotFoundError"),
    (("forget", UNKNOWN, "--yes"), "MemoryNotFoundError"),
    (("undo", UNKNOWN), "OperationNotFoundError"),
]


@pytest.mark.parametrize("args", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_ends_with_2_and_says_how_to_get_help(memkit: Memkit, args: tuple[str, ...]) -> None:
    done = memkit(*args, stdin="", code=2)
    assert done.out == ""
    assert "Usage: memkit" in done.err
    assert "Error: " in done.err
    error = json.loads(memkit("--json", *args, stdin="", code=2).err)
    assert (error["error"], error["exit_code"]) == ("UsageError", 2)


@pytest.mark.parametrize(("args", "name"), OURS, ids=label)
def test_an_error_of_ours_is_one_line_and_ends_with_1(
    memkit: Memkit, args: tuple[str, ...], name: str
) -> None:
    done = memkit(*args, code=1)
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1
    error = json.loads(memkit(*args, "--json", code=1).err)
    assert (error["error"], error["exit_code"]) == (name, 1)


@pytest.mark.parametrize(("args", "name"), NOT_FOUND, ids=label)
def test_what_is_not_there_ends_with_3(memkit: Memkit, args: tuple[str, ...], name: str) -> None:
    memkit("add", "Something.", "--user", "ada")
    assert UNKNOWN in memkit(*args, code=3).err
    done = memkit(*args, "--json", code=3)
    assert done.out == ""
    assert json.loads(done.err)["error"] == name


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("add", "Tea.", "--user", "ada"), 0),
        (("history", UNKNOWN), 3),
        (("undo", UNKNOWN), 3),
        (("list",), 2),
        (("list", "--user", "ada", "--cursor", "mine"), 1),
        (("--version",), 0),
        (("doctor",), 0),
    ],
    ids=label,
)
def test_exit_codes_reach_the_shell(shell: Memkit, args: tuple[str, ...], code: int) -> None:
    done = shell(*args, code=code)
    assert "Traceback" not in done.err


def test_debug_shows_where_it_happened(shell: Memkit) -> None:
    assert "Traceback" in shell("--debug", "list", "--user", "ada", "--cursor", "mine", code=1).err


def test_a_damaged_ledger_is_a_line(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"not a database at all" * 1000)
    done = memkit("list", "--user", "ada", "--path", "bad.db", code=1)
    assert done.err.startswith("Error: ")


def test_a_conflict_names_the_operations_in_the_way(memkit: Memkit) -> None:
    from memkit import Memory

    added = memkit("add", "I live in Oslo.", "--user", "ada", "--json").json
    with Memory() as memory:
        later = memory.update(added["results"][0]["id"], "I live in Bergen.").operation_id
    error = json.loads(memkit("undo", added["operation_id"], "--json", code=1).err)
    assert (error["error"], error["operations"]) == ("ConflictError", [later])


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_reader_that_has_enough_is_no_error(tmp_path: Path, memkit: Memkit) -> None:
    from memkit import Memory

    with Memory() as memory:
        memory.add_many([f"Number {n}. " + "word " * 60 for n in range(2000)], user_id="ada")
    command = [sys.executable, "-m", "memkit", "export", "--user", "ada"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(60) == 141
    assert err == b""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("json_", [(), ("--json",)])
def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path, json_: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "memkit", "add", "-", "--user", "ada", *json_]
    # It waits for standard input; the first byte of its answer to SIGINT must be ours.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        _wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        err = process.stderr.read().decode()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert (json.loads(err)["exit_code"] == 130) if json_ else err.startswith("Error: Interrupted.")


def _wait_until_it_reads(pid: int) -> None:
    """Wait until a process sleeps in a read of its standard input."""
    import time

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        where = Path(f"/proc/{pid}/wchan")
        if not where.exists():
            time.sleep(3)
            return
        try:
            if "pipe" in where.read_text():
                return
        except OSError:
            return
        time.sleep(0.02)


@pytest.mark.parametrize("reader", ["utf-8:strict", "utf-8:surrogateescape"])
@pytest.mark.parametrize("command", [("add",), ("add", "--file", "-"), ("import", "-")], ids=" ".join)
def test_what_is_piped_in_and_is_no_text_is_named(
    tmp_path: Path, command: tuple[str, ...], reader: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "memkit", *command, "--user", "ada", "--path", str(tmp_path)],
        env={**os.environ, "PYTHONIOENCODING": reader},
        input=b"caf\xe9",
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1 and b"Standard input is not UTF-8" in done.stderr, done.stderr
