"""How everyday facts are said: the verbs and nouns of relations in English, German, Spanish and French."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Object = Literal["name", "phrase"]
"""What follows: a name, or a name or a short phrase without one."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to say a relation between a subject and what follows."""

    relation: str
    verb: str
    """A pattern of what stands between the subject and the object."""
    subject: str = "person"
    target: str = "thing"
    """Kinds."""
    object: Object = "name"
    turned: bool = False
    """Whether the object is the one that the relation begins at."""
    person: str = ""
    """The relation in its place where the text told before that the subject is a person."""
    tail: str = ""
    """A pattern of what must stand behind the object, in the same clause."""


_EN_AT: Final = r"(?:at|for)"
_ADVERBS: Final = (
    r"(?:(?:now|currently|still|also|recently|just|really|actually|already|always|both|all|absolutely|"
    r"jetzt|derzeit|noch|auch|gerade|seit \w+|ahora|también|todavía|maintenant|actuellement|aussi|toujours)\s+)*"
)
_JOB: Final = r"(?:an?\s+|the\s+)?(?:[a-zà-ÿ-]+\s+){1,3}"

_BE: Final = r"(?:is|are|am|'m)\s+"
_NO_CLAUSE: Final = (
    r"(?![^,;]*\s(?:is|are|was|were|will|has|have|had|can|does|did|likes?|lives?|works?|wants?)\s)"
)
"""Not "I know Ana is away"."""
_NO_SECOND: Final = r"(?!\s+\S+\s+(?:an?|the|back|about|to)\b)"
"""Not "I wrote Ana a letter"."""
_MADE: Final = {
    "wrote": "written", "directed": "directed", "composed": "composed", "painted": "painted", "invented": "invented",
    "designed": "designed", "created": "created", "developed": "developed", "built": "built",
}  # fmt: skip
"""Verbs of what somebody has made, and their passives."""

ENGLISH: Final = (
    Form(
        "lives_in",
        r"(?:(?:lives?|(?:is|are|am|'m)\s+(?:\w+ly\s+|now\s+|still\s+)?living)\s+in|(?:resides?)\s+in|(?:am|'m)\s+"
        r"(?:\w+ly\s+|now\s+)?based\s+in|(?:has|have|['’]ve)\s+(?:been\s+living|lived)\s+in)",
        "person", "place",
    ),
    Form("located_in", r"is\s+(?:\w+ly\s+|now\s+|still\s+)?based\s+in", "thing", "place", person="lives_in"),
    Form("lived_in", r"(?:lived|used\s+to\s+live|was\s+living|grew\s+up)\s+in", "person", "place"),
    Form(
        "moved_to",
        r"(?:(?:has\s+|have\s+|'ve\s+)?(?:moved|relocated|emigrated)(?:\s+(?:back|over))?(?:\s+from\s+\S+)?\s+to)",
        "person", "place",
    ),
    Form("moved_from", r"(?:(?:has\s+|have\s+)?moved\s+(?:here\s+)?from)", "person", "place"),
    Form("born_in", r"(?:(?:was|were)\s+born\s+(?:and\s+raised\s+)?in)", "person", "place"),
    Form(
        "from",
        r"(?:(?:is|am|'m|are|comes?|originally\s+comes?)\s+(?:originally\s+)?from)",
        "person", "place",
    ),
    Form(
        "works_at",
        rf"(?:(?:works?|is\s+working|am\s+working|'m\s+working|has\s+been\s+working|"
        rf"have\s+been\s+working)\s+(?:as\s+{_JOB})?{_EN_AT}|(?:is|am|'m)\s+employed\s+(?:at|by)|"
        rf"(?:(?:has\s+|have\s+)?(?:started\s+(?:working\s+)?at|joined))|"
        rf"(?:got|landed|started|accepted|took)\s+(?:an?|my|the)\s+(?:[a-z]+\s+){{0,2}}(?:job|position|role)\s+(?:at|with)|"
        rf"(?:is|am|'m)\s+{_JOB}(?:at))",
        "person", "organisation",
    ),
    Form("worked_at", rf"(?:worked|used\s+to\s+work)\s+(?:as\s+{_JOB})?{_EN_AT}", "person", "organisation"),
    Form(
        "works_as",
        r"(?:(?:works?|is\s+working|am\s+working|'m\s+working)\s+as)",
        "person", "occupation", "phrase",
    ),
    Form(
        "studies_at",
        r"(?:(?:studies|study|is\s+studying|am\s+studying|'m\s+studying|goes|"
        r"go)\s+(?:[a-z]+\s+)?(?:at|to\s+(?:school|college|university)\s+at)|is\s+a\s+student\s+at|"
        r"(?:am|'m)\s+a\s+student\s+at|attends?|"
        r"(?:goes|go)\s+to(?=\s[^,;]*\b(?:School|College|University|Academy|Kindergarten|Preschool)\b))",
        "person", "organisation",
    ),
    Form("studied_at", r"studied\s+(?:[a-z]+\s+){0,2}at", "person", "organisation"),
    Form(
        "graduated_from",
        r"(?:(?:has\s+|have\s+)?graduated\s+(?:[a-z]+\s+)?from)",
        "person", "organisation",
    ),
    Form(
        "married_to",
        r"(?:(?:is|am|'m|are|was|got|has\s+been|have\s+been)\s+(?:happily\s+)?married\s+to|(?:has\s+|"
        r"have\s+)?married)",
        "person", "person",
    ),
    Form("engaged_to", r"(?:(?:is|am|'m|got)\s+engaged\s+to)", "person", "person"),
    Form("dates", r"(?:(?:is|am|'m)\s+dating|dates|is\s+in\s+a\s+relationship\s+with)", "person", "person"),
    Form("manages", r"(?:manages?|supervises?|oversees?)", "person", "thing", "name"),
    Form(
        "manages",
        r"(?:(?:is|am|'m|are|was)\s+(?:managed|supervised)\s+by)",
        "thing", "person", turned=True,
    ),
    Form(
        "leads",
        r"(?:leads?|heads|runs|is\s+(?:the\s+)?(?:head|leader|lead|director|ceo|CEO)\s+of)",
        "person", "thing",
    ),
    Form("leads", r"(?:is|are|was)\s+(?:led|headed|run)\s+by", "thing", "person", turned=True),
    Form("works_on", rf"(?:works?|{_BE}working)\s+on", "person", "thing"),
    Form("works_in", rf"(?:works?|{_BE}working)\s+in", "person", "thing"),
    Form("works_with", rf"(?:works?|{_BE}working)\s+(?:closely\s+|together\s+)?with", "person", "thing"),
    Form("teaches_at", rf"(?:teach(?:es)?|{_BE}teaching)\s+(?:[a-z]+\s+){{0,2}}at", "person", "organisation"),
    Form("reports_to", r"(?:reports?(?:\s+directly)?\s+to)", "person", "person"),
    Form(
        "founded",
        r"(?:(?:has\s+)?(?:co-)?founded|started\s+(?:a|the)\s+company\s+called|"
        r"(?:is|am|'m|was)\s+(?:an?\s+|the\s+)?(?:co-)?founder\s+of)",
        "person", "organisation",
    ),
    Form("founded", r"(?:was|were)\s+(?:co-)?founded\s+by", "organisation", "person", turned=True),
    Form("owns", r"(?:owns?)", "person", "thing", "phrase"),
    Form("owns", r"(?:(?:is|are)\s+owned\s+by)", "thing", "person", turned=True),
    Form(
        "located_in",
        r"(?:(?:is|are|was)\s+(?:located|situated|headquartered)\s+in|is\s+a\s+(?:city|town|village|"
        r"region|suburb|neighbou?rhood|district)\s+(?:in|of))",
        "thing", "place",
    ),
    Form(
        "part_of",
        r"(?:(?:is|are)\s+(?:a\s+)?(?:part|subsidiary|division|branch)\s+of|belongs?\s+to)",
        "thing", "thing",
    ),
    Form(
        "located_in",
        r"is\s+in(?=\s+[^\s,;.]+(?:\s+[^\W\d_][^\s,;.]*){0,2}\s*[.!]?\s*$)",
        "thing", "thing", person="is_in",
    ),
    Form("capital_of", r"(?:is|was)\s+the\s+capital(?:\s+city)?\s+of", "place", "place"),
    Form(
        "member_of",
        r"(?:(?:is|am|'m|are)\s+(?:a\s+)?member\s+of|plays\s+(?:for|in)|play\s+(?:for|in)|sings\s+in)",
        "person", "organisation",
    ),
    Form("speaks", r"(?:speaks?)(?:\s+fluent)?", "person", "language"),
    Form(
        "likes",
        r"(?:likes?|loves?|enjoys?|adores?|(?:is|am|'m)\s+(?:a\s+(?:big\s+|huge\s+)?fan\s+of|"
        r"fond\s+of))",
        "person", "thing", "phrase",
    ),
    Form(
        "dislikes",
        r"(?:dislikes?|hates?|can['’]t\s+stand|cannot\s+stand|detests?|"
        r"(?:do|does)n['’]t\s+(?:really\s+|particularly\s+)?(?:like|enjoy))",
        "person", "thing", "phrase",
    ),
    Form("prefers", r"(?:prefers?)", "person", "thing", "phrase"),
    Form("allergic_to", r"(?:(?:is|am|'m|are)\s+(?:severely\s+)?allergic\s+to)", "person", "thing", "phrase"),
    Form(
        "visited",
        r"(?:(?:has\s+|have\s+|'ve\s+)?visited|(?:travelled|traveled|flew|went)\s+to)",
        "person", "place",
    ),
    Form(
        "plays",
        r"plays?(?!\s+(?:for|in|with|at|on|around|along|it|the\s+(?:role|part)|an?\s+(?:[a-z]+\s+)?(?:role|part))\b)",
        "person", "thing", "phrase",
    ),
    Form("drives", r"(?:drives?)", "person", "thing", "phrase"),
    Form("met", r"(?:met)", "person", "person"),
    Form("knows", rf"knows?{_NO_CLAUSE}", "person", "thing"),
    Form("friend_of", rf"{_BE}(?:[a-z]+\s+)?friends\s+with", "person", "person"),
    Form("lives_with", rf"(?:lives?|{_BE}living)\s+(?:together\s+)?with", "person", "thing"),
    Form("left", rf"(?:has\s+|have\s+|'ve\s+)?(?:left|quit|resigned\s+from){_NO_SECOND}", "person", "thing"),
    Form("hired", r"(?:hires?|hired)", "thing", "person"),
    Form("hired", r"(?:was|were|got)\s+hired\s+by", "person", "thing", turned=True),
    Form("mentors", r"mentors?", "person", "person"),
    Form("trusts", r"trusts?", "person", "thing"),
    Form("acquired", r"(?:has\s+)?acquired", "organisation", "organisation"),
    Form("acquired", r"(?:was|were)\s+acquired\s+by", "organisation", "organisation", turned=True),
    Form("uses", rf"(?:uses?|{_BE}using)", "thing", "thing"),
    Form("depends_on", r"depends?\s+on", "thing", "thing"),
    Form("related_to", rf"{_BE}(?:related|connected)\s+to", "thing", "thing"),
    *(Form(verb, rf"{verb}{_NO_SECOND}", "person", "thing") for verb in _MADE),
    *(
        Form(verb, rf"(?:(?:is|are|was|were)\s+)?{passive}\s+by", "thing", "person", turned=True)
        for verb, passive in _MADE.items()
    ),
)  # fmt: skip

GERMAN: Final = (
    Form("lives_in", r"(?:wohnt|wohne|wohnen|lebt|lebe|leben)\s+(?:seit\s+\w+\s+)?(?:\w+\s+)?in", "person", "place"),
    Form("lived_in", r"(?:wohnte|lebte)\s+in", "person", "place"),
    Form(
        "works_at",
        r"(?:arbeitet|arbeite|arbeiten)\s+(?:als\s+\w+\s+)?(?:bei(?:\s+der|\s+dem)?|beim|für|an\s+der)",
        "person", "organisation",
    ),
    Form("works_as", r"(?:arbeitet|arbeite)\s+als", "person", "occupation", "phrase"),
    Form("studies_at", r"(?:studiert|studiere)\s+(?:\w+\s+)?(?:an\s+der|an|bei)", "person", "organisation"),
    Form("from", r"(?:kommt|komme|stammt|stamme)\s+(?:ursprünglich\s+)?aus", "person", "place"),
    Form("moved_to", r"(?:zog)\s+(?:\w+\s+)?nach", "person", "place"),
    Form("moved_to", r"(?:ist|bin|sind)\s+(?:\w+\s+)?nach", "person", "place", tail=r"(?:um)?gezogen"),
    Form("born_in", r"(?:wurde|ist|bin)\s+in", "person", "place", tail="geboren"),
    Form("married_to", r"(?:ist|bin)\s+(?:seit\s+\w+\s+)?mit", "person", "person", tail="verheiratet"),
    Form("likes", r"(?:mag|liebt|liebe)(?:\s+(?:gern|gerne|sehr))?", "person", "thing", "phrase"),
    Form("dislikes", r"(?:hasst|hasse)", "person", "thing", "phrase"),
    Form("owns", r"(?:besitzt|besitze)", "person", "thing", "phrase"),
    Form("leads", r"(?:leitet|leite)", "person", "thing"),
    Form("founded", r"(?:gründete|hat\s+gegründet)", "person", "organisation"),
    Form("located_in", r"(?:liegt|befindet\s+sich|hat\s+(?:seinen|ihren)\s+(?:Haupt)?[Ss]itz)\s+in", "thing", "place"),
    Form("part_of", r"(?:gehört\s+zu|ist\s+(?:ein\s+)?Teil\s+von)", "thing", "thing"),
    Form("speaks", r"(?:spricht|spreche)", "person", "language"),
    Form("knows", r"(?:kennt|kenne)", "person", "thing"),
    Form("works_with", r"(?:arbeitet|arbeite|arbeiten)\s+mit", "person", "thing"),
    Form("works_on", r"(?:arbeitet|arbeite|arbeiten)\s+an(?!\s+der\b)", "person", "thing"),
    Form("friend_of", r"(?:ist|bin|sind)\s+mit", "person", "person", tail="befreundet"),
)  # fmt: skip

SPANISH: Final = (
    Form("lives_in", r"(?:vive|vivo|viven|vivimos|reside)\s+(?:\w+\s+)?en", "person", "place"),
    Form("lived_in", r"(?:vivía|vivió|vivió)\s+en", "person", "place"),
    Form(
        "works_at",
        r"(?:trabaja|trabajo|trabajan|trabajamos)\s+(?:como\s+\w+\s+)?(?:en|para)",
        "person", "organisation",
    ),
    Form("works_as", r"(?:trabaja|trabajo)\s+(?:como|de)", "person", "occupation", "phrase"),
    Form("studies_at", r"(?:estudia|estudio)\s+(?:\w+\s+)?en(?:\s+la)?", "person", "organisation"),
    Form("moved_to", r"(?:se\s+mudó|me\s+mudé|se\s+trasladó|me\s+trasladé)\s+a", "person", "place"),
    Form("born_in", r"(?:nació|nací)\s+en", "person", "place"),
    Form("from", r"(?:es|soy|viene|vengo)\s+de", "person", "place"),
    Form(
        "married_to",
        r"(?:está|estoy)\s+casad[oa]\s+con|se\s+casó\s+con|me\s+casé\s+con",
        "person", "person",
    ),
    Form(
        "likes",
        r"(?:le\s+(?:gustan?|encantan?)|me\s+(?:gustan?|encantan?)|adora|adoro|ama|amo)(?:\s+mucho)?",
        "person", "thing", "phrase",
    ),
    Form("dislikes", r"(?:odia|odio|detesta|detesto)", "person", "thing", "phrase"),
    Form("prefers", r"(?:prefiere|prefiero)", "person", "thing", "phrase"),
    Form("manages", r"(?:dirige|dirijo)", "person", "thing"),
    Form("founded", r"(?:fundó)", "person", "organisation"),
    Form("located_in", r"(?:está|se\s+encuentra)\s+(?:situad[oa]\s+|ubicad[oa]\s+)?en", "thing", "place"),
    Form("part_of", r"(?:forma\s+parte|es\s+parte)\s+de", "thing", "thing"),
    Form("speaks", r"(?:habla|hablo)", "person", "language", "phrase"),
    Form("knows", r"(?:conoce|conozco)\s+a", "person", "thing"),
    Form("works_with", r"(?:trabaja|trabajo|trabajan|trabajamos)\s+con", "person", "thing"),
    Form("friend_of", r"(?:es|soy)\s+amig[oa]\s+de", "person", "person"),
)  # fmt: skip

SPANISH_FIRST: Final = (
    Form("lives_in", r"vivo\s+(?:\w+\s+)?en|Vivo\s+(?:\w+\s+)?en", "person", "place"),
    Form("works_at", r"[Tt]rabajo\s+(?:como\s+\w+\s+)?(?:en|para)", "person", "organisation"),
    Form("works_as", r"[Tt]rabajo\s+(?:como|de)", "person", "occupation", "phrase"),
    Form("studies_at", r"[Ee]studio\s+(?:\w+\s+)?en(?:\s+la)?", "person", "organisation"),
    Form("moved_to", r"[Mm]e\s+(?:mudé|trasladé)\s+a", "person", "place"),
    Form("born_in", r"[Nn]ací\s+en", "person", "place"),
    Form("from", r"(?:[Ss]oy|[Vv]engo)\s+de", "person", "place"),
    Form("married_to", r"[Ee]stoy\s+casad[oa]\s+con|[Mm]e\s+casé\s+con", "person", "person"),
    Form(
        "likes",
        r"(?:[Mm]e\s+(?:gustan?|encantan?)|[Aa]doro|[Aa]mo)(?:\s+mucho)?",
        "person", "thing", "phrase",
    ),
    Form("dislikes", r"(?:[Oo]dio|[Dd]etesto)", "person", "thing", "phrase"),
    Form("prefers", r"[Pp]refiero", "person", "thing", "phrase"),
    Form("speaks", r"[Hh]ablo", "person", "language", "phrase"),
)  # fmt: skip
"""Where the verb alone says that the speaker is meant."""

FRENCH: Final = (
    Form(
        "lives_in",
        r"(?:habite|habitent|habitons|vivons|vit|vis|vivent|réside)\s+(?:\w+\s+)?(?:à|en|au)",
        "person", "place",
    ),
    Form("lived_in", r"(?:habitait|vivait|vivais)\s+(?:à|en|au)", "person", "place"),
    Form(
        "works_at",
        r"(?:travaille|travaillent|travaillons)\s+(?:comme\s+\w+\s+)?(?:chez|pour|à)",
        "person", "organisation",
    ),
    Form("works_as", r"(?:travaille)\s+comme", "person", "occupation", "phrase"),
    Form("studies_at", r"(?:étudie)\s+(?:\w+\s+)?(?:à(?:\s+l['’]|\s+la)?)", "person", "organisation"),
    Form("moved_to", r"(?:a|ai|'ai)\s+déménagé\s+(?:à|en|au)", "person", "place"),
    Form("born_in", r"(?:est|suis)\s+née?\s+(?:à|en|au)", "person", "place"),
    Form("from", r"(?:vient|viens)\s+(?:de|du|d['’])", "person", "place"),
    Form("married_to", r"(?:est|suis)\s+mariée?\s+(?:à|avec)|a\s+épousé|ai\s+épousé", "person", "person"),
    Form("likes", r"(?:aime|adore)(?:\s+(?:bien|beaucoup))?", "person", "thing", "phrase"),
    Form("dislikes", r"(?:déteste)", "person", "thing", "phrase"),
    Form("prefers", r"(?:préfère)", "person", "thing", "phrase"),
    Form("manages", r"(?:dirige)", "person", "thing"),
    Form("founded", r"a\s+fondé", "person", "organisation"),
    Form("located_in", r"(?:se\s+trouve|est\s+située?)\s+(?:à|en|au)", "thing", "place"),
    Form("part_of", r"fait\s+partie\s+(?:de|du|d['’])", "thing", "thing"),
    Form("speaks", r"parle", "person", "language", "phrase"),
    Form("knows", r"(?:connaît|connais)", "person", "thing"),
    Form("works_with", r"(?:travaille|travaillent|travaillons)\s+avec", "person", "thing"),
)  # fmt: skip

ADVERBS: Final = _ADVERBS
KIN: Final = {
    **{word: word for word in (
        "sister", "brother", "mother", "father", "son", "daughter", "cousin", "aunt", "uncle", "niece", "nephew",
        "grandmother", "grandfather", "husband", "wife", "girlfriend", "boyfriend", "partner", "fiance", "fiancee",
        "friend", "colleague", "coworker", "boss", "manager", "neighbor", "roommate", "flatmate", "mentor", "teacher",
        "doctor", "dentist", "therapist", "coach", "landlord", "assistant", "stepmother", "stepfather", "stepson",
        "stepdaughter", "grandson", "granddaughter", "twin",
    )},
    "mom": "mother", "mum": "mother", "mommy": "mother", "dad": "father", "grandma": "grandmother",
    "grandpa": "grandfather", "fiancé": "fiance", "fiancée": "fiancee", "neighbour": "neighbor",
    "co-worker": "coworker",
    "kid": "child", "child": "child", "spouse": "spouse", "best friend": "friend", "supervisor": "boss",
    "schwester": "sister", "bruder": "brother", "mutter": "mother", "vater": "father", "sohn": "son",
    "tochter": "daughter", "cousine": "cousin", "tante": "aunt", "onkel": "uncle", "mann": "husband",
    "ehemann": "husband", "frau": "wife", "ehefrau": "wife", "freund": "friend", "freundin": "friend",
    "kollege": "colleague", "kollegin": "colleague", "chef": "boss", "chefin": "boss", "oma": "grandmother",
    "opa": "grandfather", "nachbar": "neighbor", "nachbarin": "neighbor",
    "hermana": "sister", "hermano": "brother", "madre": "mother", "padre": "father", "hijo": "son", "hija": "daughter",
    "prima": "cousin", "primo": "cousin", "tía": "aunt", "tío": "uncle", "esposa": "wife", "esposo": "husband",
    "marido": "husband", "mujer": "wife", "amigo": "friend", "amiga": "friend", "colega": "colleague", "jefe": "boss",
    "jefa": "boss", "novia": "girlfriend", "novio": "boyfriend", "abuela": "grandmother", "abuelo": "grandfather",
    "vecino": "neighbor", "vecina": "neighbor",
    "sœur": "sister", "soeur": "sister", "frère": "brother", "mère": "mother", "père": "father", "fils": "son",
    "fille": "daughter", "cousin": "cousin", "oncle": "uncle", "femme": "wife", "mari": "husband", "ami": "friend",
    "amie": "friend", "collègue": "colleague", "patron": "boss", "patronne": "boss", "voisin": "neighbor",
    "voisine": "neighbor", "grand-mère": "grandmother", "grand-père": "grandfather",
}  # fmt: skip
"""Words for who somebody is to somebody, and the relation `<word>_of` that they say."""

PETS: Final = {
    **{word: word for word in (
        "dog", "cat", "puppy", "kitten", "horse", "pony", "parrot", "hamster", "rabbit", "turtle", "tortoise",
        "goldfish", "bird", "pet", "snake", "lizard", "guinea pig", "canary",
    )},
    "hund": "dog", "katze": "cat", "kater": "cat", "pferd": "horse", "papagei": "parrot", "kaninchen": "rabbit",
    "perro": "dog", "perra": "dog", "gato": "cat", "gata": "cat", "caballo": "horse", "loro": "parrot",
    "chien": "dog", "chienne": "dog", "chat": "cat", "chatte": "cat", "cheval": "horse", "perroquet": "parrot",
}  # fmt: skip
"""Words for animals that people have."""
