"""`memkit graph`: the graph on the command line, as text and as JSON."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Memkit


def test_the_graph_is_shown_merged_and_parted(memkit: Memkit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMKIT_GRAPH_STORE", "sqlite")
    for text in ("My sister Bea works at Acme.", "Acme is located in Turin.", "Bob lives in Turin."):
        memkit("--path", "store", "add", text, "--user", "ada")
    at = ("--path", "store")
    assert memkit(*at, "graph", "entity", "bea", "--user", "ada").out.startswith("person  Bea")
    assert memkit(*at, "graph", "paths", "I", "Turin", "--user", "ada", "--json").json == [
        ["User", "Bea", "Acme", "Turin"]
    ]
    near = memkit(*at, "graph", "neighbours", "Acme", "--user", "ada", "--depth", "2", "--json").json
    assert {one["relation"] for one in near} == {"works_at", "located_in", "sister_of", "lives_in"}
    only = memkit(*at, "graph", "relations", "--user", "ada", "--filter", '{"target": "Turin"}')
    assert "Acme located_in Turin" in only.out and "Bob lives_in Turin" in only.out
    meant = memkit(*at, "graph", "find", "Where does bea work?", "--user", "ada", "--json").json
    assert [one["name"] for one in meant] == ["Bea"]
    assert "No memory names" in memkit(*at, "graph", "find", "Zanzibar", "--user", "ada").err
    memkit(*at, "graph", "merge", "Bob", "Bea", "--user", "ada")
    assert memkit(*at, "graph", "entity", "Bob", "--user", "ada", "--json").json["aliases"] == ["Bob"]
    memkit(*at, "graph", "split", "Bob", "--user", "ada")
    listed = memkit(*at, "graph", "entities", "--user", "ada", "--json").json["results"]
    assert sorted(one["name"] for one in listed) == ["Acme", "Bea", "Bob", "Turin", "User"]


def test_what_is_unknown_or_wrong_is_said(memkit: Memkit) -> None:
    memkit("--path", "store", "add", "Tea is nice.", "--user", "ada")
    assert "No memory names" in memkit("--path", "store", "graph", "entity", "Bea", "--user", "ada").err
    assert (
        memkit("--path", "store", "graph", "entity", "Bea", "--user", "ada", "--json").json["memory_ids"]
        == []
    )
    memkit("--path", "store", "graph", "relations", "--from", "2024-01-01", "--user", "ada", code=2)
    memkit("--path", "store", "graph", "entity", "Bea", code=2)
    memkit("--path", "store", "graph", "neighbours", "Bea", "--user", "ada", "--depth", "99", code=1)
