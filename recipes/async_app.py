"""How do I use memory in an async app?

`AsyncMemory` has the same methods, awaited; the loop is never blocked, and one object serves all requests. A `Memory`
that is already open gives one with `to_async()`.
"""

from __future__ import annotations

import asyncio

from langchain_memkit import MemkitRetriever
from memkit import AsyncMemory


async def turn(memory: AsyncMemory, user: str, text: str) -> str:
    """One turn of a chat: look up what is known, answer, remember."""
    found = await memory.search(text, user_id=user, limit=1, threshold=0.1)
    known = found.results[0].memory if found.results else "nothing"
    answer = f"{user}, I know {known!r}."
    await memory.add(
        [{"role": "user", "content": text}, {"role": "assistant", "content": answer}],
        user_id=user,
        run_id="chat-1",
    )
    return answer


async def main() -> None:
    async with AsyncMemory(":memory:") as memory:
        users = {"ada": "oat milk", "bob": "black tea", "eve": "tap water"}
        await asyncio.gather(
            *[memory.add(f"I only drink {drink}.", user_id=user) for user, drink in users.items()]
        )

        for answer in await asyncio.gather(*[turn(memory, user, "What do I drink?") for user in users]):
            print(answer)
        # > ada, I know 'I only drink oat milk.'.
        # > bob, I know 'I only drink black tea.'.
        # > eve, I know 'I only drink tap water.'.

        print([message.role for message in await memory.messages(user_id="bob", run_id="chat-1")])
        # > ['user', 'assistant']

        retriever = MemkitRetriever(memory=memory, k=1)
        documents = await retriever.ainvoke("tap water", {"configurable": {"user_id": "eve"}})
        print(documents[0].page_content)
        # > I only drink tap water.


asyncio.run(main())
