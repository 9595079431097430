"""What of a request to a chat API is a turn, and by what id it is known when it is sent again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, cast

from ..waiting import Ids

Content = str | list[dict[str, Any]]
Request = dict[str, Any]
"""The arguments of a call of the SDK."""

_WORDS: Final = frozenset({"text", "input_text", "output_text"})


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a request; system messages are none."""

    by: Literal["user", "assistant", "tools"]
    """`tools` are the model's calls of tools and their results: what lies between a question and its answer."""
    content: Content = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as the memory sees it."""

    said: Sequence[Said] = ()
    after: str | None = None
    """The response that the provider continues from."""
    conversation: str | None = None
    """The conversation that the provider keeps."""

    @property
    def last(self) -> int:
        """The place of the user's last message, or -1."""
        return max((at for at, one in enumerate(self.said) if one.by == "user"), default=-1)

    @property
    def start(self) -> int:
        """The place behind the last answer that the user's last message follows."""
        answers = (at for at, one in enumerate(self.said) if one.by == "assistant" and at < self.last)
        return 1 + max(answers, default=-1)

    @property
    def unanswered(self) -> list[Content]:
        """What the user said since the last answer."""
        return [one.content for one in self.said[self.start : self.last + 1] if one.by == "user"]

    @property
    def continues(self) -> bool:
        """Whether the turn has begun with an earlier request, as it does while tools are called."""
        return self.last < len(self.said) - 1

    @property
    def before(self) -> str | None:
        """A digest of the conversation up to the turn, or None where the request says nothing of it."""
        history = [[one.by, one.content] for one in self.said[: self.start] if one.by != "tools"]
        return digest([self.after, history]) if history or self.after else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model answered."""

    text: str = ""
    final: bool = True
    """Whether the turn ends with it; one that calls tools does not end it."""
    failed: bool = False
    id: str | None = None
    """What the provider calls the response, where a request can continue from it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Turn:
    """What is remembered of one question and its answer, and what was recalled for it."""

    ids: Ids
    said: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The user's messages as `Memory.add` takes them."""
    conversation: str | None = None
    recalled: tuple[str, ...] = ()


class Observer(Protocol):
    """What puts an answer together from the events of a stream."""

    def see(self, event: Any) -> Answer | None:
        """Take one event; return the answer with the event that ends it."""
        ...


class Shape(Protocol):
    """How one chat API asks and answers."""

    field: str
    """The argument that holds the messages."""

    def asked(self, request: Request) -> Asked:
        """Return what a request asks."""
        ...

    def informed(self, request: Request, texts: Sequence[str]) -> Request:
        """Return a request with texts behind its own system prompt; the given one is left as it is."""
        ...

    def answer(self, response: Any) -> Answer:
        """Return what a whole response answers."""
        ...

    def observer(self) -> Observer:
        """Return what reads a stream."""
        ...


def turn_ids(ids: Ids, before: str | None, contents: Iterable[Content]) -> list[str]:
    """Return the id of each of the user's messages: it says what it is, whose, and what it follows."""
    found: list[str] = []
    for content in contents:
        before = digest([sorted(ids.items()), before, content])
        found.append(before)
    return found


def digest(value: object) -> str:
    """Return a short name for a JSON value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]


# Reading what an SDK takes and returns: dicts and objects alike.


def get(value: object, name: str) -> Any:
    """Return a field of a dict or an object, None where it has none."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    return getattr(value, name, None)


def items(value: object) -> list[Any]:
    """Return a list's items, none where it is no list."""
    return list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else []


def kind(block: object) -> str:
    """Return the `type` of a block or an item."""
    return str(get(block, "type") or "")


def words(content: object) -> str:
    """Return the words of a message's content."""
    if isinstance(content, str):
        return storable(content)
    return storable("\n".join(str(get(block, "text")) for block in items(content) if kind(block) in _WORDS))


def kept(content: object) -> Content:
    """Return a message's content as the memory keeps it: the words, or with images and files all of its blocks."""
    blocks = items(content)
    if all(kind(block) in _WORDS for block in blocks):
        return words(content)
    try:
        plain = [_plain(block) for block in blocks]
        return json.loads(storable(json.dumps(plain, allow_nan=False, ensure_ascii=False)))
    except (AttributeError, TypeError, ValueError):  # bytes, open files, and what else JSON has no word for
        return words(content)


def _plain(block: Any) -> dict[str, Any]:
    return (
        dict(cast("Mapping[str, Any]", block))
        if isinstance(block, Mapping)
        else block.model_dump(mode="json")
    )


def users(content: object) -> Said | None:
    """Return a message of the user's, or None where there is nothing in it."""
    found = kept(content)
    return None if isinstance(found, str) and not found.strip() else Said("user", found)


def storable(text: str) -> str:
    """Return a text without lone surrogates, which no database takes."""
    return text.encode("utf-8", "replace").decode()


def first(value: object) -> Any:
    """Return the first item of a list, or None."""
    return next(iter(items(value)), None)
