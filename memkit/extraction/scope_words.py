"""Words that decide what a negation reaches, and where clauses end.

Everything is written as [`memkit.extraction.text.fold`] leaves it: lower case, without accents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from memkit.extraction.dates import MONTHS, WEEKDAYS

STRONG: Final[Mapping[str, frozenset[str]]] = {
    "en": frozenset(
        "stop stopped stops stopping quit quits quitting refuse refused refuses refusing avoid avoids avoided avoiding "
        "unable forgot forget forgets skip skipped skips skipping declined decline declines rejected rejects reject "
        "neglected forbidden banned impossible unemployed lacks lack lacked lacking".split()
    ),
    "de": frozenset("aufgehort vermeidet vermeide verweigert abgelehnt vergessen vergass verboten".split()),
    "fr": frozenset("arrete cesse quitte quitter evite refuse oublie interdit".split()),
    "es": frozenset("dejo deje dejado evita evito rechazo rechace olvido olvide prohibido".split()),
}
"""Words behind which everything is said not to be done."""
WEAK: Final = re.compile(
    r"(?:hat(?:e|es|ed|ing)|dislik\w+|detest\w*|loath\w+|los[te]|loses|losing|sold|left|leav\w+|cancel\w*|delet\w+"
    r"|allergic|allergi[ck]?|alergic[oa]|allergisch|allergique|intoleran\w+|afraid|scared|miss|misses|missing|missed|former\w*|discarded|expired?"
    r"|free|died|dead|dies|gone|resigned|cleared|ruled|bans|deaf|blind|supposed|fail\w*|drop\w*|broken?|decreased|opposed|sober|retired|unless"
    r"|hass\w+|odia|odio|verkauft|verloren|vendu|perdu|vendio|vendi|divorc\w*|denied"
    r"|durchgefallen|ausser|salvo|excepto|sauf)"
)
"""Words behind which something may be denied or not."""
NEXT_ONLY: Final = frozenset(
    "without ohne sans sin senza sem zonder utan except salvo excepto sauf ausser instead statt anstatt".split()
)
"""They deny what stands next, and nothing else of the clause."""
SET_ASIDE: Final = re.compile(rf"\b(?:{'|'.join(sorted(NEXT_ONLY))})\b")
EXCEPT: Final = frozenset("except salvo excepto sauf ausser".split())
"""They affirm of what stands next what a negation before them denies of the rest."""
OF_NOUNS: Final = frozenset("not never no neither nor none".split())
"""Negations that may stand before what is denied, and not before a verb."""
BEFORE_NOUNS: Final = frozenset(
    "en con a de el la los las un una em com o a os as um uma in il lo per para por".split()
)
BEFORE: Final = frozenset("just but only definitely certainly and or".split())
CONTRACTION: Final = re.compile(
    r"\w*n't|dont|doesnt|didnt|cant|wont|isnt|wasnt|havent|hasnt|arent|couldnt|wouldnt"
)
ITEM: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
PREFIXES: Final = re.compile(r"(?:un|in|im|dis|ir|il|mis|non|des)(?=\w{4})")
ENGLISH_CLAUSE: Final = re.compile(
    r"[,;:.!?()。，、！？；…]+|\s-\s"
    r"|\s(?:but|and|though|although|because|so|while|whereas|yet|however|unless|due|despite"
    r"|(?<!never )(?<!not )after)\s"
    r"|\b(?:since|as)\s(?=(?:i|we|he|she|they|it|you|there|(?:the|my|our|his|her|their|a)\s\w+\s"
    r"(?:was|were|is|are|has|had|does|did|could|would|can|will|\w+n't)|\w+\s\w+ed)\b)"
)
OTHER_CLAUSE: Final = re.compile(
    r"[,;:.!?()。，、！？；…]+|\s-\s|\s(?:but|and|though|although|because|so|while|aber|und|weil|seit|depuis"
    r"|parce que|desde|omdat|sondern|denn|obwohl|mais|et|car|"
    r"pero|sino|y|porque|ma|perche|mas|maar|want|en|ale|i|ama|ve|men|och|но|и|а|потому что|але|लेकिन|और|पर|لكن|אבל)\s"
    r"|\s(?=(?:ولا|ولم|ولن|وليس)\s)|但是|但|不过|而是|而且|けど|けれど|だけど|지만|는데"
)
ROMANCE_CLAUSE: Final = re.compile(
    r"[,;:.!?()…]+|\s-\s|\s(?:mais|et|car|parce que|puisque|depuis que|alors que|pero|sino|y|e|porque|ya que|aunque"
    r"|ma|perche|mas)\s"
)
IN_ORDER: Final = frozenset(("en", "fr", "es", "it", "pt"))
"""Languages whose negation stands before what it denies."""
BE: Final = frozenset(
    "is am are was were be been being isn't aren't wasn't weren't ain't isnt arent wasnt i'm he's she's it's "
    "we're they're "
    "you're that's ist bin sind war waren est suis sont etait es son era eran esta estan soy estoy".split()
)
POINTING: Final = frozenset(
    "it that this them those these so there one any either neither me us him her to did do das es davon dazu auch "
    "le la "
    "lo eso ello ca cela en tampoco".split()
)
POINTING_BACK: Final = frozenset(
    "it that this them those these so there one any either neither das es davon dazu lo eso ello ca cela".split()
)
PRO_FORMS: Final = POINTING_BACK | frozenset("ones hers his theirs mine ours too both".split()) - {"there"}
SUBJECTS: Final = frozenset("i we he she they it you".split())
OF_NAMES: Final = frozenset("named called name owns own".split())
LIGHT: Final = frozenset(
    "make made go went gone happen happened come came work get got take took manage allow let finish try want "
    "tun gemacht fait hecho".split()
)
"""Verbs that may stand for any other one before `it` or `that`."""
AUXILIARY: Final = frozenset("do does did can could cannot will would have has had".split())
DETERMINERS: Final = frozenset(
    "a an the my our his her their your its any some ein eine mein meine un une mon ma una mi".split()
)
OF_TIME: Final = frozenset(
    "year years month months week weeks day days hour hours today yesterday tomorrow now currently time "
    "jahr jahre jahren monat woche tag heute jetzt an ans "
    "annee mois semaine jour maintenant ano anos mes meses semana dia ahora hoy ago last next".split()
)


CALENDAR: Final = frozenset((*MONTHS, *WEEKDAYS))
