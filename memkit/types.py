"""The public data: what goes in and what comes out.

Results are pydantic models that also answer like dictionaries, so code written for mem0
(`result["results"][0]["memory"]`) keeps working.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field

from .formats import anthropic_blocks, langchain_messages, llama_index_messages, openai_messages

Kind = Literal["fact", "preference", "instruction", "event", "procedure", "message", "summary"]
KINDS: tuple[str, ...] = ("fact", "preference", "instruction", "event", "procedure", "message", "summary")
Role = Literal["user", "assistant", "system", "tool"]
Origin = Literal["user", "assistant", "tool", "document", "operator"]
ORIGINS: tuple[str, ...] = ("user", "assistant", "tool", "document", "operator")
EventName = Literal["ADD", "UPDATE", "SUPERSEDE", "DELETE", "RESTORE", "EXPIRE", "FORGET"]
OutcomeName = Literal["ADD", "UPDATE", "SUPERSEDE", "DELETE", "NONE", "REJECT"]
MessageStatus = Literal["active", "archived", "deleted"]
MESSAGE_STATUSES: tuple[str, ...] = ("active", "archived", "deleted")


class Model(BaseModel):
    """A public model that also answers `model["field"]`, `.get`, `in`, `.keys()` and `.items()`."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    _mem0: ClassVar[Mapping[str, str]] = {}
    """mem0's keys for what has another name here."""

    def __getitem__(self, key: str) -> Any:
        """Return a field as a dictionary would, under mem0's key too."""
        if key in self:
            return getattr(self, self._mem0.get(key, key))
        names = ", ".join(dict.fromkeys((*type(self).model_fields, *self._mem0)))
        raise KeyError(f"{key!r} is no field of {type(self).__name__}. It has: {names}.")

    def get(self, key: str, default: Any = None) -> Any:
        """Return a field, or the default where there is none."""
        return getattr(self, self._mem0.get(key, key)) if key in self else default

    def __contains__(self, key: object) -> bool:
        """Return whether there is a field of that name."""
        return key in type(self).model_fields or key in self._mem0

    def keys(self) -> Iterator[str]:
        """Return the names of the fields."""
        return iter(type(self).model_fields)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Return names and values."""
        return ((name, getattr(self, name)) for name in type(self).model_fields)


Tokenizer = str | Callable[[str], int]
"""What counts tokens: a function; the name of a table or of a model that has one on this machine; `estimate`."""

M = TypeVar("M", bound=Model)
_set = object.__setattr__
_names: dict[type[Model], set[str]] = {}
"""Every field of a model, once one was made."""


def unchecked(model: type[M], values: dict[str, Any]) -> M:
    """Return a model of values that are known to be right: every field, each of its type.

    Like `model_construct`, without its look at every field: a search makes fifty memories in a few microseconds each.
    """
    names = _names.get(model)
    if names is None:
        names = _names[model] = set(values)
    made = model.__new__(model)
    _set(made, "__dict__", values)
    _set(made, "__pydantic_fields_set__", names.copy())
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


class ScopeIds(Model):
    """The ids a record is stored under."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None


class Source(Model):
    """Where a memory comes from."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    quote: str | None = None


class Entity(Model):
    """A thing that a memory names."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str = "thing"


class Relation(Model):
    """An edge between two entities."""

    source: str
    relation: str
    target: str
    source_kind: str | None = None
    target_kind: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    memory_ids: list[str] = Field(default_factory=list[str])

    _mem0: ClassVar[Mapping[str, str]] = {"relationship": "relation", "destination": "target"}


class GraphEntity(Model):
    """An entity that memories name; one that none names is false."""

    name: str
    kind: str = "thing"
    aliases: list[str] = Field(default_factory=list[str])
    """Other names of it, by text."""
    relations: int = 0
    """How many relations it is an end of."""
    memory_ids: list[str] = Field(default_factory=list[str])
    """The memories that name it, by id."""

    def __bool__(self) -> bool:
        """Return whether a memory names it."""
        return bool(self.memory_ids)


class GraphEntityPage(Model):
    """One page of entities; `next_cursor` is None on the last."""

    results: list[GraphEntity] = Field(default_factory=list[GraphEntity])
    next_cursor: str | None = None


class MemoryItem(Model):
    """One memory."""

    id: str
    memory: str
    kind: str = "fact"
    """One of `KINDS`, or the kind of a schema."""
    score: float | None = None
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    version: int = 1
    created_at: datetime
    updated_at: datetime
    valid_from: datetime
    valid_until: datetime | None = None
    expires_at: datetime | None = None
    actor_id: str | None = None
    role: str | None = None
    origin: Origin = "user"
    sources: list[Source] = Field(default_factory=list[Source])
    entities: list[Entity] = Field(default_factory=list[Entity])
    pinned: bool = False
    data: dict[str, Any] | None = None
    """The fields of a typed record, `Schema.model_validate(item.data)`; None for any other memory."""

    @property
    def scope(self) -> ScopeIds:
        """The ids this memory is stored under."""
        return ScopeIds(user_id=self.user_id, agent_id=self.agent_id, run_id=self.run_id)


class Message(Model):
    """One turn of a conversation, kept as it came."""

    id: str
    seq: int
    role: str
    content: str | list[dict[str, Any]]
    name: str | None = None
    created_at: datetime
    status: MessageStatus = "active"
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    payload: dict[str, Any] | None = None
    """What `keep` was given to come back with it."""

    @property
    def text(self) -> str:
        """The words alone."""
        if isinstance(self.content, str):
            return self.content
        parts = [block.get("text") for block in self.content if isinstance(block.get("text"), str)]
        return "\n".join(cast("list[str]", parts))


class HistoryEvent(Model):
    """One change of one memory: what it was, what it became, why, by whom, when."""

    seq: int
    operation_id: str
    memory_id: str
    event: EventName
    before: MemoryItem | None = None
    after: MemoryItem | None = None
    reason: str | None = None
    actor: str | None = None
    at: datetime

    @property
    def old_memory(self) -> str | None:
        """The text before (mem0's word)."""
        return self.before.memory if self.before else None

    @property
    def new_memory(self) -> str | None:
        """The text after (mem0's word)."""
        return self.after.memory if self.after else None

    _mem0: ClassVar[Mapping[str, str]] = {"old_memory": "old_memory", "new_memory": "new_memory"}


class Usage(Model):
    """What an operation cost."""

    llm_calls: int = 0
    embedding_calls: int = 0
    input_tokens: int = 0
    """All that models read, out of a prompt cache too."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    """Of the input: what came out of the vendor's prompt cache."""
    cache_write_tokens: int = 0
    """Of the input: what went into it."""
    embedding_tokens: int = 0

    def plus(self, other: Usage) -> Usage:
        """Return the sum."""
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields})


class AddOutcome(Model):
    """What became of one input or one extracted memory.

    `id` is None only for a rejected or ignored item that has no record.
    """

    id: str | None = None
    memory: str
    event: OutcomeName
    previous_memory: str | None = None
    reason: str | None = None
    actor_id: str | None = None
    role: str | None = None


class AddResult(Model):
    """The outcome of an `add`; with `infer=False` one outcome per input, in order."""

    results: list[AddOutcome] = Field(default_factory=list[AddOutcome])
    relations: list[Relation] = Field(default_factory=list[Relation])
    operation_id: str
    pending: list[str] = Field(default_factory=list[str])
    usage: Usage = Field(default_factory=Usage)


class SearchResult(Model):
    """Memories found, best first; scores never rise along the list."""

    results: list[MemoryItem] = Field(default_factory=list[MemoryItem])
    relations: list[Relation] = Field(default_factory=list[Relation])
    answerable: float | None = None
    warnings: list[str] = Field(default_factory=list[str])
    usage: Usage = Field(default_factory=Usage)
    explain: list[dict[str, Any]] | None = None


class Page(Model):
    """One page of a listing; `next_cursor` is None on the last."""

    results: list[MemoryItem] = Field(default_factory=list[MemoryItem])
    relations: list[Relation] = Field(default_factory=list[Relation])
    """What these memories say, where a graph is kept."""
    next_cursor: str | None = None


class ChangeResult(Model):
    """What `update`, `delete`, `delete_all` and `undo` did."""

    message: str
    operation_id: str
    count: int = 0
    ids: list[str] = Field(default_factory=list[str])
    pending: list[str] = Field(default_factory=list[str])


class ForgetReceipt(Model):
    """Proof of an erasure: counts only, no text."""

    operation_id: str
    memories: int = 0
    messages: int = 0
    events: int = 0
    jobs: int = 0
    results: int = 0
    indexes: dict[str, str] = Field(default_factory=dict[str, str])
    """For each index: `erased from file`, `points deleted` or `pending`. The ledger's file is pending while another
    reader keeps its log in use: the last bytes go with the next `repair`, `close`, open or erasure."""
    at: datetime


class OwnerInfo(Model):
    """One owner of memories."""

    kind: Literal["user", "agent", "run"]
    id: str
    memories: int
    messages: int
    last_change: datetime | None = None


class ScopePage(Model):
    """One page of owners."""

    results: list[OwnerInfo] = Field(default_factory=list[OwnerInfo])
    next_cursor: str | None = None


class Context(Model):
    """Memories packed into a token budget, ready for a prompt; `str(context)` is the text."""

    stable: str = ""
    """Standing instructions and preferences; the same bytes from turn to turn while they do not change."""
    evidence: str = ""
    """What this query found."""
    memories: list[MemoryItem] = Field(default_factory=list[MemoryItem])
    tokens: int = 0
    """Of the whole text, as `tokenizer` counts."""
    tokenizer: str = ""
    """What counted: a table (`cl100k_base`), `estimate` (its own error added), or `yours`."""
    warnings: list[str] = Field(default_factory=list[str])

    def __str__(self) -> str:
        """Return the stable part, then the evidence."""
        return "\n\n".join(self.parts)

    @property
    def parts(self) -> list[str]:
        """The stable part and the evidence, without the one that is empty."""
        return [part for part in (self.stable, self.evidence) if part]

    def to_openai(self, *, role: Literal["system", "developer", "user"] = "system") -> list[dict[str, Any]]:
        """Return one chat message per part, for OpenAI and every API that takes its messages."""
        return openai_messages(self.parts, role)

    def to_anthropic(self, *, cache: bool = True) -> list[dict[str, Any]]:
        """Return one text block per part, for Anthropic's `system=`.

        Args:
            cache: Tell the prompt cache to keep the stable part; a request may hold four such marks.
        """
        return anthropic_blocks(self.parts, cached=1 if cache and self.stable else 0)

    def to_langchain(self) -> list[Any]:
        """Return a LangChain `SystemMessage` with a text block per part, in a list that is empty without any.

        Raises:
            MissingDependencyError: LangChain is not installed.
        """
        return langchain_messages(self.parts)

    def to_llama_index(self) -> list[Any]:
        """Return one LlamaIndex system `ChatMessage` per part.

        Raises:
            MissingDependencyError: LlamaIndex is not installed.
        """
        return llama_index_messages(self.parts)


class Stats(Model):
    """Counts and sizes of a store."""

    location: str
    memories: int = 0
    messages: int = 0
    owners: int = 0
    events: int = 0
    unfinished: int = 0
    """Extractions that are not finished."""
    pending: dict[str, int] = Field(default_factory=dict[str, int])
    """Changes that an index still has to follow."""
    bytes: int | None = None
    schema_version: int | None = None
    embedder: str | None = None
    dim: int | None = None
    stored_items: int = 0
    """Items of the key-value store."""


class Health(Model):
    """For every part what was chosen, why, and what is wrong with it."""

    ok: bool
    location: str
    chosen: dict[str, str] = Field(default_factory=dict[str, str])
    problems: dict[str, str] = Field(default_factory=dict[str, str])
    pending: dict[str, int] = Field(default_factory=dict[str, int])
    hints: list[str] = Field(default_factory=list[str])


class ImportResult(Model):
    """What taking memories in from elsewhere did, or would do."""

    dry_run: bool = False
    found: int = 0
    """Records that the source holds."""
    imported: int = 0
    """Memories stored, or to be stored."""
    present: int = 0
    """Memories that were there already."""
    conflicts: list[str] = Field(default_factory=list[str])
    """Ids of what is there with other content, and was left as it is."""
    skipped: dict[str, str] = Field(default_factory=dict[str, str])
    """Ids of records that are no whole memories, and why; nothing is invented for them."""
    vectors: Literal["kept", "new"] = "kept"
    """Whether the source's vectors were taken over, or the texts embedded anew."""
    operations: list[str] = Field(default_factory=list[str])
    pending: list[str] = Field(default_factory=list[str])
    """Indexes that lag behind."""


class RepairReport(Model):
    """What a repair did."""

    finished: list[str] = Field(default_factory=list[str])
    """Operations whose extraction is finished now."""
    failed: dict[str, str] = Field(default_factory=dict[str, str])
    """Operations that still fail, and why."""
    expired: int = 0
    pending: list[str] = Field(default_factory=list[str])
    """Indexes that still lag behind, and the ledger while an erasure waits for readers of its file."""
    recovered: ImportResult | None = None
    """What was taken from the index, with `from_index=True`."""
