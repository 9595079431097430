"""Every part of the ranking taken away by itself, and the vectors or the words alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Final, cast

from benchmarks._retrieval import data
from benchmarks._retrieval.cached import Level
from benchmarks._retrieval.metrics import means, of_places
from benchmarks._retrieval.run import Run
from memkit.embedders.base import CodeEmbedder
from memkit.ranking.index import OwnerIndex, RankQuery
from memkit.ranking.late import Tokens, pack, without_signs
from memkit.ranking.standing import wishes
from memkit.ranking.text import dense_form
from memkit.ranking.weights import Part, Weights, weights_for

_ADDED: Final = (
    *("previous", "next", "session", "speaker", "date", "day", "first", "question", "length", "event"),
    *("answers", "tells", "kind", "frame", "address", "nickname", "each", "mine", "topic", "spread"),
    *("apart", "item", "wish", "answered", "exact", "english", "late", "around", "related"),
)
_PARTS: Final = ("dense", "words", "window")


def without(weights: Weights) -> dict[str, Weights]:
    """Return the weights, whole and without each of their parts."""
    out = {"whole": weights}
    out |= {f"no {name}": _off(weights, [name]) for name in (*_PARTS, *_ADDED) if _has(weights, name)}
    out |= {
        f"{name} alone": _off(weights, [each for each in (*_PARTS, *_ADDED) if each != name])
        for name in _PARTS
    }
    if weights.chat is not None or weights.long is not None:
        out["no gate"] = replace(weights, chat=None, long=None)
    return out


def _has(weights: Weights, name: str) -> bool:
    variants = [each for each in (weights, weights.chat, weights.long) if each is not None]
    return any(_weight(getattr(each, name)) != 0 for each in variants)


def _weight(value: object) -> float:
    return value.weight if isinstance(value, Part) else float(cast("float", value))


def _off(weights: Weights, names: Sequence[str]) -> Weights:
    changed: dict[str, object] = {}
    for name in names:
        value = getattr(weights, name)
        changed[name] = replace(value, weight=0.0) if isinstance(value, Part) else 0.0
    for variant in ("chat", "long"):
        inner = getattr(weights, variant)
        changed[variant] = None if inner is None else _off(inner, names)
    known = {field.name for field in fields(weights)}
    return replace(weights, **{name: value for name, value in changed.items() if name in known})  # pyright: ignore[reportArgumentType]


def ablation(run: Run) -> None:
    """Measure every level, part by part."""
    for level in run.levels:
        for name, conversations in run.sets.items():
            with run.bar(len(conversations), f"ablation {level} {name}") as bar:
                rows: dict[str, list[dict[str, float]]] = {}
                for conversation in conversations:
                    found = run.kept(
                        lambda c=conversation, n=level: _of(run, n, c), "ablation", level, name, conversation.id,
                        by=("memkit/ranking", "benchmarks/_retrieval/ablation.py", "benchmarks/_retrieval/data.py"),
                    )  # fmt: skip
                    for label, metrics in found.items():
                        rows.setdefault(label, []).extend(metrics)
                    bar.advance(1)
            for label, metrics in rows.items():
                run.note("ablation", f"{level}: {label}", name, "all", **means(metrics))


def _of(run: Run, level: Level, conversation: data.Conversation) -> Mapping[str, list[dict[str, float]]]:
    embedder = run.embedder(level)
    (filled,) = data.with_vectors([conversation], embedder)
    tokens = tokens_of(embedder, filled) if isinstance(embedder, CodeEmbedder) else None
    asked = [q for q in conversation.questions if q.answerable]
    out: dict[str, list[dict[str, float]]] = {}
    for label, weights in without(weights_for(embedder.identity)).items():
        index = OwnerIndex(embedder.dim, weights=weights)
        index.upsert(filled.entries)
        index.stand(wishes(filled.entries))
        queries = [
            RankQuery(text=q.text, vector=None, at=conversation.end, now=conversation.end) for q in asked
        ]
        texts = [index.embedded(query) for query in queries]
        vectors = embedder.embed(texts, purpose="query")
        for question, query, text, vector in zip(asked, queries, texts, vectors, strict=True):
            query = replace(query, vector=vector, tokens=tokens(text) if tokens else None)
            best = index.rank(query).rids(0, 50).tolist()
            places = [place for place, rid in enumerate(best, 1) if rid in question.evidence]
            out.setdefault(label, []).append(of_places(places, len(question.evidence)))
    return out


def tokens_of(embedder: CodeEmbedder, conversation: data.Conversation) -> Callable[[str], Tokens]:
    """Return what gives the tokens of a query, beside those of a conversation: those that a search compares."""
    texts = [dense_form(entry.text, entry.speaker) for entry in conversation.entries]
    _, codes = embedder.embed_codes(texts)
    identity = embedder.token_identity or ""
    packed = {
        entry.rid: kept
        for entry, text, found in zip(conversation.entries, texts, codes, strict=True)
        if (kept := pack(without_signs(text, found).codes, identity)) is not None
    }

    def stored(rids: Sequence[int]) -> Mapping[int, bytes]:
        return {rid: packed[rid] for rid in rids if rid in packed}

    def asked(text: str) -> Tokens:
        _, (found,) = embedder.embed_codes([text], purpose="query")
        return Tokens(text=text, asked=without_signs(text, found), identity=identity, stored=stored)

    return asked
