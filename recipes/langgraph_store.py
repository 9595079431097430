"""How do I give a LangGraph graph a store that survives the process and finds by meaning?

Needs langgraph: pip install -e "integrations/langchain[agents]"
"""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

from langgraph.graph import StateGraph
from langgraph.runtime import Runtime

from langchain_memkit import MemkitStore
from memkit import Memory


class State(TypedDict):
    said: str
    found: NotRequired[str]


@dataclass
class Context:
    user_id: str


def remember(state: State, runtime: Runtime[Context]) -> dict[str, str]:
    assert runtime.store is not None
    runtime.store.put(("memories", runtime.context.user_id), state["said"][:12], {"text": state["said"]})
    return {}


def recall(state: State, runtime: Runtime[Context]) -> dict[str, str]:
    assert runtime.store is not None
    hits = runtime.store.search(("memories", runtime.context.user_id), query="Which tea?", limit=1)
    return {"found": hits[0].value["text"]}


memory = Memory()
graph = StateGraph(State, context_schema=Context)
graph.add_node("remember", remember)
graph.add_node("recall", recall)
graph.set_entry_point("remember")
graph.add_edge("remember", "recall")
app = graph.compile(store=MemkitStore(memory, index={"fields": ["text"]}))

# An e-mail address is a fine label here, as it is.
for said in ("I ride a green bicycle.", "My tea is sencha."):
    done = app.invoke({"said": said}, context=Context(user_id="ada@example.com"))
print(done["found"])
# > My tea is sencha.
memory.close()

# Another object, as another process would make it, on the same path.
store = MemkitStore(Memory())
print(store.list_namespaces())
# > [('memories', 'ada@example.com')]
print([item.key for item in store.search(("memories",), filter={"text": {"$gt": "M"}})])
# > ['My tea is se']
