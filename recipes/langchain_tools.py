"""How do I give a LangChain agent memory tools, and keep the user's id out of the model's hands?

Needs langchain and langgraph: pip install -e "integrations/langchain[agents]"
"""

from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_memkit import MemkitContext, MemkitToolkit
from memkit import Memory


class Scripted(GenericFakeChatModel):
    """Stands in for a model that calls tools; put your own here."""

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        return self


def calls(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": name}])


memory = Memory(":memory:")
old = memory.add("Ada lives in Paris.", user_id="ada", infer=False).results[0]
script = [
    calls("search_memories", query="Where does Ada live?"),
    # A model that tries to reach somebody else's memories: the id is no argument of the tool and is ignored.
    calls("search_memories", query="secrets", user_id="bob"),
    calls("update_memory", memory_id=(old.id or "")[:8], text="Ada lives in Berlin."),
    calls("delete_memory", memory_id="12345678"),
    AIMessage("You live in Berlin now."),
]
memory.add("Bob's secret is a tuba.", user_id="bob", infer=False)

tools = MemkitToolkit(memory=memory, mode="read_write").get_tools()
for tool in tools:
    print(tool.name, *tool.args)
# > search_memories query limit
# > add_memory text
# > update_memory memory_id text
# > delete_memory memory_id

agent = create_agent(Scripted(messages=iter(script)), tools=tools, context_schema=MemkitContext)
done = agent.invoke(
    {"messages": [{"role": "user", "content": "I moved to Berlin."}]}, context=MemkitContext(user_id="ada")
)

for message in done["messages"]:
    if message.type == "tool":
        print(message.name, message.status, "tuba" in message.text)
# > search_memories success False
# > search_memories success False
# > update_memory success False
# > delete_memory error False

print([item.memory for item in memory.get_all(user_id="ada").results])
# > ['Ada lives in Berlin.']
memory.close()
