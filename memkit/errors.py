"""Every error memkit raises.

```text
MemkitError
├── ConfigurationError (ValueError)         a setting or argument is wrong
│   ├── UnknownProviderError                a provider name nobody registered
│   ├── ProviderNotAvailableError           a known provider that is not built yet
│   └── EmbedderMismatchError               the store was made with another embedder
├── MissingDependencyError (ImportError)    an extra is not installed
├── InvalidInputError (ValueError)          bad text, message, limit, threshold, time
│   ├── ScopeError                          no scope, a blank id, or a scope that was forged
│   ├── FilterError                         an operator or field a filter may not use
│   ├── IdempotencyError                    one key, two contents
│   └── UnknownArgumentError (TypeError)    an argument that the call does not have
├── UnsupportedOperationError (NotImplementedError)  a backend lacks a capability
├── MemoryNotFoundError (LookupError)       no such memory in this scope
├── OperationNotFoundError (LookupError)    no such operation in this scope
├── ConflictError                           a record or operation changed meanwhile
├── ExtractionError                         the model returned junk twice; the turns are kept
└── BackendError                            a database, index or model failed
    ├── AuthenticationError
    ├── RateLimitError
    ├── BackendTimeoutError (TimeoutError)
    ├── BackendUnavailableError             down, unwritable, full; may be retried
    ├── BackendResponseError                it answered with something unusable
    ├── CorruptLedgerError                  the ledger's file is damaged
    └── LedgerMismatchError                 an index holds records the ledger does not know
```

All of them can be pickled, and carry their data as attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memkit.types import Usage


class MemkitError(Exception):
    """The base of every error that memkit raises.

    Attributes:
        operation_id: The operation that failed, where one had begun.
    """

    operation_id: str | None = None

    def __init__(self, message: str, **data: object) -> None:
        super().__init__(message)
        self.message = message
        for name, value in data.items():
            setattr(self, name, value)

    def __reduce__(self) -> tuple[object, ...]:
        return (_restore, (type(self), self.message, dict(self.__dict__)))


def _restore(kind: type[MemkitError], message: str, data: dict[str, object]) -> MemkitError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    error.__dict__.update(data)
    return error


class ConfigurationError(MemkitError, ValueError):
    """A setting or an argument cannot be used as given.

    Attributes:
        field: The setting or argument, where one is to blame.
        path: The file or folder, where one is to blame.
    """

    field: str | None = None
    path: str | None = None


class UnknownProviderError(ConfigurationError):
    """No provider of that name is registered."""

    kind: str
    name: str
    known: Sequence[str]

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        is_model = kind in ("llm", "embedder") and not name.isidentifier()
        model = f" A model comes after its provider, as in 'PROVIDER:{name}'." if is_model else ""
        super().__init__(
            f"Unknown {kind.replace('_', ' ')} {name!r}.{did_you_mean(name, names)}{model} "
            f"Known: {', '.join(names)}.",
            kind=kind,
            name=name,
            known=names,
        )


class ProviderNotAvailableError(ConfigurationError):
    """The provider is known, but this version of memkit does not have it yet."""

    kind: str
    name: str
    available: Sequence[str]

    def __init__(self, kind: str, name: str, available: Iterable[str]) -> None:
        names = sorted(available)
        super().__init__(
            f"The {kind.replace('_', ' ')} {name!r} is not built yet. These work now: {', '.join(names) or 'none'}.",
            kind=kind,
            name=name,
            available=names,
        )


class EmbedderMismatchError(ConfigurationError):
    """The store was made with another embedder, so its vectors cannot be compared."""

    stored: str
    given: str


class MissingDependencyError(MemkitError, ImportError):
    """A provider needs a package that is not installed.

    Attributes:
        feature: What needs it.
        extra: What to install: `memkit-ai[extra]`.
        module: What could not be imported.
    """

    feature: str
    extra: str
    module: str | None

    def __init__(self, feature: str, extra: str, module: str | None = None) -> None:
        super().__init__(
            f"{feature} needs a package that is not installed. Type: pip install 'memkit-ai[{extra}]'",
            feature=feature,
            extra=extra,
            module=module,
        )


class InvalidInputError(MemkitError, ValueError):
    """An argument is not usable; nothing was written.

    Attributes:
        field: The argument, where one is to blame.
        index: Which of several messages or items, from 0.
        key: The key in a message, or the idempotency key.
    """

    field: str | None = None
    index: int | None = None
    key: str | None = None


class ScopeError(InvalidInputError):
    """The scope is missing, blank, or not one this handle may use."""


class FilterError(InvalidInputError):
    """A filter names an operator, a field or a value that the filter language does not have.

    Attributes:
        path: The key in the filter.
    """

    path: str | None = None


class IdempotencyError(InvalidInputError):
    """An idempotency key was used before with other content."""


class UnknownArgumentError(InvalidInputError, TypeError):
    """A call was given an argument that it does not have."""

    method: str
    argument: str


class UnsupportedOperationError(MemkitError, NotImplementedError):
    """The backend does not have this capability."""


class MemoryNotFoundError(MemkitError, LookupError):
    """No memory of that id exists in this scope."""

    memory_id: str

    def __init__(self, memory_id: str) -> None:
        super().__init__(
            f"No memory {memory_id!r} in this scope. `get_all(...)` lists what there is.", memory_id=memory_id
        )


class OperationNotFoundError(MemkitError, LookupError):
    """No operation of that id exists in this scope."""

    def __init__(self, operation_id: str) -> None:
        super().__init__(
            f"No operation {operation_id!r} in this scope. Every result and every history event names its operation.",
            operation_id=operation_id,
        )


class ConflictError(MemkitError):
    """Later operations changed the same records.

    Attributes:
        operations: The operation ids that stand in the way, oldest first.
    """

    operations: Sequence[str] = ()


class ExtractionError(MemkitError):
    """The model's answer could not be read, twice; the raw turns are kept.

    Attributes:
        raw_output: What the model returned last.
        usage: What the model has cost all the same.
        operation_id: Pass the same call again, or call `repair()`, to finish it.
    """

    raw_output: str = ""
    usage: Usage


class BackendError(MemkitError):
    """A database, an index or a model failed.

    Attributes:
        backend: Its name.
        retryable: Whether the same call may succeed later.
        status: What it answered over HTTP, if it did.
    """

    backend: str = ""
    retryable: bool = False
    status: int | None = None


class AuthenticationError(BackendError):
    """The backend refused the credentials."""


class RateLimitError(BackendError):
    """The backend asks for fewer requests.

    Attributes:
        retry_after_s: Seconds the backend asked to wait, if it said so.
    """

    retryable = True
    retry_after_s: float | None = None


class BackendTimeoutError(BackendError, TimeoutError):
    """The backend did not answer in time."""

    retryable = True


class BackendUnavailableError(BackendError):
    """The backend is down, unreachable, unwritable or full."""

    retryable = True


class BackendResponseError(BackendError):
    """The backend answered with something that cannot be used."""


class CorruptLedgerError(BackendError):
    """The ledger's file is damaged."""


class LedgerMismatchError(BackendError):
    """An index holds records that the ledger does not know."""

    in_index: int = 0
    in_ledger: int = 0


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known word, or an empty string."""
    near = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
