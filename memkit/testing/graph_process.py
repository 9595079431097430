"""A graph store in a process of its own: `python -m memkit.testing.graph_process`, driven like `StoreProcess`."""

from __future__ import annotations

from typing import Any

from memkit.graph_stores.base import GraphStore
from memkit.graph_stores.support import load_record
from memkit.scope import ReadScope
from memkit.testing.store_process import StoreProcess, serve


class GraphProcess(StoreProcess):
    """A graph store in another process; records go there as `dump_record` writes them."""

    module = __name__


def _run(store: GraphStore, method: str, args: list[Any]) -> object:
    if method == "upsert":
        return store.upsert([load_record(text) for text in args[0]])
    if method == "count":
        return store.count(ReadScope(everyone=True)).memories
    return {"open": store.open, "remove": store.remove, "close": store.close}[method](*args)


if __name__ == "__main__":
    serve(_run)
