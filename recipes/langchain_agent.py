"""How does a LangChain agent remember a user over threads and processes, with one line more?

Needs langchain and langgraph: pip install -e "integrations/langchain[agents]"
"""

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver

from langchain_memkit import LongTermMemoryMiddleware, MemkitContext
from memkit import Memory


class Scripted(BaseChatModel):
    """Stands in for a model, and answers from what its prompt holds; put your own here."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *_: object, **__: object) -> ChatResult:
        asked, prompt = messages[-1].text, messages[0].text
        text = "Nice to hear." if "?" not in asked else "Sencha." if "sencha" in prompt else "I do not know."
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


memory = Memory()  # in your user data folder: the next process knows it too
agent = create_agent(
    Scripted(),
    system_prompt="You are a waiter.",
    middleware=[LongTermMemoryMiddleware(memory)],
    context_schema=MemkitContext,
    checkpointer=InMemorySaver(),  # the thread's own messages; memkit keeps what outlives the thread
)


def say(text: str, user: str, thread: str) -> str:
    """One turn of a user in a thread."""
    answer = agent.invoke(
        {"messages": [{"role": "user", "content": text}]},
        {"configurable": {"thread_id": thread}},
        context=MemkitContext(user_id=user),
    )
    return answer["messages"][-1].text


print(say("My favourite tea is sencha.", "ada@example.com", "monday"))
# > Nice to hear.
print(say("Which tea do I like?", "ada@example.com", "tuesday"))
# > Sencha.
print(say("Which tea do I like?", "bob@example.com", "wednesday"))
# > I do not know.

# Every turn was stored once, under its thread.
print([m.content for m in memory.messages(user_id="ada@example.com", run_id="monday")])
# > ['My favourite tea is sencha.', 'Nice to hear.']
memory.close()
