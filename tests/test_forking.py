"""A forked child has fresh locks: whoever held one in the parent is not there to let go."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from memkit import Memory


@pytest.mark.skipif(sys.platform == "win32", reason="forks of POSIX")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_while_threads_search_embed_and_build_adds_and_searches(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "s", llm=None, embedder="hash")
    memory.add("I live in Oslo.", user_id="u", infer=False)
    assert memory.search("Oslo", user_id="u").results
    parts, held, done = memory._parts, threading.Event(), threading.Event()

    def hold() -> None:
        slots = parts.caches._slots.values()
        with ExitStack() as stack:
            for lock in (
                parts._lock,
                parts.recent_vectors._lock,
                parts.caches._lock,
                *(slot.lock for slot in slots),
            ):
                stack.enter_context(lock)
            held.set()
            done.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            memory.add("The cat is called Momo.", user_id="u", infer=False)
            found = [item.memory for item in memory.search("What is the cat called?", user_id="u").results]
            code = 0 if len(found) == 2 and "Momo" in found[0] else 2
        finally:
            os._exit(code)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        holder.join()
    assert memory.count(user_id="u") == 2
    memory.close()
