"""How do I search only some of a user's memories?

By metadata, kind and time: `filters=`, `kinds=`, `as_of=`. A filter narrows within the scope and can never name one.
"""

from __future__ import annotations

from typing import Any

from memkit import Memory

memory = Memory(":memory:")
for text, year, tags in (
    ("We watched Solaris by Tarkovsky.", 2021, ["film", "slow"]),
    ("We watched Paddington 2.", 2024, ["film", "funny"]),
    ("We read Solaris by Lem.", 2023, ["book"]),
):
    memory.add(text, user_id="ada", metadata={"year": year, "tags": tags}, infer=False)


def found(filters: dict[str, Any]) -> None:
    results = memory.search("What did we watch or read?", user_id="ada", filters=filters).results
    print(sorted(item.memory for item in results))


found({"year": 2024})
# > ['We watched Paddington 2.']
found({"year": {"gte": 2023}})
# > ['We read Solaris by Lem.', 'We watched Paddington 2.']
found({"tags": {"contains": "film"}, "year": {"lt": 2024}})
# > ['We watched Solaris by Tarkovsky.']
found({"OR": [{"tags": {"contains": "book"}}, {"NOT": [{"year": {"lt": 2024}}]}]})
# > ['We read Solaris by Lem.', 'We watched Paddington 2.']

memory.add("I prefer subtitles to dubbing.", user_id="ada", kind="preference", infer=False)
print([item.memory for item in memory.search("films", user_id="ada", kinds="preference").results])
# > ['I prefer subtitles to dubbing.']

# What was true then: a fact may begin and end.
house = memory.add(
    "We rent a house by the lake.", user_id="ada", valid_from="2022-03-01", infer=False
).results[0]
memory.update(house.id or "", valid_until="2024-09-30")
for day in ("2021-06-01", "2023-06-01", "2025-06-01"):
    results = memory.search("the house by the lake", user_id="ada", kinds="fact", as_of=day).results
    print(day, "We rent a house by the lake." in [item.memory for item in results])
# > 2021-06-01 False
# > 2023-06-01 True
# > 2025-06-01 False

memory.close()
