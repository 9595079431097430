"""Where do LlamaIndex's memories keep a conversation, so that it is there tomorrow?

In the ledger: `MemkitDBChatStore` behind the native `Memory`, `MemkitChatStore` behind `ChatMemoryBuffer`. A key is a
conversation of one user.
"""

from __future__ import annotations

import asyncio
import json

from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.memory import Memory as NativeMemory
from llama_index.core.storage.chat_store.base_db import MessageStatus

from llama_index.storage.chat_store.memkit import MemkitChatStore, MemkitDBChatStore
from memkit import Memory

memory = Memory("chats")  # a folder; a new process goes on where this one ends


async def main() -> None:
    store = MemkitDBChatStore(memory=memory, user_id="ada")
    # So small a queue that the first question and its answer leave it: they are archived, not lost.
    native = NativeMemory.from_defaults(
        session_id="chat-1", chat_store=store, token_limit=80, token_flush_size=20
    )
    for number in range(1, 4):
        await native.aput(ChatMessage(role="user", content=f"Question {number}: what grows in the shade?"))
        await native.aput(ChatMessage(role="assistant", content=f"Answer {number}: ferns, hostas and moss."))
    print("in the prompt:", len(await native.aget()), "of", len(await native.aget_all()))
    # > in the prompt: 4 of 6
    archived = await store.get_messages("chat-1", status=MessageStatus.ARCHIVED)
    print("archived:", [message.content for message in archived])
    # > archived: ['Question 1: what grows in the shade?', 'Answer 1: ferns, hostas and moss.']
    print("newest:", [message.content for message in await store.get_messages("chat-1", limit=1)])
    # > newest: ['Answer 3: ferns, hostas and moss.']
    print("bob's chats:", await MemkitDBChatStore(memory=memory, user_id="bob").get_keys())
    # > bob's chats: []


asyncio.run(main())

# The older buffer, on the same conversation; as JSON it names the place, not the messages.
buffer = ChatMemoryBuffer.from_defaults(
    chat_store=MemkitChatStore(memory=memory, user_id="ada"), chat_store_key="chat-1"
)
buffer.put(ChatMessage(role="user", content="And in full sun?"))
restored = ChatMemoryBuffer.from_dict(json.loads(json.dumps(buffer.to_dict())))
print("restored:", restored.get_all()[-1].content)
# > restored: And in full sun?

memory.close()
