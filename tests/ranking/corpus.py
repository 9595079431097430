"""Small written corpora, and as much filler as a test wants."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from memkit.embedders.hash import HashEmbedder
from memkit.ranking.index import Entry, OwnerIndex, RankQuery
from memkit.ranking.result import Ranking
from memkit.ranking.standing import wishes
from memkit.ranking.text import dense_form
from memkit.ranking.weights import KEYLESS, Weights

DAY = 86_400_000_000
START = 1_700_000_000_000_000  # 14 November 2023
NOW = START + 400 * DAY
EMBEDDER = HashEmbedder()


def entry(rid: int, text: str, **changes: Any) -> Entry:
    """A turn that Ann said on 14 November 2023, unless told otherwise."""
    values: dict[str, Any] = {
        "rid": rid,
        "text": text,
        "speaker": "Ann",
        "role": "user",
        "session": "s",
        "agent": None,
        "user": "u",
        "created_at": START + rid * 1_000_000,
        "dated": True,
        "kind": "message",
        "valid_from": 0,
        "valid_until": None,
        "expires_at": None,
    } | changes
    values.setdefault("order", (values["created_at"], rid))
    if "vector" not in values:
        values["vector"] = EMBEDDER.embed([dense_form(text, values["speaker"])])[0]
    return Entry(**values)


def fact(rid: int, text: str, **changes: Any) -> Entry:
    return entry(rid, text, **({"speaker": None, "session": None, "kind": "fact", "dated": False} | changes))


def index_of(entries: Sequence[Entry], weights: Weights = KEYLESS) -> OwnerIndex:
    index = OwnerIndex(EMBEDDER.dim, weights=weights)
    index.upsert(entries)
    index.stand(wishes(entries))
    return index


def query(text: str, **changes: Any) -> RankQuery:
    values: dict[str, Any] = {
        "text": text,
        "vector": EMBEDDER.embed([text])[0],
        "at": NOW,
        "now": NOW,
    } | changes
    return RankQuery(**values)


def ask(index: OwnerIndex, text: str, **changes: Any) -> Ranking:
    return index.rank(query(text, **changes))


_WHO = "neighbour colleague cousin teacher friend landlord coach customer plumber classmate".split()
_DID = (
    "repaired painted ordered borrowed described measured cleaned counted sketched recorded packed sorted tested "
    "polished weighed mailed labelled printed planted baked"
).split()
_WHAT = (
    "bookshelf curtain invoice lantern ladder blanket teapot calendar envelope basket bracket carpet drawer fence "
    "hammock kettle mirror notebook pillow radiator saddle trolley umbrella vase wardrobe zipper anchor barrel candle"
).split()
_WHERE = "attic garage kitchen office station market library workshop courtyard cellar harbour clinic".split()
_HOW = "slowly carefully twice again quickly quietly badly early late together alone cheaply".split()
_TALK = (
    "Sounds good, talk to you later.", "Thanks, that helps a lot!", "How was your day?", "I am not sure yet.",
    "That is so nice to hear.", "We should do it again some time.", "Let me think about it.", "What do you mean?",
)  # fmt: skip


def filler(count: int, first: int = 1_000_000, **changes: Any) -> list[Entry]:
    """Turns about nothing in particular, in sessions of 20, by two people."""
    rng = random.Random(count)
    texts = [
        rng.choice(_TALK)
        if n % 4 == 3
        else f"My {rng.choice(_WHO)} {rng.choice(_DID)} the {rng.choice(_WHAT)} and the {rng.choice(_WHAT)} "
        f"in the {rng.choice(_WHERE)} {rng.choice(_HOW)}."
        for n in range(count)
    ]
    unique = list(dict.fromkeys(texts))
    rows: dict[str, np.ndarray[Any, Any]] = {}
    for speaker in ("Zoe", "Bob"):
        forms = EMBEDDER.embed([dense_form(t, speaker) for t in unique])
        rows |= {f"{speaker}{t}": row for t, row in zip(unique, forms, strict=True)}
    return [
        entry(
            first + n,
            text,
            **(
                {
                    "speaker": (who := ("Zoe", "Bob")[n % 2]),
                    "session": f"filler-{n // 20}",
                    "created_at": START - 300 * DAY + n * 60_000_000,
                    "vector": rows[f"{who}{text}"],
                }
                | changes
            ),
        )
        for n, text in enumerate(texts)
    ]


# (memory, a question it answers, in words that are partly its own)
ANSWERS = (
    ("I adopted a grey cat called Whiskers from the shelter.", "What is the name of Ann's cat?"),
    ("My sister lives in Lisbon and works as a nurse.", "Where does Ann's sister live?"),
    ("I am allergic to peanuts and shellfish.", "What food is Ann allergic to?"),
    ("We moved to a flat in Porto last summer because of my new job.", "When did Ann move to Porto?"),
    ("I play the cello in the city orchestra every Thursday.", "Which instrument does Ann play?"),
    ("My doctor told me to stop drinking coffee after noon.", "What did the doctor tell Ann about coffee?"),
    ("The deposit for the wedding venue was 900 euros.", "How much was the deposit for the wedding venue?"),
    ("I failed my driving test twice before I passed it.", "How often did Ann fail her driving test?"),
    ("Our dentist is Dr Keller on Mill Road.", "Who is Ann's dentist?"),
    ("I prefer window seats when I fly.", "Which seats does Ann prefer on a flight?"),
)
FACTS = (
    ("Ann is vegetarian since 2019.", "Is Ann vegetarian?"),
    ("The user's favourite colour is teal.", "What is the user's favourite color?"),
    (
        "The production database runs on PostgreSQL 16.",
        "Which version of PostgreSQL does the production database run?",
    ),
    ("Ann's daughter Mia starts school in September.", "When does Mia start school?"),
)
OFF_TOPIC = (
    "What is the capital of Mongolia?",
    "How does photosynthesis work?",
    "Who painted the ceiling of the Sistine Chapel?",
    "What is the exchange rate of the yen?",
    "How do I reset my router?",
    "Which planet has the most moons?",
)
