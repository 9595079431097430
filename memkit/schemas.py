"""Typed memories: pydantic models of which one current record is kept per key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Final, cast
from unicodedata import normalize

from pydantic import AliasChoices, BaseModel, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo

from .errors import ConfigurationError, InvalidInputError, did_you_mean
from .types import KINDS

Data = dict[str, Any]
"""The values of a record, as JSON."""
Kinds = Iterable[str | type[BaseModel]] | str | type[BaseModel] | None
"""Kinds of memories: names, or the classes of schemas."""

_KIND: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MAX_TEXT: Final = 4_000


@dataclass(frozen=True, eq=False)
class Schema:
    """One model: its kind, the fields that make up its key, and what its records look like."""

    kind: str
    model: type[BaseModel]
    key: tuple[str, ...]
    """Names of fields; none: a scope has one current record of the kind."""

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """Names of fields and those that the model reads them by, as data has them: they differ by an alias."""
        return {name: _read_as(field) or name for name, field in self.model.model_fields.items()}

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        """The names that the fields of the key have in data."""
        return tuple(self.fields[name] for name in self.key)

    @cached_property
    def shape(self) -> tuple[Mapping[str, Any], Mapping[str, Mapping[str, Any]]]:
        """The JSON schema of the model, and what it refers to."""
        shape = self.model.model_json_schema()
        definitions = cast("Mapping[str, Mapping[str, Any]]", shape.get("$defs", {}))
        # A model that holds itself is one of its own definitions.
        return (definitions[shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape), definitions

    @cached_property
    def _choices(self) -> frozenset[str]:
        shape, definitions = self.shape
        fields = cast("Mapping[str, Mapping[str, Any]]", shape["properties"])
        return frozenset(name for name, field in fields.items() if _is_choice(field, definitions))

    @cached_property
    def _key_model(self) -> type[BaseModel]:
        """The model with nothing but its key to be given."""
        make: Any = create_model  # its types are for literals alone
        others = {name: (Any, None) for name in self.model.model_fields if name not in self.key}
        made: type[BaseModel] = make(self.model.__name__, __base__=self.model, **others)
        return made

    @cached_property
    def _written_as(self) -> Mapping[str, str]:
        """Names by which the model writes fields, where it reads them by others."""
        return {
            field.serialization_alias or field.alias or name: self.fields[name]
            for name, field in self.model.model_fields.items()
        }

    def is_choice(self, name: str) -> bool:
        """Return whether the values of a field, by its name in data, are among given ones."""
        return name in self._choices

    def checked(self, values: Mapping[str, Any]) -> Data:
        """Return values as the model has them, complete and as JSON.

        Raises:
            InvalidInputError: The model refuses them; it says which field and why, without the value.
        """
        try:
            return self.data_of(_made(self.model, values))
        except ValidationError as error:
            problems = [
                f"`{'.'.join(str(part) for part in problem['loc']) or self.kind}`: {problem['msg']}"
                for problem in error.errors(include_url=False, include_context=False, include_input=False)
            ]
            raise InvalidInputError(
                f"This is no {self.kind}: {'; '.join(problems[:5])}.", kind=self.kind
            ) from None
        except Exception as error:
            raise self._failed(error) from error

    def set_in(self, record: BaseModel) -> Data:
        """Return the values that a record was given, without those that its model filled in."""
        return self.data_of(record, exclude_unset=True)

    def data_of(self, record: BaseModel, *, exclude_unset: bool = False) -> Data:
        """Return a record's values as JSON that its model reads again, without those that it computes."""
        written = record.model_dump(mode="json", by_alias=True, round_trip=True, exclude_unset=exclude_unset)
        return {self._written_as.get(name, name): value for name, value in written.items()}

    def key_of(self, data: Mapping[str, Any]) -> list[Any]:
        """Return the values that make a record the same one, as its model has them, whatever their case and spacing."""
        given = {name: data[name] for name in self.key_names if name in data}
        for model, values in ((self._key_model, given), (self.model, data)) if given else ():
            # What the model refuses keeps the key that was given; `checked` says what is wrong with it.
            with suppress(Exception):
                given = self.data_of(_made(model, values))
                break
        return [_folded(given.get(name)) for name in self.key_names]

    def text_of(self, data: Mapping[str, Any]) -> str:
        """Return a record as one line: the model's own `__str__` where it has one, else its fields.

        Raises:
            InvalidInputError: The model's own code failed.
        """
        if self.model.__str__ is BaseModel.__str__:
            return self.line_of(data)
        try:
            own = " ".join(str(_made(self.model, data)).split())
        except Exception as error:
            raise self._failed(error) from error
        return own[:_MAX_TEXT] or self.line_of(data)

    def _failed(self, error: Exception) -> InvalidInputError:
        """Return the error for what the model's own code raises."""
        return InvalidInputError(
            f"The schema {_name(self.model)} failed on a record ({type(error).__name__}: {error}). Mend its validators "
            "and its `__str__`.",
            kind=self.kind,
        )

    def line_of(self, data: Mapping[str, Any]) -> str:
        """Return values, which need not be all of a record, as one line."""
        said = [
            f"{_words(name)} = {_plain(value)}"
            for name, value in data.items()
            if value not in (None, "", [], {})
        ]
        return f"{_words(self.kind)}: {'; '.join(said) or 'nothing'}"[:_MAX_TEXT]


class Schemas:
    """The schemas of a memory, by kind."""

    def __init__(self, models: Iterable[object] = ()) -> None:
        self._by_kind: dict[str, Schema] = {}
        for given in models:
            schema = _schema(given)
            other = self._by_kind.get(schema.kind)
            if other is not None:
                raise ConfigurationError(
                    f"The schemas {_name(other.model)} and {_name(schema.model)} have the same kind {schema.kind!r}. "
                    'Give one of them a name of its own: `kind: ClassVar[str] = "..."`.'
                )
            self._by_kind[schema.kind] = schema

    def __iter__(self) -> Iterator[Schema]:
        """Iterate over the schemas, in the order given."""
        return iter(self._by_kind.values())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_kind)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The built-in kinds, then those of the schemas."""
        return (*KINDS, *(kind for kind in self._by_kind if kind not in KINDS))

    def named(self, name: object) -> Schema | None:
        """Return the schema of a kind, a class name or a class."""
        if isinstance(name, str) and name in self._by_kind:
            return self._by_kind[name]
        return next((schema for schema in self if name in (schema.model, schema.model.__name__)), None)

    def of(self, record: object) -> Schema | None:
        """Return the schema that an object is a record of."""
        return self.named(type(record))

    def kind_of(self, field: str, value: object) -> str:
        """Return a kind that a caller named: a built-in one, a schema's kind, its class or the name of its class.

        Raises:
            InvalidInputError: There is none of the name.
        """
        if isinstance(value, str) and value in KINDS:
            return value
        schema = self.named(value)
        if schema is not None:
            return schema.kind
        shown = value.__name__ if isinstance(value, type) else value
        raise InvalidInputError(
            f"Unknown `{field}` {shown!r}.{did_you_mean(str(shown), self.kinds)} Known: {', '.join(self.kinds)}.",
            field=field,
        )

    def kind_added(self, kind: object, records: Sequence[Schema]) -> object:
        """Return the kind that a caller gives what is added, as it is, None where it follows from what it is.

        Raises:
            InvalidInputError: It is not that of the records, or it is that of a schema and given to texts.
        """
        if kind is None:
            return None
        schema = self.named(kind)
        if records and all(of is schema for of in records):
            return None
        if records or (schema is not None and schema.kind not in KINDS):
            raise InvalidInputError(
                f"`kind` {kind!r:.80} does not fit what is added: records have the kind of their schema, and texts one "
                f"of {', '.join(KINDS)}. Leave it out, and give a record as an object, such as "
                f"add({(schema or records[0]).model.__name__}(...), ...).",
                field="kind",
            )
        return kind


NO_SCHEMAS: Final = Schemas()


def _made(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    """Return the record of JSON values, which a strict model reads from JSON alone."""
    return model.model_validate_json(json.dumps(values))


def _read_as(field: FieldInfo) -> str | None:
    """Return the name by which a model reads a field, where it is not the field's own."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else None


def _is_choice(field: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> bool:
    if "$ref" in field:
        return _is_choice(definitions.get(str(field["$ref"]).rpartition("/")[2], {}), definitions)
    if options := cast("list[Mapping[str, Any]] | None", field.get("anyOf")):
        return all(option.get("type") == "null" or _is_choice(option, definitions) for option in options)
    if field.get("type") == "array" and isinstance(field.get("items"), Mapping):
        return _is_choice(cast("Mapping[str, Any]", field["items"]), definitions)
    return "enum" in field or "const" in field


def schemas_of(given: object) -> tuple[type[BaseModel], ...]:
    """Return what a configuration names: classes, or import paths such as `"my_app.memories:Pet"`.

    Raises:
        ConfigurationError: Something is no pydantic model, or cannot be imported.
    """
    if given is None:
        return ()
    if isinstance(given, str | type) or not isinstance(given, Iterable):
        raise ConfigurationError(
            f"`schemas` is a list of pydantic models or import paths, not {given!r:.80}. "
            f"Write `schemas=[{_name(given)}]`."
        )
    return tuple(
        _imported(one) if isinstance(one, str) else _model(one) for one in cast("Iterable[object]", given)
    )


def import_path(model: type[BaseModel]) -> str | None:
    """Return the path under which a model is imported again, None where there is none."""
    path = f"{model.__module__}:{model.__qualname__}"
    if "<locals>" in path or model.__module__ == "__main__":
        return None
    return path


def _imported(path: str) -> type[BaseModel]:
    module, _, name = path.partition(":")
    if not module or not name:
        raise ConfigurationError(
            f"The schema {path!r} is no import path. Write 'package.module:Class'.", field="schemas"
        )
    try:
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The schema {path!r} cannot be imported: {error}.", field="schemas"
        ) from error
    return _model(found)


def _model(given: object) -> type[BaseModel]:
    if isinstance(given, type) and issubclass(given, BaseModel) and given is not BaseModel:
        return given
    raise ConfigurationError(
        f"A schema is a class that derives from pydantic.BaseModel, not {given!r:.80}.", field="schemas"
    )


def _schema(given: object) -> Schema:
    model = _imported(given) if isinstance(given, str) else _model(given)
    kind = _class_variable(model, "kind", _snake(model.__name__))
    if not isinstance(kind, str) or not _KIND.fullmatch(kind) or kind == "message":
        raise ConfigurationError(
            f"The schema {_name(model)} cannot have the kind {kind!r}: lower-case letters, digits and `_`, and not "
            '"message". Give it another: `kind: ClassVar[str] = "..."`.',
            field="schemas",
        )
    if not model.model_fields or model.__pydantic_root_model__:
        raise ConfigurationError(
            f"The schema {_name(model)} has no fields of its own. Give it some, such as `values: list[str]`.",
            field="schemas",
        )
    try:
        model.model_json_schema()
    except PydanticUserError as error:
        raise ConfigurationError(
            f"The schema {_name(model)} cannot be described to a model: {str(error).splitlines()[0]}",
            field="schemas",
        ) from error
    return Schema(kind=kind, model=model, key=_key(model))


def _key(model: type[BaseModel]) -> tuple[str, ...]:
    extras = {name: cast("object", field.json_schema_extra) for name, field in model.model_fields.items()}
    marked = tuple(
        name
        for name, extra in extras.items()
        if isinstance(extra, Mapping) and cast("Mapping[str, object]", extra).get("key") is True
    )
    named: object = _class_variable(model, "memkit_key", None)
    if named is None:
        return marked
    names = (named,) if isinstance(named, str) else tuple(cast("Sequence[str]", named))
    for name in names:
        if name not in model.model_fields:
            raise ConfigurationError(
                f"`memkit_key` of {_name(model)} names {name!r}, which is no field."
                f"{did_you_mean(str(name), model.model_fields)} Fields: {', '.join(model.model_fields)}.",
                field="schemas",
            )
    return names


def _class_variable(model: type[BaseModel], name: str, default: object) -> object:
    return getattr(model, name) if name in model.__class_vars__ else default


def _name(model: object) -> str:
    return model.__name__ if isinstance(model, type) else repr(model)


def _snake(name: str) -> str:
    return _HUMP.sub("_", name).lower()


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in cast("list[object]", value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _folded(value: object) -> object:
    return " ".join(normalize("NFKC", value).casefold().split()) if isinstance(value, str) else value
