"""Whose memories: a typed predicate that nothing a caller, a filter or a model writes can widen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from .errors import ScopeError

IdLike = str | int | object
"""An id of any type; it becomes its `str`."""
ReadIds = IdLike | Sequence[IdLike | None] | None
"""In reads an id, or a list of ids in which None means "stored without"."""

SCOPE_FIELDS: Final = ("user_id", "agent_id", "run_id")


class Owner(NamedTuple):
    """The one a record belongs to: its user, else its agent, else its run."""

    kind: str
    """`user`, `agent` or `run`."""
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The ids a record is stored under; they are compared exactly."""

    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None

    @property
    def owner(self) -> Owner:
        """The owner of records stored under this scope."""
        if self.user_id is not None:
            return Owner(kind="user", id=self.user_id)
        if self.agent_id is not None:
            return Owner(kind="agent", id=self.agent_id)
        if self.run_id is not None:
            return Owner(kind="run", id=self.run_id)
        raise ScopeError(_MISSING)

    def as_dict(self) -> dict[str, str]:
        """Return the ids that are set."""
        return {name: value for name in SCOPE_FIELDS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadScope:
    """What a read may see: every given part must hold of a record.

    `users` is the user's id; None means "only records stored without a user", unless `everyone`.
    `agents` and `runs` are sets in which None means "stored without"; None itself means any.
    """

    user_id: str | None = None
    agents: frozenset[str | None] | None = None
    runs: frozenset[str | None] | None = None
    everyone: bool = False
    """Across all users; only `allow_global=True` makes one."""

    def allows(self, user_id: str | None, agent_id: str | None, run_id: str | None) -> bool:
        """Return whether a record stored under these ids is inside the scope."""
        return (
            (self.everyone or user_id == self.user_id)
            and (self.agents is None or agent_id in self.agents)
            and (self.runs is None or run_id in self.runs)
        )


def whole_scope(owner: Owner) -> ReadScope:
    """Return the scope of everything that an owner has."""
    alone = frozenset[str | None]((owner.id,))
    if owner.kind == "user":
        return ReadScope(user_id=owner.id)
    return (
        ReadScope(agents=alone) if owner.kind == "agent" else ReadScope(agents=frozenset((None,)), runs=alone)
    )


_CONTAINERS: Final = (list, tuple, set, frozenset, dict, bool, bytes)
_MISSING = (
    'No scope was given. Pass `user_id=`, `agent_id=` or `run_id=`, for example `user_id="alice"` '
    "(`filters=` narrows a scope and never chooses one); to work across all users pass "
    "`allow_global=True` where the method has it."
)


def write_scope(user_id: IdLike | None, agent_id: IdLike | None, run_id: IdLike | None) -> Scope:
    """Return the scope to store under.

    Raises:
        ScopeError: No id was given, an id is blank, or an id is a list.
    """
    scope = Scope(
        user_id=one_id(user_id, "user_id"),
        agent_id=one_id(agent_id, "agent_id"),
        run_id=one_id(run_id, "run_id"),
    )
    if scope.user_id is None and scope.agent_id is None and scope.run_id is None:
        raise ScopeError(_MISSING)
    return scope


def read_scope(
    user_id: ReadIds, agent_id: ReadIds, run_id: ReadIds, *, allow_global: bool = False
) -> ReadScope:
    """Return the scope to read in.

    Raises:
        ScopeError: No id was given without `allow_global`, or an id is blank.
    """
    if user_id is None and agent_id is None and run_id is None and not allow_global:
        raise ScopeError(_MISSING)
    user = one_id(user_id, "user_id")
    return ReadScope(
        user_id=user,
        agents=_id_set(agent_id, "agent_id"),
        runs=_id_set(run_id, "run_id"),
        everyone=allow_global and user is None,
    )


def one_id(value: object, field: str) -> str | None:
    """Return one id as text, exactly as written.

    Raises:
        ScopeError: It is blank, a container, or not text that can be stored.
    """
    if value is None:
        return None
    if isinstance(value, _CONTAINERS):
        raise ScopeError(
            f"`{field}` must be one id, not {type(cast('object', value)).__name__}: {value!r}."
            + (
                " Lists work for `agent_id` and `run_id` in reads." if isinstance(value, list | tuple) else ""
            ),
            field=field,
        )
    text = str(value)
    if not text.strip():
        raise ScopeError(f"`{field}` is blank. Pass a non-empty id, or leave it out.", field=field)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ScopeError(
            f"`{field}` holds a lone surrogate, which cannot be stored: {text!r}.", field=field
        ) from error
    return text


def _id_set(value: ReadIds, field: str) -> frozenset[str | None] | None:
    if value is None:
        return None
    if isinstance(value, list | tuple | set | frozenset):
        if not value:
            raise ScopeError(
                f"`{field}` is an empty list. Name at least one id, or leave it out.", field=field
            )
        return frozenset(one_id(item, field) for item in cast("Iterable[object]", value))
    return frozenset((one_id(value, field),))
