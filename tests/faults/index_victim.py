"""A process with an index in a database that is killed in the middle: `python -m tests.faults.index_victim '{...}'`.

The order has `path`, `store` (`module:Class`), `settings`, `step` (`before upsert`, `after upsert`, `before delete`,
`after delete`, empty for none), `nth` and `writes`. Each write that returned is told by a line of standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from memkit import Memory
from memkit.vector_stores.base import StoreRecord, VectorStore
from tests.faults.victim import Killer


def mortal(target: str, settings: Mapping[str, Any], killer: Killer) -> VectorStore:
    """A store with a step before and after each of its writes."""
    module, _, name = target.partition(":")
    cls: Any = getattr(import_module(module), name)

    class Mortal(cls):
        def upsert(self, records: Sequence[StoreRecord]) -> None:
            killer("before upsert")
            super().upsert(records)
            killer("after upsert")

        def delete(self, ids: Sequence[str]) -> None:
            killer("before delete")
            super().delete(ids)
            killer("after delete")

    return Mortal(cls.Settings(**settings))


def main() -> None:
    order = json.loads(sys.argv[1])
    killer = Killer(order["step"], order["nth"])
    store = mortal(order["store"], order["settings"], killer)
    killer.armed = True
    with Memory(Path(order["path"]), vector_store=store, embedder="hash", llm=None) as memory:
        for n in range(order["writes"]):
            made = memory.add(f"number {order.get('who', '')}{n}", user_id="u", infer=False)
            if n % 3 == 2:
                memory.delete(made.results[0].id)
            sys.stdout.write(f"{n}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
