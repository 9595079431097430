"""LangChain vector stores as memkit's index: declared and not guessed, embedded once, shared with other documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from typing_extensions import override

from memkit import AsyncMemory, Memory
from memkit.errors import BackendError, BackendResponseError, ConfigurationError
from memkit.filters import Filter, parse_filter
from memkit.registry import adapter_of
from memkit.vector_stores.base import StoreRecord
from memkit.vector_stores.langchain import LangChainStore
from memkit.vector_stores.langchain_vectors import PreparedEmbeddings

DECLARED = {"score": "similarity", "filter": "callable"}


class Counting(Embeddings):
    """Embeds, and remembers what."""

    def __init__(self) -> None:
        self.inner, self.texts = DeterministicFakeEmbedding(size=16), list[str]()

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return self.inner.embed_documents(texts)

    @override
    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def config(client: object, **changed: Any) -> dict[str, Any]:
    return {"provider": "langchain", "config": {"client": client, **DECLARED, **changed}}


def memory(path: Any, client: object, **changed: Any) -> Memory:
    return Memory(path, llm=None, embedder="hash", vector_store=config(client, **changed))


def opened(client: VectorStore, **changed: Any) -> LangChainStore:
    store = LangChainStore(LangChainStore.Settings(**{"client": client, **DECLARED, **changed}))
    store.open(dim=3, embedder="e")
    return store


def points(*texts: str) -> list[StoreRecord]:
    rows = np.eye(3, dtype=np.float32)
    return [
        StoreRecord(id=text, vector=rows[at % 3], payload={"memory": text, "metadata": {"nth": at}})
        for at, text in enumerate(texts)
    ]


# What has to be said.


def test_without_its_declarations_a_store_is_refused_with_the_line_to_write() -> None:
    store = InMemoryVectorStore(Counting())
    line = '{"client": store, "score": "similarity", "filter": "callable"}'
    for given in (store, {"provider": "langchain", "config": {"client": store}}):
        with pytest.raises(ConfigurationError) as caught:
            Memory(":memory:", vector_store=given)
        assert line in str(caught.value)
        assert "InMemoryVectorStore" in str(caught.value)
    for missing in DECLARED:
        rest = {key: value for key, value in DECLARED.items() if key != missing}
        with pytest.raises(ConfigurationError, match=f"so `{missing}` must be given"):
            LangChainStore.Settings(client=store, **rest)


def test_the_line_that_the_error_shows_works(tmp_path: Path) -> None:
    store = InMemoryVectorStore(Counting())
    with pytest.raises(ConfigurationError) as caught:
        Memory(tmp_path, vector_store=store)
    shown = str(caught.value).partition("Write ")[2].partition(" for ")[0]
    with eval(shown, {"Memory": lambda **given: Memory(tmp_path, llm=None, **given), "store": store}) as made:
        made.add("Ada plays the oboe.", user_id="ada")
        assert made.search("oboe", user_id="ada").results


def test_a_store_of_a_kind_we_do_not_know_is_shown_the_lines_of_those_we_do() -> None:
    class Mine(VectorStore):
        get_by_ids = delete = add_documents = similarity_search = None  # type: ignore[assignment]
        from_texts = None  # type: ignore[assignment]

    with pytest.raises(ConfigurationError) as caught:
        LangChainStore.Settings(client=Mine())
    for said in (
        "InMemoryVectorStore",
        "Chroma",
        '"score": "distance", "filter": "dict"',
        "`score` and `filter`",
    ):
        assert said in str(caught.value)


def test_something_else_is_no_client() -> None:
    for given in (None, object(), Counting()):
        with pytest.raises(ConfigurationError, match="LangChain VectorStore as `client`"):
            Memory(":memory:", vector_store=config(given))
    assert adapter_of("vector_store", object()) is None
    with pytest.raises(ConfigurationError, match="LangChain VectorStore"):
        Memory(":memory:", llm=None, embedder="hash", vector_store="langchain").add("x", user_id="ada")


def test_a_score_kind_that_the_store_contradicts_is_an_error_that_says_which_to_write() -> None:
    store = opened(InMemoryVectorStore(Counting()), score="distance")
    store.upsert(points("a", "b"))
    with pytest.raises(ConfigurationError, match='Write "score": "similarity"'):
        store.search(np.array([1, 0, 0], np.float32), 2)


def test_a_store_that_cannot_read_by_id_is_refused() -> None:
    class Blind(VectorStore):
        similarity_search = from_texts = None  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match="`get_by_ids`, `delete`, `add_documents`"):
        LangChainStore.Settings(client=Blind(), **DECLARED)  # pyright: ignore[reportArgumentType]


def test_a_store_that_refuses_the_dimension_is_to_be_a_new_one() -> None:
    class Fixed(InMemoryVectorStore):
        @override
        def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
            raise ValueError("expecting embedding with dimension of 16, got 3")

    with pytest.raises(BackendResponseError, match=r"got 3.* a new one for an embedder of 3 dimensions"):
        opened(Fixed(Counting()))


# Whose vectors.


async def test_nothing_is_embedded_a_second_time(tmp_path: Path) -> None:
    embeddings = Counting()
    store = InMemoryVectorStore(embeddings)
    async with AsyncMemory(tmp_path, llm=None, embedder=embeddings, vector_store=config(store)) as made:
        await made.add_many(["Ada plays the oboe.", "Ada lives in Rome."], user_id="ada")
        written = list(embeddings.texts)
        assert len(set(written)) == len(written)
        result = await made.search("What does Ada play?", user_id="ada")
        assert result.warnings == []
        assert embeddings.texts[len(written) :] == ["What does Ada play?"]
    assert store.embeddings is embeddings
    texts = {entry["text"] for entry in store.store.values()}
    assert {"Ada plays the oboe.", "Ada lives in Rome."} <= texts


def test_the_stores_vectors_are_those_of_the_memorys_embedder() -> None:
    client = InMemoryVectorStore(DeterministicFakeEmbedding(size=99))
    store = opened(client)
    store.upsert(points("a", "b", "c"))
    kept = {entry["text"]: entry["vector"] for entry in client.store.values()}
    assert kept["b"] == [0, 1, 0]


def test_texts_that_are_the_same_keep_their_own_vectors() -> None:
    client = InMemoryVectorStore(PreparedEmbeddings())
    store = opened(client)
    rows = np.eye(3, dtype=np.float32)
    store.upsert([StoreRecord(id=f"{at}", vector=rows[at], payload={"memory": "same"}) for at in range(3)])
    assert sorted(entry["vector"] for entry in client.store.values() if entry["text"] == "same") == [
        [0, 0, 1],
        [0, 1, 0],
        [1, 0, 0],
    ]


def test_a_store_whose_embeddings_cannot_be_replaced_says_what_to_make_it_with() -> None:
    class Sealed(InMemoryVectorStore):
        @property
        @override
        def embeddings(self) -> Embeddings:
            return Counting()

    with pytest.raises(ConfigurationError, match="PreparedEmbeddings"):
        LangChainStore(LangChainStore.Settings(client=Sealed(Counting()), **DECLARED))  # pyright: ignore[reportArgumentType]


def test_whoever_writes_past_memkit_is_told(tmp_path: Path) -> None:
    client = InMemoryVectorStore(PreparedEmbeddings())
    with pytest.raises(ConfigurationError, match="a store of their own"):
        client.add_texts(["x"])


# Filters.


@pytest.mark.parametrize("style", ["callable", None])
def test_documents_of_others_are_neither_found_nor_touched(style: Any) -> None:
    client = InMemoryVectorStore(DeterministicFakeEmbedding(size=3))
    client.add_documents([Document(id=f"theirs{at}", page_content=f"note {at}") for at in range(60)])
    store = opened(client, filter=style)
    store.upsert(points("a", "b", "c"))
    assert {hit.id for hit in store.search(np.array([1, 1, 0], np.float32), 3)} == {"a", "b", "c"}
    assert store.count() == 3
    store.drop()
    assert len(client.store) == 60


def test_two_collections_share_one_store() -> None:
    client = InMemoryVectorStore(Counting())
    one, other = opened(client, collection_name="one"), opened(client, collection_name="other")
    one.upsert(points("a"))
    other.upsert(points("a", "b"))
    assert (one.count(), other.count()) == (1, 2)
    one.drop()
    assert [hit.id for hit in other.search(np.array([1, 0, 0], np.float32), 5)] == ["a", "b"]


def test_a_filter_function_of_the_callers_narrows_and_the_results_are_still_exact() -> None:
    asked: list[Filter] = []

    def translate(filter: Filter) -> Any:
        asked.append(filter)
        return lambda document: document.metadata.get("memkit_id") != '"b"'

    store = opened(InMemoryVectorStore(Counting()), filter=translate)
    store.upsert(points("a", "b", "c"))
    wanted = parse_filter({"nth": {"gte": 1}})
    assert "c" in [hit.id for hit in store.search(np.array([0, 0, 1], np.float32), 1, wanted)]
    assert asked == [wanted]


class Merciless(InMemoryVectorStore):
    """Deletes everything when it is told nothing, and refuses ids it has not, as some stores do."""

    calls: list[Any]

    @override
    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> None:
        self.calls = [*getattr(self, "calls", []), ids]
        if not ids:
            self.store.clear()
        for id in ids or ():
            del self.store[id]

    @override
    def add_documents(self, documents: Any, ids: Any = None, **kwargs: Any) -> list[str]:
        assert not set(ids) & set(self.store), "an id exists already"
        return super().add_documents(documents, ids, **kwargs)


def test_delete_is_told_ids_that_exist_and_never_nothing() -> None:
    store = opened(Merciless(Counting()))
    store.upsert(points("a", "b"))
    store.upsert(points("b", "c"))
    store.delete([])
    store.delete(["missing"])
    store.upsert([])
    assert store.count() == 3
    store.delete(["a", "missing"])
    assert [record.id for record in store.list().records] == ["b", "c"]


def test_a_store_with_search_alone_is_enough() -> None:
    class Scoreless(InMemoryVectorStore):
        similarity_search_with_score = VectorStore.similarity_search_with_score  # type: ignore[assignment]

        @override
        def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
            return self.similarity_search_by_vector(self.embedding.embed_query(query), k, **kwargs)

    store = opened(Scoreless(Counting()), score="distance")
    store.upsert(points("a", "b"))
    assert [hit.score for hit in store.search(np.array([0, 1, 0], np.float32), 2)] == [1.0, 0.5]


# As the index of a memory.


def test_an_index_that_forgot_is_filled_again_from_the_ledger(tmp_path: Path) -> None:
    with memory(tmp_path, InMemoryVectorStore(Counting())) as made:
        made.add_many(["Ada plays the oboe.", "Ada lives in Rome."], user_id="ada")
    fresh = InMemoryVectorStore(Counting())
    with memory(tmp_path, fresh) as made:
        assert made.search("oboe", user_id="ada").warnings == []
        made.add("Ada likes tea.", user_id="ada")
        assert made.health().ok
    texts = {entry["text"] for entry in fresh.store.values()}
    assert {"Ada plays the oboe.", "Ada lives in Rome.", "Ada likes tea."} <= texts


def test_a_memory_moves_onto_a_store_and_back(tmp_path: Path) -> None:
    client = InMemoryVectorStore(Counting())
    with Memory(tmp_path, llm=None, embedder="hash") as made:
        made.add_many(["Ada plays the oboe.", "Ada lives in Rome."], user_id="ada")
        with pytest.raises(ConfigurationError, match="must be given"):
            made.rebuild(vector_store=client)
        made.rebuild(vector_store=config(client))
        assert "Ada lives in Rome." in {entry["text"] for entry in client.store.values()}
        assert made.search("oboe", user_id="ada").warnings == []
        made.rebuild(embedder=Counting())
        rows = [entry["vector"] for entry in client.store.values() if entry["text"] == "Ada lives in Rome."]
        assert [len(row) for row in rows] == [16]
        assert made.search("Ada lives in Rome.", user_id="ada").warnings == []


def test_what_changes_and_what_is_forgotten_follows(tmp_path: Path) -> None:
    client = InMemoryVectorStore(Counting())
    with memory(tmp_path, client) as made:
        kept = made.add("Ada plays the oboe.", user_id="ada").results[0].id
        gone = made.add("Ada smokes.", user_id="ada").results[0].id
        assert kept and gone
        made.update(kept, "Ada plays the flute.")
        made.forget(memory_id=gone)
        texts = " ".join(str(entry) for entry in client.store.values())
        assert "flute" in texts
        assert "oboe" not in texts and "smokes" not in texts


def test_an_index_that_is_down_costs_a_warning_and_nothing_else(tmp_path: Path) -> None:
    class Down(InMemoryVectorStore):
        up = True

        @override
        def get_by_ids(self, ids: Any, /) -> Any:
            if not Down.up:
                raise ConnectionRefusedError("connection refused")
            return super().get_by_ids(ids)

    with memory(tmp_path, Down(Counting())) as made:
        made.add("Ada plays the oboe.", user_id="ada")
        Down.up = False
        assert made.add("Ada lives in Rome.", user_id="ada").pending == ["langchain"]
        found = made.search("Where does Ada live?", user_id="ada")
        assert found.results[0].memory == "Ada lives in Rome."
        assert "langchain" in found.warnings[0]
        Down.up = True
        made.repair()
        assert made.health().pending == {}
    with pytest.raises(BackendError):
        Down.up = False
        opened(Down(Counting())).health()


def test_points_that_an_approximate_search_loses_are_read() -> None:
    class Late(InMemoryVectorStore):
        """Filters what it found nearest, as some do, and finds three."""

        @override
        def similarity_search_with_score(self, query: str, k: int = 4, **options: Any) -> Any:
            passes = options["filter"]
            found = super().similarity_search_with_score(query, k=3)
            return [(document, score) for document, score in found if passes(document)][:k]

    store = opened(Late(Counting()))
    store.upsert(points(*(f"n{at:02d}" for at in range(30))))
    few = parse_filter({"nth": {"in": [1, 2, 4]}})
    assert {hit.id for hit in store.search(np.eye(3, dtype=np.float32)[0], 3, few)} == {"n01", "n02", "n04"}


def test_two_users_never_mix(tmp_path: Path) -> None:
    with memory(tmp_path, InMemoryVectorStore(Counting())) as made:
        for user in ("ann@example.com", "7", "a:b", "日本"):
            made.add(f"The secret of {user} is oboe.", user_id=user)
        for user in ("ann@example.com", "7", "a:b", "日本"):
            assert [item.user_id for item in made.search("oboe", user_id=user).results] == [user]


def test_no_secret_is_shown() -> None:
    class Keyed(InMemoryVectorStore):
        def __repr__(self) -> str:
            return "sk-secret"

    settings = LangChainStore.Settings(client=Keyed(Counting()), score="similarity", filter=None)
    assert "sk-secret" not in f"{settings!r} {settings} {LangChainStore(settings)!r}"
