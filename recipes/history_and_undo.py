"""What was known when, who changed it, and how do I take it back?

Every change is an event that names its operation. `undo` restores what an operation did, all of it or nothing, and is
an operation itself. `forget` is the one exception: it erases for good, and leaves an event without any text.
"""

from __future__ import annotations

from memkit import Memory

memory = Memory(":memory:")
memory_id = memory.add("I live in Paris.", user_id="ada").results[0].id or ""
moved = memory.update(memory_id, "I live in Berlin.")


def story() -> None:
    for event in memory.history(memory_id):
        print(f"{event.event}: {event.old_memory} -> {event.new_memory}")


story()
# > ADD: None -> I live in Paris.
# > UPDATE: I live in Paris. -> I live in Berlin.

undone = memory.undo(moved.operation_id)
print(memory.search("Where does she live?", user_id="ada").results[0].memory)
# > I live in Paris.

memory.undo(undone.operation_id)
print(memory.search("Where does she live?", user_id="ada").results[0].memory)
# > I live in Berlin.

memory.delete(memory_id)
print(memory.get(memory_id), [event.event for event in memory.history(memory_id)])
# > None ['ADD', 'UPDATE', 'UPDATE', 'UPDATE', 'DELETE']

receipt = memory.forget(user_id="ada")
print(receipt.memories, [(event.event, event.before) for event in memory.history(memory_id)])
# > 1 [('FORGET', None)]

memory.close()
