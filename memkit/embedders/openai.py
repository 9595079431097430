"""OpenAI embeddings, and those of every compatible server. Needs the extra `openai`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

import numpy as np
import numpy.typing as npt

from memkit.embedders.base import Purpose
from memkit.errors import BackendResponseError, ConfigurationError
from memkit.llms.openai_client import HOST, OPENAI, OpenAIClients
from memkit.llms.sdk import Retries, no_key
from memkit.settings import ProviderSettings, SecretStr, env

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI

DEFAULT_MODEL: Final = "text-embedding-3-small"
_DIMS: Final[Mapping[str, int]] = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}

MAX_INPUTS: Final = 2048
"""Texts of one request. Source: https://platform.openai.com/docs/api-reference/embeddings/create"""
MAX_REQUEST_TOKENS: Final = 250_000
"""Estimated tokens of one request; the API takes 300,000."""
MAX_TEXT_TOKENS: Final = 5_000
"""Estimated tokens of one text; the API takes 8,192, and longer texts are embedded in pieces."""

_REPLACED: Final = {
    "azure_kwargs": 'use the provider "azure_openai"',
    "memory_add_embedding_type": "the engine tells every embedder whether it embeds a document or a query",
    "memory_search_embedding_type": "the engine tells every embedder whether it embeds a document or a query",
    "memory_update_embedding_type": "the engine tells every embedder whether it embeds a document or a query",
    "model_kwargs": 'they belong to the provider "huggingface"',
}


class OpenAIEmbedder:
    """Embeds texts with a model of OpenAI, or behind any server of the same wire format.

    Args:
        settings: None reads the environment.
        client: A ready `openai.OpenAI`; its key, URL, timeout and proxies are used as they are.
        aclient: A ready `openai.AsyncOpenAI`.

    Raises:
        ConfigurationError: No key was given, and the server needs one.
    """

    backend: ClassVar[str] = "openai"
    symmetric: ClassVar[bool] = True

    class Settings(ProviderSettings):
        """Settings of an OpenAI embedding model."""

        provider_name: ClassVar[str | None] = "openai"

        model: str = DEFAULT_MODEL
        """Name of the model."""
        api_key: SecretStr | None = env("OPENAI_API_KEY")
        """The key. Env: `OPENAI_API_KEY`."""
        base_url: str | None = env("OPENAI_BASE_URL")
        """URL of the API, up to `/v1`. Env: `OPENAI_BASE_URL`."""
        embedding_dims: int | None = None
        """Columns to ask for, where the model can shorten its rows; None takes what it gives."""
        http_client_proxies: str | dict[str, str] | None = None
        """A proxy URL, or proxy URLs by pattern."""
        default_headers: dict[str, str] | None = None
        """Headers of every request."""
        timeout_s: float = 60.0
        """Seconds for one try."""
        max_retries: int = 2
        """Tries after the first; there are never fewer than two."""

        def __init__(self, **data: Any) -> None:
            for key in data:
                if key in _REPLACED:
                    raise ConfigurationError(f"`{key}` is gone: {_REPLACED[key]}.", key=key)
            if (url := data.pop("openai_base_url", None)) is not None:
                if data.get("base_url") not in (None, url):
                    raise ConfigurationError(
                        "`openai_base_url` and `base_url` say different things; keep `base_url`."
                    )
                data["base_url"] = url
            super().__init__(**data)

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        client: OpenAI | None = None,
        aclient: AsyncOpenAI | None = None,
    ) -> None:
        self.settings = settings if settings is not None else self.Settings()
        dims = self.settings.embedding_dims
        if dims is not None and dims < 1:
            raise ConfigurationError(
                f"`embedding_dims` must be positive, not {dims}.", field="embedding_dims"
            )
        self._dim = dims or self._known_dim()
        self._clients = OpenAIClients(
            self.backend,
            self._options(ready=client is not None or aclient is not None),
            proxies=self.settings.http_client_proxies,
            client=client,
            aclient=aclient,
            is_openai=self._at_openai,
        )
        self._retries = Retries(
            OPENAI, self.backend, 1 + self.settings.max_retries, "Check `api_key` or `OPENAI_API_KEY`."
        )

    @classmethod
    def from_identity(cls, rest: str) -> OpenAIEmbedder:
        """Return the embedder whose identity is `openai/` and this."""
        model, _, last = rest.rpartition("/")
        if model and last.isdecimal():
            return cls(cls.Settings(model=model, embedding_dims=int(last)))
        return cls(cls.Settings(model=rest))

    @property
    def identity(self) -> str:
        """`openai/<model>`, and `/<columns>` where they were asked for."""
        dims = self.settings.embedding_dims
        return f"openai/{self.settings.model}" + (f"/{dims}" if dims else "")

    @property
    def dim(self) -> int:
        """Columns of a row: known for OpenAI's own models, else asked once with one request."""
        if self._dim is None:
            self.embed(["probe"])
        if self._dim is None:
            raise BackendResponseError(
                f"{self.identity} did not say how many columns it has.", backend=self.backend
            )
        return self._dim

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.settings.model!r})"

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Return one unit row per text, in order; one request for each batch, none for no text.

        Raises:
            BackendError: The server failed, after retries, or answered with something that is no embedding.
        """
        del purpose
        pieces, owners = _pieces(texts)
        create = self._clients.client.embeddings.create
        rows = [
            self._rows(self._retries.run(partial(create, **self._request(batch))), len(batch))
            for batch in _batches(pieces)
        ]
        return self._joined(rows, pieces, owners, len(texts))

    async def aembed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> npt.NDArray[np.float32]:
        """Async version of [`OpenAIEmbedder.embed`]."""
        del purpose
        await self._clients.aready("embeddings")
        pieces, owners = _pieces(texts)
        rows: list[npt.NDArray[np.float32]] = []
        for batch in _batches(pieces):
            create = self._clients.aclient.embeddings.create
            response = await self._retries.arun(partial(create, **self._request(batch)))
            rows.append(self._rows(response, len(batch)))
        return self._joined(rows, pieces, owners, len(texts))

    def close(self) -> None:
        """Close the sync client."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the async client of this event loop."""
        await self._clients.aclose()

    @property
    def _at_openai(self) -> bool:
        """Whether requests go to OpenAI itself, and not to a server that speaks its wire format."""
        return HOST in (self.settings.base_url or HOST)

    def _known_dim(self) -> int | None:
        return _DIMS.get(self.settings.model) if self._at_openai else None

    def _options(self, *, ready: bool) -> dict[str, Any]:
        settings = self.settings
        key = settings.api_key.get_secret_value() if settings.api_key else None
        if not ready and not key:
            if self._at_openai:
                raise no_key(self.backend, "OPENAI_API_KEY")
            key = "none"
        options: dict[str, Any] = {
            "api_key": key,
            "base_url": settings.base_url,
            "timeout": settings.timeout_s,
            "default_headers": settings.default_headers,
        }
        return {name: value for name, value in options.items() if value is not None}

    def _request(self, batch: Sequence[str]) -> dict[str, Any]:
        request: dict[str, Any] = {"model": self.settings.model, "input": list(batch)}
        if self.settings.embedding_dims:
            request["dimensions"] = self.settings.embedding_dims
        return request

    def _rows(self, response: Any, expected: int) -> npt.NDArray[np.float32]:
        """Return the rows of a response in the order of its indices."""
        data: object = getattr(response, "data", None)
        items = cast("list[Any]", data) if isinstance(data, list) else []
        if len(items) != expected:
            raise self._unusable(f"{len(items)} rows for {expected} texts")
        try:
            items = sorted(items, key=lambda item: int(item.index if item.index is not None else 0))
            rows = np.asarray([item.embedding for item in items], np.float32)
        except (AttributeError, TypeError, ValueError) as error:
            raise self._unusable("rows that are no numbers of one length") from error
        if rows.ndim != 2 or not rows.shape[1] or not np.isfinite(rows).all():
            raise self._unusable("rows that are no finite numbers of one length")
        if self._dim is not None and rows.shape[1] != self._dim:
            raise self._unusable(
                f"{rows.shape[1]} columns where {self._dim} were expected; `embedding_dims` may not fit the model"
            )
        self._dim = int(rows.shape[1])
        return rows

    def _joined(
        self, rows: list[npt.NDArray[np.float32]], pieces: Sequence[str], owners: Sequence[int], count: int
    ) -> npt.NDArray[np.float32]:
        """Return one unit row per text: the mean of its pieces, weighed by their length."""
        if not rows:
            return np.zeros((0, self._dim or 0), np.float32)
        every = _unit(np.concatenate(rows))
        if len(pieces) == count:
            return every
        out = np.zeros((count, every.shape[1]), np.float32)
        np.add.at(out, np.asarray(owners), every * np.asarray([[len(piece)] for piece in pieces], np.float32))
        return _unit(out)

    def _unusable(self, what: str) -> BackendResponseError:
        return BackendResponseError(
            f"{self.identity} answered with {what}. Check that `base_url` and `model` are those of an embedding API.",
            backend=self.backend,
        )


@dataclass(slots=True)
class _Room:
    """What still fits into a request."""

    texts: int = MAX_INPUTS
    tokens: int = MAX_REQUEST_TOKENS


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    room = _Room()
    for text in texts:
        cost = _tokens(text)
        if batch and (room.texts < 1 or room.tokens < cost):
            yield batch
            batch, room = [], _Room()
        batch.append(text)
        room.texts -= 1
        room.tokens -= cost
    if batch:
        yield batch


def _pieces(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return what to send, and which text each piece belongs to; the API refuses empty ones."""
    pieces: list[str] = []
    owners: list[int] = []
    for index, text in enumerate(texts):
        parts = [text] if _tokens(text) <= MAX_TEXT_TOKENS else _split(text)
        for part in parts if text.strip() else ["."]:
            pieces.append(part)
            owners.append(index)
    return pieces, owners


def _split(text: str) -> list[str]:
    from memkit.pieces import split

    # In a script of three bytes a letter, a token is about a letter.
    widest = 3 if not text.isascii() else 1
    return split(text, MAX_TEXT_TOKENS * 3 // widest)


def _tokens(text: str) -> int:
    """Return about how many tokens a text has, rather too many: one for three bytes of UTF-8."""
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // 3 + 1


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise BackendResponseError("The embedder answered with a row of zeros.", backend="openai")
    return np.asarray(rows / lengths, np.float32)
