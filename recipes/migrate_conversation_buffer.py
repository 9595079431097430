"""I used ConversationBufferMemory in a classic chain: what do I write now?

Needs langchain: pip install -e "integrations/langchain[agents,classic]"

The buffer put the whole conversation into every prompt, and lost it with the process. `MemkitMemory` takes its place in
the same chain, and recalls what helps with the input; an agent of today takes `LongTermMemoryMiddleware`.
"""

import warnings

from langchain.agents import create_agent
from langchain_classic.chains import LLMChain
from langchain_classic.memory import ConversationBufferMemory
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import PromptTemplate

from langchain_memkit import LongTermMemoryMiddleware, MemkitMemory
from memkit import Memory

warnings.filterwarnings("ignore", category=DeprecationWarning)  # LangChain's own, of everything classic


class Scripted(BaseChatModel):
    """Stands in for a model, and answers from what its prompt holds; put your own here."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: object, **__: object) -> ChatResult:
        prompt = "\n".join(message.text for message in messages)
        text = (
            "Nice." if not prompt.endswith("?") else "In Ghent." if "live in Ghent" in prompt else "No idea."
        )
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


prompt = PromptTemplate.from_template("{history}\nHuman: {input}")
model = Scripted()

# Before.
buffer = ConversationBufferMemory(return_messages=True)
LLMChain(llm=model, prompt=prompt, memory=buffer).invoke({"input": "I live in Ghent."})

# What it holds comes over once, in one call; with a model, facts are extracted from it.
memory = Memory(":memory:")
memory.add(buffer.chat_memory.messages, user_id="ada", run_id="before")

# After, in the same chain: one argument is another one.
mine = MemkitMemory(memory=memory, user_id="ada", run_id="monday")
chain = LLMChain(llm=model, prompt=prompt, memory=mine)
print(chain.invoke({"input": "Where is home?"})["text"])
# > In Ghent.
print(
    LLMChain(llm=model, prompt=prompt, memory=MemkitMemory(memory=memory, user_id="bob")).run(
        "Where is home?"
    )
)
# > No idea.

# Or, what LangChain itself recommends: an agent. `checkpointer=` keeps its threads, memkit what outlives them.
agent = create_agent(model, middleware=[LongTermMemoryMiddleware(memory, user_id="ada")])
print(agent.invoke({"messages": [{"role": "user", "content": "Where is home?"}]})["messages"][-1].text)
# > In Ghent.

# `clear` takes back the run it is pinned to, and no other.
mine.clear()
print([turn.content for turn in memory.messages(user_id="ada", run_id="monday")])
# > []
print(chain.invoke({"input": "Where is home?"})["text"])
# > In Ghent.
memory.close()
