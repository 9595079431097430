"""How does RunnableWithMessageHistory keep its sessions, per user, over the end of the process?

LangChain has deprecated that class, in favour of checkpointers; what is built on it works as it is. Where you had
`InMemoryChatMessageHistory`, or a history in Redis or SQL, put `MemkitChatMessageHistory`.
"""

import warnings

from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableFieldSpec
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_memkit import MemkitChatMessageHistory
from memkit import Memory

warnings.filterwarnings("ignore", message="RunnableWithMessageHistory is deprecated")

memory = Memory()  # in your user data folder: the next process goes on with every session


def history_of(user_id: str, thread_id: str) -> MemkitChatMessageHistory:
    """The conversation of a user. `remember=True` would make memories of it too, `limit=20` show the newest alone."""
    return MemkitChatMessageHistory(memory, user_id=user_id, run_id=thread_id)


model = GenericFakeChatModel(messages=iter([AIMessage(f"Answer {number}.") for number in (1, 2, 3)]))
prompt = ChatPromptTemplate.from_messages(
    [("system", "Be brief."), MessagesPlaceholder("past"), ("human", "{question}")]
)
chain = RunnableWithMessageHistory(
    prompt | model,
    history_of,
    input_messages_key="question",
    history_messages_key="past",
    history_factory_config=[
        ConfigurableFieldSpec(id="user_id", annotation=str),
        ConfigurableFieldSpec(id="thread_id", annotation=str),
    ],
)


def ask(question: str, user: str, thread: str) -> None:
    chain.invoke({"question": question}, {"configurable": {"user_id": user, "thread_id": thread}})


ask("Where is Ghent?", "ann@example.com", "t1")
ask("And Bruges?", "ann@example.com", "t1")
ask("Where is Ghent?", "bob@example.com", "t1")  # the same thread id, and nothing is shared

for message in history_of("ann@example.com", "t1").messages:
    print(f"{message.type}: {message.text}")
# > human: Where is Ghent?
# > ai: Answer 1.
# > human: And Bruges?
# > ai: Answer 2.

history_of("ann@example.com", "t1").clear()  # hidden; memory.forget(...) erases
print(len(history_of("ann@example.com", "t1").messages), len(history_of("bob@example.com", "t1").messages))
# > 0 2

# What another history has kept comes over as the list that it is, ids, calls of tools and all.
elsewhere = [HumanMessage("Hello!", id="1"), AIMessage("Good morning.", id="2")]
history_of("ann@example.com", "t2").add_messages(elsewhere)
print(history_of("ann@example.com", "t2").messages == elsewhere, memory.runs(user_id="ann@example.com"))
# > True ['t2']
memory.close()
