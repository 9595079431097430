"""A chat client with a memory: recall before an answer, remember after it."""

from __future__ import annotations

from .client import AsyncChatClient, ChatClient, with_memory

__all__ = ["AsyncChatClient", "ChatClient", "with_memory"]
