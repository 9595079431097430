"""Graph stores that are gone, slow, refused, emptied or shared: nothing acknowledged is lost, and `repair()` heals."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from memkit import Memory
from memkit.errors import AuthenticationError, BackendError, BackendUnavailableError, LedgerMismatchError
from memkit.graph_stores.base import GraphRecord, GraphStore
from memkit.graph_stores.networkx import NetworkxStore
from memkit.scope import ReadScope
from tests.bolt import BoltServer
from tests.engine.faces import Face, World
from tests.gate import Gate

EVERYONE: Final = ReadScope(everyone=True)
ROOT: Final = Path(__file__).resolve().parents[2]


def say(memory: Face, *names: str, user: str = "u") -> list[str]:
    """Store a memory for each name, `Ann works at <name>.`, and return what still lags behind."""
    pending: set[str] = set()
    for name in names:
        pending.update(memory.add(f"Ann works at {name}.", user_id=user, infer=False).pending)
    return sorted(pending)


def employers(memory: Face, user: str = "u") -> list[str]:
    """Whom the graph says that Ann works at."""
    asked = memory.raw.graph.neighbours("Ann", user_id=user)
    relations = memory.runner.run(asked) if memory.runner is not None else asked
    return sorted(relation.target for relation in relations if relation.relation == "works_at")


def records(store: GraphStore) -> dict[str, GraphRecord]:
    """What a graph holds."""
    return {record.memory_id: record for record in store.export(EVERYONE, limit=10_000).records}


def own(memory: Face) -> dict[str, GraphRecord]:
    """What the ledger says that a graph holds."""
    return records(memory.raw._parts.ledger.graph)


def same(found: dict[str, GraphRecord], expected: dict[str, GraphRecord]) -> bool:
    """Whether two graphs say the same, whatever the order."""

    def plain(said: Iterable[GraphRecord]) -> list[Any]:
        return sorted(
            (one.memory_id, one.user_id, one.valid_from, one.valid_until, sorted(map(repr, one.edges)))
            for one in said
        )

    return plain(found.values()) == plain(expected.values())


def settle(memory: Face) -> None:
    """Wait until the graph has followed, however slow the machine is."""
    for _ in range(300):
        if memory.repair().pending == []:
            return
        time.sleep(0.1)
    raise AssertionError("the graph does not follow")


# ------------------------------------------------------------------------------------- a file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "graph" / "graph.lines"


def lines(place: Path) -> NetworkxStore:
    return NetworkxStore(NetworkxStore.Settings(path=place))


def test_a_graph_that_cannot_be_written_holds_up_no_write_and_is_healed(world: World, place: Path) -> None:
    place.parent.write_text("a file where the folder should be")
    memory = world.open(graph_store=lines(place))
    assert say(memory, "Acme", "Bolt") == ["graph:networkx"]
    assert employers(memory) == ["Acme", "Bolt"], "the ledger answers"
    assert memory.health().problems.keys() == {"graph_store"}
    assert memory.stats().pending == {"graph:networkx": 2}
    place.parent.unlink()
    assert memory.repair().pending == [] and memory.health().ok
    assert same(records(lines(place)), own(memory)) and len(own(memory)) == 2


@pytest.mark.parametrize("fault", ["deleted", "damaged", "older"])
def test_a_graph_file_that_is_lost_is_filled_again_by_repair(world: World, place: Path, fault: str) -> None:
    memory = world.open(graph_store=lines(place))
    say(memory, "Acme")
    older = place.read_bytes()
    say(memory, "Bolt", "Coop")
    if fault == "deleted":
        place.unlink()
    elif fault == "older":
        place.write_bytes(older)
    else:
        place.write_bytes(older + b'"memkit"\t{"what": "is this"}\n')
        with pytest.raises(BackendError, match=r"Delete the file"):
            lines(place).open()
        memory.repair()
        assert "graph_store" in memory.health().problems
        place.unlink()
    assert memory.repair().pending == []
    assert employers(memory) == ["Acme", "Bolt", "Coop"]
    assert same(records(lines(place)), own(memory)) and len(own(memory)) == 3


_DIES: Final = """
import os, signal, sys
from pathlib import Path
from memkit import Memory
from memkit.graph_stores.networkx import NetworkxStore

class Dying(NetworkxStore):
    def upsert(self, records):
        if any("Coop" in repr(record) for record in records):
            if sys.argv[3] == "after":
                super().upsert(records)
            os.kill(os.getpid(), signal.SIGKILL)
        super().upsert(records)

store = Dying(Dying.Settings(path=Path(sys.argv[2])))
memory = Memory(sys.argv[1], embedder="hash", llm=None, graph_store=store)
for name in ("Acme", "Bolt", "Coop"):
    memory.add(f"Ann works at {name}.", user_id="u", infer=False)
    print(name, flush=True)
"""


@pytest.mark.engine
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_between_the_ledger_and_the_graph_leaves_both_complete(
    tmp_path: Path, place: Path, moment: str
) -> None:
    path = tmp_path / "store"
    command = [sys.executable, "-c", _DIES, str(path), str(place), moment]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL and done.stdout.split() == ["Acme", "Bolt"], done.stderr
    assert len(records(lines(place))) == (2 if moment == "before" else 3)
    with Memory(path, embedder="hash", llm=None, graph_store=lines(place)) as raw:
        memory = Face(raw, None)
        assert employers(memory) == ["Acme", "Bolt", "Coop"], (
            "the ledger answers while the dead one's lease lasts"
        )
        memory.repair()
        assert same(records(lines(place)), own(memory)) and len(own(memory)) == 3


def test_two_writers_of_one_graph_lose_nothing(world: World, place: Path) -> None:
    memories = [world.open(graph_store=lines(place)) for _ in range(2)]
    for n in range(6):
        say(memories[n % 2], f"Acme{n}")
    assert employers(memories[0]) == employers(memories[1]) == [f"Acme{n}" for n in range(6)]
    memories[0].delete_all(user_id="u")
    assert employers(memories[1]) == [] and records(lines(place)) == {}


def test_a_graph_that_follows_another_ledger_is_refused_and_left_alone(
    world: World, place: Path, tmp_path: Path
) -> None:
    memory = world.open(graph_store=lines(place))
    assert say(memory, "Acme", "Bolt") == []
    before = place.read_bytes()
    other = world.open(tmp_path / "other", graph_store=lines(place))
    with pytest.raises(LedgerMismatchError, match="collection_name"):
        say(other, "Coop")
    assert other.count(user_id="u") == 0, "refused before anything was written"
    assert place.read_bytes() == before and employers(memory) == ["Acme", "Bolt"]
    third = world.open(tmp_path / "third")
    say(third, "Dent", "Eden", "Fair")
    third.close()
    third = world.open(tmp_path / "third", graph_store=lines(place))
    with pytest.raises(LedgerMismatchError, match="collection_name"):
        employers(third)
    third.rebuild(graph_store=lines(place))
    assert employers(third) == ["Dent", "Eden", "Fair"]


def test_forgetting_leaves_nothing_in_the_graph(world: World, place: Path) -> None:
    memory = world.open(graph_store=lines(place))
    say(memory, "Acme", "Zyzzyx")
    say(memory, "Zyzzyx", user="v")
    item = next(item for item in memory.get_all(user_id="u").results if "Zyzzyx" in item.memory)
    memory.forget(memory_id=item.id)
    assert employers(memory) == ["Acme"] and employers(memory, "v") == ["Zyzzyx"]
    assert item.id not in records(lines(place))
    memory.forget(user_id="v")
    written = b"".join(path.read_bytes() for path in place.parent.iterdir()).lower()
    assert b"zyzzyx" not in written and b"acme" in written
    memory.forget(user_id="u")
    assert records(lines(place)) == {}


# ------------------------------------------------------------------------------------- a server


@pytest.fixture
def gate(bolt: BoltServer) -> Generator[Gate]:
    made = Gate(bolt.port)
    yield made
    made.close()


def neo4j(given: dict[str, Any], **more: Any) -> Any:
    from memkit.graph_stores.neo4j import Neo4jStore

    return Neo4jStore(Neo4jStore.Settings(**{**given, "timeout_s": 60, **more}))


def held(given: dict[str, Any]) -> dict[str, GraphRecord]:
    """What a database holds, seen past the gate."""
    store = neo4j(given)
    try:
        return records(store)
    finally:
        store.close()


def residue(bolt: BoltServer, given: dict[str, Any]) -> list[Any]:
    """Every node and edge of a database."""
    return bolt.cypher(given["database"], "MATCH (n) OPTIONAL MATCH (n)-[r]->() RETURN n, properties(r) AS r")


@pytest.mark.engine
class TestServer:
    """Over Bolt, through a gate."""

    def test_gone_at_the_start(self, world: World, fresh_bolt: dict[str, Any], gate: Gate) -> None:
        gate.shut()
        memory = world.open(graph_store=neo4j(fresh_bolt, url=f"bolt://127.0.0.1:{gate.port}"))
        assert say(memory, "Acme", "Bolt") == ["graph:neo4j"]
        assert employers(memory) == ["Acme", "Bolt"] and "graph_store" in memory.health().problems
        assert held(fresh_bolt) == {}
        gate.open()
        assert memory.repair().pending == [] and memory.health().ok
        assert same(held(fresh_bolt), own(memory)) and employers(memory) == ["Acme", "Bolt"]

    def test_gone_in_the_middle(self, world: World, fresh_bolt: dict[str, Any], gate: Gate) -> None:
        memory = world.open(graph_store=neo4j(fresh_bolt, url=f"bolt://127.0.0.1:{gate.port}"))
        assert say(memory, "Acme") == []
        gate.cut()
        assert say(memory, "Bolt") == [], "a connection that was lost is made anew"
        gate.shut()
        assert say(memory, "Coop") == ["graph:neo4j"]
        memory.delete(next(item.id for item in memory.get_all(user_id="u").results if "Acme" in item.memory))
        assert employers(memory) == ["Bolt", "Coop"]
        gate.open()
        assert say(memory, "Dyn") == [], "the next write takes along what waits"
        assert same(held(fresh_bolt), own(memory)) and employers(memory) == ["Bolt", "Coop", "Dyn"]

    def test_slow(self, world: World, fresh_bolt: dict[str, Any], gate: Gate) -> None:
        url = f"bolt://127.0.0.1:{gate.port}"
        memory = world.open(graph_store=neo4j(fresh_bolt, url=url, timeout_s=2, patience_s=0.2))
        say(memory, "Acme")
        settle(memory)
        gate.hush()
        assert say(memory, "Bolt") == ["graph:neo4j"]
        assert employers(memory) == ["Acme", "Bolt"]
        gate.open()
        settle(memory)
        assert same(held(fresh_bolt), own(memory)) and employers(memory) == ["Acme", "Bolt"]

    def test_wrong_password(self, world: World, fresh_bolt: dict[str, Any]) -> None:
        wrong = neo4j(fresh_bolt, username="stranger", password="a-wrong-secret")
        memory = world.open(graph_store=wrong)
        assert say(memory, "Acme") == ["graph:neo4j"] and employers(memory) == ["Acme"]
        said = memory.health().problems["graph_store"]
        assert "stranger" in said and "a-wrong-secret" not in said
        with pytest.raises(AuthenticationError):
            wrong.health()
        right = world.open(graph_store=neo4j(fresh_bolt))
        assert right.repair().pending == [] and same(held(fresh_bolt), own(right))

    def test_a_database_that_was_dropped(self, world: World, bolt: BoltServer) -> None:
        given = bolt.settings(bolt.create())
        memory = world.open(graph_store=neo4j(given))
        say(memory, "Acme", "Bolt")
        bolt.drop(given["database"])
        assert say(memory, "Coop") == ["graph:neo4j"]
        assert employers(memory) == ["Acme", "Bolt", "Coop"]
        with pytest.raises(BackendUnavailableError, match=given["database"]):
            held(given)
        bolt.make(given["database"])
        assert memory.repair().pending == []
        assert same(held(given), own(memory)) and len(own(memory)) == 3
        bolt.drop(given["database"])

    def test_a_database_that_was_emptied(
        self, world: World, fresh_bolt: dict[str, Any], bolt: BoltServer
    ) -> None:
        memory = world.open(graph_store=neo4j(fresh_bolt))
        say(memory, "Acme", "Bolt")
        bolt.cypher(fresh_bolt["database"], "MATCH (n) DETACH DELETE n")
        assert say(memory, "Coop") == []
        assert memory.repair().pending == []
        assert same(held(fresh_bolt), own(memory)) and len(own(memory)) == 3

    def test_two_writers_at_once(self, world: World, fresh_bolt: dict[str, Any]) -> None:
        memories = [world.open(graph_store=neo4j(fresh_bolt)) for _ in range(2)]
        say(memories[0], "Acme")
        faces = [
            Memory(world.path, embedder="hash", llm=None, graph_store=neo4j(fresh_bolt)) for _ in range(2)
        ]
        threads = [
            threading.Thread(target=say, args=(Face(face, None), *(f"{name}{n}" for n in range(8))))
            for face, name in zip(faces, ("Bolt", "Coop"), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert memories[1].repair().pending == []
        assert same(held(fresh_bolt), own(memories[1])) and len(own(memories[1])) == 17
        assert len(employers(memories[0])) == 17
        for face in faces:
            face.close()

    def test_forgetting_leaves_nothing(
        self, world: World, fresh_bolt: dict[str, Any], bolt: BoltServer
    ) -> None:
        bolt.cypher(fresh_bolt["database"], "CREATE (:Theirs {name: 'kept'})")
        memory = world.open(graph_store=neo4j(fresh_bolt))
        say(memory, "Acme", "Zyzzyx")
        item = next(item for item in memory.get_all(user_id="u").results if "Zyzzyx" in item.memory)
        memory.forget(memory_id=item.id)
        left = repr(residue(bolt, fresh_bolt)).lower()
        assert "zyzzyx" not in left and "acme" in left and item.id not in left
        memory.forget(user_id="u")
        assert [row["n"] for row in residue(bolt, fresh_bolt)] == [{"name": "kept"}]
