"""Who is connected to whom, and since when?

With `graph_store="sqlite"` every memory also says what it knows of people, places and things. It takes no second
database, no model (with one, it is still one call an add), and no query language.
"""

from __future__ import annotations

from memkit import Memory

memory = Memory(":memory:", llm=None, graph_store="sqlite")
ada = memory.bind(user_id="ada")
for text in (
    "My sister Bea works at Acme.",
    "Acme is located in Turin.",
    "Carl manages Bea.",
    "I love hiking.",
):
    ada.add(text)

print(ada.graph.paths("I", "Turin"))
# > [['User', 'Bea', 'Acme', 'Turin']]
for relation in ada.graph.neighbours("Bea"):
    print(relation.source, relation.relation, relation.target)
# > Carl manages Bea
# > Bea sister_of User
# > Bea works_at Acme

# A search brings the relations of what it found, and of whom the question names.
found = ada.search("Where does Bea work?", limit=1)
print(found.results[0].memory, [(one.source, one.relation, one.target) for one in found.relations][:2])
# > My sister Bea works at Acme. [('Bea', 'sister_of', 'User'), ('Bea', 'works_at', 'Acme')]

# Times are those of the memories that say it: what is closed now was true then.
old = ada.add("Bea lives in Rome.", valid_from="2020-01-01").results[0]
assert old.id is not None  # it was not known yet
ada.update(old.id, valid_until="2024-05-31")
ada.add("Bea lives in Oslo.", valid_from="2024-06-01")
for relation in ada.graph.relations({"relation": "lives_in"}, between=("2023-01-01", "2025-01-01")):
    print(relation.target, relation.valid_from, "to", relation.valid_until)
# > Oslo 2024-06-01 00:00:00+00:00 to None
# > Rome 2020-01-01 00:00:00+00:00 to 2024-05-31 23:59:59.999999+00:00
print([one.target for one in ada.graph.neighbours("Bea", as_of="2022-01-01") if one.relation == "lives_in"])
# > ['Rome']

# Two names of one person stay two until you say so, and you can take it back.
ada.add("Beatrice plays for Rivertown.")
merged = ada.graph.merge("Beatrice", into="Bea")
print(ada.graph.entity("Beatrice").name, ada.graph.entity("Bea").aliases)
# > Bea ['Beatrice']
ada.undo(merged.operation_id)
print(ada.graph.entity("Beatrice").name)
# > Beatrice

memory.close()
