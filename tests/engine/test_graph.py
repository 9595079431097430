"""`memory.graph`: what memories say, exact in scope and time, merged by hand, gone when they are."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import ConfigurationError, ConflictError, InvalidInputError, ScopeError
from memkit.llms.fake import FakeLLM
from memkit.types import GraphEntity, Relation
from tests.engine.faces import Face, World, answer, fact

STORES = ["sqlite", "own file", "networkx"]


def graph_of(face: Face) -> Face:
    """The graph of a memory, called alike in both modes."""
    return Face(face.raw.graph, face.runner)


def opened(world: World, store: str = "sqlite", **given: Any) -> Face:
    if store == "networkx":
        pytest.importorskip("networkx")
    config: Any = store
    if store == "own file":
        config = {"provider": "sqlite", "config": {"path": str(world.folder / "graph.db")}}
    return world.open(graph_store=config, **given)


@pytest.fixture(
    params=[store if store == "sqlite" else pytest.param(store, marks=pytest.mark.engine) for store in STORES]
)
def kept(request: pytest.FixtureRequest, world: World) -> Face:
    """A memory with a graph, in the ledger and in stores of its own."""
    return opened(world, request.param)


@pytest.fixture
def plain(world: World) -> Face:
    """A memory with the ledger's own graph."""
    return opened(world)


def edges(found: list[Relation]) -> list[tuple[str, str, str]]:
    return [(one.source, one.relation, one.target) for one in found]


def remember(memory: Face, *texts: str, **scope: Any) -> list[str]:
    """Ids of memories of texts."""
    return [memory.add(text, **(scope or {"user_id": "ann"})).results[0].id for text in texts]


class TestReading:
    def test_relations_are_walked_both_ways_nearest_first(self, kept: Face) -> None:
        remember(kept, "My sister Bea works at Acme.", "Acme is located in Turin.", "I like tea.")
        graph = graph_of(kept)
        assert edges(graph.neighbours("acme", user_id="ann")) == [
            ("Acme", "located_in", "Turin"),
            ("Bea", "works_at", "Acme"),
        ]
        assert edges(graph.neighbours("Turin", depth=3, user_id="ann"))[-1] == ("Bea", "sister_of", "User")
        assert graph.paths("I", "Turin", user_id="ann") == [["User", "Bea", "Acme", "Turin"]]
        assert graph.paths("I", "Turin", max_hops=2, user_id="ann") == []

    def test_an_unknown_entity_is_empty_and_false(self, kept: Face) -> None:
        graph = graph_of(kept)
        for name in ("Nobody", "x' OR 1=1 --", "`MATCH (n) DETACH DELETE n`", "\0", "🦊" * 2_000):
            assert not graph.entity(name, user_id="ann")
            assert graph.neighbours(name, user_id="ann") == []
            assert graph.paths(name, "Nobody", user_id="ann") == []
        remember(kept, "Bea works at Acme.")
        assert not graph.entity("Nobody", user_id="ann") and graph.entity("Bea", user_id="ann")

    def test_an_entity_tells_its_kind_its_memories_and_its_relations(self, kept: Face) -> None:
        ids = remember(kept, "Bea works at Acme.", "Bea lives in Turin.", "Carl works at Acme.")
        bea = graph_of(kept).entity(" BEA ", user_id="ann")
        assert (bea.name, bea.kind, bea.relations, bea.memory_ids) == ("Bea", "person", 2, sorted(ids[:2]))
        page = graph_of(kept).entities(user_id="ann", limit=2)
        rest = graph_of(kept).entities(user_id="ann", limit=9, cursor=page.next_cursor)
        assert sorted(one.name for one in [*page.results, *rest.results]) == ["Acme", "Bea", "Carl", "Turin"]
        assert rest.next_cursor is None

    def test_the_same_said_twice_is_one_relation_that_lives_as_long_as_one_memory_says_it(
        self, kept: Face
    ) -> None:
        first, second = remember(kept, "Bea works at Acme.", "Yes, Bea works at Acme.")
        graph = graph_of(kept)
        (relation,) = graph.neighbours("Bea", user_id="ann")
        assert sorted(relation.memory_ids) == sorted([first, second])
        deleted = kept.delete(first)
        assert [one.memory_ids for one in graph.neighbours("Bea", user_id="ann")] == [[second]]
        kept.delete(second)
        assert graph.neighbours("Bea", user_id="ann") == [] and not graph.entity("Acme", user_id="ann")
        kept.undo(deleted.operation_id)
        assert [one.memory_ids for one in graph.neighbours("Bea", user_id="ann")] == [[first]]

    def test_entities_are_found_by_a_part_of_a_name_another_spelling_and_a_sentence(
        self, plain: Face
    ) -> None:
        remember(plain, "Beatrice Lund works at Acme Labs.", "Beatrix lives in Turin.", "Carl likes tea.")
        remember(plain, "Beatrice Lund works at Acme Labs.", user_id="ben")
        graph = graph_of(plain)

        def found(text: str, **more: Any) -> list[str]:
            return [one.name for one in graph.find(text, user_id="ann", **more)]

        assert found("beatrice lund")[0] == "Beatrice Lund" and found("Lund") == ["Beatrice Lund"]
        assert found("What does Carl do at Acme Labs?")[:2] == ["Acme Labs", "Carl"]
        assert found("Beatricks") == ["Beatrix"] and found("Turino") == ["Turin"]
        assert found("Zoe") == [] and found("' OR 1=1 --") == []
        assert found("Acme", limit=1) == ["Acme Labs"]
        graph.merge("Beatrix", into="Beatrice Lund", user_id="ann")
        assert found("Beatrix") == ["Beatrice Lund"]

    @pytest.mark.parametrize(
        ("call", "given"),
        [
            ("find", {"text": " "}),
            ("neighbours", {"entity": " "}),
            ("neighbours", {"entity": "Bea", "depth": 0}),
            ("neighbours", {"entity": "Bea", "depth": -1}),
            ("neighbours", {"entity": "Bea", "depth": 10_000}),
            ("neighbours", {"entity": "Bea", "limit": 0}),
            ("paths", {"a": "Bea", "b": "", "max_hops": 2}),
            ("paths", {"a": "Bea", "b": "Acme", "max_hops": 0}),
            ("relations", {"between": ("2024-01-01",)}),
            ("relations", {"between": ("2024-01-02", "2024-01-01")}),
            ("relations", {"between": ("2024-01-02", "2024-01-03"), "as_of": "2024-01-01"}),
            ("entities", {"cursor": "zz"}),
        ],
    )
    def test_what_cannot_be_asked_is_said(self, plain: Face, call: str, given: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError):
            getattr(graph_of(plain), call)(**given, user_id="ann")

    def test_without_a_graph_every_call_says_how_to_get_one(self, memory: Face) -> None:
        graph = graph_of(memory)
        for call in (
            lambda: graph.entity("Bea", user_id="ann"),
            lambda: graph.neighbours("Bea", user_id="ann"),
            lambda: graph.relations(user_id="ann"),
            lambda: graph.merge("Bea", "Bo", user_id="ann"),
        ):
            with pytest.raises(ConfigurationError, match="graph_store='sqlite'"):
                call()

    def test_results_of_add_search_and_listing_hold_relations(self, kept: Face) -> None:
        added = kept.add("Bea works at Acme.", user_id="ann")
        assert edges(added.relations) == [("Bea", "works_at", "Acme")]
        remember(kept, "Acme is located in Turin.")
        found = kept.search("Where is Acme?", user_id="ann", limit=1)
        assert set(edges(found.relations)) == {("Acme", "located_in", "Turin"), ("Bea", "works_at", "Acme")}
        assert len(kept.get_all(user_id="ann").relations) == 2

    def test_a_question_over_two_facts_finds_both(self, world: World) -> None:
        places = (
            "Turin",
            "Oslo",
            "Ghent",
            "Porto",
            "Leeds",
            "Bern",
            "Riga",
            "Graz",
            "Metz",
            "Kiel",
            "Cork",
            "Nice",
        )
        found: list[bool] = []
        for n, graph in enumerate((None, "sqlite")):
            memory = world.open(world.folder / str(n), graph_store=graph)
            remember(memory, "Bea works at Fiordi.", *(f"{one} Works is located in {one}." for one in places))
            remember(memory, "Fiordi is located in Pisa.", "Zoe likes chess.")
            asked = "In which city is the company located that Bea works at?"
            hits = memory.search(asked, user_id="ann", limit=4).results
            found.append("Fiordi is located in Pisa." in [hit.memory for hit in hits])
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True) and len(hits) == 4
        assert found[1]

    def test_without_a_graph_results_hold_none(self, memory: Face) -> None:
        assert memory.add("Bea works at Acme.", user_id="ann").relations == []
        assert memory.search("Acme", user_id="ann").relations == []
        assert memory.get_all(user_id="ann").results[0].entities == []


class TestScope:
    def test_what_a_scope_may_not_see_is_never_walked(self, kept: Face) -> None:
        remember(kept, "Bea works at Acme.", user_id="ann", agent_id="bot", run_id="r1")
        remember(kept, "Acme is located in Turin.", user_id="ben")
        remember(kept, "Acme is located in Oslo.", user_id="ann", run_id="r2")
        graph = graph_of(kept)
        assert edges(graph.neighbours("Acme", user_id="ben")) == [("Acme", "located_in", "Turin")]
        assert edges(graph.neighbours("Bea", depth=3, user_id="ann", run_id="r1")) == [
            ("Bea", "works_at", "Acme")
        ]
        assert edges(graph.neighbours("Acme", user_id="ann", agent_id=[None])) == [
            ("Acme", "located_in", "Oslo")
        ]
        assert graph.paths("Bea", "Turin", allow_global=True) == [], "entities of two owners are never one"
        assert len(graph.relations(allow_global=True)) == 3
        assert edges(graph_of(kept.bind(user_id="ben")).relations()) == [("Acme", "located_in", "Turin")]

    def test_a_scope_is_asked_for_and_a_handle_keeps_its_own(self, plain: Face) -> None:
        with pytest.raises(ScopeError):
            graph_of(plain).neighbours("Bea")
        with pytest.raises(ScopeError):
            graph_of(plain.bind(user_id="ann")).neighbours("Bea", user_id="ben")


class TestTime:
    def test_a_corrected_fact_closes_its_relation_and_the_past_keeps_it(self, world: World) -> None:
        old = fact(
            "Ann lives in Rome.", valid_from="2020-01-01", entities=[{"name": "Rome", "kind": "place"}]
        )
        new = fact("Ann lives in Oslo.", action="supersede", replaces="m1", valid_from="2024-06-01")
        llm = FakeLLM(
            replies=[
                answer(
                    old, relations=[{"source": "Ann", "relation": "Lives in", "target": "Rome", "memory": 0}]
                ),
                answer(
                    new, relations=[{"source": "Ann", "relation": "lives_in", "target": "Oslo", "memory": 0}]
                ),
            ]
        )
        memory = opened(world, llm=llm)
        said = [
            {
                "role": "user",
                "name": "Ann",
                "created_at": "2020-01-01",
                "content": "Since 2020-01-01 Ann lives in Rome.",
            }
        ]
        memory.add(said, user_id="ann")
        said = [
            {
                "role": "user",
                "name": "Ann",
                "created_at": "2024-06-01",
                "content": "Since 2024-06-01 Ann lives in Oslo.",
            }
        ]
        changed = memory.add(said, user_id="ann")
        graph = graph_of(memory)
        assert len(llm.calls) == 2, "one call an add"
        assert edges(graph.neighbours("Ann", user_id="ann")) == [("Ann", "lives_in", "Oslo")]
        assert edges(graph.neighbours("Ann", as_of="2022-01-01", user_id="ann")) == [
            ("Ann", "lives_in", "Rome")
        ]
        assert graph.neighbours("Ann", as_of="2019-01-01", user_id="ann") == []
        both = graph.relations({"relation": "lives_in"}, between=("2023-01-01", "2025-01-01"), user_id="ann")
        assert [one.target for one in both] == ["Oslo", "Rome"]
        assert both[1].valid_until == both[0].valid_from
        assert [
            one.target for one in graph.relations(between=("2019-01-01", "2021-01-01"), user_id="ann")
        ] == ["Rome"]
        assert len(memory.search("Where does Ann live?", user_id="ann").results) == 1 and len(llm.calls) == 2
        memory.undo(changed.operation_id)
        assert edges(graph.neighbours("Ann", user_id="ann")) == [("Ann", "lives_in", "Rome")]

    def test_what_has_expired_is_not_there(self, plain: Face) -> None:
        plain.add("Bea works at Acme.", user_id="ann", expires_at="2020-01-01")
        graph = graph_of(plain)
        assert (
            not graph.entity("Bea", user_id="ann")
            and graph.relations(as_of="2019-01-01", user_id="ann") == []
        )


class TestFilters:
    def test_relations_pass_the_one_filter_language(self, plain: Face) -> None:
        plain.add("Bea works at Acme.", user_id="ann", metadata={"source_of": "mail", "rank": 3})
        plain.add("Carl works at Acme.", user_id="ann", metadata={"rank": 1})
        plain.add("Bea lives in Turin.", user_id="ann")
        graph = graph_of(plain)
        for filters, wanted in (
            ({"relation": "works_at", "source": "Bea"}, 1),
            ({"source": ["Bea", "Carl"]}, 3),
            ({"target_kind": "place"}, 1),
            ({"rank": {"gte": 2}}, 1),
            ({"NOT": [{"relation": "works_at"}]}, 1),
            ({"valid_from": {"lt": "2001-01-01"}}, 0),
        ):
            assert len(graph.relations(filters, user_id="ann")) == wanted, filters


class TestNames:
    def test_two_known_kinds_are_two_entities_and_an_unknown_one_joins_the_only_known(
        self, world: World
    ) -> None:
        def named(name: str, kind: str) -> list[dict[str, str]]:
            return [{"name": name, "kind": kind}]

        llm = FakeLLM(
            replies=[
                answer(fact("Ann met Paris.", entities=named("Paris", "person"))),
                answer(fact("Ann likes Rome.", entities=named("Rome", "thing"))),
                answer(fact("Ann lives in Rome.", entities=named("Rome", "place"))),
                answer(fact("Ann flew to Paris.", entities=named("Paris", "place"))),
            ]
        )
        memory = opened(world, llm=llm)
        for text in ("Ann met Paris.", "Ann likes Rome.", "Ann lives in Rome.", "Ann flew to Paris."):
            memory.add(text, user_id="ann")
        graph = graph_of(memory)
        rome = graph.entity("Rome", user_id="ann")
        assert (rome.kind, len(rome.memory_ids)) == ("place", 2)
        names = [(one.name, one.kind) for one in graph.entities(user_id="ann").results]
        assert ("Paris", "person") in names and ("Paris", "place") in names
        place = graph.entity("Paris", kind="place", user_id="ann")
        assert place.kind == "place" and len(place.memory_ids) == 1

    def test_entities_are_merged_by_hand_and_parted_again(self, kept: Face) -> None:
        remember(kept, "Bob works at Acme.", "Robert Jones lives in Turin.")
        graph = graph_of(kept)
        assert graph.paths("Acme", "Turin", user_id="ann") == [], "rather two of one than one of two"
        done = graph.merge("Bob", into="Robert Jones", user_id="ann")
        merged = graph.entity("bob", user_id="ann")
        assert (merged.name, merged.aliases, merged.relations) == ("Robert Jones", ["Bob"], 2)
        assert graph.paths("Acme", "Turin", user_id="ann") == [["Acme", "Robert Jones", "Turin"]]
        assert [one.memory for one in kept.get_all(user_id="ann").results][-1] == "Bob works at Acme."
        graph.split("Bob", user_id="ann")
        assert graph.entity("Bob", user_id="ann").relations == 1
        with pytest.raises(ConflictError):
            kept.undo(done.operation_id)
        graph.merge("Bob", into=graph.entity("Robert Jones", user_id="ann"), user_id="ann")
        assert graph.entity("Bob", user_id="ann").name == "Robert Jones"

    def test_a_merge_is_undone_and_redone(self, plain: Face) -> None:
        remember(plain, "Bob works at Acme.", "Robert lives in Turin.")
        graph = graph_of(plain)
        undone = plain.undo(graph.merge("Bob", "Robert", user_id="ann").operation_id)
        assert graph.entity("Bob", user_id="ann").name == "Bob"
        plain.undo(undone.operation_id)
        assert graph.entity("Bob", user_id="ann").name == "Robert"

    def test_a_merge_holds_inside_its_scope_alone(self, plain: Face) -> None:
        for run in ("r1", "r2"):
            remember(plain, "Bob works at Acme.", "Robert lives in Turin.", user_id="ann", run_id=run)
        graph = graph_of(plain)
        graph.merge("Bob", "Robert", user_id="ann", run_id="r1")
        assert graph.entity("Bob", user_id="ann", run_id="r1").name == "Robert"
        assert graph.entity("Bob", user_id="ann", run_id="r2").name == "Bob"
        assert graph.entity("Bob", user_id="ann").name == "Bob"

    def test_only_what_is_known_can_be_merged(self, plain: Face) -> None:
        remember(plain, "Bob works at Acme.")
        with pytest.raises(InvalidInputError, match="No memory"):
            graph_of(plain).merge("Bob", "Robert", user_id="ann")
        assert graph_of(plain).merge("bob", "Bob", user_id="ann").count == 0

    def test_a_named_speaker_is_called_by_name(self, plain: Face) -> None:
        plain.add([{"role": "user", "name": "Ann", "content": "I work at Acme."}], user_id="ann")
        assert edges(graph_of(plain).neighbours("Ann", user_id="ann")) == [("Ann", "works_at", "Acme")]

    def test_a_nameless_assistant_says_nothing_of_a_user(self, plain: Face) -> None:
        plain.add([{"role": "assistant", "content": "I work at Acme."}], user_id="ann")
        assert graph_of(plain).relations(user_id="ann") == []


class TestExtraction:
    def test_an_edge_between_what_nobody_named_is_left_out_and_told(self, world: World) -> None:
        reply = answer(
            fact("Bea works at Acme."),
            relations=[
                {"source": "Bea", "relation": "works at", "target": "Acme", "memory": 0},
                {"source": "Bea", "relation": "married_to", "target": "Carl", "memory": 0},
                {"source": "Bea", "relation": "!!", "target": "Acme", "memory": 0},
            ],
        )
        memory = opened(world, llm=FakeLLM(replies=[reply]))
        added = memory.add("Bea works at Acme.", user_id="ann")
        assert edges(added.relations) == [("Bea", "works_at", "Acme")]
        reason = memory.history(added.results[0].id)[0].reason
        assert "'Carl' is not named" in reason and "has no name" in reason

    def test_an_emoji_is_an_entity_and_mere_marks_are_none(self, world: World) -> None:
        named = [{"name": name, "kind": "thing"} for name in ("🦊", "...", "🐻")]
        said = [{"source": "Bea", "relation": "likes", "target": name, "memory": 0} for name in ("🦊", "...")]
        reply = answer(fact("Bea likes 🦊...", entities=named), relations=said)
        memory = opened(world, llm=FakeLLM(replies=[reply]))
        added = memory.add("Bea likes 🦊...", user_id="ann")
        assert edges(added.relations) == [("Bea", "likes", "🦊")]
        assert graph_of(memory).entity("🦊", user_id="ann")
        assert not graph_of(memory).entity("🐻", user_id="ann"), "nobody named it"

    def test_relations_are_kept_with_the_memory_even_while_there_is_no_graph(self, world: World) -> None:
        reply = answer(
            fact("Bea works at Acme."),
            relations=[{"source": "Bea", "relation": "works_at", "target": "Acme", "memory": 0}],
        )
        memory = world.open(llm=FakeLLM(replies=[reply]))
        assert memory.add("Bea works at Acme.", user_id="ann").relations == []
        memory.close()
        again = opened(world, "own file")
        assert edges(graph_of(again).relations(user_id="ann")) == [("Bea", "works_at", "Acme")]

    def test_a_corrected_text_says_what_it_says_now(self, kept: Face) -> None:
        (one,) = remember(kept, "Bea works at Acme.")
        changed = kept.update(one, "Bea works at Globex.")
        graph = graph_of(kept)
        assert edges(graph.relations(user_id="ann")) == [("Bea", "works_at", "Globex")]
        assert not graph.entity("Acme", user_id="ann")
        kept.undo(changed.operation_id)
        assert edges(graph.relations(user_id="ann")) == [("Bea", "works_at", "Acme")]


class TestKeeping:
    def test_a_rebuild_reads_what_was_kept_without_a_graph(self, world: World) -> None:
        memory = world.open()
        (one,) = remember(memory, "Bea works at Acme.")
        memory.rebuild(graph_store="sqlite")
        assert edges(graph_of(memory).relations(user_id="ann")) == [("Bea", "works_at", "Acme")]
        assert len(memory.history(one)) == 1
        memory.rebuild(graph_store={"provider": "sqlite", "config": {"path": str(world.folder / "g.db")}})
        assert edges(graph_of(memory).neighbours("Bea", user_id="ann")) == [("Bea", "works_at", "Acme")]

    @pytest.mark.parametrize("whole", [True, False], ids=["scope", "memory"])
    def test_forgetting_leaves_no_byte_in_any_file(self, kept: Face, world: World, whole: bool) -> None:
        remember(kept, "Bartolomea works at Quixotia.", "Zorbas lives in Turin.", user_id="ann")
        graph = graph_of(kept)
        graph.merge("Bartolomea", "Zorbas", user_id="ann")
        ids = {item.memory: item.id for item in kept.get_all(user_id="ann").results}
        what = {"user_id": "ann"} if whole else {"memory_id": ids["Bartolomea works at Quixotia."]}
        receipt = kept.forget(**what)
        assert "pending" not in receipt.indexes.values()
        assert not graph.entity("Bartolomea", user_id="ann")
        kept.close()
        for path in [one for one in world.folder.rglob("*") if one.is_file()]:
            found = [word for word in (b"artolomea", b"uixotia") if word in path.read_bytes()]
            assert found == [], path

    def test_reset_empties_the_graph(self, kept: Face) -> None:
        remember(kept, "Bea works at Acme.")
        kept.reset()
        assert not graph_of(kept).entity("Bea", user_id="ann")
        remember(kept, "Carl works at Acme.")
        assert [one.name for one in graph_of(kept).entities(user_id="ann").results].count("Bea") == 0

    def test_an_entity_is_a_plain_result(self, plain: Face) -> None:
        remember(plain, "Bea works at Acme.")
        found = graph_of(plain).entity("Bea", user_id="ann")
        assert GraphEntity.model_validate_json(found.model_dump_json()) == found and found["kind"] == "person"


def test_both_graphs_have_the_same_calls() -> None:
    from memkit.graph import AsyncGraph, Graph
    from tests.meta.test_parity import public, signature

    assert sorted(public(Graph)) == sorted(public(AsyncGraph))
    for name, method in public(Graph).items():
        assert signature(method) == signature(public(AsyncGraph)[name])


def test_a_relation_answers_to_the_names_that_mem0_gave_its_ends() -> None:
    edge = Relation(source="Ann", relation="likes", target="tea")
    assert (edge["relationship"], edge["destination"], edge["target"]) == ("likes", "tea", "tea")
    assert (edge.get("relationship"), edge.get("destination"), edge.get("verb")) == ("likes", "tea", None)
    assert "destination" in edge and "verb" not in edge
