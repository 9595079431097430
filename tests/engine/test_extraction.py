"""With a model: turns become facts in one call, proved by what was said, reconciled with what is known."""

from __future__ import annotations

from typing import Any

import pytest

from memkit.errors import ConfigurationError, ScopeError
from memkit.llms.fake import FakeLLM
from tests.engine.faces import CountingEmbedder, Face, World, answer, fact, prompt_of

OSLO = fact("The user lives in Oslo.", quote="I live in Oslo")
BERGEN = fact("The user lives in Bergen.", quote="I moved to Bergen", action="supersede", replaces="m1")


def events(result: Any) -> list[str]:
    return [outcome.event for outcome in result.results]


def scripted(world: World, *replies: Any, **given: Any) -> tuple[Face, FakeLLM]:
    llm = FakeLLM(list(replies), vision=given.pop("vision", False))
    return world.open(llm=llm, **given), llm


# ------------------------------------------------------------------------------------- facts


def test_facts_are_what_is_remembered_and_turns_are_their_sources(world: World) -> None:
    memory, _ = scripted(world, answer({**OSLO, "entities": [{"name": "Oslo", "kind": "place"}]}))
    result = memory.add(
        [{"role": "user", "content": "I live in Oslo.", "name": "ana", "metadata": {"m": 1}}],
        user_id="u",
        run_id="r",
        metadata={"k": 2},
    )
    assert events(result) == ["ADD"] and result.usage.llm_calls == 1
    (item,) = memory.get_all(user_id="u").results
    assert (item.memory, item.kind, item.role, item.actor_id, item.origin) == (
        "The user lives in Oslo.",
        "fact",
        "user",
        "ana",
        "user",
    )
    assert item.metadata == {"k": 2, "m": 1} and item.run_id == "r"
    assert [(e.name, e.kind) for e in item.entities] == [("Oslo", "place")]
    (message,) = memory.messages(user_id="u")
    assert [(s.message_id, s.quote) for s in item.sources] == [(message.id, "I live in Oslo")]
    assert item.id == result.results[0].id
    assert memory.found("Where does the user live?", user_id="u") == ["The user lives in Oslo."]


def test_one_add_is_one_model_call_and_two_embedding_requests(world: World) -> None:
    embedder = CountingEmbedder()
    memory, llm = scripted(
        world,
        answer(OSLO),
        answer(
            fact("The user has a cat.", 1, quote="I have a cat"),
            fact("The user has a dog.", 2, quote="And a dog"),
        ),
        embedder=embedder,
    )
    memory.add("I live in Oslo.", user_id="u")
    embedder.requests.clear()
    result = memory.add(
        [{"role": "user", "content": "I have a cat."}, {"role": "user", "content": "And a dog."}], user_id="u"
    )
    assert len(llm.calls) == 2 and result.usage.llm_calls == 1
    assert embedder.requests == [("query", 2), ("document", 2)] and result.usage.embedding_calls == 2


def test_a_fact_that_is_known_is_not_stored_again(world: World) -> None:
    memory, _ = scripted(
        world, answer(OSLO), answer(OSLO), answer({**OSLO, "action": "none", "replaces": "m1"})
    )
    first = memory.add("I live in Oslo.", user_id="u").results[0].id
    for _ in range(2):
        result = memory.add("I live in Oslo, as I said.", user_id="u")
        assert events(result) == ["NONE"] and result.results[0].id == first and result.results[0].reason
    assert memory.count(user_id="u") == 1 and len(memory.history(first)) == 1


def test_a_new_fact_supersedes_and_the_old_one_is_closed_not_deleted(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO), answer(BERGEN))
    old = (
        memory.add([{"role": "user", "content": "I live in Oslo.", "created_at": "2024-01-01"}], user_id="u")
        .results[0]
        .id
    )
    result = memory.add(
        [{"role": "user", "content": "I moved to Bergen.", "created_at": "2024-06-01"}], user_id="u"
    )
    assert "m1: The user lives in Oslo." in prompt_of(llm.calls[1])
    (outcome,) = result.results
    assert (outcome.event, outcome.previous_memory, outcome.memory) == (
        "SUPERSEDE",
        "The user lives in Oslo.",
        "The user lives in Bergen.",
    )
    assert outcome.id != old, "a new id"
    closed = memory.get(old)
    assert (
        closed.valid_until == memory.get(outcome.id).valid_from == memory.messages(user_id="u")[1].created_at
    )
    assert memory.texts(user_id="u") == ["The user lives in Bergen."]
    assert memory.texts(user_id="u", as_of="2024-03-01") == ["The user lives in Oslo."]
    assert memory.found("where does the user live", user_id="u", as_of="2024-03-01") == [
        "The user lives in Oslo."
    ]
    undone = memory.undo(result.operation_id)
    assert undone.count == 2 and memory.texts(user_id="u") == ["The user lives in Oslo."]
    memory.undo(undone.operation_id)
    assert memory.texts(user_id="u") == ["The user lives in Bergen."]


def test_all_that_is_known_of_somebody_is_shown_to_the_model_whatever_a_turn_says_of_her(
    world: World,
) -> None:
    """A turn says "settled in Oslo" where the old fact says "has an address in": of her name alone they are near."""
    memory, llm = scripted(world, answer())
    others = ["drives a bus", "plays chess", "keeps bees", "likes tea", "paints fences", "speaks Welsh"]
    known = ["has an address in Cork", "works as a judge", "reports to Moreau", "adopted a goat", *others]
    memory.add_many(
        [f"{name} {fact}." for name in ("Ola", "Eve", "Jon", "Kim") for fact in others], user_id="u"
    )
    memory.add_many([f"Ada {fact}." for fact in known], user_id="u")
    memory.add("Ada settled in Oslo last week.", user_id="u")
    assert [fact for fact in known if f"Ada {fact}." not in prompt_of(llm.calls[0])] == []


def test_what_is_learned_late_lies_between_what_was_known_before_and_after(world: World) -> None:
    """Told in March, June, September, and afterwards of April: one value at every instant, and undone as one."""
    told = [("Ghent", 3), ("Lille", 6), ("Dijon", 9), ("Turin", 4)]
    replies = [
        answer(
            fact(
                f"The user lives in {city}.",
                quote=f"I moved to {city}",
                **({"action": "supersede", "replaces": "m1"} if n else {}),
            )
        )
        for n, (city, _) in enumerate(told)
    ]
    memory, _ = scripted(world, *replies)
    learned = [
        memory.add(
            {"role": "user", "content": f"I moved to {city}.", "created_at": f"2024-{month:02}-01"},
            user_id="u",
        )
        for city, month in told
    ]
    assert [memory.texts(user_id="u", as_of=f"2024-{month:02}-15") for month in (3, 4, 5, 6, 9)] == [
        [f"The user lives in {city}."] for city in ("Ghent", "Turin", "Turin", "Lille", "Dijon")
    ]
    assert memory.texts(user_id="u") == ["The user lives in Dijon."]
    memory.undo(learned[-1].operation_id)
    assert memory.texts(user_id="u", as_of="2024-05-15") == ["The user lives in Ghent."]


def test_a_retracted_fact_is_closed_without_a_successor(world: World) -> None:
    retract = fact(
        "The user no longer lives in Oslo.",
        quote="I do not live in Oslo any more",
        action="retract",
        replaces="m1",
    )
    memory, _ = scripted(world, answer(OSLO), answer(retract))
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    result = memory.add("I do not live in Oslo any more.", user_id="u")
    assert events(result) == ["SUPERSEDE"], result
    assert memory.count(user_id="u") == 0 and memory.get(old).valid_until is not None
    assert [e.event for e in memory.history(old)] == ["ADD", "SUPERSEDE"]
    memory.undo(result.operation_id)
    assert memory.texts(user_id="u") == ["The user lives in Oslo."] and memory.get(old).valid_until is None


@pytest.mark.parametrize("label", ["m7", "m0", "m-1", "x", "0", 12, "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize("action", ["supersede", "retract", "none"])
def test_an_id_that_was_not_offered_changes_nothing(world: World, label: object, action: str) -> None:
    forged = {**BERGEN, "action": action, "replaces": label}
    memory, _ = scripted(world, answer(OSLO), answer(forged), answer(forged))
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    memory.add("I moved to Bergen.", user_id="u")
    assert memory.get(old).valid_until is None and memory.get(old).version == 1


def test_a_model_never_touches_another_scopes_memory(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO), answer(BERGEN))
    old = memory.add("I live in Oslo.", user_id="u").results[0].id
    memory.add("I moved to Bergen.", user_id="v")
    assert "lives in Oslo" not in prompt_of(llm.calls[1])
    assert memory.get(old).valid_until is None
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]


# ------------------------------------------------------------------------------------- proof


@pytest.mark.parametrize(
    "bad",
    [
        fact("The user lives in Rome.", quote="I live in Rome"),
        fact("The user lives in Oslo.", quote="she lives in Paris"),
        fact("The user lives in Oslo and earns 90000.", quote="I live in Oslo"),
        fact("The user does not live in Oslo.", quote="I live in Oslo"),
        fact("The user lives in Oslo with Berta.", quote="I live in Oslo"),
        fact("The user lives in Oslo.", quote=""),
        fact("", quote="I live in Oslo"),
        fact("The user lives in Oslo.", 9, quote="I live in Oslo"),
    ],
)
def test_what_the_message_does_not_prove_is_rejected_with_a_reason(world: World, bad: dict[str, Any]) -> None:
    memory, _ = scripted(world, answer(bad, OSLO))
    result = memory.add("I live in Oslo.", user_id="u")
    assert sorted(events(result)) == ["ADD", "REJECT"], result
    rejected = next(o for o in result.results if o.event == "REJECT")
    assert rejected.reason and rejected.id is None
    assert memory.texts(user_id="u") == ["The user lives in Oslo."]


def test_what_the_assistant_said_is_never_a_users_fact(world: World) -> None:
    turns = [
        {"role": "user", "content": "Where could I go?"},
        {"role": "assistant", "content": "You live in Rome, so go to Ostia."},
    ]
    memory, _ = scripted(world, answer(fact("The user lives in Rome.", 2, quote="You live in Rome")))
    result = memory.add(turns, user_id="u")
    assert events(result) == ["REJECT"] and memory.count(user_id="u") == 0


def test_system_prompts_are_never_shown_to_the_model(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO))
    memory.add(
        [{"role": "system", "content": "You are a zebra."}, {"role": "user", "content": "I live in Oslo."}],
        user_id="u",
    )
    assert "zebra" not in prompt_of(llm.calls[0])
    assert [m.role for m in memory.messages(user_id="u")] == ["system", "user"]


def test_an_add_of_nothing_to_read_costs_no_call(world: World) -> None:
    memory, llm = scripted(world)
    result = memory.add([{"role": "system", "content": "You are a zebra."}], user_id="u")
    assert llm.calls == [] and result.usage.llm_calls == 0
    assert len(memory.messages(user_id="u")) == 1 and memory.stats().unfinished == 0


def test_recalled_text_is_never_extracted_again(world: World) -> None:
    memory, llm = scripted(
        world, answer(OSLO), answer(OSLO, fact("The user has a dog.", quote="I have a dog"))
    )
    memory.add("I live in Oslo.", user_id="u")
    context = str(memory.context("Where does the user live?", user_id="u"))
    assert "Oslo" in context
    memory.delete(memory.get_all(user_id="u").results[0].id)
    result = memory.add(f"{context}\nI have a dog.", user_id="u")
    shown = prompt_of(llm.calls[1])
    assert "I have a dog" in shown and "lives in Oslo" not in shown
    assert memory.texts(user_id="u") == ["The user has a dog."], result


def test_turns_that_are_known_by_id_are_not_extracted_twice(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO), answer(fact("The user has a dog.", quote="I have a dog")))
    first = {"role": "user", "content": "I live in Oslo.", "id": "m1"}
    memory.add([first], user_id="u", run_id="r")
    result = memory.add([first], user_id="u", run_id="r")
    assert events(result) == ["NONE"] and len(llm.calls) == 1
    result = memory.add(
        [first, {"role": "user", "content": "I have a dog.", "id": "m2"}], user_id="u", run_id="r"
    )
    assert len(llm.calls) == 2 and sorted(events(result)) == ["ADD", "NONE"]
    assert len(memory.messages(user_id="u")) == 2


# ------------------------------------------------------------------------------------- options


def test_the_calls_options_hold_for_every_fact(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO), instructions="Remember HOMES only.")
    memory.add(
        "I live in Oslo.",
        user_id="u",
        kind="preference",
        expires_at="2999-01-01",
        valid_from="2020-01-01",
        prompt="Also PETS.",
        metadata={"a": 1},
    )
    (item,) = memory.get_all(user_id="u").results
    assert (item.kind, item.expires_at.year, item.valid_from.year, item.metadata) == (
        "preference",
        2999,
        2020,
        {"a": 1},
    )
    shown = prompt_of(llm.calls[0])
    assert "Remember HOMES only." in shown or "Also PETS." in shown
    assert "Also PETS." in shown


def test_dates_resolve_against_the_message_and_not_the_clock(world: World) -> None:
    moved = fact(
        "The user moved to Oslo yesterday.", quote="Yesterday I moved to Oslo", valid_from="2024-02-29"
    )
    memory, llm = scripted(world, answer(moved))
    memory.add(
        [
            {
                "role": "user",
                "content": "Yesterday I moved to Oslo.",
                "created_at": "2024-03-01T00:30:00+01:00",
            }
        ],
        user_id="u",
    )
    assert "2024-03-01" in prompt_of(llm.calls[0]), "in the message's own zone"
    (item,) = memory.get_all(user_id="u").results
    assert item.valid_from.isoformat() == "2024-02-28T23:00:00+00:00", "the first moment of that day, there"
    assert item.created_at.isoformat() == "2024-02-29T23:30:00+00:00"


def test_a_message_names_its_own_run_and_its_facts_live_there(world: World) -> None:
    memory, _ = scripted(world, answer(OSLO, fact("The user has a dog.", 2, quote="I have a dog")))
    memory.add(
        [
            {"role": "user", "content": "I live in Oslo.", "run_id": "r1"},
            {"role": "user", "content": "I have a dog.", "run_id": "r2"},
        ],
        user_id="u",
    )
    assert {i.memory: i.run_id for i in memory.get_all(user_id="u").results} == {
        "The user lives in Oslo.": "r1",
        "The user has a dog.": "r2",
    }


def test_add_many_with_infer_extracts(world: World) -> None:
    memory, llm = scripted(world, answer(OSLO))
    assert events(memory.add_many(["I live in Oslo."], user_id="u", infer=True)) == ["ADD"]
    assert len(llm.calls) == 1
    assert events(memory.add_many(["verbatim"], user_id="u")) == ["ADD"] and len(llm.calls) == 1


def test_long_conversations_are_split_at_turns(world: World) -> None:
    memory, llm = scripted(world, *[answer() for _ in range(40)])
    turns = [
        {"role": "user", "content": f"Turn {n}. " + "I said a lot about nothing at all. " * 60}
        for n in range(40)
    ]
    result = memory.add(turns, user_id="u")
    assert 1 < len(llm.calls) == result.usage.llm_calls < 40
    shown = [prompt_of(call) for call in llm.calls]
    assert all(any(f"Turn {n}. " in prompt for prompt in shown) for n in range(40))


# ------------------------------------------------------------------------------------- vision, procedures

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


def test_a_model_that_sees_reads_images(world: World) -> None:
    memory, llm = scripted(
        world,
        "A brown dog on a sofa.",
        answer(fact("The user's dog Rex is brown.", quote="This is my dog Rex")),
        vision=True,
    )
    memory.add(
        [{"role": "user", "content": [{"type": "text", "text": "This is my dog Rex."}, IMAGE]}], user_id="u"
    )
    assert "iVBORw0KGgo=" in prompt_of(llm.calls[0]) and "brown dog" in prompt_of(llm.calls[1])
    assert memory.messages(user_id="u")[0].content[1] == IMAGE, "kept whole"


def test_a_model_that_does_not_see_is_not_sent_images(world: World) -> None:
    memory, llm = scripted(world, answer(fact("The user has a dog called Rex.", quote="This is my dog Rex")))
    memory.add(
        [{"role": "user", "content": [{"type": "text", "text": "This is my dog Rex."}, IMAGE]}], user_id="u"
    )
    assert len(llm.calls) == 1 and "iVBORw0KGgo=" not in prompt_of(llm.calls[0])
    assert memory.messages(user_id="u")[0].content[1] == IMAGE


def test_an_image_alone_is_kept(memory: Face) -> None:
    result = memory.add([{"role": "user", "content": [IMAGE]}], user_id="u")
    assert events(result) == ["NONE"] and result.results[0].reason
    assert memory.messages(user_id="u")[0].content == [IMAGE]


def test_a_run_is_summarised_into_a_procedure_for_an_agent(world: World) -> None:
    memory, llm = scripted(world, "1. Open the site. 2. Log in.")
    turns = [
        {"role": "user", "content": "Log me in."},
        {"role": "assistant", "content": "I opened the site and logged in."},
    ]
    result = memory.add(turns, agent_id="bot", run_id="r", memory_type="procedural_memory", metadata={"k": 1})
    assert events(result) == ["ADD"] and len(llm.calls) == 1
    (item,) = memory.get_all(agent_id="bot").results
    assert (item.kind, item.agent_id, item.run_id, item.metadata) == ("procedure", "bot", "r", {"k": 1})
    assert "Log in" in item.memory
    assert [s.message_id for s in item.sources] == [m.id for m in memory.messages(agent_id="bot")]


def test_a_procedure_needs_an_agent_and_a_model(world: World, memory: Face) -> None:
    turns = [{"role": "user", "content": "Log me in."}]
    with pytest.raises(ScopeError, match="agent_id"):
        memory.add(turns, user_id="u", memory_type="procedural_memory")
    with pytest.raises(ConfigurationError, match="llm"):
        memory.add(turns, agent_id="a", memory_type="procedural_memory")
    with pytest.raises(ValueError, match="procedural_memory"):
        memory.add(turns, agent_id="a", memory_type="episodic_memory")
    assert memory.messages(agent_id="a") == []
