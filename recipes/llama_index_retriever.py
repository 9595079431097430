"""How does a LlamaIndex query engine answer from a user's memories?

A `MemkitRetriever` with the user's id goes where an index's retriever would. `MockLLM` echoes the prompt that a real
model would get, so that no key is needed; what is known about a memory (ids, times) stays out of it.
"""

from __future__ import annotations

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine

from llama_index.memory.memkit import MemkitRetriever
from memkit import Memory

memory = Memory(":memory:")
memory.add("I never eat anything with peanuts.", user_id="ada", metadata={"topic": "food"})
memory.add("My bicycle is a green Gazelle.", user_id="ada", metadata={"topic": "things"})
memory.add("My bicycle is a red Batavus.", user_id="leo")

retriever = MemkitRetriever(memory=memory, user_id="ada", k=1)
engine = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
answer = engine.query("What colour is my bicycle?")

print(str(answer).strip())
# > Context information is below.
# > ---------------------
# > My bicycle is a green Gazelle.
# > ---------------------
# > Given the context information and not prior knowledge, answer the query.
# > Query: What colour is my bicycle?
# > Answer:

source = answer.source_nodes[0]
print(source.metadata["topic"], memory.get(source.node_id) is not None)
# > things True

memory.close()
