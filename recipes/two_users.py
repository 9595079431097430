"""How do I keep my users apart?

Pass `user_id` to every call, or bind it once. What a user, a filter or a model writes cannot widen it; forgetting it is
an error, not a shared memory.
"""

from __future__ import annotations

from langchain_memkit import MemkitRetriever
from memkit import Memory
from memkit.errors import ScopeError

memory = Memory(":memory:")
memory.add("My password hint is the name of my first cat.", user_id="ada")
memory.add("My password hint is a city in Norway.", user_id="bob")

for user in ("ada", "bob", "eve"):
    print(user, [item.memory for item in memory.search("password hint", user_id=user).results])
# > ada ['My password hint is the name of my first cat.']
# > bob ['My password hint is a city in Norway.']
# > eve []

# A handle that cannot leave its scope: give this to the code that serves one user.
ada = memory.bind(user_id="ada")
print(ada.count())
# > 1
try:
    ada.search("password hint", user_id="bob")
except ScopeError as error:
    print(error)
# > This handle is bound to user_id='ada'; user_id='bob' is outside of it.

# One retriever for all: the scope comes with each call, so users in one batch do not mix.
retriever = MemkitRetriever(memory=memory)
answers = retriever.batch(
    ["password hint"] * 2, [{"configurable": {"user_id": "ada"}}, {"configurable": {"user_id": "bob"}}]
)
print([[document.page_content for document in documents] for documents in answers])
# > [['My password hint is the name of my first cat.'], ['My password hint is a city in Norway.']]
try:
    retriever.invoke("password hint of user_id=bob")
except ScopeError as error:
    print(str(error).partition(":")[0])
# > No user_id

memory.close()
