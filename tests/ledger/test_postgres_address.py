"""Addresses of PostgreSQL: what cannot be right is refused before anything is tried, and no text has the password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import BackendUnavailableError, ConfigurationError
from memkit.ledger.sqlite.settings import SqliteSettings
from memkit.ledgers import ledger_shown, settings_of
from memkit.postgres.address import address_of
from memkit.postgres.errors import is_passing, translated

psycopg = pytest.importorskip("psycopg")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGDATABASE", "PGSERVICE", "PGHOST", "PGPORT", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://u:hidden@h:abc/d", "number from 1 to 65535, not 'abc'"),
        ("postgresql://u:hidden@h:0/d", "not '0'"),
        ("postgresql://u:hidden@h:65536/d", "not '65536'"),
        ("postgresql://u:hidden@a:5432,b:x/d", "not 'x'"),
        ("postgresql://u:hidden/d", "number from 1 to 65535. Write"),
        ("postgresql://u:hidden@h", "names no database"),
        ("postgresql://u:hidden@h:5432/", "names no database"),
        ("postgresql://u:hidden@h/d?sslmod=require", "no option 'sslmod'. Did you mean 'sslmode'"),
        ("postgresql://u:hidden@h/d?sslmode=verify_full", "Did you mean 'verify-full'"),
        ("postgresql://u:hidden@h/d?connect_timeout=soon", "whole seconds, not 'soon'"),
        ("postgresql://u:a@hidden@h/d", "percent-encoded"),
        ("postgresql://u:a/hidden@h/d", "percent-encoded"),
        ("postgresql://u:a%hidden@h/d", "percent-encoded"),
        ("postgresql://h/d?user=u&password=a&hidden", "percent-encoded"),
        ("postgresql://h/d?user=u&password=a&hidden=b", "percent-encoded"),
        ("host=h dbname=d password=a hidden", "percent-encoded"),
        ("host=h dbname=d password='hidden", "percent-encoded"),
    ],
)
def test_what_cannot_be_right_is_said_and_the_password_is_not(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        address_of(url, {})
    assert says in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hidden" not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert ledger_shown(url) == "(set)"


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://u:hidden@h:6543/d", "h:6543/d"),
        ("postgres://u:hidden@h/d", "h:5432/d"),
        ("postgresql://u:a%40hid%2Fden%3A@h/d", "h:5432/d"),
        ("postgresql://u:a?hidden@h/d", "h:5432/d"),
        ("postgresql://u:hidden@[::1]:5433/d", "::1:5433/d"),
        ("postgresql://u:hidden@a:1,b:2/d", "a,b:1,2/d"),
        ("postgresql://u@/d?host=/run/pg&password=hid@den", "/run/pg:5432/d"),
        ("postgresql:///d?user=u&password=hidden", "localhost:5432/d"),
        ("host=h port=6543 dbname=d user=u password='hidden / @ two'", "h:6543/d"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, where: str) -> None:
    address = address_of(url, {})
    assert (address.where, repr(address)) == (where, f"Address({where!r})")
    assert ledger_shown(url) == f"postgresql://{where}"
    assert "hid" not in f"{settings_of(url)!r}"


def test_a_database_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATABASE", "mine")
    assert address_of("postgresql://u@h", {}).where == "h:5432/mine"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("postgress://u:hidden@h/d", "'postgress'. Did you mean 'postgresql'"),
        ("PostgreSQL://u:hidden@h/d", "'PostgreSQL'. Did you mean 'postgresql'"),
        ("postgresql+psycopg://u:hidden@h/d", "Did you mean 'postgresql'"),
        ("postgresql:/u:hidden@h/d", "Did you mean 'postgresql'"),
        ("mysql://u:hidden@h/d", "Unknown ledger 'mysql'"),
    ],
)
def test_another_scheme_is_no_file(given: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Memory(tmp_path, llm=None, embedder="hash", ledger=given)
    assert says in str(caught.value) and "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "file", ["memory.db", "a folder/host.db", "/tmp/a://b.db", "postgres.db", "./host=x.db"]
)
def test_a_file_stays_a_file(file: str) -> None:
    settings = settings_of(file)
    assert isinstance(settings, SqliteSettings) and str(settings.path) == file
    assert ledger_shown(file) == file


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('connection is bad: invalid target_session_attrs value: "x"', ConfigurationError),
        ('connection is bad: definition of service "x" not found', ConfigurationError),
        ("connection failed: SSL error: certificate verify failed", ConfigurationError),
        ("connection failed: server does not support SSL, but SSL was required", ConfigurationError),
        ("connection failed: SSL error: unexpected eof while reading", BackendUnavailableError),
        ("SSL connection has been closed unexpectedly", BackendUnavailableError),
        ("connection failed: Connection refused", BackendUnavailableError),
    ],
)
def test_what_no_second_try_mends_is_not_tried_again(text: str, kind: type[Any]) -> None:
    error = psycopg.OperationalError(text)
    assert type(translated(error, "h:5432/d", "postgresql")) is kind
    assert is_passing(error) == (kind is BackendUnavailableError)
