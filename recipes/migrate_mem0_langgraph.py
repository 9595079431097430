"""I followed mem0's LangGraph guide, a node that searches and adds: what changes?

Needs langgraph: pip install -e "integrations/langchain[agents]"

The import, and one call less: `context` returns what `search` and the loop over its results put together by hand,
fenced as data and within a budget of tokens. The user comes from the run's context and is no part of the state.
"""

from dataclasses import dataclass
from typing import Annotated, TypedDict

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.graph import StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime

from memkit import Memory

memory = Memory(":memory:")  # was: from mem0 import Memory; Memory.from_config(...) takes the same dictionary
model = GenericFakeChatModel(messages=iter([AIMessage("Noted."), AIMessage("Oat milk, as always?")]))


class State(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]


@dataclass
class Who:
    user_id: str


def chatbot(state: State, runtime: Runtime[Who]) -> State:
    user, said = runtime.context.user_id, state["messages"][-1].text
    known = memory.context(said, user_id=user, max_tokens=500)
    print(f"recalled {len(known.memories)}")
    answer = model.invoke([SystemMessage(f"Help the user.\n{known}"), *state["messages"]])
    memory.add(
        [{"role": "user", "content": said}, {"role": "assistant", "content": answer.text}],
        user_id=user,
        background=True,  # extraction, where there is a model, goes on after the answer
    )
    return {"messages": [answer]}


graph = StateGraph(State, context_schema=Who)
graph.add_node("chatbot", chatbot)
graph.set_entry_point("chatbot")  # the guide's edge from the node to itself never ended
app = graph.compile()

for said in ("I only drink oat milk.", "Which milk shall I have?"):
    done = app.invoke({"messages": [HumanMessage(said)]}, context=Who(user_id="ada"))
    print(done["messages"][-1].text)
# > recalled 0
# > Noted.
# > recalled 2
# > Oat milk, as always?
memory.close()
