"""Entities and relations out of plain sentences, without a model: precision before recall.

A relation is read only from a clause that says it plainly: a name, or the speaker, directly before a known verb, and a
name or a short phrase directly behind it. Questions, wishes, conditions and negations say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

from memkit.extraction.relation_forms import (
    ADVERBS,
    ENGLISH,
    FRENCH,
    GERMAN,
    KIN,
    PETS,
    SPANISH,
    SPANISH_FIRST,
    Form,
)
from memkit.extraction.relation_names import AND, GAP, ME, MY, NAME, USER, WORD, is_name, speaks, trimmed
from memkit.extraction.text import keys, language

SPEAKER: Final = "User"
MAX_CHARS: Final = 20_000
"""So much of a text is read."""
_SENTENCE_CHARS: Final = 400
"""So much of a sentence."""

Triple = tuple[str, str, str]


class Related(NamedTuple):
    """What a text names, as (name, kind), and what it says of that, as (source, relation, target)."""

    entities: list[tuple[str, str]]
    relations: list[Triple]


def relations_in(text: str) -> Related:
    """Return what a text names and plainly says; whoever says "I" is `User`."""
    found = _Found()
    for sentence in _sentences(text[:MAX_CHARS]):
        if sentence.rstrip().endswith(("?", "？")):
            continue
        _read(sentence[:_SENTENCE_CHARS], found)
    return Related(list(found.kinds.items()), list(found.triples))


class _Found:
    """What was read so far; a known kind stays."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.triples: dict[Triple, None] = {}

    def name(self, name: str, kind: str) -> None:
        if name != SPEAKER and (self.kinds.get(name, "thing") == "thing"):
            self.kinds[name] = kind

    def add(self, source: tuple[str, str], relation: str, target: tuple[str, str]) -> None:
        if source[0].casefold() == target[0].casefold():
            return
        self.name(*source)
        self.name(*target)
        self.triples[source[0], relation, target[0]] = None


# ------------------------------------------------------------------------------------------- words

_BREAK: Final = re.compile(r"(?<=[.!?。！？])\s+|\n+|;\s+")
_ABBREVIATED: Final = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|Prof|Sr|Jr|No|vs|Inc|Ltd|Co|Sra)|\b[A-Z])\.$")
_CLAUSE: Final = re.compile(
    r"\s*[,;:]\s+(?:(?:and|but|und|aber|y|pero|et|mais|so|while|whereas)\s+)?"
    r"|\s+(?:and|but|und|aber|y|pero|et|mais|while|whereas|because|weil|porque|parce que)\s+"
)
_UNSURE: Final = re.compile(
    r"\b(?:if|thinks?|thought|guess(?:ed)?|supposes?|allegedly|supposedly|rumou?rs?|(?:they|people|some)\s+say|wish(?:es|ed)?|hopes?|hoping|would|could|might|maybe|perhaps|imagines?|imagined|"
    r"supposed?|dreams?|dreamt|dreamed|"
    r"pretends?|should|unless|whether|thinking about|never|not|"
    r"(?!can['’]t\s+stand|(?:do|does)n['’]t\s+(?:really\s+|particularly\s+)?(?:like|enjoy)\b)\w+n['’]t|"
    r"no longer|neither|nor|hardly|almost|nearly|"
    r"wenn|falls|würde|möchte|könnte|vielleicht|nicht|nie|niemals|kein\w*|nicht mehr|wollte|hätte|"
    r"si|ojalá|quizás?|tal vez|quisiera|querría|podría|no|nunca|jamás|gustaría|"
    r"peut-être|voudrais|voudrait|pourrait|ne|n['’]\w+|jamais|aimerais|aimerait)\b",
    re.IGNORECASE,
)
_NEITHER_NO: Final = frozenset(("no", "si", "ne"))
_BEFORE_SUBJECT: Final = frozenset(
    (
        "of with by from to for near than like about without against de del con para sin von mit für "
        "ohne bei avec chez "
        "pour sans du des d au zu"
    ).split()
)
_STOP: Final = frozenset(
    (
        "at in on with for because when since but who which that than as every during and or after "
        "before if so very much "
        "more most a lot to from about while until though although again too now today yesterday "
        "tomorrow always never "
        "really also already he she it they we you i is are was were has have by into near over under "
        "und oder aber weil wenn seit mit bei in auf am im an für als dass sehr mehr von zu "
        "y o pero porque cuando desde con en para por que como muy mucho más a "
        "et ou mais parce quand depuis avec dans en pour qui que plus à au chez comme"
    ).split()
)
_DROPPED: Final = frozenset(
    (
        "the a an my his her their our your its some any one this these those both all only lots of "
        "der die das den dem ein eine einen einem mein meine meinen sein seine ihre ihren "
        "el la los las un una unos unas mi mis su sus "
        "le les l' l’ une des du de mon ma mes son sa ses"
    ).split()
)
_NO_OBJECT: Final = frozenset(
    (
        "it him her them me you us this that these those here there him himself herself myself what "
        "everything nothing "
        "something anything someone everyone one living working being going to how es ihn sie ihm "
        "dich mich uns lo las los eso "
        "ça cela le la les lui eux"
    ).split()
)
_PHRASE: Final = re.compile(r"\s*([^,.;:!?()\n\"“”]+)")


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _BREAK.finditer(text):
        if not _ABBREVIATED.search(text[start : end.start()]) or "\n" in end.group():
            yield text[start : end.start()]
            start = end.end()
    yield text[start:]


# ------------------------------------------------------------------------------------------- clauses


def _read(sentence: str, found: _Found) -> None:
    tongue = language(keys(sentence)) or ""
    forms = _compiled(tongue)
    subject: str | None = None
    for clause in _clauses(_APPOSED.sub(r"\g<who> \g<name> ", sentence)):
        if _unsure(clause, tongue):
            subject = None
            continue
        _read_kin(clause, tongue, found)
        head = _subject_of(clause)
        says = _read_forms(clause, forms, found)
        if not says and head is None and subject is not None:
            _read_forms(f"{subject} {clause.lstrip()}", forms, found)
        subject = head or subject
    if tongue != "de":
        _read_names(sentence, found)


def _unsure(clause: str, tongue: str) -> bool:
    for match in _UNSURE.finditer(clause):
        word = match.group().casefold()
        if word in _NEITHER_NO and not (
            (word in ("no", "si") and tongue in ("es", "fr", "it", "pt")) or (word == "ne" and tongue == "fr")
        ):
            continue
        return True
    return False


def _clauses(sentence: str) -> list[str]:
    """Return the parts of a sentence that may say something each; lists of names stay whole."""
    parts: list[str] = []
    start = 0
    for match in _CLAUSE.finditer(sentence):
        listed = _NAMES_ALONE.fullmatch(sentence[start : match.start()].strip())
        if listed is None and _VERBAL.match(sentence[match.end() :]):
            parts.append(sentence[start : match.start()])
            start = match.end()
    parts.append(sentence[start:])
    return [part for part in parts if part.strip()]


def _subject_of(clause: str) -> str | None:
    match = _SUBJECT_HEAD.match(clause.strip())
    if match is None:
        return None
    text = match.group("s")
    return text if speaks(text) or is_name(text) else None


class _Compiled(NamedTuple):
    """A form, its verb alone, which most clauses do not hold, and the whole."""

    form: Form
    verb: re.Pattern[str]
    whole: re.Pattern[str]


@cache
def _compiled(tongue: str) -> list[_Compiled]:
    tables = {"en": ENGLISH, "de": GERMAN, "es": SPANISH, "fr": FRENCH}
    # A short sentence may hold no word that tells its language: verbs of several languages are told apart anyway.
    forms = tables.get(tongue, (*ENGLISH, *GERMAN, *SPANISH, *FRENCH))
    subject = rf"(?P<s>{ME}|{USER}|{NAME}(?:{AND}{NAME})*)"
    out = [
        _Compiled(
            form,
            re.compile(form.verb),
            re.compile(rf"(?<![\w’'-]){subject}{GAP}{ADVERBS}{form.verb}(?!\w)"),
        )
        for form in forms
    ]
    if tongue not in ("de", "fr"):
        out += [
            _Compiled(
                form, re.compile(form.verb), re.compile(rf"(?:^|(?<=\s))(?P<s>){ADVERBS}{form.verb}(?!\w)")
            )
            for form in SPANISH_FIRST
        ]
    return out


def _read_forms(clause: str, forms: Sequence[_Compiled], found: _Found) -> bool:
    """Read what a clause says by the forms of a language; return whether it says anything."""
    said = False
    for form, verb, pattern in forms:
        if verb.search(clause) is None:
            continue
        for match in pattern.finditer(clause):
            sources = _subjects(clause, match)
            rest = clause[match.end() :]
            targets, end = _objects(rest, form)
            if not sources or not targets or (form.tail and not re.search(rf"\b{form.tail}\b", rest[end:])):
                continue
            said = True
            for source in sources:
                for target in targets:
                    _say(form, source, target, found)
    return said


def _say(form: Form, source: str, target: str, found: _Found) -> None:
    one, other, relation = (source, form.subject), (target, form.target), form.relation
    if form.person and (found.kinds.get(source) == "person" or source == SPEAKER):
        one, relation = (source, "person"), form.person
    if form.turned:
        one, other = other, one
    found.add((one[0], "person" if one[0] == SPEAKER else one[1]), relation, other)


def _subjects(clause: str, match: re.Match[str]) -> list[str]:
    text = match.group("s")
    if not text or speaks(text):
        return [SPEAKER]
    before = clause[: match.start("s")].split()
    if before and before[-1].casefold().strip(",") in _BEFORE_SUBJECT:
        return []
    names = [trimmed(name, head=not before and not n) for n, name in enumerate(re.split(AND, text))]
    return [name for name in names if is_name(name)]


def _objects(rest: str, form: Form) -> tuple[list[str], int]:
    """Return the objects that follow a verb, and where they end."""
    match = _OBJECT_NAMES.match(rest)
    if match is not None:
        after = rest[match.end() :]
        if not re.match(r"['’]s?\s+\w", after) and not re.search(r"['’]s?$", match.group("o")):
            names = [trimmed(name) for name in re.split(AND, match.group("o"))]
            follows = after[:1].isspace() and re.match(r"\s+[a-zà-ÿ]+", after)
            word = follows.group().strip() if follows else ""
            if form.object == "name" or not word or word in _STOP:
                return [name for name in names if is_name(name)], match.end()
    if form.object == "name":
        return [], 0
    phrase = _PHRASE.match(rest)
    if phrase is None:
        return [], 0
    out = [_noun(part) for part in re.split(r"\s+(?:and|und|y|et)\s+", phrase.group(1))]
    return [noun for noun in out[:3] if noun], phrase.end()


def _noun(text: str) -> str:
    """Return the few words that name a thing at the head of a phrase; blank where there are none."""
    words = re.sub(r"\b([ld])['’](?=\w)", "", text).split()
    while words and words[0].casefold() in _DROPPED:
        words = words[1:]
    kept: list[str] = []
    for word in words:
        if word.casefold() in _STOP:
            break
        kept.append(word)
    if not 1 <= len(kept) <= 4 or kept[0].casefold() in _NO_OBJECT or not kept[0][0].isalpha():
        return ""
    return " ".join(kept).strip("'’\"-")


_OBJECT_NAMES: Final = re.compile(
    rf"\s*(?:the\s+|der\s+|die\s+|das\s+|el\s+|la\s+|le\s+|l['’])?(?P<o>{NAME}(?:{AND}{NAME})*)"
)
_SUBJECT_HEAD: Final = re.compile(
    rf"(?:(?:{MY}|{NAME}['’]s)\s+(?:[a-zà-ÿ]+\s+)?(?:\w+)\s+)?(?P<s>{ME}|{USER}|{NAME}(?:{AND}{NAME})*)"
)
_VERB_WORD: Final = (
    r"(?:lives?|lived|living|works?|worked|moved|was|is|am|are|were|has|have|studies|study|studied|"
    r"owns?|likes?|loves?|"
    r"prefers?|hates?|enjoys?|manages?|reports?|speaks?|drives?|plays?|leads?|runs?|heads|founded|"
    r"joined|started|married|"
    r"visited|used|grew|dislikes?|dates|met|adopted|attends?|belongs?|comes?|graduated|supervises?|"
    r"knows?|uses?|depends?|left|quit|hired|mentors?|trusts?|acquired|teach(?:es)?|wrote|built|designed|created|"
    r"wants?|says?|said|thinks?|"
    r"wohnt|wohne|lebt|lebe|arbeitet|arbeite|mag|liebt|liebe|studiert|studiere|kommt|komme|spricht|"
    r"spreche|hat|habe|ist|bin|"
    r"zog|leitet|besitzt|vive|vivo|trabaja|trabajo|estudia|estudio|tiene|tengo|habla|hablo|prefiere|"
    r"prefiero|es|soy|está|"
    r"estoy|me|le|se|nació|nací|fundó|dirige|habite|vit|vis|travaille|aime|préfère|parle|a|ai|est|suis|adore|étudie)"
)
_VERBAL: Final = re.compile(
    rf"(?:{ME}(?:\s|(?<=['’])|['’])|{USER}\s|{NAME}\s+{ADVERBS}{_VERB_WORD}\s|"
    r"(?:my|his|her|mein\w*|mi|mon|ma|su|sa|sein\w*|ihr\w*)\s|"
    rf"(?:(?:now|also|currently|then|he|she|they|we|it|auch|jetzt|también|ahora|aussi)\s+)*{_VERB_WORD}\s)"
)
_NAMES_ALONE: Final = re.compile(rf"(?:{ME}|{USER}|(?:[Mm]y\s+)?[\w-]+|(?:\w+\s+)?{NAME})(?:{AND}{NAME})*")

# ------------------------------------------------------------------------------------------- kin, friends, pets

_KIN_WORD: Final = "|".join(sorted(map(re.escape, KIN), key=len, reverse=True))
_PET_WORD: Final = "|".join(sorted(map(re.escape, PETS), key=len, reverse=True))
_MOD: Final = (
    r"(?:(?:best|older|younger|elder|little|big|twin|new|old|good|close|dear|late|ex|former|eldest|youngest|only|"
    r"beste|bester|ältere|jüngere|kleine|großer|große|mejor|meilleure?|grande?|petite?|pequeñ[oa])\s+)?"
)
_CALLED: Final = (
    r"(?:(?:who\s+is\s+|who's\s+)?(?:named|called)|namens|(?:der|die|das)\s+(?=\S+\s+heißt)|"
    r"llamad[oa]|que\s+se\s+llama|nommée?|appelée?|qui\s+s['’]appelle)"
)
_CHILD: Final = "child"
_BOTH: Final = frozenset(("hijo", "hijos"))
"""Sons, or sons and daughters."""
_COUNT: Final = r"(?:two|three|four|five|2|3|4|5|zwei|drei|vier|dos|tres|cuatro|deux|trois|quatre)"
_OWNER: Final = rf"(?:(?P<my>{MY})|(?P<of>{NAME})(?:['’]s|['’])|(?P<gen>{WORD}?)s)"
_KIN_BEFORE: Final = re.compile(
    rf"(?<!\w)(?:(?P<my>{MY})|(?P<of>{NAME})(?:['’]s|['’]))\s+{_MOD}(?P<kin>(?i:{_KIN_WORD}))"
    rf"(?:\s*,)?\s+(?:(?:is\s+)?(?:named|called)\s+|heißt\s+|se\s+llama\s+|s['’]appelle\s+|is\s+|ist\s+|es\s+|est\s+)?"
    rf"(?P<name>{NAME})(?!['’]s?\s+\w)",
)
_KIN_GENITIVE: Final = re.compile(
    rf"(?<!\w)(?P<of>{WORD}?)s\s+{_MOD}(?P<kin>(?i:{_KIN_WORD}))\s+(?:heißt\s+|ist\s+)?(?P<name>{NAME})"
)
_NAME_OF: Final = r"(?:of|de|du|von|d['’])"
_KIN_OF: Final = re.compile(
    rf"(?<!\w)(?P<name>{ME}|{NAME})\s*(?:is|am|'m|was|ist|bin|es|soy|est|suis)\s+(?:also\s+|auch\s+)?"
    rf"(?:(?:the|a|an|die|der|eine?|la|el|une?|un|"
    rf"le)\s+)?{_MOD}(?P<kin>(?i:{_KIN_WORD}))\s+{_NAME_OF}\s*(?P<of>{NAME})"
)
_KIN_IS: Final = re.compile(
    rf"(?<!\w)(?P<name>{NAME})\s+(?:is|was|ist|es|est)\s+(?:(?P<my>{MY})|(?P<of>{NAME})(?:['’]s|"
    rf"['’]))\s+{_MOD}(?P<kin>(?i:{_KIN_WORD}))(?!\w)"
)
_HAS: Final = re.compile(
    rf"(?<!\w)(?:(?P<s>{ME}|{USER}|{NAME})\s*"
    r"(?:['’]ve\s+got|has|have|got|has\s+got|adopted|has\s+adopted|hat|habe|haben|tiene|tengo|a|ai|['’]ai|avons)"
    r"|[Tt]engo|[Tt]enemos)\s+"
    rf"(?:an?|eine?[nm]?|una?|une?)\s+{_MOD}(?:[a-zà-ÿ]+\s+)?(?P<what>(?i:{_KIN_WORD}|{_PET_WORD}))(?:\s*,)?\s+"
    rf"{_CALLED}\s+(?P<name>{NAME})"
)
_PET_BEFORE: Final = re.compile(
    rf"(?<!\w)(?:(?P<my>{MY})|(?P<of>{NAME})(?:['’]s|"
    rf"['’]))\s+{_MOD}(?P<what>(?i:{_PET_WORD}))(?:['’]s\s+name)?(?:\s*,)?\s+"
    rf"(?:(?:is\s+)?(?:named|called)\s+|heißt\s+|se\s+llama\s+|s['’]appelle\s+|is\s+)?(?P<name>{NAME})(?!['’]s?\s+\w)"
)
_SEVERAL: Final = (
    rf"(?:[a-zà-ÿ]+\s+)?(?P<what>(?i:{_KIN_WORD}|{_PET_WORD}|children|kinder|enfants|niños))(?:e?[ns])?"
)
_NAMES: Final = rf"\s+(?P<names>{NAME}(?:{AND}{NAME})+)"
_HAS_SEVERAL: Final = re.compile(
    rf"(?<!\w)(?:(?P<s>{ME}|{USER}|{NAME})\s*(?:['’]ve\s+got|has|have|hat|habe|haben|tiene|tengo|a|ai|['’]ai|avons)"
    rf"|[Tt]engo|[Tt]enemos)\s+{_COUNT}\s+{_SEVERAL}(?:\s*[,:]|\s*,?\s+{_CALLED}){_NAMES}"
)
_MY_SEVERAL: Final = re.compile(
    rf"(?<!\w)(?P<s>{MY})\s+(?:{_COUNT}\s+)?{_SEVERAL}(?:\s*,|\s+are(?:\s+(?:named|called))?)?{_NAMES}"
)
_APPOSED: Final = re.compile(
    rf"(?<!\w)(?P<who>(?:{MY}|{NAME}['’]s)\s+{_MOD}(?i:{_KIN_WORD}|{_PET_WORD})),\s+(?P<name>{NAME}),\s+"
)
_FAVOURITE: Final = re.compile(
    rf"(?<!\w)(?:(?P<my>[Mm]y)|(?P<of>{NAME})['’]s?)\s+favou?rite\s+[a-z]+(?:\s+[a-z]+)?\s+(?:is|are)(?P<rest>\s+.*)"
)
_LIKES: Final = Form("likes", "", object="phrase")
_FRIENDS: Final = re.compile(
    rf"(?<!\w)(?P<a>{ME}|{NAME})\s*{AND}?\s*(?P<b>{ME}|{NAME})\s+(?:are|sind|son|sont|sommes|somos)\s+(?:(?:best|good|"
    rf"close|old|gute|beste)\s+)?"
    r"(?P<kin>friends|colleagues|coworkers|neighbou?rs|cousins|roommates|siblings|married|Freunde|"
    r"Kollegen|amigos|amigas|amis|amies)"
)
_PAIRS: Final = {
    "friends": "friend_of", "colleagues": "colleague_of", "coworkers": "coworker_of", "neighbors": "neighbor_of",
    "neighbours": "neighbor_of", "cousins": "cousin_of", "roommates": "roommate_of", "siblings": "sibling_of",
    "married": "married_to", "Freunde": "friend_of", "Kollegen": "colleague_of", "amigos": "friend_of",
    "amigas": "friend_of", "amis": "friend_of", "amies": "friend_of",
}  # fmt: skip


def _read_kin(clause: str, tongue: str, found: _Found) -> None:
    patterns = [_KIN_BEFORE, _KIN_OF, _KIN_IS, *([_KIN_GENITIVE] if tongue in ("de", "") else [])]
    for pattern in patterns:
        for match in pattern.finditer(clause):
            parts = match.groupdict()
            whose = SPEAKER if parts.get("my") else _name_of(parts["of"])
            who = SPEAKER if speaks(parts["name"]) else _name_of(parts["name"])
            if who and whose:
                found.add((who, "person"), f"{KIN[parts['kin'].casefold()]}_of", (whose, "person"))
    for pattern in (_HAS, _PET_BEFORE):
        for match in pattern.finditer(clause):
            _read_owned(match, found)
    for pattern in (_HAS_SEVERAL, _MY_SEVERAL):
        for match in pattern.finditer(clause):
            _read_several(match, found)
    for match in _FAVOURITE.finditer(clause):
        whose = SPEAKER if match.group("my") else _name_of(match.group("of"))
        for target in _objects(match.group("rest"), _LIKES)[0]:
            if whose:
                found.add((whose, "person"), "likes", (target, "thing"))
    _read_friends(clause, found)


def _read_friends(clause: str, found: _Found) -> None:
    for match in _FRIENDS.finditer(clause):
        one = SPEAKER if speaks(match.group("a")) else _name_of(match.group("a"))
        other = SPEAKER if speaks(match.group("b")) else _name_of(match.group("b"))
        if other == SPEAKER:
            one, other = other, one
        if one and other:
            found.add((one, "person"), _PAIRS[match.group("kin")], (other, "person"))


def _read_several(match: re.Match[str], found: _Found) -> None:
    """Read several pets of somebody, or people of theirs, with their names."""
    said, what = match.group("s") or "", match.group("what").casefold()
    own = not said or speaks(said) or re.fullmatch(MY, said) is not None
    whose = SPEAKER if own else _name_of(said)
    for name in map(_name_of, re.split(AND, match.group("names"))):
        if whose and name:
            _own(whose, _CHILD if what in _BOTH else what, name, found)


def _own(whose: str, what: str, name: str, found: _Found) -> None:
    if what in PETS:
        found.add((whose, "person"), "has_pet", (name, PETS[what]))
    else:
        found.add((name, "person"), f"{KIN.get(what, _CHILD)}_of", (whose, "person"))


def _read_owned(match: re.Match[str], found: _Found) -> None:
    """Read somebody's pet, or somebody of theirs, with its name."""
    parts = match.groupdict()
    said = parts.get("s") or ""
    own = bool(parts.get("my")) or speaks(said) or not (said or parts.get("of"))
    whose = SPEAKER if own else _name_of(said or parts.get("of") or "")
    name, what = _name_of(parts["name"]), parts["what"].casefold()
    if not whose or not name:
        return
    _own(whose, what, name, found)


def _name_of(text: str) -> str:
    name = trimmed(text, head=True)
    return name if is_name(name) else ""


# ------------------------------------------------------------------------------------------- names alone


def _read_names(sentence: str, found: _Found) -> None:
    """Note names in the middle of a sentence, where a capital means one."""
    for match in _WHOLE_NAME.finditer(sentence):
        name = trimmed(match.group())
        if _INSIDE.fullmatch(sentence[: match.start()][-2:]) and is_name(name) and len(name) > 1:
            found.name(name, "thing")


_WHOLE_NAME: Final = re.compile(NAME)
_INSIDE: Final = re.compile(r"[a-z0-9à-ÿ,]\s")
