"""How do I keep what is known of something as fields, not as sentences?

Give the memory pydantic models. Records of them come out of the same model call as the facts, are checked by the model
class and against what was said, and there is one current record per key. Here the language model is a scripted one, so
that the recipe needs no key; `Memory(llm="openai", schemas=[...])` is the real thing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from memkit import Memory
from memkit.llms.fake import FakeLLM


class Pet(BaseModel):
    """An animal that lives with the user."""

    name: str = Field(json_schema_extra={"key": True})
    species: Literal["dog", "cat", "other"] | None = None
    age: int | None = Field(default=None, ge=0)


class Diet(BaseModel):
    """What the user eats and must not eat."""

    style: str | None = None
    allergies: list[str] = []


def record(kind: str, quote: str, **data: Any) -> dict[str, Any]:
    return {"kind": kind, "data": data, "action": "set", "message": 1, "quote": quote}


rex = record("pet", "my dog Rex is three", name="Rex", species="dog", age=3)
diet = record("diet", "I'm allergic to peanuts", allergies=["peanuts"])
model = FakeLLM(
    [
        {"memories": [], "records": [rex, diet]},
        {"memories": [], "records": [record("pet", "Rex turned four", name="Rex", age=4)]},
        {"memories": [], "records": [record("pet", "Rex turned four", name="Rex", age=14)]},
    ]
)
memory = Memory(":memory:", llm=model, schemas=[Pet, Diet])

for text in (
    "By the way, my dog Rex is three, and I'm allergic to peanuts.",
    "Rex turned four!",
    "Rex turned four.",
):
    for outcome in memory.add(text, user_id="ada").results:
        print(outcome.event, outcome.memory)
# > ADD pet: name = Rex; species = dog; age = 3
# > ADD diet: allergies = peanuts
# > SUPERSEDE pet: name = Rex; species = dog; age = 4
# > REJECT pet {"name": "Rex", "age": 14}

(found,) = memory.search("How old is the dog?", user_id="ada", kinds=[Pet]).results
print(Pet.model_validate(found.data))
# > name='Rex' species='dog' age=4
print(memory.count(user_id="ada", filters={"data.age": {"lt": 5}}))
# > 1

# A record may also be given as it is. It is merged with what is known of the same key, and no model is asked.
memory.add(Diet(style="vegan"), user_id="ada")
print([item.data for item in memory.get_all(user_id="ada", kinds="diet").results])
# > [{'style': 'vegan', 'allergies': ['peanuts']}]

memory.close()
