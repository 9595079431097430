"""What a model may say, one model per tool; an id of a user, an agent or a run is never among it.

Nullable arguments mean their default when they are null: strict schemas make a model send every argument.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, WithJsonSchema

from memkit.extraction.marks import strip_recalled

MAX_BYTES: Final = 20_000
"""UTF-8 bytes that the text of one call may have."""
MAX_TEXTS: Final = 100
"""Texts that one call may store."""
DEFAULT_LIMIT: Final = 5
"""Results of a search that names no limit: what a reader takes in."""


def _text(value: str) -> str:
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ValueError("is not well-formed Unicode; send it again without broken characters") from error
    if size > MAX_BYTES:
        raise ValueError(f"is over {MAX_BYTES // 1000} kB; send something shorter")
    if not value.strip():
        raise ValueError("is blank; send some words")
    return value


def _fact(value: str) -> str:
    """Return a text to be stored, without what was recalled before: memkit would not store that again."""
    fact = strip_recalled(_text(value))
    if not fact.strip():
        raise ValueError("holds only recalled memories, which are saved already")
    return fact


def _texts(value: Any) -> list[str]:
    """Return one text or several as a list; all of them are good, or the call is refused."""
    given = cast("list[Any]", value) if isinstance(value, list | tuple) else [value]
    if not given or not all(isinstance(item, str) for item in given):
        raise ValueError("must be a string")
    if len(given) > MAX_TEXTS:
        raise ValueError(f"has over {MAX_TEXTS} entries; send fewer")
    texts = [_fact(cast("str", item)) for item in given]
    if sum(len(text.encode("utf-8")) for text in texts) > MAX_BYTES:
        raise ValueError(f"is over {MAX_BYTES // 1000} kB in all; send fewer entries")
    return texts


def _limit(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise ValueError("must be at least 1")
    return value


Text = Annotated[str, AfterValidator(_text)]
Fact = Annotated[str, AfterValidator(_fact)]
Texts = Annotated[list[str], PlainValidator(_texts), WithJsonSchema({"type": "string"})]
Limit = Annotated[int | None, AfterValidator(_limit)]

_ID: Final = "Id in brackets."


class SearchMemories(BaseModel):
    """Arguments of `search_memories`."""

    query: Text = Field(description="About one topic.")
    limit: Limit = Field(default=None, description=f"Default {DEFAULT_LIMIT}.")


class AddMemory(BaseModel):
    """Arguments of `add_memory`."""

    text: Texts = Field(description="The fact.")


class UpdateMemory(BaseModel):
    """Arguments of `update_memory`."""

    memory_id: Text = Field(description=_ID)
    text: Fact = Field(description="New text.")


class DeleteMemory(BaseModel):
    """Arguments of `delete_memory`."""

    memory_id: Text = Field(description=_ID)


class GetMemories(BaseModel):
    """Arguments of `get_memories`."""

    limit: Limit = Field(default=None, description="Default 20.")
    cursor: Text | None = Field(
        default=None, description="Cursor of the page before; null for the first page."
    )


class GetMemory(BaseModel):
    """Arguments of `get_memory`."""

    memory_id: Text = Field(description=_ID)


class GetMemoryHistory(BaseModel):
    """Arguments of `get_memory_history`."""

    memory_id: Text = Field(description=_ID)


class DeleteAllMemories(BaseModel):
    """Arguments of `delete_all_memories`: none."""
