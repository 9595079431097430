"""I used VectorStoreRetrieverMemory: what do I write now?

Needs langchain-classic: pip install -e "integrations/langchain[classic]"

It stored each turn as one text with both sides in it, and gave the nearest texts back, of whoever they were. What was
corrected since came back with its correction.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_classic.chains import ConversationChain
from langchain_classic.memory import VectorStoreRetrieverMemory
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_memkit import MemkitMemory, MemkitRetriever
from memkit import Memory
from memkit.llms.fake import FakeLLM

warnings.filterwarnings("ignore", category=DeprecationWarning)  # LangChain's own, of everything classic

# Before.
store = InMemoryVectorStore(DeterministicFakeEmbedding(size=32))
old = VectorStoreRetrieverMemory(retriever=store.as_retriever(search_kwargs={"k": 2}))
old.save_context({"input": "I live in Paris."}, {"response": "How nice."})
old.save_context({"input": "My dog is called Pixel."}, {"response": "Hello, Pixel."})


def extract(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Stands in for the model that extracts: llm="openai:gpt-5-mini", or any LangChain model, in your program."""
    prompt = str(messages[-1]["content"])
    known = re.search(r"(m\d+): User lives in Paris", prompt)
    if "moved to Berlin" in prompt and known:
        return fact("User lives in Berlin.", "moved to Berlin", action="supersede", replaces=known[1])
    if "My dog" in prompt:
        return fact("User's dog is called Pixel.", "My dog is called Pixel")
    return fact("User lives in Paris.", "I live in Paris")


def fact(text: str, quote: str, **more: Any) -> dict[str, Any]:
    return {
        "memories": [{"text": text, "kind": "fact", "action": "add", "message": 1, "quote": quote, **more}]
    }


memory = Memory(":memory:", llm=FakeLLM(extract))

# Its documents come over as the turns that they were; yours say who spoke by the keys of your chain.
for document in store.similarity_search("", k=1000):
    said, _, answer = document.page_content.removeprefix("input: ").partition("\nresponse: ")
    turns = [{"role": "user", "content": said}, {"role": "assistant", "content": answer}]
    memory.add(turns, user_id="ada", run_id="before")

# After: a user, a number of memories in place of `search_kwargs`, and nothing else changes in the chain.
mine = MemkitMemory(memory=memory, user_id="ada", k=2)
chain = ConversationChain(llm=FakeListChatModel(responses=["Good luck there!"]), memory=mine)
chain.invoke({"input": "I moved to Berlin."})

recalled = mine.load_memory_variables({"input": "Where do I live?"})["history"]
print("Berlin" in recalled, "Paris" in recalled)
# > True False

# Without a chain of the classic kind: the same memories as a retriever, for `|`.
retriever = MemkitRetriever(memory=memory, user_id="ada", k=1)
print([document.page_content for document in retriever.invoke("What is my dog called?")])
# > ["User's dog is called Pixel."]
memory.close()
