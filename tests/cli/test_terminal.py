"""Output is readable on a narrow terminal and in a pipe, cannot steer the terminal, and help is quick."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from rich.cells import cell_len

from memkit import Memory
from memkit.cli import app
from tests.cli.conftest import Memkit

LONG = "Ada moved to Lisbon in May, works from a small café near the river, and only drinks oat milk with her coffee."
COMMANDS = sorted(command.name or "" for command in app.registered_commands)
HEAVY = {"numpy", "pydantic", "openai", "chromadb", "sqlite3", "rich", "zipfile"}


def _without_size() -> dict[str, str]:
    """Return the environment without what a parallel test runner says of its own terminal."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def on_terminal(*args: str, width: int, cwd: Path, stdin: bytes = b"") -> tuple[str, int]:
    """Run a command on a terminal of a width, and return what it shows and its exit code."""
    import pty
    import termios

    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, width))
    with subprocess.Popen(
        [sys.executable, "-m", "memkit", *args],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={**_without_size(), "TERM": "xterm-256color"},
    ) as process:
        os.close(slave)
        os.write(master, stdin)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    return shown.decode().replace("\r\n", "\n"), process.returncode


def bare(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.parametrize(
    "args", [("list",), ("search", "milk"), ("scopes",), ("doctor",), ("stats",)], ids=" ".join
)
def test_on_a_narrow_terminal_nothing_is_cut_off(args: tuple[str, ...], tmp_path: Path) -> None:
    with Memory() as memory:
        memory_id = memory.add(LONG, user_id="ada").results[0].id
    user = ("--user", "ada") if args[0] in ("list", "search") else ()
    shown, code = on_terminal(*args, *user, width=40, cwd=tmp_path)
    lines = bare(shown).splitlines()
    assert code == 0
    assert max(cell_len(line) for line in lines) <= 40
    assert not set(bare(shown)) & set("│┃━─╭╮╰╯…")
    if user:
        together = "".join(line.strip() for line in lines)
        assert LONG.replace(" ", "") in together.replace(" ", "")
        assert str(memory_id) in together.replace(" ", "")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 1, 1), (b"y\n", 0, 0)])
def test_erasing_asks(answer: bytes, code: int, left: int, tmp_path: Path) -> None:
    with Memory() as memory:
        memory.add(LONG, user_id="ada")
    shown, ended = on_terminal("forget", "--user", "ada", width=100, cwd=tmp_path, stdin=answer)
    assert "Erase 1 current memory and all messages and history of user_id=ada" in bare(shown)
    assert ended == code
    with Memory() as memory:
        assert memory.count(user_id="ada") == left


def test_in_a_pipe_lines_are_whole_and_plain(memkit: Memkit, shell: Memkit) -> None:
    memkit("add", LONG, "--user", "ada")
    for args in (("list",), ("search", "milk")):
        done = shell(*args, "--user", "ada", COLUMNS="40")
        assert LONG in done.out
        assert "\x1b" not in done.out


def test_a_memory_cannot_steer_the_terminal(memkit: Memkit) -> None:
    memkit("add", "Red \x1b[31malert\x07 \u202eback", "--user", "ada")
    out = memkit("list", "--user", "ada").out
    assert not set(out) & set("\x1b\x07\u202e")
    assert "[31malert" in out
    assert (
        memkit("list", "--user", "ada", "--json").json["results"][0]["memory"]
        == "Red \x1b[31malert\x07 \u202eback"
    )


def test_output_survives_an_encoding_that_cannot_hold_it(memkit: Memkit, shell: Memkit) -> None:
    memkit("add", "Die Straße nach 東京 ☀", "--user", "ada")
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert "nach" in shell("list", "--user", "ada", **env).out
    assert (
        shell("list", "--user", "ada", "--json", **env).json["results"][0]["memory"]
        == "Die Straße nach 東京 ☀"
    )
    assert shell("export", "--user", "ada", **env).lines[1]["content"] == "Die Straße nach 東京 ☀"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(memkit: Memkit, command: str) -> None:
    shown = memkit(command, "--help").out
    assert f"  memkit {command}" in shown or f"| memkit {command}" in shown
    for option in ("--json", "--path", "--user", "--debug"):
        assert option in shown
    summary = shown.splitlines()[2].strip()
    assert summary.endswith(".")
    assert max(len(line) for line in shown.split("Examples:")[0].splitlines()) <= 80


def test_help_loads_nothing_heavy() -> None:
    code = """
        import json, sys
        sys.argv = ["memkit", "--help"]
        from memkit.cli import main
        try:
            main()
        except SystemExit:
            print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert "Usage: memkit" in done.stdout
    assert set(json.loads(done.stdout.splitlines()[-1])) & HEAVY == set()


def test_the_version_is_a_line(shell: Memkit) -> None:
    from memkit import __version__

    assert shell("--version").out == f"memkit {__version__}\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_what_the_caller_closed_is_as_if_nobody_listened(tmp_path: Path, closed: str) -> None:
    with Memory(tmp_path, llm=None, embedder="hash") as memory:
        memory.add(LONG, user_id="ada", infer=False)
    for command in (["search", "Lisbon"], ["search", "Lisbon", "--json"]):
        asked = [sys.executable, "-m", "memkit", *command, "--user", "ada", "--path", str(tmp_path)]
        done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *asked], capture_output=True)
        assert done.returncode == 0 and done.stderr == b""
