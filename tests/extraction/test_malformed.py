"""An item of an answer that cannot be read costs nothing but itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from memkit import Memory
from memkit.llms.fake import FakeLLM
from memkit.llms.parsing import parse_as
from memkit.llms.schemas import strict_schema
from memkit.prompts.extract import Extraction
from memkit.prompts.records import records_of, response_model
from memkit.schemas import Schemas


class Pet(BaseModel):
    """An animal."""

    name: str = Field(json_schema_extra={"key": True})
    age: int | None = None


def read(answer: object, model: type[Extraction] = Extraction) -> Extraction | None:
    return parse_as(json.dumps(answer), model)[0]


def fact(text: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "message": 1, "quote": text, **more}


@pytest.mark.parametrize(
    "bad", [{"text": 7}, {"quote": "no text"}, "a bare text", None, [], fact("two", message="second")]
)
def test_facts_beside_one_that_cannot_be_read_are_kept(bad: object) -> None:
    found = read({"memories": [fact("one"), bad, fact("three")], "relations": []})
    assert found is not None and [memory.text for memory in found.memories] == ["one", "three"]
    assert len(found.malformed) == 1 and found.malformed[0].reason.startswith("it cannot be read: ")


def test_what_is_left_out_is_told_by_its_text_or_as_it_was_given() -> None:
    found = read([fact("one"), fact("two", message="second"), {"texts": ["x"]}])
    assert found is not None
    assert [one.text for one in found.malformed] == ["two", '{"texts": ["x"]}']
    assert "message" in found.malformed[0].reason and "text" in found.malformed[1].reason


def test_relations_keep_to_their_facts_when_one_before_them_is_left_out() -> None:
    edge = {"source": "a", "relation": "knows", "target": "b"}
    given = [{**edge, "memory": at} for at in (0, 1, "2", None)]
    found = read({"memories": [fact("one"), {"text": 2}, fact("three")], "relations": given})
    assert found is not None and [relation.memory for relation in found.relations] == [0, -1, 1, -1]


def test_a_single_relation_without_a_list_around_it_is_one() -> None:
    found = read(
        {"memories": [fact("one")], "relations": {"source": "a", "relation": "knows", "target": "b"}}
    )
    assert found is not None and [relation.relation for relation in found.relations] == ["knows"]


@pytest.mark.parametrize("junk", ["none", 7, {"a": 1}, True])
def test_relations_that_are_none_cost_no_fact(junk: object) -> None:
    found = read({"memories": [fact("one")], "relations": junk})
    assert found is not None and [memory.text for memory in found.memories] == ["one"]
    assert found.relations == [] and len(found.malformed) == 1


def test_a_relation_that_cannot_be_read_costs_no_fact() -> None:
    found = read({"memories": [fact("one")], "relations": [{"source": 1}]})
    assert found is not None and [memory.text for memory in found.memories] == ["one"]
    assert found.relations == [] and len(found.malformed) == 1


@pytest.mark.parametrize("answer", [{"memories": [{"text": 1}]}, {"memories": 3}, {}, [{"text": 1}, 2]])
def test_an_answer_of_which_nothing_can_be_read_is_none(answer: object) -> None:
    assert read(answer) is None


def test_records_are_kept_beside_one_that_cannot_be_read() -> None:
    model = response_model(Schemas([Pet]))
    strayed = {"kind": "pet", "data": {"name": "Rex"}}
    bad = {"kind": "pet", "data": {"name": "Tom"}, "message": "the first"}
    found = read({"memories": [fact("one"), strayed, {"text": 7}], "records": ["x", bad]}, model)
    assert found is not None and [memory.text for memory in found.memories] == ["one"]
    assert [record.data for record in records_of(found)] == [{"name": "Rex"}]
    assert len(found.malformed) == 2


def test_what_the_model_is_asked_for_says_nothing_of_malformed_items() -> None:
    assert list(strict_schema(Extraction)["properties"]) == ["memories", "relations"]


def test_an_add_keeps_the_good_and_rejects_the_bad_with_its_reason() -> None:
    said = "I moved to Porto in May. My dog is called Rex."
    answer = {
        "memories": [
            fact("User moved to Porto in May.", quote="I moved to Porto in May"),
            {"text": "User's dog is called Rex.", "message": "first", "quote": "My dog is called Rex"},
        ],
        "relations": [],
    }
    llm = FakeLLM([json.dumps(answer)])
    with Memory(":memory:", llm=llm, embedder="hash") as memory:
        done = memory.add([{"role": "user", "content": said}], user_id="ana")
        assert [(one.event, one.memory) for one in done.results] == [
            ("ADD", "User moved to Porto in May."),
            ("REJECT", "User's dog is called Rex."),
        ]
        assert (done.results[1].reason or "").startswith("it cannot be read: message")
        assert done.usage.llm_calls == 1
