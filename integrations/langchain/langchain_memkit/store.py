"""`MemkitStore`: the long-term memory of LangGraph across threads, kept in memkit's ledger."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Final, Literal, cast

from typing_extensions import override

from memkit import AsyncMemory, DeleteItem, GetItem, ListNamespaces, Memory, PutItem, SearchItems, StoreItem
from memkit.errors import ConfigurationError, InvalidInputError
from memkit.item_types import ItemOperation, ItemResult, Namespace

try:
    from langgraph.store.base import (  # pyright: ignore[reportMissingTypeStubs]  (langgraph ships none)
        NOT_PROVIDED,
        BaseStore,
        GetOp,
        InvalidNamespaceError,
        Item,
        ListNamespacesOp,
        MatchCondition,
        NamespacePath,
        NotProvided,
        Op,
        PutOp,
        Result,
        SearchItem,
        SearchOp,
        TTLConfig,
    )
except ImportError as error:
    raise ImportError('MemkitStore needs langgraph. Type: pip install "langchain-memkit[agents]"') from error

from ._store_values import checked_paths, compiled, texts_at
from .scope import check_memory

Index = Literal[False] | list[str] | None
_WHOLE: Final = ("$",)
_TTL_KEYS: Final = ("default_ttl", "refresh_on_read", "omit_expired", "sweep_interval_minutes")


class NamespaceError(InvalidInputError, InvalidNamespaceError):
    """A namespace has no label, or a label that is empty or no text."""


class MemkitStore(BaseStore):
    """A LangGraph store in memkit's ledger: durable, shared by processes, searched by meaning with its embedder.

    Namespaces are used and returned as they are written; labels may hold anything but a NUL, so
    `("memories", "ann@example.com")` is one. A prefix ends between labels. Whoever knows a namespace can read it:
    make the user's id a label from `runtime.context`, never from what a model says.

    Reads of a `batch` see the store as it was before the batch, whatever their place in it; its writes are one
    transaction, in order, so the last write of a key stays. A search's score is the cosine of the best indexed text,
    in [0, 1]; items that no text is indexed of come last, with None.

    Args:
        memory: Of either kind; sync and async calls both work with it. A bound handle is refused.
        index: What an item is found by: None is the whole value, `{"fields": ["text", "messages[*].content"]}` names
            paths, each text at which counts for itself; False is nothing, and a `query` then only lists. Embeddings are
            the memory's own: `embed` and `dims` belong to `Memory(embedder=...)`.
        ttl: LangGraph's `TTLConfig`, or the default time to live in minutes. What has expired is gone at once.

    Raises:
        ConfigurationError: `index` or `ttl` has another form, or the memory is bound to a user or is none.
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        index: Mapping[str, Any] | Literal[False] | None = None,
        ttl: TTLConfig | float | None = None,
    ) -> None:
        check_memory(memory)
        if memory.scope is not None:
            raise ConfigurationError(
                "MemkitStore was given a memory that is bound to a user, and namespaces lie outside of users. "
                "Give it the memory that `bind` was called on."
            )
        self._memory, self._amemory = memory.to_sync(), memory.to_async()
        self._paths = _indexed_paths(index)
        self.ttl_config = _ttl_config(ttl)

    def __repr__(self) -> str:
        """Return where it is."""
        return f"<MemkitStore of {self._memory!r}>"

    @override
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do operations as one batch and return their results in order.

        Raises:
            InvalidInputError: An operation cannot be done as given; none of them was then.
            BackendError: The embedder or the ledger failed; nothing was changed.
        """
        given = list(ops)
        return _results(given, self._memory.items([self._operation(op) for op in given]))

    @override
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Async version of `batch`."""
        given = list(ops)
        return _results(given, await self._amemory.items([self._operation(op) for op in given]))

    # LangGraph's own public methods refuse a dot in a label. These check labels their own way.

    @override
    def get(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """Return an item, or None."""
        return cast("Item | None", self.batch([self._get_op(namespace, key, refresh_ttl)])[0])

    @override
    async def aget(self, namespace: Namespace, key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """Async version of `get`."""
        return cast("Item | None", (await self.abatch([self._get_op(namespace, key, refresh_ttl)]))[0])

    @override
    def search(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """Return the items under a namespace: the best first, without a query the last changed first."""
        refresh = self._refreshes(refresh_ttl)
        op = SearchOp(namespace_prefix, filter, limit, offset, query, refresh)
        return cast("list[SearchItem]", self.batch([op])[0])

    @override
    async def asearch(
        self,
        namespace_prefix: Namespace,
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
    ) -> list[SearchItem]:
        """Async version of `search`."""
        refresh = self._refreshes(refresh_ttl)
        op = SearchOp(namespace_prefix, filter, limit, offset, query, refresh)
        return cast("list[SearchItem]", (await self.abatch([op]))[0])

    @override
    def put(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any],
        index: Index = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """Keep a value in the place of what is there; `ttl` in minutes."""
        self.batch([self._put_op(namespace, key, value, index, ttl)])

    @override
    async def aput(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any],
        index: Index = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
    ) -> None:
        """Async version of `put`."""
        await self.abatch([self._put_op(namespace, key, value, index, ttl)])

    @override
    def delete(self, namespace: Namespace, key: str) -> None:
        """Erase an item; nothing happens where there is none."""
        self.batch([PutOp(namespace, key, None)])

    @override
    async def adelete(self, namespace: Namespace, key: str) -> None:
        """Async version of `delete`."""
        await self.abatch([PutOp(namespace, key, None)])

    @override
    def list_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """Return the namespaces that hold items, ordered label by label; `*` stands for any label."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        return cast("list[Namespace]", self.batch([op])[0])

    @override
    async def alist_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Namespace]:
        """Async version of `list_namespaces`."""
        op = ListNamespacesOp(_conditions(prefix, suffix), max_depth, limit, offset)
        return cast("list[Namespace]", (await self.abatch([op]))[0])

    # ------------------------------------------------------------------------------------- operations

    def _refreshes(self, asked: bool | None) -> bool:
        config = self.ttl_config
        return asked if asked is not None else config is None or config.get("refresh_on_read", True)

    def _get_op(self, namespace: Namespace, key: str, refresh_ttl: bool | None) -> GetOp:
        return GetOp(namespace, key, self._refreshes(refresh_ttl))

    def _put_op(
        self,
        namespace: Namespace,
        key: str,
        value: Mapping[str, Any],
        index: Index,
        ttl: float | NotProvided | None,
    ) -> PutOp:
        if _labels(namespace)[:1] == ("langgraph",):
            raise NamespaceError(
                f"The namespace {namespace!r} begins with 'langgraph', which LangGraph keeps for itself. Use another."
            )
        if isinstance(ttl, NotProvided):
            ttl = None if self.ttl_config is None else self.ttl_config.get("default_ttl")
        return PutOp(namespace, key, value, index, ttl)

    def _operation(self, op: Op) -> ItemOperation:
        """Return what the memory does for an operation of LangGraph's."""
        if isinstance(op, GetOp):
            return GetItem(namespace=_labels(op.namespace), key=str(op.key), refresh=op.refresh_ttl)
        if isinstance(op, PutOp):
            return self._write(op)
        if isinstance(op, SearchOp):
            return SearchItems(
                prefix=_labels(op.namespace_prefix, whole=False),
                query=op.query if self._paths is not None else None,
                where=compiled(op.filter),
                limit=op.limit,
                offset=op.offset,
                refresh=op.refresh_ttl,
            )
        if isinstance(op, ListNamespacesOp):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers make mistakes)
            conditions = op.match_conditions or ()
            return ListNamespaces(
                where=_matches(conditions),
                prefix=_common_prefix(conditions),
                max_depth=op.max_depth,
                limit=op.limit,
                offset=op.offset,
            )
        raise InvalidInputError(
            f"{op!r:.80} is no operation. Known: GetOp, PutOp, SearchOp, ListNamespacesOp."
        )

    def _write(self, op: PutOp) -> PutItem | DeleteItem:
        namespace, key = _labels(op.namespace), str(op.key)
        if op.value is None:
            return DeleteItem(namespace=namespace, key=key)
        if not isinstance(op.value, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  (callers make mistakes)
            raise InvalidInputError(
                f"The value of {key!r} must be a dict, not {op.value!r:.80}.", field="value"
            )
        item = PutItem(namespace=namespace, key=key, value=op.value, ttl=_seconds(op.ttl))
        # A store without an index ignores what a put says.
        if self._paths is None or op.index is False:
            return item
        paths = self._paths if op.index is None else checked_paths(op.index, "`index`")
        return replace(item, texts=texts_at(json.loads(item.encoded), paths))


def _indexed_paths(index: object) -> Sequence[str] | None:
    """Return the paths of the texts that items are found by; None for no index."""
    if index is False:
        return None
    if index is None:
        return _WHOLE
    if not isinstance(index, Mapping):
        raise ConfigurationError(
            f"`index` must be None, False or {{'fields': ['text']}}, not {index!r:.80}.", field="index"
        )
    config = cast("Mapping[str, object]", index)
    if config.keys() - {"fields"}:
        others = ", ".join(repr(key) for key in sorted(config.keys() - {"fields"}))
        raise ConfigurationError(
            f"`index` has {others}; MemkitStore knows 'fields'. Vectors are made by the memory's own embedder: give it "
            "there, as in Memory(embedder='openai') or Memory(embedder={'provider': 'langchain', 'config': ...}).",
            field="index",
        )
    fields = config.get("fields")
    return _WHOLE if fields is None else checked_paths(fields, "`index['fields']`")


def _ttl_config(ttl: object) -> TTLConfig | None:
    if ttl is None:
        return None
    if isinstance(ttl, int | float) and not isinstance(ttl, bool):
        return {"default_ttl": ttl, "refresh_on_read": True, "omit_expired": True}
    if not isinstance(ttl, Mapping) or set(cast("Mapping[str, object]", ttl)) - set(_TTL_KEYS):
        raise ConfigurationError(
            f"`ttl` must be minutes or a TTLConfig of {', '.join(_TTL_KEYS)}, not {ttl!r:.80}.", field="ttl"
        )
    return cast("TTLConfig", dict(cast("Mapping[str, object]", ttl)))


def _seconds(minutes: object) -> float | None:
    if minutes is None:
        return None
    if isinstance(minutes, int | float) and not isinstance(minutes, bool) and 0 <= minutes < math.inf:
        return minutes * 60
    raise InvalidInputError(f"`ttl` must be minutes from 0, or None, not {minutes!r:.80}.", field="ttl")


# ------------------------------------------------------------------------------------------- namespaces


def _labels(namespace: object, *, whole: bool = True) -> Namespace:
    """Return a checked namespace, or, when it need not be whole, a prefix or a pattern.

    Raises:
        NamespaceError: It is no tuple of labels, or a label is empty or no text.
    """
    if not isinstance(namespace, tuple | list):
        raise NamespaceError(
            f"A namespace must be a tuple of labels, such as ('memories', 'alice'), not {namespace!r:.80}.",
            field="namespace",
        )
    labels = tuple(cast("Sequence[str]", namespace))
    for label in labels:
        if not isinstance(label, str) or not label or "\0" in label:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise NamespaceError(
                f"The namespace {labels!r:.80} has the label {label!r:.80}; a label is a text that is not empty and "
                "holds no NUL. Write ids as texts: str(user_id).",
                field="namespace",
            )
    if whole and not labels:
        raise NamespaceError("The namespace is empty. Give at least one label, such as ('memories',).")
    return labels


def _conditions(
    prefix: NamespacePath | None, suffix: NamespacePath | None
) -> tuple[MatchCondition, ...]:  # fmt: skip
    first = (MatchCondition("prefix", prefix),) if prefix else ()
    return (*first, MatchCondition("suffix", suffix)) if suffix else first


def _matches(conditions: Iterable[MatchCondition]) -> Callable[[Namespace], bool] | None:
    """Return the test that a namespace meets every condition."""
    checked = [(condition.match_type, _labels(condition.path, whole=False)) for condition in conditions]
    for kind, _ in checked:
        if kind not in ("prefix", "suffix"):
            raise InvalidInputError(f"The match type {kind!r} is unknown. Known: prefix, suffix.")

    def test(namespace: Namespace) -> bool:
        return all(
            _fits(namespace[: len(path)] if kind == "prefix" else namespace[-len(path) :], path)
            for kind, path in checked
            if path
        )

    return test if checked else None


def _common_prefix(conditions: Iterable[MatchCondition]) -> Namespace:
    """Return the longest prefix without `*` that they ask for; only what lies under it has to be read."""
    paths = [tuple(condition.path) for condition in conditions if condition.match_type == "prefix"]
    return max((tuple(takewhile(lambda label: label != "*", path)) for path in paths), key=len, default=())


def _fits(labels: Namespace, path: Namespace) -> bool:
    """Return whether labels are those of a path, in which `*` is any one."""
    return len(labels) == len(path) and all(
        wanted in ("*", label) for label, wanted in zip(labels, path, strict=True)
    )


# ------------------------------------------------------------------------------------------- results


def _results(ops: Sequence[Op], results: Sequence[ItemResult]) -> list[Result]:
    return [_result(op, result) for op, result in zip(ops, results, strict=True)]


def _result(op: Op, result: ItemResult) -> Result:
    if isinstance(op, PutOp):
        return None
    if isinstance(result, StoreItem):
        return Item(
            value=result.value,
            key=result.key,
            namespace=result.namespace,
            created_at=result.created_at,
            updated_at=result.updated_at,
        )
    if isinstance(op, SearchOp):
        return [_found(item) for item in cast("list[StoreItem]", result)]
    return cast("list[Namespace] | None", result)


def _found(item: StoreItem) -> SearchItem:
    return SearchItem(
        namespace=item.namespace,
        key=item.key,
        value=item.value,
        created_at=item.created_at,
        updated_at=item.updated_at,
        score=item.score,
    )
