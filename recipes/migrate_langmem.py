"""I used langmem's tools and its background manager: what do I write now?

Needs langchain and langgraph: pip install -e "integrations/langchain[agents]"

| langmem                                            | memkit                                                    |
| -------------------------------------------------- | --------------------------------------------------------- |
| create_manage_memory_tool, create_search_memory_tool | MemkitToolkit(memory=memory).get_tools()                |
| create_memory_store_manager, ReflectionExecutor    | LongTermMemoryMiddleware(memory, after_seconds=30)        |
| namespace=("memories", "{langgraph_user_id}")      | context=MemkitContext(user_id=...), or the configurable   |
| store=InMemoryStore(index={...})                   | Memory("folder"), and MemkitStore(memory) for other values |
"""

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_memkit import LongTermMemoryMiddleware, MemkitContext
from memkit import Memory
from memkit.llms.fake import FakeLLM


def fact(text: str, quote: str, **more: object) -> dict[str, object]:
    return {"text": text, "kind": "fact", "action": "add", "message": 1, "quote": quote, **more}


# Stands in for the model that extracts: llm="openai:gpt-5-mini", or any LangChain model, in your program.
extracts = FakeLLM(
    [
        {"memories": [fact("The user lives in Paris.", "I live in Paris")]},
        {
            "memories": [
                fact("The user lives in Berlin.", "I moved to Berlin", action="supersede", replaces="m1")
            ]
        },
    ]
)
memory = Memory(":memory:", llm=extracts)
answers = GenericFakeChatModel(messages=iter([AIMessage("Noted."), AIMessage("How nice.")]))
middleware = LongTermMemoryMiddleware(memory)
agent = create_agent(answers, middleware=[middleware], context_schema=MemkitContext)

for thread, said in (("monday", "I live in Paris."), ("friday", "I moved to Berlin!")):
    agent.invoke(
        {"messages": [{"role": "user", "content": said}]},
        {"configurable": {"thread_id": thread}},
        context=MemkitContext(user_id="ada@example.com"),  # an e-mail address is an id like any other
    )
    middleware.flush()  # only here, to print: the extraction runs after the answer

for item in memory.get_all(user_id="ada@example.com", include_closed=True).results:
    print("now: " if item.valid_until is None else "then:", item.memory)
# > now:  The user lives in Berlin.
# > then: The user lives in Paris.
print(len(extracts.calls), "calls of the model for two turns, and no search by it")
# > 2 calls of the model for two turns, and no search by it
memory.close()
