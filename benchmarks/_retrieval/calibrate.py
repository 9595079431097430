"""Labelled samples for the calibrated scores: questions asked in scopes of 1 to 10,000 turns.

Every question is asked in its whole conversation; some of them also in pieces of 1, 10 and 100 turns around their
evidence, and among the turns of all conversations. Negatives are the turns that are no evidence, questions with a false
premise, questions of other users with this one's names, and questions of general knowledge. Turns asked word for word,
and memories asked in other words (`paraphrases`), are positives.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks._retrieval.data import Conversation
from benchmarks._retrieval.fitting_texts import GENERAL, REQUESTS, paraphrases
from memkit.embedders.base import CodeEmbedder, Embedder
from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.late import Tokens, pack
from memkit.ranking.standing import wishes
from memkit.ranking.text import dense_form
from memkit.ranking.weights import Weights

WHOLE, ALL = 0, 10_000
"""Scopes: a whole conversation, and all of them; other sizes are numbers of turns."""
PIECES = (1, 10, 100)
DEPTH = 50
"""Rows of a ranking that are labelled."""
_PIECED = 16
"""Questions of a conversation that are asked in pieces of it."""
_KNOWN = 12


@dataclass(frozen=True, slots=True)
class Sample:
    """One query in one scope.

    Attributes:
        kind: real, adversarial, foreign, general, known or paraphrase.
        set: The conversation set; empty for what is no conversation.
        conversation: Its number over all sets, -1 for none.
        scope: `WHOLE`, `ALL`, or turns.
        features: [rows, features] of the best rows.
        labels: [rows], 1 where the row is evidence.
        query: Features of the query as a whole.
        scores: What the constants that are in use give the rows, best first.
        answerable: Likewise the query.
        rids: Numbers of the rows.
        level: Of the constants: a question may be asked of memories that were not compared token by token.
    """

    kind: str
    set: str
    conversation: int
    scope: int
    features: np.ndarray
    labels: np.ndarray
    query: dict[str, float]
    scores: np.ndarray
    answerable: float
    rids: np.ndarray
    level: str


@dataclass(slots=True)
class Pool:
    """Everything that scopes are cut from."""

    conversations: list[Conversation]
    sets: list[str]
    embedder: Embedder
    weights: Weights
    random: random.Random = field(default_factory=lambda: random.Random(7))
    names: list[str] = field(default_factory=list)
    tokens: dict[int, bytes] = field(default_factory=dict)

    def keep_tokens(self, entries: Sequence[Entry]) -> None:
        """Keep the tokens of entries, where the embedder gives any."""
        if isinstance(self.embedder, CodeEmbedder) and self.embedder.token_identity:
            _, codes = self.embedder.embed_codes([dense_form(e.text, e.speaker) for e in entries])
            for entry, found in zip(entries, codes, strict=True):
                packed = pack(found.codes, self.embedder.token_identity)
                if packed is not None:
                    self.tokens[entry.rid] = packed

    def query(self, index: OwnerIndex, text: str, at: int) -> RankQuery:
        """Return a question as an engine would ask it."""
        about = index.embedded(RankQuery(text=text, vector=None, at=at, now=at))
        tokens: Tokens | None = None
        if isinstance(self.embedder, CodeEmbedder) and self.embedder.token_identity:
            rows, codes = self.embedder.embed_codes([about], purpose="query")
            tokens = Tokens(
                text=about, asked=codes[0], identity=self.embedder.token_identity, stored=self._stored
            )
        else:
            rows = self.embedder.embed([about], purpose="query")
        return RankQuery(text=text, vector=rows[0], at=at, now=at, tokens=tokens)

    def _stored(self, rids: Sequence[int]) -> dict[int, bytes]:
        return {rid: self.tokens[rid] for rid in rids if rid in self.tokens}

    def index(self, entries: Sequence[Entry]) -> OwnerIndex:
        index = OwnerIndex(self.embedder.dim, weights=self.weights)
        index.upsert([replace(e, session=f"{e.user}/{e.session}") for e in entries])
        index.stand(wishes(entries))
        return index

    def ask(
        self,
        index: OwnerIndex,
        text: str,
        at: int,
        evidence: frozenset[int],
        kind: str,
        scope: int,
        number: int,
    ) -> Sample:
        ranking = index.rank(self.query(index, text, at))
        self.names, features, rids = ranking.features(DEPTH)
        return Sample(
            kind=kind,
            set=self.sets[number] if number >= 0 else "",
            conversation=number,
            scope=scope,
            features=features,
            labels=np.isin(rids, list(evidence)).astype(float),
            query=ranking.query_features(),
            scores=ranking.scores(0, DEPTH),
            answerable=ranking.answerable or 0.0,
            rids=rids,
            level=ranking.level,
        )


def samples(pool: Pool) -> list[Sample]:
    """Return the labelled queries of all scopes."""
    for conversation in pool.conversations:
        pool.keep_tokens(conversation.entries)
    everything = pool.index([e for c in pool.conversations for e in c.entries])
    out: list[Sample] = []
    for number, conversation in enumerate(pool.conversations):
        out += _whole(pool, number, conversation)
        out += _pieces(pool, number, conversation, everything)
    end = max(c.end for c in pool.conversations)
    out += [pool.ask(everything, text, end, frozenset(), "general", ALL, -1) for text in GENERAL]
    out += _paraphrased(pool, end)
    return out


def _whole(pool: Pool, number: int, conversation: Conversation) -> Iterator[Sample]:
    index, end = pool.index(conversation.entries), conversation.end
    for question in conversation.questions:
        kind = "real" if question.answerable else "adversarial"
        evidence = question.evidence if question.answerable else frozenset[int]()
        yield pool.ask(index, question.text, end, evidence, kind, WHOLE, number)
    same = [n for n, name in enumerate(pool.sets) if name == pool.sets[number]]
    stranger = pool.conversations[same[(same.index(number) + 1) % len(same)]]
    for question in stranger.questions:
        if question.answerable:
            text = renamed(question.text, stranger, conversation)
            yield pool.ask(index, text, end, frozenset(), "foreign", WHOLE, number)
    for text in GENERAL:
        yield pool.ask(index, text, end, frozenset(), "general", WHOLE, number)


def _pieces(pool: Pool, number: int, conversation: Conversation, everything: OwnerIndex) -> Iterator[Sample]:
    entries, end = conversation.entries, conversation.end
    place = {entry.rid: n for n, entry in enumerate(entries)}

    def piece(rid: int, size: int) -> OwnerIndex:
        first = min(max(0, place[rid] - pool.random.randrange(size)), len(entries) - size)
        return pool.index(entries[first : first + size])

    asked = [question for question in conversation.questions if question.answerable]
    for question in pool.random.sample(asked, min(_PIECED, len(asked))):
        rid = pool.random.choice(sorted(question.evidence))
        for size in PIECES:
            index = piece(rid, size)
            yield pool.ask(index, question.text, end, question.evidence, "real", size, number)
            if size < PIECES[-1]:
                yield pool.ask(index, pool.random.choice(GENERAL), end, frozenset(), "general", size, number)
                other = pool.random.choice([c for c in pool.conversations if c is not conversation])
                foreign = pool.random.choice(other.questions).text
                yield pool.ask(index, foreign, end, frozenset(), "foreign", size, number)
        late = max(c.end for c in pool.conversations)
        yield pool.ask(everything, question.text, late, question.evidence, "real", ALL, number)
    for entry in pool.random.sample([e for e in entries if len(e.text) > 30], _KNOWN):
        same = frozenset(e.rid for e in entries if e.text == entry.text)
        for size in (*PIECES[:2], len(entries)):
            scope = WHOLE if size == len(entries) else size
            yield pool.ask(piece(entry.rid, size), entry.text[:400], end, same, "known", scope, number)


def _paraphrased(pool: Pool, at: int) -> Iterator[Sample]:
    """Ask for written memories in other words: alone, among the others, and where they are missing."""
    pairs = paraphrases()
    for speaker in (None, "Ann"):
        forms = pool.embedder.embed([dense_form(memory, speaker) for memory, _ in pairs])
        entries = [
            Entry(
                rid=-1 - n, order=(0, n), text=memory, speaker=speaker, role="user", session=None, agent=None,
                user=None, created_at=0, dated=False, kind="fact", valid_from=0, valid_until=None, expires_at=None,
                vector=row,
            )
            for n, ((memory, _), row) in enumerate(zip(pairs, forms, strict=True))
        ]  # fmt: skip
        pool.keep_tokens(entries)
        for n, (_, question) in enumerate(pairs):
            others = entries[:n] + entries[n + 1 :]
            few = pool.random.sample(others, 9)
            own = frozenset({-1 - n})
            yield pool.ask(pool.index([entries[n]]), question, at, own, "paraphrase", 1, -1)
            yield pool.ask(pool.index([entries[n], *few]), question, at, own, "paraphrase", 10, -1)
            yield pool.ask(pool.index(entries), question, at, own, "paraphrase", len(entries), -1)
            yield pool.ask(pool.index(few), question, at, frozenset(), "foreign", 10, -1)
            yield pool.ask(pool.index(others), question, at, frozenset(), "foreign", 100, -1)
        for text in REQUESTS:
            alone, few = pool.random.choice(entries), pool.random.sample(entries, 10)
            yield pool.ask(pool.index([alone]), text, at, frozenset(), "request", 1, -1)
            yield pool.ask(pool.index(few), text, at, frozenset(), "request", 10, -1)
            yield pool.ask(pool.index(entries), text, at, frozenset(), "request", len(entries), -1)


def renamed(text: str, theirs: Conversation, ours: Conversation) -> str:
    """Return a question of another user with this one's names in the place of that one's."""
    names = dict(zip(people(theirs), people(ours), strict=False))
    if not names:
        return text
    return re.sub(rf"\b(?:{'|'.join(map(re.escape, names))})\b", lambda found: names[found[0]], text)


def people(conversation: Conversation) -> list[str]:
    """Return who speaks, in the order of their first turns."""
    return list(dict.fromkeys(entry.speaker for entry in conversation.entries if entry.speaker))
