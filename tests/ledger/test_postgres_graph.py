"""The graph in a PostgreSQL ledger: few statements, several homes, no row left behind, and graphs of their own beside."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memkit import Memory
from memkit.errors import ConfigurationError
from memkit.llms.fake import FakeLLM
from memkit.types import Relation
from tests.engine.faces import answer, fact
from tests.gate import Gate
from tests.postgres import PostgresServer

pytestmark = pytest.mark.engine
_numbers = itertools.count(1)


class Store:
    """A schema of the test's own in a database that the module's tests share."""

    def __init__(self, server: PostgresServer, url: str, folder: Path) -> None:
        self.server, self.url, self.folder = server, url, folder
        self.schema = f"graph_{next(_numbers)}"
        self._made: list[Memory] = []

    def open(self, **given: Any) -> Memory:
        """A home of its own on this ledger."""
        config = {"url": self.url, "schema_name": self.schema, **given.pop("ledger", {})}
        given = {"llm": None, "embedder": "hash", "graph_store": "postgres", **given}
        home = self.folder / f"home{next(_numbers)}"
        self._made.append(Memory(home, ledger={"provider": "postgresql", "config": config}, **given))
        return self._made[-1]

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; `{}` is the schema."""
        return self.server.sql(statement.format(self.schema), database=self.url.rpartition("/")[2])

    def everything(self) -> str:
        """Every row of every table, as text."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = '{}' ORDER BY 1")
        rows = [(name, self.sql(f"SELECT t::text FROM {{}}.{name} t")) for (name,) in tables]
        return repr(rows)

    def close(self) -> None:
        """Close what was opened."""
        for memory in self._made:
            memory.close()


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Generator[str]:
    with postgres.database(vector=False) as url:
        yield url


@pytest.fixture
def store(postgres: PostgresServer, database: str, tmp_path: Path) -> Generator[Store]:
    made = Store(postgres, database, tmp_path)
    yield made
    made.close()


def said(relations: list[Relation]) -> set[tuple[str, str, str]]:
    return {(one.source, one.relation, one.target) for one in relations}


# ------------------------------------------------------------------------------------- what is accepted


@pytest.mark.parametrize("name", ["sqlite", "postgres", {"provider": "postgres"}])
def test_a_graph_without_a_place_of_its_own_is_in_the_ledgers_database(store: Store, name: Any) -> None:
    memory = store.open(graph_store=name)
    assert memory.add("Bea works at Acme.", user_id="ann").pending == []
    assert said(memory.graph.relations(user_id="ann")) == {("Bea", "works_at", "Acme")}
    assert "postgresql" in memory.chosen["graph_store"]
    assert len(store.sql("SELECT * FROM {}.edge")) == 1


def test_a_ledger_in_a_file_is_told_where_its_graph_can_be(tmp_path: Path) -> None:
    with (
        Memory(tmp_path, llm=None, embedder="hash", graph_store="postgres") as memory,
        pytest.raises(ConfigurationError, match="graph_store='sqlite'"),
    ):
        memory.add("Bea works at Acme.", user_id="ann")


@pytest.mark.parametrize("ledger", ["sqlite", "postgresql"])
def test_a_graph_on_a_server_of_its_own_follows_any_ledger(store: Store, tmp_path: Path, ledger: str) -> None:
    config = {"url": store.url, "collection_name": store.schema}
    given: Any = {"graph_store": {"provider": "postgres", "config": config}}
    here = store.open if ledger == "postgresql" else partial(Memory, tmp_path, llm=None, embedder="hash")
    with here(**given) as memory:
        ids = [memory.add(f"Bea works at {name}.", user_id="ann").results[0].id for name in ("Acme", "Bolt")]
        assert said(memory.graph.neighbours("Bea", user_id="ann")) == {
            ("Bea", "works_at", "Acme"),
            ("Bea", "works_at", "Bolt"),
        }
        schema = f"memkit_graph_{store.schema}"
        assert len(store.sql(f"SELECT * FROM {schema}.edge")) == 2
        memory.forget(memory_id=ids[0])
        assert [row[0] for row in store.sql(f"SELECT target_name FROM {schema}.edge")] == ["Bolt"]
        memory.delete_all(user_id="ann")
        for table in ("owner", "record", "node", "edge", "agent_run"):
            assert store.sql(f"SELECT * FROM {schema}.{table}") == []


def test_networkx_beside_the_ledger_follows_it(store: Store) -> None:
    pytest.importorskip("networkx")
    from memkit.graph_stores.networkx import NetworkxStore

    place = store.folder / "graph.lines"
    memory = store.open(graph_store=NetworkxStore(NetworkxStore.Settings(path=place)))
    memory.add("Bea works at Acme.", user_id="ann")
    memory.add("Acme is located in Turin.", user_id="ann")
    assert memory.graph.paths("Bea", "Turin", user_id="ann") == [["Bea", "Acme", "Turin"]]
    place.unlink()
    assert memory.repair().pending == []
    assert memory.graph.paths("Bea", "Turin", user_id="ann") == [["Bea", "Acme", "Turin"]]


# ------------------------------------------------------------------------------------- several homes


def test_two_homes_see_each_others_entities_and_merges_at_once(store: Store) -> None:
    one, two = store.open(), store.open()
    for number, (writer, reader) in enumerate([(one, two), (two, one)] * 2):
        reader.search("Who works at Acme?", user_id="ann")
        writer.add(f"Bea{number} works at Acme.", user_id="ann")
        assert (f"Bea{number}", "works_at", "Acme") in said(reader.graph.neighbours("Acme", user_id="ann"))
        found = reader.search(f"Where does Bea{number} work?", user_id="ann")
        assert (f"Bea{number}", "works_at", "Acme") in said(found.relations)
    merged = one.graph.merge("Bea0", into="Bea1", user_id="ann")
    assert two.graph.entity("Bea0", user_id="ann").name == "Bea1"
    two.undo(merged.operation_id)
    assert one.graph.entity("Bea0", user_id="ann").name == "Bea0"


def test_writers_of_the_same_entity_at_once_make_it_and_never_fail(store: Store) -> None:
    homes = [store.open() for _ in range(3)]
    homes[0].add("Bea works at Acme.", user_id="seed")
    failed: list[BaseException] = []

    def write(home: Memory, number: int) -> None:
        try:
            for user in ("ann", "ben", "ann"):
                added = home.add([f"Bea works at Acme{number}.", "Acme is located in Turin."], user_id=user)
                home.update(added.results[0].id, f"Bea works at Globex{number}.")
            home.graph.merge("Bea", into="Acme", user_id="ann")
            home.forget(memory_id=added.results[0].id)
        except BaseException as error:
            failed.append(error)

    threads = [
        threading.Thread(target=write, args=(home, number))
        for number, home in enumerate(home for home in homes for _ in range(2))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert homes[0].graph.entity("Turin", user_id="ben").relations == 1
    assert_no_orphans(store)


def assert_no_orphans(store: Store) -> None:
    """Every node and edge is said by a record, as the record says it."""
    for table in ("node", "edge"):
        assert store.sql(f"SELECT * FROM {{}}.{table} WHERE rid NOT IN (SELECT rid FROM {{}}.record)".replace(
            "{}", store.schema
        )) == []  # fmt: skip


# ------------------------------------------------------------------------------------- what goes


@pytest.mark.parametrize("whole", [True, False], ids=["scope", "memory"])
def test_forgetting_leaves_no_row_that_names_anything(store: Store, whole: bool) -> None:
    memory = store.open()
    one = memory.add("Bartolomea works at Quixotia.", user_id="ann").results[0].id
    memory.add("Zorbas lives in Turin.", user_id="ann")
    memory.add("Bartolomea works at Quixotia.", user_id="ben")
    memory.update(one, "Bartolomea works at Quixotia, too.")
    memory.graph.merge("Bartolomea", into="Zorbas", user_id="ann")
    if whole:
        memory.forget(user_id="ann")
    else:
        memory.forget(memory_id=one)
    assert memory.graph.entity("Bartolomea", user_id="ben") and not memory.graph.entity(
        "Quixotia", user_id="ann"
    )
    memory.forget(user_id="ben")
    left = store.everything().casefold()
    assert "artolomea" not in left and "uixotia" not in left
    assert ("zorbas" in left) is not whole
    assert_no_orphans(store)


def test_a_name_too_long_for_an_index_is_an_entity_like_others(store: Store) -> None:
    rare = random.Random(7)
    name = "".join(chr(rare.randrange(0x4E00, 0x9FFF)) for _ in range(2_000))
    reply = answer(
        fact(f"Bea knows {name}.", entities=[{"name": name, "kind": "person"}]),
        relations=[{"source": "Bea", "relation": "knows", "target": name, "memory": 0}],
    )
    memory = store.open(llm=FakeLLM(replies=[reply]))
    memory.add(f"Bea knows {name}.", user_id="ann")
    assert memory.graph.entity(name, user_id="ann").name == name
    assert not memory.graph.entity(name[:-1], user_id="ann")
    assert memory.graph.paths("Bea", name, user_id="ann") == [["Bea", name]]


def test_a_store_of_the_version_before_gets_its_graph_when_it_is_opened(store: Store) -> None:
    memory = store.open()
    memory.add("Bea works at Acme.", user_id="ann")
    gone = memory.add("Carl works at Acme.", user_id="ann")
    deleted = memory.delete(gone.results[0].id)
    memory.close()
    # It wrote what memories say beside their texts, and nothing into these tables.
    store.sql("DELETE FROM {}.node")
    store.sql("DELETE FROM {}.edge")
    store.sql("UPDATE {}.meta SET value = '5' WHERE key = 'schema_version'")
    again = store.open()
    assert said(again.graph.neighbours("Acme", user_id="ann")) == {("Bea", "works_at", "Acme")}
    again.undo(deleted.operation_id)
    assert len(again.graph.neighbours("Acme", user_id="ann")) == 2


# ------------------------------------------------------------------------------------- few statements


class Counter(Gate):
    """Counts the statements and the round trips that go through."""

    def __init__(self, target: int) -> None:
        self.statements = self.trips = 0
        super().__init__(target)

    def of(self, work: Callable[[], object]) -> tuple[int, int]:
        """How many statements and round trips a call takes."""
        before = self.statements, self.trips
        work()
        return self.statements - before[0], self.trips - before[1]

    def _forward(self, source: socket.socket, sink: socket.socket, through: threading.Event) -> None:
        if source.getpeername()[1] == self._target:
            super()._forward(source, sink, through)
            return
        seen, greeted = b"", False
        with suppress(OSError):
            while data := source.recv(65536):
                seen += data
                while len(seen) >= 5:
                    # What greets has no letter; each message after it is a letter, its length and as many bytes.
                    size = (
                        int.from_bytes(seen[1:5], "big") + 1 if greeted else int.from_bytes(seen[:4], "big")
                    )
                    if len(seen) < size:
                        break
                    if greeted:
                        self.statements += seen[:1] in (b"E", b"Q")
                        self.trips += seen[:1] in (b"S", b"Q")
                    # A question for encryption is eight bytes long; the greeting follows.
                    greeted = greeted or size > 8
                    seen = seen[size:]
                sink.sendall(data)
        self._over(source, sink)

    @staticmethod
    def _over(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def counter(postgres: PostgresServer) -> Generator[Counter]:
    made = Counter(postgres.port)
    yield made
    made.close()


def saying(*targets: str) -> dict[str, Any]:
    """The answer of a model that found a fact about so many entities."""
    text = "Bea knows " + ", ".join(targets) + "."
    return answer(
        fact(text, entities=[{"name": one, "kind": "person"} for one in ("Bea", *targets)]),
        relations=[{"source": "Bea", "relation": "knows", "target": one, "memory": 0} for one in targets],
    )


def through(counter: Counter, store: Store) -> dict[str, str]:
    """The settings of a ledger that is reached through a counter."""
    return {"url": store.url.replace(f":{store.server.port}/", f":{counter.port}/")}


def test_an_add_takes_as_many_statements_however_many_entities_it_names(
    store: Store, counter: Counter
) -> None:
    # The first ones open the store and fill caches.
    sizes = [1, 1, 1, 1, 30]
    texts = [[f"P{turn}of{n}" for n in range(size)] for turn, size in enumerate(sizes)]
    taken: list[int] = []
    memory = store.open(
        llm=FakeLLM(replies=[saying(*names) for names in texts]), ledger=through(counter, store)
    )
    for names in texts:
        said = "Bea knows " + ", ".join(names) + "."
        taken.append(counter.of(lambda said=said: memory.add(said, user_id="ann"))[0])
    assert taken[-1] == taken[-2] > 0
    assert len(memory.graph.neighbours("Bea", user_id="ann")) == sum(sizes)


def test_the_graph_adds_no_round_trip_to_an_add_and_one_to_a_search(store: Store, counter: Counter) -> None:
    least: list[tuple[int, int]] = []
    for graph in (None, "postgres"):
        memory = store.open(graph_store=graph, ledger=through(counter, store))
        taken: list[tuple[int, int]] = []
        for n in range(8):
            add = partial(memory.add, f"Bea works at Acme{n}.", user_id=f"user{graph}")
            search = partial(memory.search, "Where does Bea work?", user_id=f"user{graph}")
            taken.append((counter.of(add)[1], counter.of(search)[1]))
        # Now and then the driver prepares a statement on the way.
        least.append((min(add for add, _ in taken[4:]), min(search for _, search in taken[4:])))
    assert least[1] == (least[0][0], least[0][1] + 1)


def test_a_search_takes_as_many_statements_however_much_its_results_say(
    store: Store, counter: Counter
) -> None:
    memory = store.open(ledger=through(counter, store))
    memory.add("Bea works at Acme.", user_id="ann")
    taken: list[int] = []
    for size in (2, 40):
        user = f"user{size}"
        memory.add([f"Bea works at Acme{n}." for n in range(size)], user_id=user)
        search = partial(memory.search, "Where does Bea work?", user_id=user, limit=size)
        # What is held of an owner is read at the first searches.
        relations = [search().relations for _ in range(3)][-1]
        assert len(relations) == min(size, 25)
        again = partial(memory.search, "Who is Bea?", user_id=user, limit=size)
        taken.append(counter.of(again)[0])
    assert taken[0] == taken[1] > 0
