"""Embedders whose vectors are kept on disk by text, so that no run embeds a text twice and no time holds embedding."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from memkit.embedders.base import CodeEmbedder, Embedder, Purpose, TokenCodes
from memkit.embedders.hash import HashEmbedder
from memkit.embedders.projection import IDENTITY, WIDTH

Level = str
"""One of `LEVELS` or `PROXIES`."""
LEVELS: Final[tuple[Level, ...]] = ("keyless", "minilm", "late")
PROXIES: Final[tuple[Level, ...]] = ("rotated", "squeezed")
MINILM: Final = "minilm/all-MiniLM-L6-v2"
_PART: Final = 64
Floats = npt.NDArray[np.float32]


class Cached:
    """An embedder over a file of vectors; one that gives no tokens.

    Args:
        identity: Of the embedder that `make` returns.
        dim: Likewise.
        make: Called when a text is not known.
        path: A SQLite file; peers read it too.
    """

    symmetric = True

    def __init__(self, identity: str, dim: int, make: Callable[[], Embedder], path: Path | str) -> None:
        self.identity, self.dim = identity, dim
        self._make = make
        self._model: Embedder | None = None
        self._rows: dict[str, Floats] = {}
        self._codes: dict[str, TokenCodes] = {}
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("CREATE TABLE IF NOT EXISTS vec (key BLOB PRIMARY KEY, e BLOB) WITHOUT ROWID")
        self._db.execute("CREATE TABLE IF NOT EXISTS codes (key BLOB PRIMARY KEY, spans BLOB, e BLOB)")

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> Floats:
        """Return one unit row per text, in order."""
        del purpose
        unknown = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if unknown:
            self._read(unknown)
            self._learn([text for text in unknown if text not in self._rows])
        return (
            np.stack([self._rows[text] for text in texts]) if texts else np.empty((0, self.dim), np.float32)
        )

    def end(self) -> None:
        """Close the file; not named `close`, which a memory would call."""
        self._db.close()

    @property
    def model(self) -> Embedder:
        """The embedder itself."""
        if self._model is None:
            self._model = self._make()
        return self._model

    def _learn(self, texts: Sequence[str]) -> None:
        for start in range(0, len(texts), _PART):
            part = texts[start : start + _PART]
            self.keep(part, self.model.embed(part))

    def keep(self, texts: Sequence[str], rows: Floats) -> None:
        """Keep vectors that somebody has worked out."""
        rows = np.asarray(rows, np.float32)
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO vec VALUES (?, ?)",
                [(key(text), row.tobytes()) for text, row in zip(texts, rows, strict=True)],
            )
        self._rows.update(zip(texts, rows, strict=True))

    def _read(self, texts: Sequence[str]) -> None:
        for text in texts:
            row = self._db.execute("SELECT e FROM vec WHERE key = ?", (key(text),)).fetchone()
            if row is not None:
                self._rows[text] = np.frombuffer(row[0], np.float32)


class CachedCodes(Cached):
    """One that gives the tokens of a text too, as the small integers that memkit stores."""

    token_identity = IDENTITY

    def embed_codes(
        self, texts: Sequence[str], *, purpose: Purpose = "document"
    ) -> tuple[Floats, list[TokenCodes]]:
        """Return what `embed` does, and the tokens of each text."""
        unknown = [text for text in dict.fromkeys(texts) if not self._knows(text)]
        for start in range(0, len(unknown), _PART):
            part = unknown[start : start + _PART]
            model = self.model
            assert isinstance(model, CodeEmbedder)
            rows, tokens = model.embed_codes(part)
            self.keep(part, rows)
            self.keep_codes(part, tokens)
        return self.embed(texts, purpose=purpose), [self._codes[text] for text in texts]

    def keep_codes(self, texts: Sequence[str], tokens: Sequence[TokenCodes]) -> None:
        """Keep the tokens of texts."""
        with self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO codes VALUES (?, ?, ?)",
                [
                    (key(text), each.spans.astype(np.int32).tobytes(), each.codes.tobytes())
                    for text, each in zip(texts, tokens, strict=True)
                ],
            )
        self._codes.update(zip(texts, tokens, strict=True))

    def _knows(self, text: str) -> bool:
        if text not in self._codes:
            row = self._db.execute("SELECT spans, e FROM codes WHERE key = ?", (key(text),)).fetchone()
            if row is None:
                return False
            spans = np.frombuffer(row[0], np.int32).reshape(-1, 2)
            self._codes[text] = TokenCodes(np.frombuffer(row[1], np.int8).reshape(-1, WIDTH), spans)
        return True


def key(text: str) -> bytes:
    """Return what a text is kept under."""
    return hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()


class Proxy:
    """Another embedder, made of MiniLM's vectors: 1,536 columns.

    `rotated`: turned into a part of the space, with noise of its own for each text. `squeezed`: all share a direction,
    so that cosines of different texts lie between 0.6 and 0.9.
    """

    symmetric = True
    dim = 1_536

    def __init__(self, inner: Embedder, name: str) -> None:
        self.identity = f"proxy/{name}"
        self._inner, self._squeezed = inner, name == "squeezed"
        turned = np.random.default_rng(5).standard_normal((self.dim, inner.dim))
        self._axes = np.linalg.qr(turned)[0].T.astype(np.float32)
        shared = np.random.default_rng(6).standard_normal(self.dim)
        shared -= self._axes.T @ (self._axes @ shared)
        self._shared = (shared / np.linalg.norm(shared)).astype(np.float32)

    def embed(self, texts: Sequence[str], *, purpose: Purpose = "document") -> Floats:
        """Return one unit row per text, in order."""
        rows = self._inner.embed(texts, purpose=purpose) @ self._axes
        noise = np.stack([self._noise(text) for text in texts])
        if self._squeezed:
            rows = np.sqrt(0.3) * rows + np.sqrt(0.6) * self._shared + np.sqrt(0.1) * noise
        else:
            rows = rows + 0.3 * noise
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _noise(self, text: str) -> Floats:
        seed = int.from_bytes(key(text)[:8], "big")
        row = np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return np.asarray(row / np.linalg.norm(row), np.float32)


def embedder(level: Level, folder: Path) -> Cached:
    """Return the embedder of a level, its vectors kept in a folder."""
    if level == "keyless":
        made = HashEmbedder()
        return Cached(made.identity, made.dim, HashEmbedder, ":memory:")
    folder.mkdir(parents=True, exist_ok=True)
    if level in PROXIES:
        inner = embedder("minilm", folder)
        return Cached(f"proxy/{level}", Proxy.dim, lambda: Proxy(inner, level), ":memory:")
    kind = CachedCodes if level == "late" else Cached
    return kind(MINILM, 384, _minilm, folder / "minilm.db")


def _minilm() -> Embedder:
    from memkit.embedders.minilm import MiniLMEmbedder

    return MiniLMEmbedder()
