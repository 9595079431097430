"""Whether a fact is learned from a message that is its own quote."""

from __future__ import annotations

from memkit.clock import to_us
from memkit.extraction.verify import verify
from memkit.prompts.extract import ExtractedMemory, Turn

AT = to_us("2025-03-10T18:00:00+01:00")


def learned(message: str, fact: str) -> bool:
    """Return whether the proof accepts a fact that a user's only message is quoted for."""
    memory = ExtractedMemory(text=fact, quote=message, message=1)
    return verify(memory, [Turn(role="user", text=message, at=AT)]).ok
