"""Who is meant by a name that no speaker bears: "What does Lou paint?", where Ann says "Hey Lou!" to Louisa.

A name that somebody is called is said to her and not by her, again and again. So it is hers if one person takes part in
the talks in which it is said, never says it, and hears it in a third of her talks with those who do. Somebody who is
talked about is asked after as well, so both say her name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from memkit.ranking.postings import Postings, Vocabulary
from memkit.ranking.query import people
from memkit.ranking.text import query_terms
from memkit.ranking.view import Ints, Mask, View

if TYPE_CHECKING:
    from memkit.ranking.scoring import Names

_SAID: Final = 6
"""Turns that must hold a nickname, in as many talks as `_TALKS`."""
_TALKS: Final = 4
_OFTEN: Final = 1 / 3
"""Share of the talks with those who use it in which a nickname is heard; names of third persons come and go."""
_BY_HERSELF: Final = 0.05
"""Share of the turns that hold it up to which it may be her own: she says it when somebody forgot it."""


def called(view: View, rows: Ints) -> int:
    """Return the number of the speaker who is called what some turns hold; -1 for nobody, or where it is not clear.

    Args:
        rows: The turns in view that hold the name.
    """
    rows = rows[(rows >= view.talk_from) & (view.speaker[rows] >= 0)]
    if len(rows) < _SAID:
        return -1
    session, speaker = view.session, view.speaker[view.talk_from :]
    said = np.unique(session[rows - view.talk_from])
    if len(said) < _TALKS:
        return -1
    by = np.bincount(view.speaker[rows], minlength=int(speaker.max()) + 1)
    there = np.zeros(len(view.starts), np.bool_)
    there[said] = True
    hears = _talks(session, speaker, there[session] & (speaker >= 0), len(by))
    always = np.flatnonzero((hears == len(said)) & (by <= _BY_HERSELF * len(rows)))
    if len(always) != 1:
        return -1
    who = int(always[0])
    if np.count_nonzero(there[session] & (speaker == who)) < len(rows):  # she says too little to tell
        return -1
    says = np.flatnonzero(by > _BY_HERSELF * len(rows))
    both = np.bincount(session[speaker == who], minlength=len(view.starts)) > 0
    both &= np.bincount(session[np.isin(speaker, says)], minlength=len(view.starts)) > 0
    return who if len(said) >= _OFTEN * np.count_nonzero(both) else -1


def _talks(session: Ints, speaker: Ints, rows: Mask, speakers: int) -> Ints:
    """Return in how many sessions each speaker takes part, by some rows."""
    pairs = np.unique(session[rows] * speakers + speaker[rows])
    return np.bincount(pairs % speakers, minlength=speakers)


def renamed(view: View, query: str, names: Names, vocabulary: Vocabulary, postings: Postings) -> str:
    """Return a query with the names of speakers in the place of what others in view call them."""
    if view.talk_from == len(view):
        return query
    out = query
    for word in dict.fromkeys(people(query)):
        if not view.speakers.isdisjoint(names.bearing(word)):
            continue
        term = next(iter(query_terms(word)), None)
        number = -1 if term is None else vocabulary.get(term, -1)
        if number >= 0:
            who = called(view, _in_view(view, postings.find([number])[0]))
            if who >= 0:
                out = re.sub(rf"\b{re.escape(word)}\b", names.of([who])[0].title(), out)
    return out


def _in_view(view: View, slots: Ints) -> Ints:
    if view.position is None:
        return slots
    rows = view.position[slots]
    return rows[rows >= 0]
