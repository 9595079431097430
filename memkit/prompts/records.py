"""Typed records beside the memories of an extraction: what the model is told of them, and the answer it gives.

Only a memory with schemas pays for this: its instructions follow the fixed part of the prompt, the same in every call.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Annotated, Any, Final, Literal, Union, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema

from memkit.prompts.extract import Extraction, as_answer, message_number, text_or_blank
from memkit.schemas import Schema, Schemas

RecordAction = Literal["set", "retract", "none"]

_RETRACT: Final = ("retract", "delete", "remove")
_NONE: Final = ("none", "noop", "skip")
_ENVELOPE: Final = ("kind", "data", "action", "message", "quote")
_ALIASES: Final = {"type": "kind", "schema": "kind", "value": "data", "values": "data", "fields": "data"}
"""Names that small models give to the fields around a record."""
_MAX_DOC: Final = 300
_MAX_FIELD: Final = 160
_MAX_SECTION: Final = 6_000


def _action(value: object) -> object:
    word = value.strip().lower() if isinstance(value, str) else ""
    return "retract" if word in _RETRACT else "none" if word in _NONE else "set"


class ExtractedRecord(BaseModel):
    """One record, or what is new of it; its values are checked later, so that a bad one costs no other."""

    model_config = ConfigDict(extra="ignore")

    kind: Annotated[str, BeforeValidator(text_or_blank)] = ""
    data: dict[str, Any] = Field(default_factory=dict[str, Any])
    action: Annotated[RecordAction, BeforeValidator(_action)] = "set"
    message: Annotated[int, BeforeValidator(message_number)] = 0
    quote: Annotated[str, BeforeValidator(text_or_blank)] = ""

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: object) -> object:
        """Take values that stand beside the other fields, as small models write them."""
        if not isinstance(value, Mapping):
            return value
        given = {_ALIASES.get(name, name): item for name, item in cast("Mapping[str, Any]", value).items()}
        if isinstance(given.get("data"), Mapping):
            return given
        given = cast("Mapping[str, Any]", value)
        beside = {name: item for name, item in given.items() if name not in _ENVELOPE}
        return {**{name: given[name] for name in _ENVELOPE if name in given}, "data": beside}


def response_model(schemas: Schemas) -> type[Extraction]:
    """Return the response model of a call; with schemas it has `records` too."""
    return _with_records(tuple(schemas)) if len(schemas) else Extraction


def records_of(answer: Extraction) -> list[ExtractedRecord]:
    """Return the records of an answer, none where no schema asked for any."""
    return cast("list[ExtractedRecord]", getattr(answer, "records", []))


@lru_cache(maxsize=32)
def _with_records(schemas: tuple[Schema, ...]) -> type[Extraction]:
    # pydantic's types for models that are made here are for literals alone.
    make: Any = create_model
    shapes: list[Any] = [
        make(
            f"{schema.model.__name__}Record",
            kind=(Literal[schema.kind], ...),
            data=(Annotated[Any, _Partial(schema)], ...),
            action=(RecordAction, ...),
            message=(int, ...),
            quote=(str, ...),
        )
        for schema in schemas
    ]
    shown: Any = Annotated[ExtractedRecord, _Shown(Union[tuple(shapes)])]  # noqa: UP007 (made of a tuple)
    records: Any = Annotated[list[shown], BeforeValidator(_mappings)]
    known = Schemas(schema.model for schema in schemas)
    made: type[Extraction] = make(
        "Extraction",
        __base__=Extraction,
        records=(records, Field(default_factory=list[ExtractedRecord])),
    )
    made.tidied = partial(_sorted, known)
    return made


def _mappings(value: object) -> object:
    """Return what may be records of what was given for them."""
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    return [cast("object", item) for item in items if isinstance(item, Mapping)]


def _sorted(schemas: Schemas, value: object) -> object:
    """Put records that stand among the memories where they belong."""
    value = as_answer(value)
    if not isinstance(value, Mapping):
        return value
    answer = dict(cast("Mapping[str, Any]", value))
    if "records" in answer:
        answer["records"] = _mappings(answer["records"])
    memories: object = answer.get("memories")
    if not isinstance(memories, list):
        return answer if "memories" in answer or "records" not in answer else {**answer, "memories": []}
    strayed = [item for item in cast("list[object]", memories) if _is_record(item, schemas)]
    if strayed:
        answer["memories"] = [
            item for item in cast("list[object]", memories) if not _is_record(item, schemas)
        ]
        answer["records"] = [*cast("list[object]", _mappings(answer.get("records"))), *strayed]
    return answer


def _is_record(item: object, schemas: Schemas) -> bool:
    if not isinstance(item, Mapping):
        return False
    given = cast("Mapping[str, Any]", item)
    return "data" in given and schemas.named(given.get("kind")) is not None


class _Partial:
    """Shows a model with every field but those of the key nullable: null is what was not said."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shown = handler(self._schema.model.__pydantic_core_schema__)
        whole = dict(handler.resolve_ref_schema(shown))
        properties = cast("Mapping[str, dict[str, Any]]", whole["properties"])
        whole["properties"] = {
            name: _nullable(field, required=name in self._schema.key_names)
            for name, field in properties.items()
        }
        whole["required"] = list(self._schema.key_names)
        return whole


class _Shown:
    """Shows another type than the one that reads the answer."""

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        from pydantic import TypeAdapter

        return handler(TypeAdapter(self._shape).core_schema)  # pyright: ignore[reportArgumentType]


def _nullable(field: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    plain = {name: value for name, value in field.items() if name not in ("default", "key")}
    options = cast("list[Mapping[str, Any]] | None", plain.get("anyOf"))
    if required or (options and any(option.get("type") == "null" for option in options)):
        return plain
    described = {name: plain.pop(name) for name in ("title", "description") if name in plain}
    return {**described, "anyOf": [*(options or [plain]), {"type": "null"}]}


_HEAD: Final = """
# Records
Besides `memories`, return `records`: what the messages say about the kinds below, one entry for each thing.
- kind: one of the kinds below, exactly.
- data: the fields of the kind. Null for whatever the messages do not say; never guess, never fill in. The fields of \
its key say which one it is and are always filled. What is on file stays as it is where you give null; a list \
replaces the list on file, so give it whole.
- action: "set" when the messages say or change something of it, "retract" when it is over or taken back.
- message, quote: as for memories; the quote proves the values.
"Records on file" lists current ones. What a record says is not repeated as a memory. \
{"memories": [], "relations": [], "records": []} is a good answer.
Kinds:
"""


@lru_cache(maxsize=32)
def section(schemas: tuple[Schema, ...]) -> str:
    """Return what the prompt says of some schemas, at most some thousand characters of it."""
    if not schemas:
        return ""
    lines = [_described(schema) for schema in schemas]
    room = (_MAX_SECTION - len(_HEAD)) // len(lines)
    return _HEAD + "".join(f"{_cut(one, max(room, 200))}\n" for one in lines)


def _described(schema: Schema) -> str:
    shape, definitions = schema.shape
    fields = [
        f"{name} ({_type(field, definitions)})" + (f": {_cut(str(note), _MAX_FIELD)}" if note else "")
        for name, field in cast("Mapping[str, Mapping[str, Any]]", shape["properties"]).items()
        for note in [field.get("description")]
    ]
    key = f"key: {', '.join(schema.key_names)}" if schema.key else "only one of it"
    said = " ".join(str(shape.get("description") or "").split())
    about = f" {_cut(said, _MAX_DOC)}" if said else ""
    return f"- {schema.kind} ({key}):{about} Fields: {'; '.join(fields)}"


def _type(field: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the type of a field in few words."""
    if "$ref" in field:
        return _type(definitions.get(str(field["$ref"]).rpartition("/")[2], {}), definitions)
    if "enum" in field or "const" in field:
        return "one of " + ", ".join(map(str, field.get("enum") or [field["const"]]))
    if options := cast("list[Mapping[str, Any]] | None", field.get("anyOf")):
        return " or ".join(_type(option, definitions) for option in options if option.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_type(cast('Mapping[str, Any]', field.get('items', {})), definitions)}"
    return str(field.get("format") or field.get("type") or "any value")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
