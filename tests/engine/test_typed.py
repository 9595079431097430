"""Typed memories: records of pydantic models, one current per key, kept, found and taken back like facts."""

from __future__ import annotations

import json
import logging
from datetime import date
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field

from memkit import Memory
from memkit.config import MemoryConfig
from memkit.embedders.hash import HashEmbedder
from memkit.errors import ConfigurationError, InvalidInputError
from memkit.llms.fake import FakeLLM
from memkit.llms.schemas import example_of, strict_schema
from memkit.reconnect import describe, reconnect
from tests.engine.faces import Face, World, answer, fact, prompt_of


class Pet(BaseModel):
    """An animal that lives with somebody."""

    name: str = Field(json_schema_extra={"key": True}, description="what it is called")
    species: Literal["dog", "cat"] | None = None
    age: int | None = Field(default=None, ge=0)


class Trip(BaseModel):
    memkit_key: ClassVar[tuple[str, ...]] = ("city", "year")
    kind: ClassVar[str] = "journey"

    city: str
    year: int
    begins: date | None = None

    def __str__(self) -> str:
        return f"A journey to {self.city} in {self.year}."


class DietaryPreference(BaseModel):
    diet: str | None = None
    allergies: list[str] = []


SCHEMAS = [Pet, Trip, DietaryPreference]
SEEN = [f"{__name__}:Pet", f"{__name__}:Trip", f"{__name__}:DietaryPreference"]


def record(kind: str, quote: str, message: int = 1, action: str = "set", **data: Any) -> dict[str, Any]:
    return {"kind": kind, "data": data, "action": action, "message": message, "quote": quote}


def said(*records: Any, facts: Any = ()) -> dict[str, Any]:
    return {**answer(*facts), "records": list(records)}


REX = said(record("pet", "My dog Rex is three", name="Rex", species="dog", age=3))
OLDER = said(record("pet", "Rex is four", name="Rex", age=4))


def data_of(memory: Face, **given: Any) -> list[Any]:
    return [item.data for item in memory.get_all(user_id="u", **given).results]


# ------------------------------------------------------------------------------------- what is extracted


def test_records_and_facts_come_from_one_call(world: World) -> None:
    llm = FakeLLM([said(*REX["records"], facts=[fact("The user lives in Oslo.", quote="I live in Oslo")])])
    memory = world.open(llm=llm, schemas=SCHEMAS)
    result = memory.add(
        [{"role": "user", "content": "My dog Rex is three. I live in Oslo.", "name": "ana"}],
        user_id="u",
        metadata={"k": 1},
    )
    assert [o.event for o in result.results] == ["ADD", "ADD"] and result.usage.llm_calls == len(
        llm.calls
    ) == 1
    (pet,) = memory.get_all(user_id="u", kinds=["pet"]).results
    assert (pet.kind, pet.data, pet.actor_id, pet.role, pet.origin) == (
        "pet",
        {"name": "Rex", "species": "dog", "age": 3},
        "ana",
        "user",
        "user",
    )
    assert Pet.model_validate(pet.data).age == 3 and pet.metadata == {"k": 1}
    assert pet.memory == "pet: name = Rex; species = dog; age = 3"
    (source,) = pet.sources
    assert source.message_id == memory.messages(user_id="u")[0].id and source.quote == "My dog Rex is three"


def test_a_newer_record_supersedes_and_keeps_what_was_not_said(world: World) -> None:
    llm = FakeLLM([REX, OLDER])
    memory = world.open(llm=llm, schemas=SCHEMAS)
    first = memory.add(
        [{"role": "user", "content": "My dog Rex is three.", "created_at": "2024-01-01"}], user_id="u"
    )
    result = memory.add(
        [{"role": "user", "content": "Rex is four.", "created_at": "2025-01-01"}], user_id="u"
    )
    (outcome,) = result.results
    assert outcome.event == "SUPERSEDE" and outcome.previous_memory == first.results[0].memory
    assert '- pet {"name": "Rex", "species": "dog", "age": 3}' in llm.calls[1].messages[1]["content"]
    assert data_of(memory) == [{"name": "Rex", "species": "dog", "age": 4}]
    assert data_of(memory, as_of="2024-06-01") == [{"name": "Rex", "species": "dog", "age": 3}]
    old = memory.history(first.results[0].id)
    assert [event.event for event in old] == ["ADD", "SUPERSEDE"] and old[-1].after.data["age"] == 3


def test_an_operation_on_records_is_undone_whole_and_the_key_holds(world: World) -> None:
    memory = world.open(llm=FakeLLM([REX, OLDER, OLDER]), schemas=SCHEMAS)
    memory.add("My dog Rex is three.", user_id="u")
    later = memory.add("Rex is four.", user_id="u")
    memory.undo(later.operation_id)
    assert [data["age"] for data in data_of(memory)] == [3]
    memory.add("Rex is four now.", user_id="u")
    assert [data["age"] for data in data_of(memory)] == [4]


def test_what_a_schema_refuses_is_rejected_and_the_rest_is_kept(world: World) -> None:
    bad = record("pet", "Rex is minus three", name="Rex", age=-3)
    good = record("pet", "Mia is two", name="Mia", age=2)
    memory = world.open(llm=FakeLLM([said(bad, good)]), schemas=SCHEMAS)
    result = memory.add("Rex is -3, Rex is minus three, and Mia is two.", user_id="u")
    assert sorted(o.event for o in result.results) == ["ADD", "REJECT"]
    assert "age" in next(o.reason for o in result.results if o.event == "REJECT")
    assert [data["name"] for data in data_of(memory)] == ["Mia"]


def test_several_fields_make_a_key_and_a_model_may_say_how_it_reads(world: World) -> None:
    rome = record("journey", "Rome in 2024", city="Rome", year=2024)
    again = record("Trip", "Rome in 2025", city="Rome", year=2025, begins="2025-05-01")
    memory = world.open(llm=FakeLLM([said(rome), said(again)]), schemas=SCHEMAS)
    memory.add("We saw Rome in 2024.", user_id="u")
    memory.add("We see Rome in 2025, from May 1st, 2025.", user_id="u")
    assert memory.texts(user_id="u") == ["A journey to Rome in 2025.", "A journey to Rome in 2024."]
    assert data_of(memory)[0] == {"city": "Rome", "year": 2025, "begins": "2025-05-01"}


def test_a_kind_without_a_key_has_one_record_in_a_scope(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    for user in ("u", "v"):
        memory.add(DietaryPreference(diet="vegan"), user_id=user)
    memory.add(DietaryPreference(allergies=["nuts"]), user_id="u")
    assert data_of(memory) == [{"diet": "vegan", "allergies": ["nuts"]}]
    assert memory.count(user_id="v", kinds="dietary_preference") == 1


def test_each_speaker_is_the_one_who_said_it(world: World) -> None:
    turns = [
        {"role": "user", "name": "Ana", "content": "My dog Rex is three."},
        {"role": "user", "name": "Bo", "content": "My cat Mia is two."},
    ]
    mia = record("pet", "My cat Mia is two", 2, name="Mia", species="cat", age=2)
    memory = world.open(llm=FakeLLM([said(*REX["records"], mia)]), schemas=SCHEMAS)
    memory.add(turns, user_id="u")
    found = memory.get_all(user_id="u").results
    assert {item.data["name"]: item.actor_id for item in found} == {"Rex": "Ana", "Mia": "Bo"}


def test_one_record_filled_by_several_at_once_is_merged_and_current_once(world: World) -> None:
    def reply(messages: Any) -> Any:
        prompt = messages[-1]["content"]
        field = next(name for name in ("dog", "four") if f"Rex: {name}" in prompt)
        value = {"species": "dog"} if field == "dog" else {"age": 4}
        return said(record("pet", f"Rex: {field}", name="Rex", **value))

    memory = world.open(llm=FakeLLM(reply), schemas=SCHEMAS)
    calls = [("add", {"messages": f"Rex: {field}.", "user_id": "u"}) for field in ("dog", "four")]
    results = memory.together(calls)
    assert not [r for r in results if isinstance(r, Exception)], results
    assert data_of(memory) == [{"name": "Rex", "species": "dog", "age": 4}]


def test_what_was_said_before_fills_in_what_is_open_and_changes_nothing_else(world: World) -> None:
    earlier = record("pet", "My dog Rex is one", name="Rex", species="dog", age=1)
    twin = record("pet", "Rex is four", name="Rex", age=4)
    past = record("pet", "Rex is two", name="Rex", age=2)
    memory = world.open(llm=FakeLLM([said(twin), said(earlier), said(twin), said(past)]), schemas=SCHEMAS)
    for text, at, event in (
        ("Rex is four.", "2025-01-01", "ADD"),
        ("My dog Rex is one.", "2022-01-01", "SUPERSEDE"),
        ("Rex is four!", "2024-12-01", "NONE"),
        ("Rex is two.", "2023-01-01", "ADD"),
    ):
        result = memory.add([{"role": "user", "content": text, "created_at": at}], user_id="u")
        assert [o.event for o in result.results] == [event], text
    assert data_of(memory) == [{"name": "Rex", "species": "dog", "age": 4}]
    assert data_of(memory, as_of="2024-01-01") == [{"name": "Rex", "species": None, "age": 2}]


class Meddler(HashEmbedder):
    """Somebody else adds a record between the moment at which the known ones were read and the write."""

    def __init__(self, meddle: Any) -> None:
        self.meddle = meddle

    def embed(self, texts: Any, *, purpose: Any = "document") -> Any:
        meddle, self.meddle = self.meddle, None
        if meddle is not None and purpose == "document":
            meddle()
        return super().embed(texts, purpose=purpose)


@pytest.mark.parametrize("how", ["extracted", "given", "undone"])
def test_a_record_that_comes_back_or_is_added_meanwhile_is_merged_too(tmp_path: Any, how: str) -> None:
    with Memory(tmp_path / "s", llm=None, embedder="hash", schemas=SCHEMAS) as other:
        rex = Pet(name="Rex", species="dog")
        gone = ""
        if how == "undone":
            gone = other.delete(other.add(rex, user_id="u").results[0].id or "").operation_id

        def meddle() -> None:
            _ = other.undo(gone) if gone else other.add(rex, user_id="u")

        model = FakeLLM([said(record("pet", "Rex is four", name="Rex", age=4))])
        with Memory(tmp_path / "s", llm=model, embedder=Meddler(meddle), schemas=SCHEMAS) as memory:
            given = "Rex is four." if how == "extracted" else Pet(name="Rex", age=4)
            (outcome,) = memory.add(given, user_id="u").results
            assert outcome.event == "SUPERSEDE"
            (item,) = memory.get_all(user_id="u").results
            assert item.data == {"name": "Rex", "species": "dog", "age": 4}
            assert len(model.calls) == (how == "extracted")


class Fragile(BaseModel):
    text: str

    def __str__(self) -> str:
        raise ZeroDivisionError("oops")


def test_a_schema_whose_own_code_fails_rejects_its_record_alone(world: World) -> None:
    reply = said(record("fragile", "I like tea", text="tea"), *REX["records"])
    memory = world.open(llm=FakeLLM([reply]), schemas=[Fragile, Pet])
    result = memory.add("I like tea. My dog Rex is three.", user_id="u")
    assert sorted(o.event for o in result.results) == ["ADD", "REJECT"]
    with pytest.raises(InvalidInputError, match=r"Fragile failed on a record.*oops"):
        memory.add(Fragile(text="tea"), user_id="u")


@pytest.mark.parametrize(
    "shape",
    [
        {"records": [{"kind": "Pet", "name": "Rex", "age": 3}]},
        {"records": [{"type": "pet", "value": {"name": "Rex", "age": 3}}]},
        {"records": {"schema": "pet", "fields": {"name": "Rex", "age": 3}}},
        {"memories": [{"kind": "Pet", "data": {"name": "Rex", "age": 3}}], "records": None},
    ],
)
def test_small_models_write_records_as_they_can(world: World, shape: Any) -> None:
    proof = {"message": 1, "quote": "Rex is three"}
    for place, items in shape.items():
        if items:
            shape = {
                **shape,
                place: [{**item, **proof} for item in (items if isinstance(items, list) else [items])],
            }
    memory = world.open(llm=FakeLLM([shape]), schemas=SCHEMAS)
    memory.add("My dog Rex is three.", user_id="u")
    assert data_of(memory) == [{"name": "Rex", "species": None, "age": 3}]


# ------------------------------------------------------------------------------------- records as given


def test_a_record_is_stored_as_given_without_a_model(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    result = memory.add([Pet(name="Rex", species="dog"), Pet(name="Mia")], user_id="u", infer=False)
    assert [o.event for o in result.results] == ["ADD", "ADD"] and result.usage.llm_calls == 0
    again = memory.add(Pet(name="REX", age=5), user_id="u")
    assert [o.event for o in again.results] == ["SUPERSEDE"]
    assert data_of(memory)[0] == {"name": "Rex", "species": "dog", "age": 5}
    assert [o.event for o in memory.add(Pet(name="Rex", age=5), user_id="u").results] == ["NONE"]
    assert memory.messages(user_id="u") == []
    memory.add(Pet(name="Rex", age=None), user_id="u")
    assert data_of(memory)[0] == {"name": "Rex", "species": "dog", "age": None}, (
        "what is set is set, None too"
    )


def test_the_same_key_and_record_give_the_first_result(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    first = memory.add(Pet(name="Rex"), user_id="u", idempotency_key="k")
    assert memory.add(Pet(name="Rex"), user_id="u", idempotency_key="k") == first
    assert memory.count(user_id="u") == 1


@pytest.mark.parametrize("given", [[Pet(name="Rex"), "and a text"], Trip(city="Rome", year=2024)])
def test_what_is_no_record_of_the_memory_is_an_error_that_names_it(world: World, given: Any) -> None:
    memory = world.open(llm=None, schemas=[Pet])
    with pytest.raises(InvalidInputError, match=r"stand in one call|schemas=\[Trip\]"):
        memory.add(given, user_id="u")
    assert memory.count(user_id="u") == 0


def test_the_text_of_a_record_is_not_edited(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    (made,) = memory.add(Pet(name="Rex"), user_id="u").results
    with pytest.raises(InvalidInputError, match="typed record"):
        memory.update(made.id, "pet: name = Max")
    memory.update(made.id, pinned=True)
    assert memory.get(made.id).pinned and memory.get(made.id).data["name"] == "Rex"


# ------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize("kinds", ["pet", ["pet"], [Pet], Pet, ["Pet"]])
def test_records_are_found_by_kind_in_every_read(world: World, kinds: Any) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    memory.add("I have a dog called Rex.", user_id="u")
    memory.add([Pet(name="Rex", species="dog"), Trip(city="Rome", year=2024)], user_id="u")
    assert [i.kind for i in memory.search("dog Rex", user_id="u", kinds=kinds).results] == ["pet"]
    assert [i.kind for i in memory.get_all(user_id="u", kinds=kinds).results] == ["pet"]
    assert memory.count(user_id="u", kinds=kinds) == 1
    assert [i.kind for i in memory.context("dog Rex", user_id="u", kinds=kinds).memories] == ["pet"]


def test_filters_reach_the_fields_of_records(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    memory.add([Pet(name="Rex", age=3), Pet(name="Mia", age=9)], user_id="u", metadata={"k": 1})
    assert [d["name"] for d in data_of(memory, filters={"data.age": {"gt": 5}})] == ["Mia"]
    assert len(data_of(memory, filters={"k": 1, "kind": "pet"})) == 2
    found = memory.search("animals", user_id="u", filters={"data.name": "Rex"}).results
    assert [item.data["name"] for item in found] == ["Rex"]


def test_an_unknown_kind_is_an_error_that_lists_the_kinds_of_the_schemas(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    with pytest.raises(
        InvalidInputError, match=r"'pets'.*Did you mean 'pet'.*summary, pet, journey"
    ) as raised:
        memory.search("dog", user_id="u", kinds=["pets"])
    assert vars(raised.value)["field"] == "kinds"
    with pytest.raises(InvalidInputError, match="Known: fact"):
        world.open(world.folder / "other").search("dog", user_id="u", kinds=[Pet])


def test_a_store_opened_without_the_schemas_still_reads_its_records(world: World) -> None:
    with_them = world.open(llm=None, schemas=SCHEMAS)
    (made,) = with_them.add(Pet(name="Rex", age=3), user_id="u").results
    with_them.close()
    memory = world.open(llm=None)
    assert memory.get(made.id).data == {"name": "Rex", "species": None, "age": 3}
    assert [i.id for i in memory.search("Rex", user_id="u", filters={"kind": "pet"}).results] == [made.id]
    memory.delete(made.id)
    assert memory.history(made.id)[-1].before.data["name"] == "Rex"


def test_an_export_carries_records_and_their_keys(tmp_path: Any) -> None:
    from memkit.transfer.archive import export_lines, import_archive, read_archive

    with Memory(tmp_path / "a", llm=None, embedder="hash", schemas=SCHEMAS) as memory:
        memory.add([Pet(name="Rex", age=3)], user_id="u")
        memory.add([Pet(name="Rex", age=4)], user_id="u")
        lines = [json.loads(json.dumps(line)) for line in export_lines(memory, None)]
    with Memory(tmp_path / "b", llm=None, embedder="hash", schemas=SCHEMAS) as memory:
        import_archive(memory, read_archive(lines, "export"))
        assert memory.count(user_id="u") == 1
        assert [o.event for o in memory.add(Pet(name="rex", age=5), user_id="u").results] == ["SUPERSEDE"]
        current = memory.get_all(user_id="u").results
        assert [item.data for item in current] == [{"name": "Rex", "species": None, "age": 5}]


def test_a_forgotten_record_leaves_nothing(world: World) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    (made,) = memory.add(Pet(name="Xylophonius"), user_id="u").results
    memory.forget(memory_id=made.id)
    memory.close()
    kept = b"".join(file.read_bytes() for file in world.path.rglob("*") if file.is_file())
    assert b"xylophonius" not in kept.lower()


# ------------------------------------------------------------------------------------- schemas


def test_the_model_is_told_of_the_schemas_and_only_then(world: World) -> None:
    plain, typed = FakeLLM([answer()]), FakeLLM([said()])
    world.open(world.folder / "a", llm=plain).add("Hello.", user_id="u")
    world.open(world.folder / "b", llm=typed, schemas=SCHEMAS).add("Hello.", user_id="u")
    system = typed.calls[0].messages[0]["content"]
    assert system.startswith(plain.calls[0].messages[0]["content"])
    assert "- pet (key: name): An animal that lives with somebody." in system
    assert "what it is called" in system and "- dietary_preference (only one of it):" in system
    assert "records" not in prompt_of(plain.calls[0])
    asked = typed.calls[0].schema
    assert asked is not None and asked.__name__ == "Extraction"
    shape = strict_schema(asked)
    assert "records" in shape["required"]
    assert [one["kind"] for one in example_of(asked)["records"]] == ["pet", "journey", "dietary_preference"]
    pet = shape["$defs"]["PetRecord"]["properties"]
    assert pet["kind"]["const"] == "pet" and set(pet["data"]["required"]) == {"name", "species", "age"}
    assert {"type": "null"} in pet["data"]["properties"]["age"]["anyOf"]
    assert pet["data"]["properties"]["name"] == {"description": "what it is called", "type": "string"}


def test_many_long_schemas_make_the_prompt_a_bounded_part_longer(world: World) -> None:
    many = [
        type(f"Kind{n}", (Pet,), {"__doc__": "long " * 500, "__annotations__": {"more": str}, "more": ""})
        for n in range(12)
    ]
    llm = FakeLLM([said()])
    world.open(llm=llm, schemas=many).add("Hello.", user_id="u")
    assert len(llm.calls[0].messages[0]["content"]) < 8_000 + 6_100


@pytest.mark.parametrize("given", ["schemas", "config", "paths", "env"])
def test_schemas_are_given_as_classes_or_import_paths(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    rest = {"path": ":memory:", "llm": None, "embedder": "hash"}
    if given == "schemas":
        memory = Memory(":memory:", llm=None, embedder="hash", schemas=SCHEMAS)
    elif given == "env":
        for name, value in {
            "PATH": str(tmp_path),
            "LLM": "none",
            "EMBEDDER": "hash",
            "SCHEMAS": ",".join(SEEN),
        }.items():
            monkeypatch.setenv(f"MEMKIT_{name}", value)
        memory = Memory.from_env()
    else:
        memory = Memory.from_config({**rest, "schemas": SCHEMAS if given == "config" else SEEN})
    with memory:
        memory.add(Pet(name="Rex"), user_id="u")
        assert memory.bind(user_id="u").count(kinds=["pet"]) == 1


class Message(BaseModel):
    text: str


class Shouting(BaseModel):
    kind: ClassVar[str] = "LOUD"
    text: str


class Keyless(BaseModel):
    memkit_key: ClassVar[str] = "nam"
    name: str


class Empty(BaseModel):
    """Nothing."""


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([dict], "derives from pydantic.BaseModel"),
        (Pet, r"schemas=\[Pet\]"),
        ([Pet, Pet], "same kind 'pet'"),
        ([Message], "cannot have the kind 'message'"),
        ([Shouting], "cannot have the kind 'LOUD'"),
        ([Keyless], "'nam'.*Did you mean 'name'"),
        ([Empty], "has no fields"),
        (["no_such_module_x:Pet"], "cannot be imported"),
        ([f"{__name__}:Nobody"], "cannot be imported"),
        (["Pet"], "no import path"),
    ],
)
def test_what_is_no_schema_is_refused_when_the_memory_is_made(given: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Memory(":memory:", llm=None, embedder="hash", schemas=given)


def test_without_a_model_turns_are_kept_and_the_log_says_what_schemas_need(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    memory = world.open(llm=None, schemas=SCHEMAS)
    with caplog.at_level(logging.WARNING, logger="memkit"):
        assert [o.event for o in memory.add("My dog Rex is three.", user_id="u").results] == ["ADD"]
    assert sum("schemas are filled by a model" in entry.message for entry in caplog.records) == 1


def test_a_memory_that_is_written_down_is_opened_again_with_its_schemas(tmp_path: Any) -> None:
    memory = Memory(tmp_path / "s", llm=None, embedder="hash", schemas=SCHEMAS)
    described = json.loads(json.dumps(describe(memory)))
    memory.close()
    assert described["schemas"] == SEEN
    with reconnect(described) as again:
        again.add(Pet(name="Rex"), user_id="u")
        assert again.count(user_id="u", kinds="pet") == 1


def test_a_configuration_keeps_its_schemas() -> None:
    assert MemoryConfig(schemas=SEEN[:1]).schemas == (Pet,)
