"""What a query asks for besides its words: people, the speaker's own memories. And queries that are too long."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

from memkit.ranking.languages import LATIN, OF_LATIN, TELLING
from memkit.ranking.text import tokens, words_in, words_of
from memkit.ranking.words import STOP_WORDS

LONGEST: Final = 400
"""Characters of a query that are searched for; longer ones are cut down by `sanitise`."""

# ------------------------------------------------------------------------------------------ too long

_SPOKEN = re.compile(r"^\W*(?:user|human|question|query|customer|me|q)\W*?[:>]\s*(.+)$", re.IGNORECASE)
_LABEL = re.compile(r"^\W*(?:\w+\W+){0,3}\w*\W*$")
_LABEL_LENGTH: Final = 80
_SENTENCE_END = re.compile(r"(?<=[.!?。！？…])[\s\"'”’)\]]*|\n+|</?[A-Za-z][^<>\n]{0,80}>")


def sanitise(query: str) -> str:
    """Return what a query asks: itself when it has at most 400 characters, else its question.

    Agents send whole prompts as queries, and then every word of the instructions is searched for. The question of an
    over-long text is, first found wins: the last line that a user speaks in it (`User: ...`); its last question, when
    that stands in the last 600 characters; the one in its first line; its last line that is more than a label, unless
    that is over-long itself; its last question, wherever that stands; its end. Of these the last 400 characters are
    kept, from a whole word on.
    """
    text = query.strip()
    if len(text) <= LONGEST:
        return text
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    spoken = [
        found.group(1)
        for line in lines[-40:]
        if (found := _SPOKEN.match(line)) and re.search(r"\w", found[1])
    ]
    if spoken:
        return _tail(_question(spoken[-1]) if len(spoken[-1]) > LONGEST else spoken[-1])
    asked = _question(text[-600:])
    if not asked and len(lines[0]) <= LONGEST:  # what is pasted behind a question is what it is about
        asked = _question(lines[0])
    if asked:
        return _tail(asked)
    last = next((line for line in reversed(lines) if not _is_label(line)), text)
    return _tail(last if len(last) <= LONGEST else _question(text) or last)


def _is_label(line: str) -> bool:
    """Return whether a line is at most four words, such as "Answer:" or a closing tag."""
    return len(line) <= _LABEL_LENGTH and _LABEL.match(line) is not None


def _question(text: str) -> str:
    """Return the last sentence that ends in a question mark, or an empty string."""
    sentences = [s.strip() for s in _SENTENCE_END.split(text)]
    asked = [s for s in sentences if s.rstrip("\"'”’)] ").endswith(("?", "？", "؟"))]
    return asked[-1] if asked else ""


def _tail(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    cut = text[-LONGEST:]
    blank = cut.find(" ", 0, 60)
    return cut[blank + 1 :]


# ------------------------------------------------------------------------------------------ who

_FIRST_PERSON = re.compile(r"\b(?:i|my|me|mine|we|our)\b", re.IGNORECASE)
# With a capital only where it is nobody's name.
_OTHER_FIRST_PERSON = re.compile(
    r"\b(?:[iI]ch|[mM]ich|[mM]ir|[mM]eine?[mnrs]?|[wW]ir|unser(?:e[mnrs]?)?|[jJ]e|moi|[mM]on|mes|[nN]ous|[nN]otre|nos"
    r"|[yY]o|[mM]is?|[nN]osotr[ao]s|[nN]uestr[ao]s?|io|mi[ao]|miei|mie|noi|[nN]ostr[aeio]|[eE]u|[mM]eus?|[mM]inhas?"
    r"|[nN]oss[ao]s?|ik|[mM]ijn|jag|jeg|moj[aei]|mój|[bB]enim?|[яЯ]|[мМ]еня|[мМ]не|[мМ]о[йяеи]|моё|мое[йг]о?|моих|мою"
    r"|[мМ]ы|[нН]аш[аи]?|أنا|انا|मैं|मेरा|मेरी|मेरे|मुझे)(?!\w)"
    r"|\b[jJ]['’]\w|[我私僕俺]|우리|내가|나는|저는|제가"
)

_PLAIN_FIRST_PERSON = frozenset(
    """
    ich mich mir mein meine meinem meinen meiner meines wir unser unsere unserem unseren unserer unseres
    je moi mon mes nous notre nos yo mi mis nosotros nosotras nuestro nuestra nuestros nuestras
    io mio mia miei mie noi nostro nostra nostri nostre eu meu meus minha minhas nosso nossa nossos nossas
    ik mijn jag jeg moja moje moji beni benim
    """.split()
)
"""One of them, or "j'", is in every ASCII query that `_OTHER_FIRST_PERSON` finds something in."""


def first_person(query: str) -> bool:
    """Return whether the query speaks of the one who asks: I, my, me, mine, we or our, in any of 15 languages."""
    if _FIRST_PERSON.search(query) is not None:
        return True
    # To look for words is much faster.
    if query.isascii() and "j'" not in query.lower() and _PLAIN_FIRST_PERSON.isdisjoint(words_in(query)):
        return False
    return _OTHER_FIRST_PERSON.search(query) is not None


_PERSON = re.compile(
    r"\b(?:(?P<owner>[A-Z][\w-]+)['’]s (?=\w)"
    r"|(?:did|does|do|has|had|will|would|could|should|can) (?P<doer>[A-Z][\w-]+))"
)


def people(query: str) -> list[str]:
    """Return the capitalised words of a query that stand where a person does: "Ann's sister", "does Ann like"."""
    return [found["owner"] or found["doer"] for found in _PERSON.finditer(query)]


NOT_NAMES: Final = frozenset({"user", "assistant", "system", "tool", "human", "ai", "bot", "agent"})
"""Speakers that are roles: naming one does not name a person."""

ALSO_WORDS: Final = frozenset(
    """
    will may mark bill rose grace hope joy art june april august march rob pat sue drew frank jack dawn faith iris ivy
    lily olive ruby amber max chase grant dean earl duke guy ray rich rusty sandy sky sunny summer autumn summers
    """.split()
)
"""Names that are common words: they name a person only when written with a capital letter."""


_ENGLISH: Final = STOP_WORDS.difference(OF_LATIN)
"""Function words of English and of no other language that is known."""


def addressed(query: str, names: Collection[str]) -> str:
    """Return an English query as it is asked of the people it names: "What is Ann's job?" is "What is your job?".

    One in another language stays as it is, and so does one that says nothing but names.

    Args:
        names: Lower case, whole names; the first word of one names its bearer too.
    """
    if not _is_english(words_of(query)):
        return query
    forms = dict.fromkeys(form for name in names for form in (name, *name.split()[:1]))
    either = "|".join(sorted(map(_form, forms), key=len, reverse=True))
    asked = re.sub(
        rf"\b(?:{either})(?P<owns>['’]s)?(?!\w)", lambda found: "your" if found["owns"] else "you", query
    )
    return asked if tokens(asked) else query


_TOGETHER = re.compile(r"\b(?:[bB]oth,? )?(?:your?,? )+(?:and|or|&) (?P<one>your?)\b(?:,? both\b)?")


def of_each(asked: str) -> str:
    """Return what is asked of several people together as it is asked of each of them alone.

    "What do you and you both like?" is "What do you like?": each answers in turns of her own, and seldom both in one.

    Args:
        asked: As `addressed` returns it.
    """
    return _TOGETHER.sub(lambda found: found["one"], asked)


def _is_english(words: Sequence[str]) -> bool:
    if max(words, default="") > LATIN or not TELLING.isdisjoint(words):
        return False
    return OF_LATIN.isdisjoint(words) or not _ENGLISH.isdisjoint(words)


def _form(name: str) -> str:
    """Return a pattern of a name; one that is a common word has its capital letter."""
    return re.escape(name.capitalize()) if name in ALSO_WORDS else f"(?i:{re.escape(name)})"
