"""The parts of a memory, built late and once: ledger, embedder, model, index, reranker."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any, Final, cast
from uuid import uuid4

from .config import MemoryConfig, ProviderConfig, place
from .embedders.base import Embedder
from .embedders.recent import RecentVectors
from .errors import ConfigurationError, EmbedderMismatchError
from .following import Following
from .forking import tell_of_forks
from .graph_parts import GraphPart, checked_graph
from .ledger.base import Ledger
from .ledgers import check_ledger, make_ledger
from .llms.base import LLM
from .registry import ProviderKind, availability, check_name, names, provider_class
from .rerankers.base import Reranker, patience
from .schemas import Schemas
from .vector_stores.base import VectorStore

log: Final = logging.getLogger("memkit")

OPENAI_KEY: Final = "OPENAI_API_KEY"
LLM_KEYS: Final = {"openai": OPENAI_KEY, "anthropic": "ANTHROPIC_API_KEY"}
"""What `llm="auto"` takes, the first whose key is set."""
LOCAL_EMBEDDER: Final = "MEMKIT_LOCAL_EMBEDDER"
"""Names the embedder that `"auto"` takes for a new store where there is no key, instead of the best that is here."""


class Parts:
    """What a `Memory` and an `AsyncMemory` are made of.

    Constructing touches neither network nor disk, and imports no provider.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.config = config
        self.file, self.folder = place(config.path)
        self._worker = (0, "")
        self.closed = False
        self.forked()
        tell_of_forks(self)
        self._ledger: Ledger | None = None
        self._caches: Any = None
        self._embedder: Embedder | None = None
        self.recent_vectors = RecentVectors()
        self._llm: LLM | None = None
        self._llm_built = False
        self._store: VectorStore | None = None
        self._store_built = False
        self._reranker: Reranker | None = None
        self.vectors = Following()
        """How the external index stands."""
        self.graph = GraphPart(self, config, _build)
        self.recovered = False
        self.drained_at = 0
        self.wake: Callable[[], None] = _nobody
        """Tells the background worker that something waits."""
        self.recover: Callable[[], None] = _nobody
        """Tells it to take up what an earlier process left."""
        self.schemas = Schemas(config.schemas)
        """Of which kinds typed records are kept."""
        self.choices: dict[str, str] = {}
        """For each part what was chosen, and why."""
        for kind in ("vector_store", "llm", "embedder", "graph_store", "reranker"):
            given: ProviderConfig | None = getattr(config, kind)
            if given is not None:
                _check(kind, given)
        if config.embedder is None:
            raise ConfigurationError(
                "`embedder=None` is not possible; `embedder='hash'` needs no key and no model."
            )
        check_ledger(config.ledger)

    def forked(self) -> None:
        """Let nobody wait for a thread that builds a part in the parent."""
        self._lock = threading.RLock()

    @property
    def worker_id(self) -> str:
        """Who works here: this memory in this process; a forked child is somebody else."""
        if self._worker[0] != os.getpid():
            self._worker = (os.getpid(), str(uuid4()))
        return self._worker[1]

    # The ledger.

    @property
    def ledger(self) -> Ledger:
        """The system of record."""
        if self._ledger is None:
            with self._lock:
                if self._ledger is None:
                    self._ledger = make_ledger(self.config.ledger, self.file)
        return self._ledger

    @property
    def location(self) -> str:
        """Where memories live, without secrets."""
        given = self.config.ledger
        there = None if given in (None, "auto", "sqlite") else getattr(self.ledger, "location", None)
        return str(there or self.file or ":memory:")

    @property
    def caches(self) -> Any:
        """Rankings of the owners that were searched lately."""
        if self._caches is None:
            with self._lock:
                if self._caches is None:
                    from .ranking.cache import IndexCache

                    self._caches = IndexCache(self.ledger)
        return self._caches

    # The embedder.

    def embedder(self, *, checked: bool = True) -> Embedder:
        """Return the embedder, checked against the one the store was made with.

        Without `checked` it is the one of the last time, where there was one: for a write, which is checked inside
        its transaction.

        Raises:
            EmbedderMismatchError: The store was made with another one.
            MissingDependencyError: Its extra is not installed.
            ConfigurationError: It cannot be made, for example without a key.
        """
        known = self._embedder
        if known is not None and not checked:
            return known
        with self._lock:
            if self._embedder is None:
                self._embedder = self._make_embedder()
            stored = self.ledger.embedder()
            if stored is not None and stored[0] != self._embedder.identity:
                # Asked each time: another process may have rebuilt or reset the store.
                if self.config.embedder is None or self.config.embedder.provider != "auto":
                    raise _mismatch(stored, self._embedder.identity)
                self._embedder = self._make_embedder()
            return self._embedder

    @property
    def embedder_built(self) -> bool:
        """Whether `embedder(checked=False)` has it at hand."""
        return self._embedder is not None

    def forget_embedder(self) -> None:
        """Choose the embedder anew, after a reset."""
        with self._lock:
            self._embedder = None
        self.recent_vectors.clear()

    def use_embedder(self, embedder: Embedder) -> None:
        """Take another embedder, after a rebuild."""
        with self._lock:
            self._embedder = embedder
            self.choices["embedder"] = f"{embedder.identity} (rebuilt)"

    def make_embedder(self, given: ProviderConfig) -> Embedder:
        """Build the embedder that a configuration names."""
        if given.provider == "instance":
            return _checked_embedder(given.config)
        return cast("Embedder", _build("embedder", given.provider, given.config))

    def _make_embedder(self) -> Embedder:
        given = self.config.embedder
        assert given is not None, "refused when the memory was made"
        if given.provider != "auto":
            made = self.make_embedder(given)
            self.choices["embedder"] = f"{made.identity} (given)"
            return made
        stored = self.ledger.embedder()
        if stored is not None:
            made = _made_again(stored[0])
            self.choices["embedder"] = f"{made.identity} (the store was made with it)"
        elif os.environ.get(OPENAI_KEY):
            made = cast("Embedder", _build("embedder", "openai", None))
            self.choices["embedder"] = f"{made.identity} ({OPENAI_KEY} is set)"
        else:
            name, why = _keyless_embedder()
            made = cast("Embedder", _build("embedder", name, None))
            self.choices["embedder"] = f"{made.identity} ({why})"
        log.info("memkit: embedder %s", self.choices["embedder"])
        return made

    # The model.

    @property
    def llm_built(self) -> bool:
        """Whether `llm()` has it at hand."""
        return self._llm_built

    def llm(self) -> LLM | None:
        """Return the language model, or None when there is none."""
        if self._llm_built:
            return self._llm
        with self._lock:
            if not self._llm_built:
                self._llm = self._make_llm()
                self._llm_built = True
                if self._llm is None and len(self.schemas):
                    log.warning(
                        "memkit: schemas are filled by a model, and there is none: turns are kept verbatim"
                    )
            return self._llm

    def _make_llm(self) -> LLM | None:
        given = self.config.llm
        if given is None:
            self.choices["llm"] = "none (llm=None): turns are kept verbatim"
            return None
        if given.provider == "auto":
            name = next((name for name, key in LLM_KEYS.items() if os.environ.get(key)), None)
            if name is None:
                self.choices["llm"] = f"none (no {' or '.join(LLM_KEYS.values())}): turns are kept verbatim"
                return None
            made = cast("LLM", _build("llm", name, given.config))
            self.choices["llm"] = f"{made.name} ({LLM_KEYS[name]} is set)"
        elif given.provider == "instance":
            made = _checked_llm(given.config)
            self.choices["llm"] = f"{getattr(made, 'name', type(made).__name__)} (given)"
        else:
            made = cast("LLM", _build("llm", given.provider, given.config))
            self.choices["llm"] = f"{made.name} (given)"
        log.info("memkit: llm %s", self.choices["llm"])
        return made

    # The index.

    def store(self) -> VectorStore | None:
        """Return the external index, or None when the ledger's own vectors serve."""
        if self._store_built:
            return self._store
        with self._lock:
            if not self._store_built:
                self._store = self._make_store()
                self._store_built = True
            return self._store

    def index_names(self) -> tuple[str, ...]:
        """Return the names of the external indexes that follow the ledger."""
        store, graph = self.store(), self.graph.index_name
        vectors = () if store is None else (store.name,)
        return vectors if graph is None else (*vectors, graph)

    def use_store(self, store: VectorStore | None) -> None:
        """Take another index, after a rebuild."""
        with self._lock:
            old, self._store, self._store_built = self._store, store, True
            self.vectors.error = None
            self.vectors.ready = store is not None
            if old is not None and old is not store:
                old.close()

    def make_store(self, given: ProviderConfig | None) -> VectorStore | None:
        """Build the index that a configuration names; None for one that is in the ledger."""
        if given is None or given.provider == "auto":
            return None
        if given.provider == "instance":
            store = _checked_store(given.config)
        else:
            store = cast("VectorStore", _build("vector_store", given.provider, given.config))
        if self.folder is not None:
            store.place(self.folder)
        store.join(self.ledger)
        return None if store.in_ledger else store

    def _make_store(self) -> VectorStore | None:
        store = self.make_store(self.config.vector_store)
        if store is None:
            self.choices["vector_store"] = f"{self.ledger.name} (the ledger's own vectors)"
        else:
            self.choices["vector_store"] = f"{store.name} (given)"
        return store

    def reranker(self) -> Reranker | None:
        """Return the reranker, or None when there is none."""
        given = self.config.reranker
        if given is None:
            return None
        with self._lock:
            if self._reranker is None:
                if given.provider == "instance":
                    self._reranker = cast("Reranker", given.config)
                else:
                    self._reranker = cast("Reranker", _build("reranker", given.provider, given.config))
                self.choices["reranker"] = f"{given.provider} (given)"
            return self._reranker

    async def aclose_clients(self) -> None:
        """Close async clients in the loop that made them."""
        for part in (self._store, self.graph.built, self._embedder, self._llm, self._reranker):
            closer = getattr(part, "aclose", None)
            if closer is not None:
                await closer()

    def close(self) -> None:
        """Free everything that was built; may be called twice."""
        self.closed = True
        if self._store is not None:
            self.vectors.projector.settle(self._store.patience_s)
        self.graph.settle()
        with self._lock:
            for part in (
                self._store,
                self.graph.built,
                self._embedder,
                self._llm,
                self._reranker,
                self._ledger,
            ):
                closer = getattr(part, "close", None)
                if closer is not None:
                    closer()
            self._caches = None
            self.vectors.ready = False


def _nobody() -> None:
    """Wake nobody: there is no background worker."""


def _made_again(identity: str) -> Embedder:
    """Return the embedder of an identity, made from that alone."""
    provider, _, rest = identity.partition("/")
    if provider in names("embedder"):
        again = getattr(provider_class("embedder", provider), "from_identity", None)
        made = cast("Embedder", _build("embedder", provider, None) if again is None else again(rest))
        if made.identity == identity:
            return made
    raise ConfigurationError(
        f"This store was made with the embedder {identity!r}, which memkit cannot make by itself. "
        "Pass it as `embedder=`, or change it with `memory.rebuild(embedder=...)`."
    )


def _keyless_embedder() -> tuple[str, str]:
    """Return the name of the best embedder that needs no key and is whole, and why it is that one."""
    if asked := os.environ.get(LOCAL_EMBEDDER):
        check_name("embedder", asked)
        return asked, f"no key, {LOCAL_EMBEDDER} is set"
    nothing = "hash", "no key, no model: words and structure"
    if availability("embedder", "minilm") != "installed":
        return nothing
    from .embedders import minilm_weights

    try:
        weights = minilm_weights.find(None)
    except ConfigurationError:
        return nothing
    try:
        minilm_weights.check(weights)
    except ConfigurationError as error:
        return "hash", f"no key; {error}"
    return "minilm", "no key, and the model is here"


def _build(kind: ProviderKind, name: str, config: Any) -> object:
    """Make a provider from its settings: a dict, a settings object, or None."""
    cls = provider_class(kind, name)
    if config is None or config == {}:
        return cls()
    settings, client = _settings(cls, kind, name, config)
    return cls(settings) if client is None else cls(settings, client=client)


def _settings(cls: type[Any], kind: ProviderKind, name: str, config: Any) -> tuple[Any, Any]:
    """Return a provider's settings, and the ready-made client that a dict may hold beside them."""
    kind_of = getattr(cls, "Settings", None)
    if kind_of is not None and isinstance(config, kind_of):
        return config, None
    if kind_of is not None and isinstance(config, Mapping):
        values = dict(cast("Mapping[str, Any]", config))
        client = None if "client" in kind_of.model_fields else values.pop("client", None)
        return kind_of(**values), client
    if kind_of is None:
        raise ConfigurationError(
            f"The {kind.replace('_', ' ')} {name!r} has no settings. Leave its `config` out."
        )
    raise ConfigurationError(
        f"The config of {kind} {name!r} must be a dict or its Settings, not {type(config).__name__}."
    )


def _check(kind: ProviderKind, given: ProviderConfig) -> None:
    """Check what was given for a provider as far as that needs neither network nor disk."""
    if given.provider == "auto":
        return
    if given.provider == "instance":
        if kind == "embedder":
            _checked_embedder(given.config)
        elif kind == "llm":
            _checked_llm(given.config)
        elif kind == "vector_store":
            _checked_store(given.config)
        elif kind == "graph_store":
            checked_graph(given.config)
        else:
            _check_reranker(given.config)
        return
    check_name(kind, given.provider)
    if given.config is not None and given.config != {}:
        _settings(provider_class(kind, given.provider), kind, given.provider, given.config)


def _check_reranker(given: Any) -> None:
    missing = [f"`{name}`" for name in ("name", "rerank") if not hasattr(given, name)]
    if missing:
        raise ConfigurationError(
            f"The reranker {type(given).__name__} lacks {', '.join(missing)}. A reranker is any object with `name` and "
            "`rerank(query, texts, limit)`."
        )
    seconds = cast("object", patience(given))
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf
    ):
        raise ConfigurationError(
            f"The reranker {type(given).__name__} has `timeout_s` {seconds!r}. It must be a number of seconds above 0, "
            "or None to wait as long as it takes."
        )


def _checked_embedder(given: Any) -> Embedder:
    # Not `hasattr`: asking for `dim` may be a request to the vendor.
    missing = [name for name in ("identity", "dim", "embed") if getattr_static(given, name, None) is None]
    if missing:
        raise ConfigurationError(
            f"The embedder {type(given).__name__} lacks {', '.join(f'`{m}`' for m in missing)}. An embedder is any "
            "object with `identity`, `dim` and `embed(texts, *, purpose)`."
        )
    return cast("Embedder", given)


def _checked_llm(given: Any) -> LLM:
    if not hasattr(given, "generate"):
        raise ConfigurationError(
            f"The llm {type(given).__name__} lacks `generate`. An LLM is any object with "
            "`generate(messages, *, schema)`."
        )
    return cast("LLM", given)


def _checked_store(given: Any) -> VectorStore:
    if not isinstance(given, VectorStore):
        raise ConfigurationError(
            f"`vector_store` must be a name, a dict or a memkit VectorStore, not {type(given).__name__}."
        )
    return given


def _mismatch(stored: tuple[str, int], given: str) -> EmbedderMismatchError:
    provider = given.partition("/")[0]
    return EmbedderMismatchError(
        f"This store was made with the embedder {stored[0]!r}, but {given!r} was given; their vectors cannot be "
        f"compared. Leave `embedder` out to go on with the old one, or re-embed everything: "
        f"memory.rebuild(embedder={provider!r}).",
        stored=stored[0],
        given=given,
    )
