"""Yardsticks in numpy, and how every peer is given its vectors."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Item = dict[str, Any]
"""id, text ("Ann: words"), words, speaker, user, session, date (ISO or ""), seq."""


class Embedder:
    """Reads vectors that are kept under the digests of their texts."""

    def __init__(self, path: str, dim: int) -> None:
        self.dim = dim
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        self._rows: dict[str, np.ndarray] = {}

    def read(self, texts: list[str]) -> None:
        """Read vectors into memory."""
        for text in texts:
            if text not in self._rows:
                key = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
                row = self._db.execute("SELECT e FROM vec WHERE key = ?", (key,)).fetchone()
                self._rows[text] = np.frombuffer(row[0], np.float32)

    def one(self, text: str) -> np.ndarray:
        """Return one vector; a text that a peer has changed is looked for as it is."""
        if text not in self._rows:
            self.read([text])
        return self._rows[text]

    def embed(self, texts: list[str]) -> np.ndarray:
        """Return a row per text."""
        return np.stack([self.one(text) for text in texts])


class System:
    """What a peer must offer; `texts` are what it embeds."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        self.embedder, self.folder = embedder, folder
        self.start()

    def start(self) -> None:
        """Open an empty store."""

    def texts(self, items: list[Item]) -> list[str]:
        """Return the texts whose vectors are needed."""
        return [item["text"] for item in items]

    def add(self, items: list[Item]) -> None:
        """Keep items."""
        raise NotImplementedError

    def search(self, query: str, user: str, k: int) -> list[str]:
        """Return the ids of a user's best items, best first."""
        raise NotImplementedError

    def close(self) -> None:
        """Free everything."""


def best(scores: np.ndarray, k: int) -> list[int]:
    """Return the places of the largest scores; of equals the first."""
    return np.argsort(-scores, kind="stable")[:k].tolist()


class Words:
    """BM25 over one user's texts, by bm25s, stemmed."""

    def __init__(self, texts: list[str], stopwords: str = "en", **options: float) -> None:
        import bm25s
        import Stemmer

        self._bm25s, self._stemmer, self._stopwords = bm25s, Stemmer.Stemmer("english"), stopwords
        self._index = bm25s.BM25(method="lucene", **options)
        self._index.index(self._tokens(texts), show_progress=False)
        self._none = np.zeros(len(texts), np.float32)

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        return self._bm25s.tokenize(
            texts, stopwords=self._stopwords, stemmer=self._stemmer, show_progress=False, return_ids=False
        )

    def scores(self, query: str) -> np.ndarray:
        """Return the score of every text."""
        found = self._tokens([query])[0]
        return self._index.get_scores(found) if found else self._none


class PerUser(System):
    """An exact index for each user, made when its items come."""

    def start(self) -> None:
        self.items: dict[str, list[Item]] = defaultdict(list)
        self.made: dict[str, Any] = {}

    def add(self, items: list[Item]) -> None:
        for item in items:
            self.items[item["user"]].append(item)
        for user in {item["user"] for item in items}:
            self.made[user] = self.index(self.items[user])

    def search(self, query: str, user: str, k: int) -> list[str]:
        items = self.items[user]
        return [items[at]["id"] for at in self.rank(self.made[user], query, k)]

    def index(self, items: list[Item]) -> Any:
        """Return what searches of one user need."""
        raise NotImplementedError

    def rank(self, made: Any, query: str, k: int) -> list[int]:
        """Return the places of the best items."""
        raise NotImplementedError


class Dense(PerUser):
    """Exact cosine: the most that vectors alone can find."""

    def index(self, items: list[Item]) -> Any:
        return self.embedder.embed([item["text"] for item in items])

    def rank(self, made: Any, query: str, k: int) -> list[int]:
        return best(made @ self.embedder.one(query), k)


class Bm25(PerUser):
    """bm25s with its defaults."""

    def index(self, items: list[Item]) -> Any:
        return Words([item["text"] for item in items])

    def rank(self, made: Any, query: str, k: int) -> list[int]:
        return best(made.scores(query), k)


class Fused(PerUser):
    """The best hundred of both by reciprocal rank, c = 60."""

    def index(self, items: list[Item]) -> Any:
        texts = [item["text"] for item in items]
        return self.embedder.embed(texts), Words(texts)

    def rank(self, made: Any, query: str, k: int) -> list[int]:
        matrix, words = made
        scores = words.scores(query)
        lists = [
            best(matrix @ self.embedder.one(query), 100),
            [at for at in best(scores, 100) if scores[at] > 0],
        ]
        sums: dict[int, float] = defaultdict(float)
        for ranking in lists:
            for place, at in enumerate(ranking, 1):
                sums[at] += 1 / (60 + place)
        return sorted(sums, key=lambda at: (-sums[at], at))[:k]


_MONTHS = "january february march april may june july august september october november december".split()


class Recipe(PerUser):
    """The published recipe, bare: BM25 and vectors standardised, the turns beside, the session, speaker and month."""

    def texts(self, items: list[Item]) -> list[str]:
        return [self._said(item) for item in items]

    @staticmethod
    def _said(item: Item) -> str:
        return f'{item["speaker"]} said, "{item["words"]}"'

    @staticmethod
    def _keywords(item: Item) -> str:
        date = item["date"]
        return f"{item['text']} {datetime.fromisoformat(date):%d %B %Y}" if date else item["text"]

    def index(self, items: list[Item]) -> Any:
        sessions = np.unique([item["session"] for item in items], return_inverse=True)[1]
        dates = [datetime.fromisoformat(item["date"]) if item["date"] else None for item in items]
        first = [item["speaker"].lower().split()[0] for item in items]
        return {
            "vectors": self.embedder.embed(self.texts(items)),
            "words": Words([self._keywords(item) for item in items], "en_plus", k1=1.2, b=0.75),
            "same": sessions[1:] == sessions[:-1],
            "groups": [np.flatnonzero(sessions == number) for number in range(sessions.max() + 1)],
            "speakers": {name: np.array([each == name for each in first], np.float32) for name in set(first)},
            "month": np.array([date.month if date else 0 for date in dates]),
            "year": np.array([date.year if date else 0 for date in dates]),
        }

    def rank(self, made: Any, query: str, k: int) -> list[int]:
        base = 0.7 * _standard(made["vectors"] @ self.embedder.one(query))
        base += 0.3 * _standard(made["words"].scores(query))
        score = base.copy()
        score[1:] += 0.2 * np.where(made["same"], base[:-1], 0)
        score[:-1] += 0.2 * np.where(made["same"], base[1:], 0)
        for group in made["groups"]:
            score[group] += 0.4 * np.sort(base[group])[-3:].mean()
        text = query.lower()
        for name, mask in made["speakers"].items():
            if name in text:
                score += mask
        words = set(text.replace("?", " ").replace(",", " ").replace("'", " ").split())
        months = [number for number, name in enumerate(_MONTHS, 1) if name in words]
        years = [
            int(word) for word in words if len(word) == 4 and word.isdigit() and word[:2] in ("19", "20")
        ]
        if months or years:
            named = np.isin(made["month"], months) if months else np.ones(len(score), np.bool_)
            score += 0.5 * (named & np.isin(made["year"], years) if years else named)
        return best(score, k)


def _standard(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.mean()) / (scores.std() + 1e-9)


YARDSTICKS = {"dense": Dense, "bm25": Bm25, "rrf": Fused, "recipe": Recipe}


def make(name: str, embedder: Embedder, folder: Path) -> System:
    """Return a system; a peer's module is imported only here, in its own environment."""
    made = YARDSTICKS.get(name) or import_module("peers").PEERS[name]
    return made(embedder, folder)
