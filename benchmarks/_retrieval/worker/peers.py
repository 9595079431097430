"""The peers through their own public names, without a model and without a network."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from systems import Item, System


def _metadata(item: Item) -> dict[str, Any]:
    return {
        "item_id": item["id"], "user_id": item["user"], "speaker": item["speaker"], "session": item["session"],
        "date": item["date"], "seq": item["seq"],
    }  # fmt: skip


def _chroma(folder: Any) -> Any:
    import chromadb
    from chromadb.config import Settings

    return chromadb.PersistentClient(str(folder), settings=Settings(anonymized_telemetry=False))


class Chroma(System):
    """One collection, its approximate index, a filter by user."""

    def start(self) -> None:
        self._kept = _chroma(self.folder).create_collection("turns", metadata={"hnsw:space": "cosine"})

    def add(self, items: list[Item]) -> None:
        for start in range(0, len(items), 1000):
            part = items[start : start + 1000]
            texts = [item["text"] for item in part]
            self._kept.add(
                ids=[item["id"] for item in part],
                documents=texts,
                metadatas=[_metadata(item) for item in part],
                embeddings=self.embedder.embed(texts),
            )

    def search(self, query: str, user: str, k: int) -> list[str]:
        vector = self.embedder.one(query)[None]
        found = self._kept.query(query_embeddings=vector, n_results=k, where={"user_id": user}, include=[])
        return found["ids"][0]


def _langchain(embedder: Any) -> Any:
    from langchain_core.embeddings import Embeddings

    class Adapted(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return embedder.embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return embedder.one(text).tolist()

    return Adapted()


class LangChain(System):
    """InMemoryVectorStore, a filter by user."""

    def start(self) -> None:
        from langchain_core.vectorstores import InMemoryVectorStore

        self._kept = InMemoryVectorStore(_langchain(self.embedder))

    def add(self, items: list[Item]) -> None:
        texts = [item["text"] for item in items]
        self._kept.add_texts(texts, [_metadata(item) for item in items], ids=[item["id"] for item in items])

    def search(self, query: str, user: str, k: int) -> list[str]:
        def own(document: Any) -> bool:
            return document.metadata["user_id"] == user

        return [str(document.id) for document in self._kept.similarity_search(query, k=k, filter=own)]


class LangGraph(System):
    """InMemoryStore, a namespace for each user."""

    def start(self) -> None:
        from langgraph.store.memory import InMemoryStore

        self._store = InMemoryStore(
            index={"dims": self.embedder.dim, "embed": _langchain(self.embedder), "fields": ["text"]}
        )

    def add(self, items: list[Item]) -> None:
        for item in items:
            self._store.put(("memories", item["user"]), item["id"], {"text": item["text"], **_metadata(item)})

    def search(self, query: str, user: str, k: int) -> list[str]:
        return [hit.key for hit in self._store.search(("memories", user), query=query, limit=k)]


class LangMem(System):
    """langmem's two tools over that store, as its guide sets it up; they keep JSON."""

    def start(self) -> None:
        from langgraph.store.memory import InMemoryStore

        self._store = InMemoryStore(index={"dims": self.embedder.dim, "embed": _langchain(self.embedder)})
        self._tools: dict[str, tuple[Any, Any]] = {}
        self._ids: dict[str, str] = {}

    def texts(self, items: list[Item]) -> list[str]:
        return [json.dumps({"content": item["text"]}, sort_keys=True, ensure_ascii=False) for item in items]

    def add(self, items: list[Item]) -> None:
        for item in items:
            said = self._of(item["user"])[0].invoke({"content": item["text"]})
            self._ids[said.rsplit(" ", 1)[1]] = item["id"]

    def search(self, query: str, user: str, k: int) -> list[str]:
        found = json.loads(self._of(user)[1].invoke({"query": query, "limit": k}))
        return [self._ids[hit["key"]] for hit in found]

    def _of(self, user: str) -> tuple[Any, Any]:
        from langmem import create_manage_memory_tool, create_search_memory_tool

        if user not in self._tools:
            space = ("memories", user)
            self._tools[user] = (
                create_manage_memory_tool(space, store=self._store),
                create_search_memory_tool(space, store=self._store),
            )
        return self._tools[user]


def _llama_index(embedder: Any) -> Any:
    from llama_index.core.base.embeddings.base import BaseEmbedding

    class Adapted(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder.one(text).tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.one(query).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return embedder.one(query).tolist()

        async def _aget_text_embedding(self, text: str) -> list[float]:
            return embedder.one(text).tolist()

    return Adapted(model_name="kept", embed_batch_size=2048)


class LlamaIndex(System):
    """VectorStoreIndex over its simple store, a metadata filter by user."""

    def start(self) -> None:
        from llama_index.core import VectorStoreIndex

        self._index = VectorStoreIndex([], embed_model=_llama_index(self.embedder))

    def add(self, items: list[Item]) -> None:
        from llama_index.core.schema import TextNode

        nodes: list[Any] = []
        for item in items:
            metadata = _metadata(item)
            # The words alone are embedded, as by every other system.
            hidden = list(metadata)
            nodes.append(
                TextNode(
                    id_=item["id"], text=item["text"], metadata=metadata, excluded_embed_metadata_keys=hidden
                )
            )
        self._index.insert_nodes(nodes)

    def search(self, query: str, user: str, k: int) -> list[str]:
        from llama_index.core.vector_stores import MetadataFilter, MetadataFilters

        filters = MetadataFilters(filters=[MetadataFilter(key="user_id", value=user)])
        found = self._index.as_retriever(similarity_top_k=k, filters=filters).retrieve(query)
        return [hit.node.node_id for hit in found]


class MemoryBlock(System):
    """VectorMemoryBlock over Chroma, a message at a time, the session as the scope."""

    def start(self) -> None:
        from llama_index.core.memory import VectorMemoryBlock
        from llama_index.core.postprocessor.types import BaseNodePostprocessor
        from llama_index.vector_stores.chroma import ChromaVectorStore

        seen: list[str] = []

        class Seen(BaseNodePostprocessor):
            """Notes which nodes the block retrieves: it returns them as one text."""

            def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
                seen[:] = [node.node.get_content() for node in nodes]
                return nodes

        kept = _chroma(self.folder).create_collection("turns", metadata={"hnsw:space": "cosine"})
        self._seen = seen
        self._block = VectorMemoryBlock(
            vector_store=ChromaVectorStore(kept),
            embed_model=_llama_index(self.embedder),
            similarity_top_k=50,
            node_postprocessors=[Seen()],
        )
        self._ids: dict[str, list[str]] = {}
        self._loop = asyncio.new_event_loop()

    def texts(self, items: list[Item]) -> list[str]:
        return [self._stored(item) for item in items]

    @staticmethod
    def _stored(item: Item) -> str:
        return f"<message role='user'>{item['text']}</message>"

    def add(self, items: list[Item]) -> None:
        self._loop.run_until_complete(self._put(items))

    async def _put(self, items: list[Item]) -> None:
        from llama_index.core.base.llms.types import ChatMessage

        for item in items:
            scope = {"session_id": item["user"]}
            await self._block.aput([ChatMessage(role="user", content=item["text"], additional_kwargs=scope)])
            self._ids.setdefault(self._stored(item), []).append(item["id"])

    def search(self, query: str, user: str, k: int) -> list[str]:
        from llama_index.core.base.llms.types import ChatMessage

        asked = ChatMessage(role="user", content=query)
        self._loop.run_until_complete(self._block.aget([asked], session_id=user))
        used: dict[str, int] = {}
        out: list[str] = []
        for text in self._seen[:k]:  # equal texts: their ids in turn, the user's own first
            ids = sorted(self._ids[text], key=lambda each: not each.startswith(f"{user}/"))
            out.append(ids[used.get(text, 0) % len(ids)])
            used[text] = used.get(text, 0) + 1
        return out


class Mem0(System):
    """mem0 2.x as it ships, infer=False; its embedder is replaced, its English stop words come from bm25s."""

    def start(self) -> None:
        os.environ |= {
            "MEM0_TELEMETRY": "False",
            "OPENAI_API_KEY": "none",
            "MEM0_DIR": str(self.folder / "home"),
        }
        from mem0 import Memory

        embedder = self.embedder

        class Adapted:
            def embed(self, text: str, memory_action: Any = None) -> list[float]:
                return embedder.one(text).tolist()

            def embed_batch(self, texts: list[str], memory_action: Any = None) -> list[list[float]]:
                return embedder.embed(texts).tolist()

        store = {
            "path": str(self.folder / "qdrant"),
            "collection_name": "turns",
            "embedding_model_dims": embedder.dim,
            "on_disk": True,
        }
        self._memory: Any = Memory.from_config(
            {
                "vector_store": {"provider": "qdrant", "config": store},
                "history_db_path": str(self.folder / "history.db"),
            }
        )
        self._memory.embedding_model = Adapted()
        self._memory.vector_store._bm25_encoder = self._words()

    def _words(self) -> Any:
        from bm25s.stopwords import STOPWORDS_EN_PLUS
        from fastembed import SparseTextEmbedding

        folder = self.folder / "words"
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "english.txt").write_text("\n".join(STOPWORDS_EN_PLUS))
        return SparseTextEmbedding("Qdrant/bm25", specific_model_path=str(folder))

    def add(self, items: list[Item]) -> None:
        for item in items:
            kept = {name: value for name, value in _metadata(item).items() if name != "user_id"}
            self._memory.add(
                [{"role": "user", "content": item["text"]}], user_id=item["user"], metadata=kept, infer=False
            )

    def search(self, query: str, user: str, k: int) -> list[str]:
        found = self._memory.search(query, filters={"user_id": user}, top_k=k)
        return [hit["metadata"]["item_id"] for hit in found["results"]]


PEERS = {
    "chroma": Chroma,
    "langchain": LangChain,
    "langgraph": LangGraph,
    "langmem": LangMem,
    "llama-index": LlamaIndex,
    "llama-index-block": MemoryBlock,
    "mem0": Mem0,
}
