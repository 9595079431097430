"""The file of a networkx graph: cut off, replaced, shared with another graph, and without residue."""

from __future__ import annotations

from pathlib import Path

import pytest

from memkit.errors import BackendError, ConfigurationError
from memkit.graph_stores.networkx import NetworkxStore
from memkit.testing.graph_data import ALICE, EVERYONE, id_of, memory


def graph(path: Path, name: str = "memkit") -> NetworkxStore:
    return NetworkxStore(NetworkxStore.Settings(path=path, collection_name=name))


def ids(store: NetworkxStore) -> list[str]:
    return [record.memory_id for record in store.export(EVERYONE).records]


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_line_that_was_cut_off_is_not_read_and_the_next_write_is_whole(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "graph.lines"
    first = graph(path)
    first.upsert([memory("m1", "Ann likes Bob")])
    first.upsert([memory("m2", "Ann likes Cid")])
    path.write_bytes(path.read_bytes()[:-cut])
    second = graph(path)
    assert ids(second) == ["m1"]
    second.upsert([memory("m3", "Ann likes Dee")])
    assert ids(second) == ids(first) == ids(graph(path)) == ["m1", "m3"]
    for store in (first, second):
        store.close()


def test_what_was_removed_or_replaced_is_in_no_byte_of_the_folder(tmp_path: Path) -> None:
    store = graph(tmp_path / "graph.lines")
    store.upsert(
        [
            memory("m1", "Ann likes Secretone"),
            memory("m2", "Ann likes Secrettwo"),
            memory("m3", "Ann likes Bob"),
        ]
    )
    store.upsert([memory("m2", "Ann likes Cid")])
    store.remove(["m1"])
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Secret" not in written and b"secret" not in written and b"Cid" in written
    store.drop()
    assert not (tmp_path / "graph.lines").exists() and store.count(EVERYONE).memories == 0
    store.close()


def test_new_memories_are_appended_and_nothing_else_is_written(tmp_path: Path) -> None:
    path = tmp_path / "graph.lines"
    store = graph(path)
    store.upsert([memory("m1", "Ann likes Bob")])
    before = path.read_bytes()
    store.upsert([memory("m2", "Ann likes Cid")])
    store.remove(["unknown"])
    store.upsert([])
    assert path.read_bytes().startswith(before)
    store.upsert([memory("m2", "Ann likes Dee")])
    assert b"Cid" not in path.read_bytes()
    store.close()


def test_two_graphs_share_a_file(tmp_path: Path) -> None:
    mine, theirs = (graph(tmp_path / "graph.lines", name) for name in ("mine", "my\tother\n"))
    for store in (mine, theirs, mine):
        store.upsert([memory(store.info().name, "Ann likes Bob")])
    mine.upsert([memory("m2", "Ann likes Cid")])
    mine.remove(["m2"])
    assert (ids(mine), ids(theirs)) == (["mine"], ["my\tother\n"])
    mine.drop()
    assert ids(theirs) == ["my\tother\n"]
    for store in (mine, theirs):
        store.close()


@pytest.mark.parametrize("text", ["something else", "", "memkit lines 1", "{}\n{}\n"])
def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(text)
    store = graph(path)
    with pytest.raises(ConfigurationError, match=r"notes\.txt"):
        store.upsert([memory("m1", "Ann likes Bob")])
    assert path.read_text() == text
    store.close()


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "graph.lines"
    store = graph(path)
    store.upsert([memory("m1", "Ann likes Bob")])
    path.write_text(path.read_text() + '"memkit"\t["m2"]\n')
    with pytest.raises(BackendError, match="damaged"):
        graph(path).count(ALICE)
    store.close()


def test_a_memory_without_a_place_keeps_its_graph_in_its_folder(tmp_path: Path) -> None:
    store = NetworkxStore()
    store.place(tmp_path)
    store.upsert([memory("m1", "Ann likes Bob")])
    assert (tmp_path / "graph.lines").exists() and "persistent" in store.capabilities
    store.close()


def test_the_graph_itself_is_there_for_other_algorithms() -> None:
    store = NetworkxStore()
    store.upsert([memory("m1", "Ann likes Bob")])
    found = store.graph
    assert {data["name"] for _, data in found.nodes(data=True)} == {"Ann", "Bob"}
    assert [data["relation"] for *_, data in found.edges(data=True)] == ["likes"]
    found.remove_node(id_of("Ann"))
    assert store.count(ALICE).entities == 2


def test_a_changed_memory_costs_its_own_size_and_others_see_it(tmp_path: Path) -> None:
    path = tmp_path / "graph.lines"
    store, other = graph(path), graph(path)
    store.upsert([memory(f"m{n}", f"Ann likes Bob{n}") for n in range(50)])
    assert len(ids(other)) == 50
    size = path.stat().st_size
    store.upsert([memory("m7", "Ann likes Cid")])
    store.remove(["m8"])
    assert path.stat().st_size < size * 1.1 and b"Bob7" not in path.read_bytes()
    assert sorted(ids(other)) == sorted(ids(store)) == sorted(ids(graph(path)))
    assert "m8" not in ids(other) and len(ids(other)) == 49
    assert other.find_entities(["Cid"], scope=ALICE) and not other.find_entities(
        ["Bob7", "Bob8"], scope=ALICE
    )
    other.upsert([memory("m8", "Ann likes Dee")])
    assert store.find_entities(["Dee"], scope=ALICE)
    for one in (store, other):
        one.close()


def test_a_file_that_is_mostly_blank_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "graph.lines"
    store, other = graph(path), graph(path, "other")
    other.upsert([memory("m1", "Zoe likes Bob"), memory("m2", "Zoe likes Gone")])
    other.remove(["m2"])
    for n in range(200):
        store.upsert([memory("m1", *(f"Ann likes Cid{n}" for _ in range(20)))])
    assert path.stat().st_size < 2 * (1 << 16) + 10_000
    assert ids(store) == ids(graph(path)) == ids(other) == ["m1"]
    assert [
        one.key for one in store.find_entities(["Cid199"], scope=ALICE)
    ] and b"Gone" not in path.read_bytes()
    for one in (store, other):
        one.close()


@pytest.mark.parametrize("torn", ["kept", "head", "tail"])
def test_a_crash_between_a_new_line_and_the_end_of_the_old_one_loses_nothing(
    tmp_path: Path, torn: str
) -> None:
    path = tmp_path / "graph.lines"
    store = graph(path)
    store.upsert([memory("m1", "Ann likes Old")])
    old = path.read_bytes().splitlines(keepends=True)[-1]
    store.upsert([memory("m1", "Ann likes New"), memory("m2", "Ann likes Bob")])
    store.close()
    left = {"kept": old, "head": b" " * 9 + old[9:], "tail": old[:-10] + b" " * 9 + b"\n"}[torn]
    path.write_bytes(path.read_bytes().replace(b" " * (len(old) - 1) + b"\n", left))
    again = graph(path)
    assert ids(again) == ["m1", "m2"]
    assert again.find_entities(["New"], scope=ALICE) and not again.find_entities(["Old"], scope=ALICE)
    again.upsert([memory("m1", "Ann likes Newer")])
    assert b"Old" not in path.read_bytes()
    again.close()
