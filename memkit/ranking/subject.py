"""Whose a fact is: a user tells of herself and of others, and "Where do I live?" asks for what is her own."""

from __future__ import annotations

import re
from typing import Final

_NOBODY: Final = (
    "I|My|Me|We|Our|User|The|She|He|They|It|This|That|These|Those|There|You|Your|Her|His|Their|Its"
)
_DOES: Final = (
    "lives|works|plays|likes|loves|hates|dislikes|wants|needs|drives|studies|speaks|owns|prefers|enjoys|teaches|runs|"
    "eats|drinks|cooks|bakes|wears|collects|reads|writes|sings|dances|paints|attends|visits|thinks|believes|says|"
    "knows|hopes|plans|keeps|takes|makes|goes|gets|rides|swims|climbs|practises|practices|learns|uses|has|had|"
    "lived|worked|played|liked|loved|hated|wanted|needed|drove|studied|spoke|owned|preferred|told|said|moved|bought|"
    "sold|got|became|went|lost|won|started|stopped|quit|married|joined|left|adopted|used|broke|took|made|ran|wrote|"
    "visited|attended|will|does|did|can|cannot|would"
)
_IS: Final = (
    r"(?:is|was) (?:also |now |still |not )?"
    r"(?:an? |the |allergic|afraid|married|engaged|divorced|single|from |born|vegan|vegetarian|called|named|\d+ years|"
    r"\w+ing\b)"
)
_NAME: Final = rf"(?!(?:{_NOBODY})\b)[A-Z][^\W\d_]+(?:[- ][A-Z][^\W\d_]+){{0,3}}"
_ANOTHERS: Final = re.compile(
    rf"{_NAME}(?:['’]s? | (?:also |now |still |no longer )?(?:(?:{_DOES})\b|{_IS}))"
)


def is_of_another(fact: str) -> bool:
    """Return whether a fact begins with somebody's name, as in "Ines plays the oboe" or "Ben's car is red".

    In English. A user who is called by her name in it counts as another as well.
    """
    return _ANOTHERS.match(fact) is not None
