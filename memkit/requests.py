"""What callers pass, checked before anything is read or written: one function per kind of call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from .arguments import UNSET
from .bound import Bound
from .clock import Instant, as_of_us, to_us
from .errors import InvalidInputError, ScopeError, did_you_mean
from .schemas import Kinds
from .scope import ReadIds, ReadScope, Scope
from .types import KINDS, MESSAGE_STATUSES, ORIGINS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .engine.add_request import AddRequest, GivenRecord
    from .engine.change import UpdateRequest
    from .engine.conversations import KeepRequest, MessagesRequest
    from .engine.read import ListRequest, ScopesRequest
    from .engine.search import SearchRequest
    from .filters import Filter

MAX_KEY_LENGTH: Final = 512
_LONGEST_DELAY_S: Final = 86_400


def add_request(
    bound: Bound,
    messages: object,
    user_id: Any,
    agent_id: Any,
    run_id: Any,
    *,
    metadata: Mapping[str, Any] | None,
    infer: bool,
    kind: str | None = None,
    memory_type: str | None = None,
    prompt: str | None = None,
    origin: str | None = None,
    valid_from: Instant | None = None,
    expires_at: Instant | None = None,
    idempotency_key: str | None = None,
    background: bool = False,
    after_seconds: float | None = None,
    progress: bool = False,
) -> AddRequest:
    """Return a checked `add`.

    Raises:
        InvalidInputError: Something has the wrong shape; it names where.
        ScopeError: The scope is missing, blank or outside the handle's.
    """
    # By their full names: a relative import that is done again asks for its parent each time.
    from memkit.engine.add_request import AddRequest
    from memkit.extraction.messages import check_metadata, normalise

    scope = bound.write(user_id, agent_id, run_id)
    records = _records(bound, messages)
    items = [] if records else normalise(messages)
    for name, value in (("infer", infer), ("background", background), ("progress", progress)):
        _boolean(name, value)
    procedural = _procedural(memory_type, scope, infer=infer)
    return AddRequest(
        items=items,
        scopes=[_item_scope(scope, item.run_id, index) for index, item in enumerate(items)],
        scope=scope,
        metadata=check_metadata(metadata),
        infer=infer,
        kind=one_of("kind", bound.schemas.kind_added(kind, [one.schema for one in records]), KINDS),
        procedural=procedural,
        prompt=optional_text("prompt", prompt),
        origin=one_of("origin", origin, ORIGINS),
        valid_from=None if valid_from is None else to_us(valid_from, field="valid_from"),
        expires_at=None if expires_at is None else to_us(expires_at, field="expires_at", end_of_day=True),
        key=_key(idempotency_key),
        background=background,
        after_seconds=_delay(after_seconds, background=background),
        progress=progress,
        records=records,
    )


def _records(bound: Bound, given: object) -> list[GivenRecord]:
    """Return what was given as typed records, none where it is something else.

    Raises:
        InvalidInputError: Records and messages stand in one call.
    """
    if not len(bound.schemas):
        return []
    from .engine.add_request import GivenRecord

    items = list(cast("Sequence[object]", given)) if isinstance(given, list | tuple) else [given]
    found = [(schema, item) for item in items if (schema := bound.schemas.of(item)) is not None]
    if found and len(found) < len(items):
        raise InvalidInputError(
            "Typed records and messages stand in one call. Add the records by a call of their own.",
            field="messages",
        )
    return [
        GivenRecord(schema=schema, values=schema.set_in(cast("BaseModel", item))) for schema, item in found
    ]


def _delay(seconds: object, *, background: bool) -> float | None:
    if seconds is None:
        return None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0 <= seconds <= _LONGEST_DELAY_S
    ):
        raise InvalidInputError(
            f"`after_seconds` must be a number of seconds from 0 to {_LONGEST_DELAY_S:,}, not {seconds!r}.",
            field="after_seconds",
        )
    if not background:
        raise InvalidInputError(
            "`after_seconds` puts off work in the background. Pass `background=True` with it.",
            field="after_seconds",
        )
    return float(seconds)


def as_items(items: object) -> object:
    """Return what `add_many` was given as a list, where it is one; a text or a message alone stays as it is."""
    if (
        isinstance(items, str | Mapping | list | tuple)
        or hasattr(items, "content")
        or hasattr(items, "blocks")
    ):
        return cast("object", items)
    return list(cast("Iterable[object]", items)) if isinstance(items, Iterable) else items


def search_request(
    bound: Bound,
    query: object,
    user_id: ReadIds,
    agent_id: ReadIds,
    run_id: ReadIds,
    *,
    filters: Mapping[str, Any] | None,
    limit: int,
    threshold: float | None = None,
    rerank: bool | None = None,
    kinds: Kinds = None,
    as_of: Instant | None = None,
    explain: bool = False,
    allow_global: bool = False,
) -> SearchRequest:
    """Return a checked `search`."""
    from .engine.search import SearchRequest
    from .filters import memory_filter

    scope = bound.read(user_id, agent_id, run_id, allow_global=_boolean("allow_global", allow_global))
    if rerank is not None:
        _boolean("rerank", rerank)
    return SearchRequest(
        query=required_text("query", query),
        scope=scope,
        filter=memory_filter(filters),
        limit=positive("limit", limit),
        threshold=_share("threshold", threshold),
        rerank=rerank,
        kinds=_kinds(bound, kinds),
        as_of=None if as_of is None else as_of_us(as_of),
        explain=_boolean("explain", explain),
    )


def required_text(field: str, value: object) -> str:
    """Return a text that holds something.

    Raises:
        InvalidInputError: It is no text, or blank.
    """
    if not isinstance(value, str):
        raise InvalidInputError(
            f"`{field}` must be a text, not {type(value).__name__}: {value!r:.80}.", field=field
        )
    if not value.strip():
        raise InvalidInputError(f"`{field}` is blank. Give a text.", field=field)
    return _storable(field, value)


def optional_text(field: str, value: object) -> str | None:
    """Return a text that holds something, or None."""
    return None if value is None else required_text(field, value)


def memory_id_of(value: object) -> str:
    """Return a memory's id as text."""
    if value is None or isinstance(value, list | tuple | dict | set | bool) or not str(value).strip():
        raise InvalidInputError(f"`memory_id` must be one id, not {value!r:.80}.", field="memory_id")
    return _storable("memory_id", str(value))


def _storable(field: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"`{field}` holds a lone surrogate, which no text may: {text!r:.80}. Give well-formed Unicode.",
            field=field,
        ) from error
    return text


def positive(field: str, value: object) -> int:
    """Return a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInputError(
            f"`{field}` must be a whole number of at least 1, not {value!r}.", field=field
        )
    return value


def one_of(field: str, value: object, known: Iterable[str]) -> Any:
    """Return a word of a closed list, or None."""
    if value is None:
        return None
    names = list(known)
    if value in names:
        return value
    raise InvalidInputError(
        f"Unknown `{field}` {value!r}.{did_you_mean(str(value), names)} Known: {', '.join(names)}.",
        field=field,
    )


def _kinds(bound: Bound, value: Kinds) -> frozenset[str] | None:
    if value is None:
        return None
    wanted = [value] if isinstance(value, type) else _texts("kinds", value)
    if not wanted:
        raise InvalidInputError(
            "`kinds` is an empty list. Name at least one kind, or leave it out.", field="kinds"
        )
    return frozenset(bound.schemas.kind_of("kinds", kind) for kind in wanted)


def _share(field: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidInputError(f"`{field}` must be a number from 0 to 1, not {value!r}.", field=field)
    return float(value)


def _boolean(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"`{field}` must be True or False, not {value!r}.", field=field)
    return value


def _key(value: object) -> str | None:
    if value is None:
        return None
    text = required_text("idempotency_key", value)
    if len(text) > MAX_KEY_LENGTH:
        raise InvalidInputError(
            f"`idempotency_key` has {len(text)} characters; at most {MAX_KEY_LENGTH} are kept."
        )
    return text


def _procedural(memory_type: str | None, scope: Scope, *, infer: bool) -> bool:
    if memory_type is None:
        return False
    one_of("memory_type", memory_type, ["procedural_memory"])
    if scope.agent_id is None:
        raise ScopeError(
            "A procedure belongs to an agent: pass `agent_id=` with memory_type='procedural_memory'."
        )
    if not infer:
        raise InvalidInputError(
            "A procedure is summarised by a model: leave `infer` on with 'procedural_memory'."
        )
    return True


def _item_scope(scope: Scope, run_id: str | None, index: int) -> Scope:
    if run_id is None or run_id == scope.run_id:
        return scope
    if scope.run_id is not None:
        raise ScopeError(
            f"messages[{index}] belongs to run {run_id!r}, but the call is for run {scope.run_id!r}. Leave `run_id` "
            "out of the call to let each message name its own.",
            index=index,
        )
    return Scope(user_id=scope.user_id, agent_id=scope.agent_id, run_id=run_id)


def list_request(
    bound: Bound,
    user_id: ReadIds,
    agent_id: ReadIds,
    run_id: ReadIds,
    filters: Mapping[str, Any] | None,
    limit: int,
    cursor: str | None,
    as_of: Instant | None,
    include_closed: bool,
    allow_global: bool,
    kinds: Kinds = None,
) -> ListRequest:
    """Return a checked `get_all` or `count`."""
    from .engine.read import ListRequest
    from .filters import memory_filter

    return ListRequest(
        scope=bound.read(user_id, agent_id, run_id, allow_global=_boolean("allow_global", allow_global)),
        filter=_of_kinds(_kinds(bound, kinds), memory_filter(filters)),
        limit=positive("limit", limit),
        cursor=optional_text("cursor", cursor),
        as_of=None if as_of is None else as_of_us(as_of),
        include_closed=_boolean("include_closed", include_closed),
    )


def _of_kinds(kinds: frozenset[str] | None, given: Filter | None) -> Filter | None:
    """Return a filter that some kinds have to pass too."""
    from .filters import And, Compare

    if kinds is None:
        return given
    only = Compare("kind", "in", sorted(kinds))
    return only if given is None else And((only, given))


def keep_request(
    bound: Bound,
    messages: object,
    user_id: Any,
    agent_id: Any,
    run_id: Any,
    metadata: Mapping[str, Any] | None,
    *,
    replace: bool,
) -> KeepRequest:
    """Return a checked `keep`."""
    from .engine.conversations import KeepRequest
    from .extraction.messages import check_metadata, normalise

    scope = bound.write(user_id, agent_id, run_id)
    items = [] if messages in ([], ()) else normalise(messages, keeping=True)
    return KeepRequest(
        items=items,
        scopes=[_item_scope(scope, item.run_id, index) for index, item in enumerate(items)],
        scope=scope,
        read=bound.read(user_id, agent_id, run_id),
        metadata=check_metadata(metadata),
        replace=_boolean("replace", replace),
    )


def messages_request(
    bound: Bound,
    user_id: ReadIds,
    agent_id: ReadIds,
    run_id: ReadIds,
    limit: int | None,
    before: object,
    offset: int,
    status: object,
    ids: object,
) -> MessagesRequest:
    """Return checked `messages`; `before` stays a text where it may be a message's id or an instant."""
    from .engine.conversations import MessagesRequest

    scope = bound.read(user_id, agent_id, run_id)
    if isinstance(before, str):
        # An id may look like a date ("20240101"): the engine asks the ledger first.
        point = required_text("before", before)
    else:
        point = None if before is None else to_us(cast("Instant", before), field="before")
    if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"`offset` must be a number from 0, not {offset!r}.", field="offset")
    return MessagesRequest(
        scope=scope,
        limit=None if limit is None else positive("limit", limit),
        before=point,
        offset=offset,
        statuses=_statuses(status),
        ids=None if ids is None else [required_text("ids", one) for one in _texts("ids", ids)],
    )


def message_status(status: object) -> str:
    """Return a status of turns."""
    return one_of("status", required_text("status", status), MESSAGE_STATUSES) or "active"


def _statuses(status: object) -> list[str]:
    given = list(MESSAGE_STATUSES) if status is None else _texts("status", status)
    return [message_status(one) for one in given]


def _texts(field: str, value: object) -> list[object]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Iterable):
        raise InvalidInputError(f"`{field}` must be a text or a list of texts, not {value!r}.", field=field)
    return list(cast("Iterable[object]", value))


def runs_request(
    bound: Bound,
    user_id: ReadIds,
    agent_id: ReadIds,
    run_id: ReadIds,
    limit: int | None,
    after: str | None,
    allow_global: bool,
) -> tuple[ReadScope, int | None, str | None]:
    """Return scope, limit and the id after which runs are wanted."""
    scope = bound.read(user_id, agent_id, run_id, allow_global=_boolean("allow_global", allow_global))
    return scope, None if limit is None else positive("limit", limit), optional_text("after", after)


def scopes_request(
    bound: Bound, kind: str, prefix: str | None, limit: int, cursor: str | None, allow_global: bool
) -> ScopesRequest:
    """Return a checked `scopes`."""
    from .engine.read import ScopesRequest

    bound.refuse("scopes")
    if not _boolean("allow_global", allow_global):
        raise ScopeError("`scopes` reads across users; it needs `allow_global=True`.")
    return ScopesRequest(
        kind=one_of("kind", kind, ["user", "agent", "run"]) or "user",
        prefix=optional_text("prefix", prefix),
        limit=positive("limit", limit),
        cursor=optional_text("cursor", cursor),
    )


def update_request(
    memory_id: object,
    text: object,
    metadata: object,
    valid_until: object,
    expires_at: object,
    pinned: object,
    data: object,
) -> UpdateRequest:
    """Return a checked `update`."""
    from .engine.change import UpdateRequest
    from .extraction.messages import check_metadata, normalise

    if text is not None and data is not None:
        raise InvalidInputError("`text` and `data` are the same argument; pass `text`.", field="data")
    values: dict[str, Any] = {}
    given = data if text is None else text
    if given is not None:
        values["text"] = normalise(required_text("text", given))[0].text
    if valid_until is not UNSET:
        values["valid_until"] = _instant_or_none("valid_until", valid_until)
    if expires_at is not UNSET:
        values["expires_at"] = _instant_or_none("expires_at", expires_at)
    if pinned is not UNSET:
        values["pinned"] = _boolean("pinned", pinned)
    if not values and metadata is UNSET:
        raise InvalidInputError(
            "Nothing to update: pass `text`, `metadata`, `valid_until`, `expires_at` or `pinned`."
        )
    return UpdateRequest(
        memory_id=memory_id_of(memory_id),
        set=values,
        metadata=None if metadata is UNSET or metadata is None else check_metadata(metadata),
        clear_metadata=metadata is None,
    )


def forget_request(
    bound: Bound, user_id: ReadIds, agent_id: ReadIds, run_id: ReadIds, memory_id: object, allow_global: bool
) -> tuple[ReadScope | None, str | None]:
    """Return what to erase: a scope, or one memory."""
    named = any(value is not None for value in (user_id, agent_id, run_id)) or allow_global
    if memory_id is not None:
        if named:
            raise ScopeError("`forget` takes a scope or a `memory_id`, not both.")
        return None, memory_id_of(memory_id)
    if bound.scope is not None and not named:
        return bound.read(None, None, None), None
    return bound.read(user_id, agent_id, run_id, allow_global=_boolean("allow_global", allow_global)), None


def _instant_or_none(field: str, value: object) -> int | None:
    return None if value is None else to_us(cast("Instant", value), field=field, end_of_day=True)
