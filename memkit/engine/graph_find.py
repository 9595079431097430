"""Finding entities by what somebody types: a name, a part of one, a name spelled otherwise, a sentence."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Final

from ..graph_stores.base import fold_name
from ..ledger.graph import folded_of
from ..types import GraphEntity
from .core import Engine
from .graph import GraphRequest, open_reader

_ALIKE: Final = 0.75
"""Spellings that share so much may be one name: `Beatrise` and `Beatrice` share 0.88."""
_MOST: Final = 20_000
"""Entities that are compared."""
_CHARS: Final = 200


async def find(engine: Engine, request: GraphRequest, text: str) -> list[GraphEntity]:
    """Return the entities that a text may mean: named there, then sharing words with it, then spelled alike."""
    reader = await open_reader(engine, request, own=True)
    if reader is None:
        return []
    asked = fold_name(text[:_CHARS])
    best: dict[str, float] = {}
    after: str | None = None
    seen = 0
    while seen < _MOST and (page := await reader.page(after)):
        seen, after = seen + len(page), page[-1][1]
        for _, id in page:
            entity = reader.names.known[id]
            likeness = _likeness(asked, folded_of(entity.key))
            if likeness:
                root = reader.names.root(entity.owner, entity.key)
                best[root] = max(likeness, best.get(root, 0.0))
    roots = sorted(best, key=lambda root: (-best[root], reader.name(root), root))[: request.limit]
    return [one for one in await reader.entities(roots) if one]


def _likeness(asked: str, name: str) -> float:
    """Return how likely a text means a folded name: above 2 where it is named, above 1 for shared words, 0 for not."""
    if asked == name:
        return 3.0
    words, own = set(asked.split()), set(name.split())
    shared = len(words & own)
    if shared == len(own):
        return 2.0 + len(name) / (len(name) + len(asked))
    if shared:
        return 1.0 + shared / len(words | own)
    if name.startswith(asked) and len(asked) > 1:
        return 1.0
    matcher = SequenceMatcher(None, asked, name, autojunk=False)
    if matcher.real_quick_ratio() < _ALIKE or matcher.quick_ratio() < _ALIKE:
        return 0.0
    likeness = matcher.ratio()
    return likeness if likeness >= _ALIKE else 0.0
