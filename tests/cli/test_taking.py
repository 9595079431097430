"""`memkit import mem0` and `memkit repair --from-index`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models

from memkit import Memory
from memkit.embedders.hash import HashEmbedder
from tests.cli.conftest import Memkit

ID = "10000000-0000-4000-8000-000000000001"


@pytest.fixture
def mem0(tmp_path: Path) -> Path:
    """A folder of Qdrant as mem0 leaves it, with one memory and one point that is none."""
    dim = HashEmbedder().dim
    client = QdrantClient(path=str(tmp_path / "qdrant"))
    client.create_collection("mem0", models.VectorParams(size=dim, distance=models.Distance.COSINE))
    row = HashEmbedder().embed(["Name is Ada"], purpose="document")[0].tolist()
    point = {"data": "Name is Ada", "user_id": "ada", "created_at": "2025-08-01T10:00:00-07:00"}
    client.upsert(
        "mem0",
        [
            models.PointStruct(id=ID, vector=row, payload=point),
            models.PointStruct(id=ID[:-1] + "2", vector=row, payload={"user_id": "ada"}),
        ],
    )
    client.close()
    return tmp_path / "qdrant"


def test_a_database_of_mem0_is_imported_once(
    memkit: Memkit, mem0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMKIT_EMBEDDER", "hash")
    tried = memkit("--path", "s", "import", "mem0", str(mem0), "--dry-run")
    assert "Would import 1 memory of 2 records" in tried.out and "Nothing was written." in tried.out
    done = memkit("--path", "s", "import", "mem0", str(mem0))
    assert "Imported 1 memory of 2 records; 0 there already." in done.out
    assert "Their vectors were taken over." in done.out and "memkit undo" in done.out
    assert "Left out 1 record" in done.err
    again = memkit("--path", "s", "--json", "import", "mem0", str(mem0)).json
    assert (again["imported"], again["present"], again["found"]) == (0, 1, 2)
    (item,) = memkit("--path", "s", "--json", "list", "--user", "ada").json["results"]
    assert (item["id"], item["memory"]) == (ID, "Name is Ada")


def test_mem0_without_a_source_says_what_to_type(memkit: Memkit) -> None:
    done = memkit("import", "mem0", code=2)
    assert "`memkit import mem0 SOURCE`" in done.err


def test_what_goes_with_mem0_alone_is_refused_elsewhere(memkit: Memkit, tmp_path: Path) -> None:
    (tmp_path / "talk.jsonl").write_text('{"role": "user", "content": "Hi."}\n')
    done = memkit("import", "talk.jsonl", "--collection", "x", "--user", "ada", code=2)
    assert "memkit import mem0 SOURCE" in done.err


def test_a_lost_ledger_is_filled_from_its_index(
    memkit: Memkit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {"provider": "qdrant", "config": {"path": str(tmp_path / "index")}}
    with Memory(tmp_path / "lost", vector_store=store, embedder="hash", llm=None) as memory:
        memory.add("I live in Oslo.", user_id="ada", infer=False)
    monkeypatch.setenv("MEMKIT_VECTOR_STORE", json.dumps(store))
    monkeypatch.setenv("MEMKIT_EMBEDDER", "hash")
    refused = memkit("--path", "new", "add", "Hi.", "--user", "ada", code=1)
    assert "memkit repair --from-index" in refused.err
    done = memkit("--path", "new", "repair", "--from-index")
    assert "Recovered 1 memory of 1 record; 0 there already." in done.out
    found = memkit("--path", "new", "--json", "repair", "--from-index").json
    assert (found["recovered"]["imported"], found["recovered"]["present"]) == (0, 1)
    assert [
        item["memory"] for item in memkit("--path", "new", "--json", "list", "--user", "ada").json["results"]
    ] == ["I live in Oslo."]
