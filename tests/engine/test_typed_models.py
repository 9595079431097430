"""Models as users write them: what makes a key the same one, and what pydantic allows of a schema."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Any, ClassVar
from unicodedata import normalize

import pytest
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel, computed_field, field_validator

from memkit import Memory
from memkit.errors import ConfigurationError, ConflictError, InvalidInputError
from memkit.llms.fake import FakeLLM
from tests.engine.faces import Face, World, answer, fact

KEY: Any = {"key": True}


class Visit(BaseModel):
    memkit_key: ClassVar[tuple[str, ...]] = ("city", "year")

    city: str
    year: int
    note: str | None = None


class Handle(BaseModel):
    handle: str = Field(json_schema_extra=KEY)
    required: str
    note: str | None = None

    @field_validator("handle")
    @classmethod
    def _bare(cls, value: str) -> str:
        return value.lstrip("@")


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    on: date = Field(json_schema_extra=KEY)
    mood: Mood | None = None
    km: int | None = None
    laps: tuple[int, ...] = ()

    @computed_field
    @property
    def far(self) -> bool:
        return (self.km or 0) > 20


class Aliased(BaseModel):
    model_config = ConfigDict(extra="allow", populate_by_name=True)

    first: str = Field(alias="firstName", json_schema_extra=KEY)
    last: str | None = Field(
        None, validation_alias=AliasChoices("surname", "family"), serialization_alias="lastName"
    )


class Tree(BaseModel):
    name: str = Field(json_schema_extra=KEY)
    pups: list[Tree] = []


class Words(RootModel[list[str]]):
    pass


def said(kind: str, quote: str, **data: Any) -> dict[str, Any]:
    record = {"kind": kind, "data": data, "action": "set", "message": 1, "quote": quote}
    return {**answer(), "records": [record]}


def data_of(memory: Face, **given: Any) -> list[Any]:
    return [item.data for item in memory.get_all(user_id="u", **given).results]


def test_a_key_is_what_the_model_makes_of_what_was_given(world: World) -> None:
    llm = FakeLLM(
        [
            said("visit", "Rome in 2024", city="Rome", year="2024"),
            said("visit", "Rome in 2024 was hot", city="Rome", year=2024, note="hot"),
            said("handle", "I am @ada", handle="@ada", required="x"),
            said("handle", "ada is my main handle", handle="ada", note="main"),
        ]
    )
    memory = world.open(llm=llm, schemas=[Visit, Handle])
    texts = ("We saw Rome in 2024.", "Rome in 2024 was hot.", "I am @ada on x.", "ada is my main handle.")
    events = [memory.add(text, user_id="u").results[0].event for text in texts]
    assert events == ["ADD", "SUPERSEDE", "ADD", "SUPERSEDE"]
    memory.add(Visit(city="ROME", year=2024, note="fun"), user_id="u")
    assert data_of(memory, kinds=Visit) == [{"city": "Rome", "year": 2024, "note": "fun"}]
    assert data_of(memory, kinds=Handle) == [{"handle": "ada", "required": "x", "note": "main"}]


def test_a_key_is_the_same_however_its_letters_are_encoded(world: World) -> None:
    memory = world.open(llm=None, schemas=[Visit])
    for n, city in enumerate(("Málaga", normalize("NFD", "Málaga"), "ＭÁLAGA", " málaga ")):
        memory.add(Visit(city=city, year=2024, note=str(n)), user_id="u")
    assert data_of(memory) == [{"city": "Málaga", "year": 2024, "note": "3"}]


def test_a_strict_model_reads_its_own_records_and_those_of_a_model(world: World) -> None:
    llm = FakeLLM([said("strict", "On 2024-05-01 I ran 5 km", on="2024-05-01", km=5)])
    memory = world.open(llm=llm, schemas=[Strict])
    memory.add(Strict(on=date(2024, 5, 1), mood=Mood.GOOD, laps=(1, 2)), user_id="u")
    assert memory.add("On 2024-05-01 I ran 5 km", user_id="u").results[0].event == "SUPERSEDE"
    (found,) = data_of(memory)
    assert found == {"on": "2024-05-01", "mood": "good", "km": 5, "laps": [1, 2]}
    assert not Strict.model_validate(found, strict=False).far


def test_records_have_the_names_that_their_model_reads(world: World) -> None:
    memory = world.open(llm=None, schemas=[Aliased])
    memory.add(
        Aliased.model_validate({"firstName": "Ada", "surname": "Byron", "hobby": "chess"}), user_id="u"
    )
    memory.add(Aliased.model_validate({"firstName": "ada", "family": "King"}), user_id="u")
    (found,) = data_of(memory)
    assert found == {"firstName": "Ada", "surname": "King", "hobby": "chess"}
    assert Aliased.model_validate(found).last == "King"


def test_a_model_that_holds_itself_is_a_schema(world: World) -> None:
    llm = FakeLLM([said("tree", "Rex has a pup Bo", name="Rex", pups=[{"name": "Bo", "pups": []}])])
    memory = world.open(llm=llm, schemas=[Tree])
    memory.add("Rex has a pup Bo.", user_id="u")
    assert data_of(memory) == [{"name": "Rex", "pups": [{"name": "Bo", "pups": []}]}]
    assert "tree (key: name)" in str(llm.calls[0].messages[0]["content"])


def test_a_model_without_fields_of_its_own_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no fields of its own"):
        Memory(":memory:", llm=None, embedder="hash", schemas=[Words])


@pytest.mark.parametrize("kind", ["visit", "Visit", Visit])
def test_the_kind_of_a_record_may_be_said_and_has_to_fit(world: World, kind: Any) -> None:
    memory = world.open(llm=None, schemas=[Visit, Handle])
    memory.add(Visit(city="Rome", year=2024), user_id="u", kind=kind)
    for given in ("Rome", Handle(handle="ada", required="x")):
        with pytest.raises(InvalidInputError, match="kind of their schema"):
            memory.add(given, user_id="u", kind=kind)
    with pytest.raises(InvalidInputError, match="kind of their schema"):
        memory.add(Visit(city="Rome", year=2024), user_id="u", kind="fact")
    assert memory.count(user_id="u") == 1


def test_a_closed_record_is_not_opened_beside_the_current_one(world: World) -> None:
    memory = world.open(llm=None, schemas=[Visit])
    (first,) = memory.add(Visit(city="Rome", year=2024), user_id="u").results
    (second,) = memory.add(Visit(city="Rome", year=2024, note="hot"), user_id="u").results
    with pytest.raises(ConflictError, match=str(second.id)):
        memory.update(first.id, valid_until=None)
    memory.delete(second.id)
    memory.update(first.id, valid_until=None)
    assert [item.id for item in memory.get_all(user_id="u").results] == [first.id]


def test_what_has_expired_is_learned_again(world: World) -> None:
    tea = answer(fact("User likes tea.", quote="I like tea"))
    memory = world.open(
        llm=FakeLLM([tea, tea, said("visit", "Rome in 2024", city="Rome", year=2024)]), schemas=[Visit]
    )
    soon = datetime.now(UTC) + timedelta(milliseconds=60)
    gone = memory.add("I like tea.", user_id="u", expires_at=soon).results[0]
    memory.add(Visit(city="Rome", year=2024, note="old"), user_id="u", expires_at=soon)
    time.sleep(0.07)
    assert [
        memory.add(text, user_id="u").results[0].event for text in ("Yes, I like tea.", "Rome in 2024")
    ] == [
        "ADD",
        "ADD",
    ]
    assert [d for d in data_of(memory) if d] == [{"city": "Rome", "year": 2024, "note": None}]
    assert memory.count(user_id="u") == 2
    assert [event.event for event in memory.history(gone.id)] == ["ADD", "EXPIRE"]
