"""What two processes were told was done, kept in memory: the ledger has to say the same."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

History = list[list[str | None]]


@dataclass(slots=True)
class Known:
    """A memory as it was acknowledged."""

    user: str
    text: str
    live: bool = True
    history: History = field(default_factory=list[list[str | None]])


@dataclass(slots=True)
class Oracle:
    """All acknowledged memories, turns and operations. New ones have a key of ours until their id is known."""

    memories: dict[str, Known] = field(default_factory=dict[str, Known])
    said: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    operations: list[tuple[str, dict[str, tuple[bool, str]]]] = field(
        default_factory=list[tuple[str, dict[str, tuple[bool, str]]]]
    )
    """Each with what its memories were before; one that made a memory found it dead."""

    def copy(self) -> Oracle:
        """Return one that can be changed without changing this."""
        return deepcopy(self)

    def live(self, user: str | None = None) -> list[str]:
        """Return the keys of what is live."""
        return [key for key, m in self.memories.items() if m.live and user in (None, m.user)]

    # ------------------------------------------------------------------------------------- changes

    def _did(self, operation: str, keys: list[str]) -> dict[str, tuple[bool, str]]:
        before = {key: (self.memories[key].live, self.memories[key].text) for key in keys}
        self.operations.append((operation, before))
        return before

    def add(self, operation: str, user: str, made: dict[str, str], said: list[str]) -> None:
        """Memories by key, and turns."""
        for key, text in made.items():
            self.memories[key] = Known(user, text, live=False)
        if made:
            self._did(operation, list(made))
        for key, text in made.items():
            self.memories[key].live = True
            self.memories[key].history.append(["ADD", text])
        if said:
            self.said.setdefault(user, []).extend(said)

    def update(self, operation: str, key: str, text: str) -> None:
        """Another text."""
        self._did(operation, [key])
        self.memories[key].text = text
        self.memories[key].history.append(["UPDATE", text])

    def delete(self, operation: str, keys: list[str]) -> None:
        """One memory or several."""
        if not keys:
            return
        self._did(operation, keys)
        for key in keys:
            self.memories[key].live = False
            self.memories[key].history.append(["DELETE", None])

    def conflicts(self, place: int) -> bool:
        """Return whether a later operation changed the same memories."""
        mine = set(self.operations[place][1])
        return any(mine & set(before) for _, before in self.operations[place + 1 :])

    def undo(self, operation: str, place: int) -> None:
        """Everything of an operation as it was before."""
        before = self.operations[place][1]
        self._did(operation, list(before))
        for key, (live, text) in before.items():
            memory = self.memories[key]
            event = (
                "DELETE" if memory.live and not live else "RESTORE" if live and not memory.live else "UPDATE"
            )
            memory.live, memory.text = live, text
            memory.history.append([event, text if live else None])

    def forget(self, user: str) -> None:
        """All of a user; operations that touched it can no longer be taken back as they were."""
        for memory in self.memories.values():
            if memory.user == user:
                memory.live, memory.text, memory.history = False, "", [["FORGET", None]]
        self.said.pop(user, None)
        gone = {key for key, memory in self.memories.items() if memory.user == user}
        self.operations = [(op, before) for op, before in self.operations if not gone & set(before)]

    # ------------------------------------------------------------------------------------- comparison

    def learn_ids(self, live: dict[str, list[str]]) -> None:
        """Give memories whose acknowledgement was lost the ids that they have."""
        by_text = {(user, text): id for id, (user, text) in live.items()}
        for key in [key for key in self.memories if key.startswith("new ")]:
            memory = self.memories[key]
            id = by_text.get((memory.user, memory.text), key)
            self.memories = {id if k == key else k: m for k, m in self.memories.items()}
            self.operations = [
                (op, {id if k == key else k: b for k, b in bs.items()}) for op, bs in self.operations
            ]

    def differences(self, seen: dict[str, Any]) -> list[str]:
        """Return where what a process sees is not what was acknowledged."""
        found: list[str] = []
        live = {key: [m.user, m.text] for key, m in self.memories.items() if m.live}
        if live != seen["live"]:
            wrong = {k for k in {*live, *seen["live"]} if live.get(k) != seen["live"].get(k)}
            found.append(f"live: {[(live.get(k), seen['live'].get(k)) for k in sorted(wrong)]}")
        for key, history in seen["history"].items():
            if key in self.memories and self.memories[key].history != history:
                found.append(f"history of {key}: {self.memories[key].history} != {history}")
        said = {user: texts for user, texts in seen["said"].items() if texts}
        if said != {user: texts for user, texts in self.said.items() if texts}:
            found.append(f"said: {self.said} != {seen['said']}")
        if seen["unfinished"]:
            found.append(f"{seen['unfinished']} unfinished jobs")
        return found
