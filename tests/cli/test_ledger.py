"""`--ledger`: every command on another database, and no password in what any of them says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Memkit
from tests.postgres import PASSWORD, QUOTED, PostgresServer

SECRETS = (PASSWORD, QUOTED, "p@ss", "p%40ss", "hidden")


def test_a_ledger_that_is_typed_wins_over_the_environment(
    memkit: Memkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_LEDGER", str(tmp_path / "other.db"))
    memkit("--ledger", str(tmp_path / "one.db"), "add", "Ana keeps bees", "--user", "ana", "--path", "home")
    assert (tmp_path / "one.db").exists() and not (tmp_path / "other.db").exists()
    found = memkit("list", "--user", "ana", "--json", "--path", "home", "--ledger", str(tmp_path / "one.db"))
    assert [item["memory"] for item in found.json["results"]] == ["Ana keeps bees"]
    assert memkit("list", "--user", "ana", "--json", "--path", "home").json["results"] == []


@pytest.mark.parametrize(
    "url",
    [
        "postgress://memkit:hidden@127.0.0.1/x",
        "postgresql://memkit:hidden@127.0.0.1:abc/x",
        "postgresql://memkit:hidden/x",
        "postgresql://memkit:a/hidden@127.0.0.1/x",
        "postgresql://memkit:a@hidden@127.0.0.1/x",
        "postgresql://memkit:a%hidden@127.0.0.1/x",
        "postgresql://127.0.0.1/x?user=memkit&password=hidden&sslmod=require",
        "postgresql://127.0.0.1/x?password=a&hidden",
        "host=127.0.0.1 password=a hidden",
    ],
)
def test_an_address_that_cannot_be_right_is_refused_without_its_password(
    memkit: Memkit, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in ((), ("--json",), ("--debug",)):
        said = memkit("stats", "--path", "home", "--ledger", url, *more, code=1)
        assert "hidden" not in said.out + said.err
        assert "postgresql" in (said.out + said.err).lower()
    monkeypatch.setenv("MEMKIT_LEDGER", url)
    assert "hidden" not in "".join(memkit("doctor", "--path", "home", code=1).out)


@pytest.mark.engine
def test_every_command_works_on_a_database(
    memkit: Memkit, postgres: PostgresServer, fresh_postgres: str
) -> None:
    given = ("--path", "home", "--ledger", fresh_postgres)
    said = [
        memkit("add", "Ana keeps bees", "--user", "ana", *given),
        memkit("search", "Who keeps bees?", "--user", "ana", *given),
        memkit("list", "--user", "ana", *given),
        memkit("scopes", *given),
        memkit("stats", *given),
        memkit("repair", *given),
        memkit("doctor", "--json", *given),
        memkit("export", "--all", *given),
        memkit("forget", "--user", "ana", "--yes", *given),
    ]
    assert "Ana keeps bees" in said[1].out and "Ana keeps bees" in said[2].out
    wrong = postgres.url("postgres", password="hidden")
    said.append(memkit("stats", "--debug", "--path", "home", "--ledger", wrong, code=1))
    shown = "".join(one.out + one.err for one in said)
    assert not any(secret in shown for secret in SECRETS)
    assert not (Path("home") / "memory.db").exists()
