"""What holds whatever is asked: instructions, preferences, pinned memories, and wishes in what a user said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..clock import now_us
from ..ledger.base import Record
from ..ranking.standing import MARK, Matter, same_matter, standing
from .core import Engine
from .packing import Line, line_of
from .search import SearchRequest
from .views import is_current, memory_item, record_test

_KEPT: Final = 200
"""Of what was stored as an instruction or a preference, the oldest."""
_SAID: Final = 400
"""Of turns that hold a wish, the newest."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A standing memory as a line, and how firmly it stands.

    Attributes:
        line: What is shown.
        rank: 0 what was stored as standing, 1 an order in a turn, 2 a preference in a turn.
    """

    line: Line
    rank: int


async def standing_wishes(engine: Engine, request: SearchRequest) -> list[Wish]:
    """Return what stands in a scope, oldest first; of turns on the same matter only the newest."""
    kept = await engine.call(engine.ledger.standing, request.scope, at=now_us(), limit=_KEPT)
    owners = await engine.call(engine.ledger.owners_in, request.scope)
    rids = await engine.call(engine.ledger.keyword_candidates, owners, [MARK], _SAID)
    said = (await engine.call(engine.ledger.fetch, rids)).records if rids else ()
    return await engine.rt.work(_wishes, request, kept, said)


def _wishes(request: SearchRequest, kept: Sequence[Record], said: Sequence[Record]) -> list[Wish]:
    now = now_us()
    accepts = None if request.filter is None else record_test(request.filter)

    def passes(record: Record) -> bool:
        return (
            request.scope.allows(record.user_id, record.agent_id, record.run_id)
            and (request.kinds is None or record.kind in request.kinds)
            and (accepts is None or accepts(record))
        )

    firm = [(record.rid, Wish(line_of(memory_item(record)), 0)) for record in kept if passes(record)]
    known = {rid for rid, _ in firm}
    own = [
        record
        for record in said
        if record.rid not in known
        and record.origin == "user"
        and record.role in ("user", None)
        and is_current(record, now, now)
        and passes(record)
    ]
    return [wish for _, wish in sorted([*firm, *_from_turns(own)], key=lambda pair: pair[0])]


def _from_turns(records: Sequence[Record]) -> list[tuple[int, Wish]]:
    """Return the wishes of turns; one that a later turn says otherwise is left out."""
    found: list[tuple[int, Wish]] = []
    later: list[Matter] = []
    for record in sorted(records, key=lambda record: (record.created_at, record.rid), reverse=True):
        wish = standing(record.text)
        if wish is None:
            continue
        matter = wish.matter()
        if any(same_matter(matter, other) for other in later):
            continue
        later.append(matter)
        line = Line(memory_item(record), wish.text, wish.start)
        found.append((record.rid, Wish(line, 1 if wish.wish == "instruction" else 2)))
    return found
