"""Words and phrases of opposite meaning, in several languages.

Everything is written as [`memkit.extraction.text.fold`] leaves it: lower case, without accents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_PAIRS: Final[Mapping[str, str]] = {
    "en": """
        pass passed passes passing / fail failed fails failing flunked;
        accept accepted accepts accepting approve approved approves agree agreed agrees granted grant
            / decline declined declines reject rejected rejects refuse refused refuses deny denied denies disagree
            disagreed disagrees disapprove disapproves disapproved;
        married marry marries remarried / divorced divorce unmarried separated widowed;
        open opened opens reopened / closed shut;
        remember remembered remembers / forgot forget forgets forgotten;
        start started starts starting begin began begins begun began / stop stopped stops stopping quit quits quitting;
        win won wins winning / lose lost loses losing;
        keep kept keeps keeping / lost sold discarded change changed changes;
        alive living / dead died deceased;
        employed / unemployed jobless;
        hired / fired;
        allow allowed allows permit permitted permits lets let
            / forbid forbidden forbids ban banned bans prohibit prohibited prohibits;
        increase increased increases raised rose rising / decrease decreased decreases lowered reduced fell;
        improve improved improves improving better / worsen worsened worsens worse;
        happy glad / unhappy sad;
        healthy / sick ill;
        cheap / expensive pricey;
        easy / difficult;
        safe / dangerous;
        full / empty;
        clean / dirty;
        true / false;
        include included includes including / exclude excluded excludes excluding;
        succeed succeeded succeeds / failed fail fails;
        attend attended attends caught catch / missed skipped;
        support supports supported supporting favor favors favored / oppose opposes opposed;
        create created / delete deleted;
        active / inactive;
        borrow borrowed / returned;
        fixed repaired works working work / broken broke died dead;
        guilty / innocent;
        positive / negative;
        hear hears hearing / deaf;
        extended renewed / cancelled expired;
        public / private;
        optional / mandatory required compulsory;
        confirmed / cancelled canceled;
        awake / asleep;
        indoors inside / outdoors outside
        """,
    "de": """
        bestanden bestand bestehen / durchgefallen gefallen versagt;
        angenommen akzeptiert akzeptierte genehmigt zugestimmt zugesagt / abgelehnt verweigert abgesagt;
        verheiratet heiratete geheiratet / geschieden getrennt ledig unverheiratet verwitwet;
        offen geoffnet eroffnet / geschlossen;
        angefangen begonnen begann / aufgehort beendet;
        gewonnen gewann gewinnt / verloren verlor verliert;
        lebt lebendig / tot gestorben verstorben;
        erlaubt gestattet / verboten untersagt;
        gesund / krank;
        gestiegen erhoht / gesunken gesenkt;
        billig gunstig / teuer;
        leicht einfach / schwierig;
        dafur / dagegen;
        immer oft / nie niemals;
        behalten / verkauft verloren;
        erinnert gedacht / vergessen vergass;
        angestellt / arbeitslos gekundigt;
        verlangert / gekundigt;
        glucklich / unglucklich traurig
        """,
    "fr": """
        reussi reussit obtenu obtient / rate echoue rates;
        accepte acceptee acceptes accepter approuve approuvee / refuse refusee rejete rejetee decline;
        marie mariee maries / divorce divorcee divorces celibataire separe separee;
        ouvert ouverte ouverts ouvertes / ferme fermee fermes fermees;
        commence commencer / arrete cesse;
        gagne gagner gagnee / perdu perdue perd;
        vivant vivante vie / mort morte decede decedee;
        autorise autorisee / interdit interdite;
        souvenu / oublie;
        garde / vendu perdu;
        pour / contre;
        augmente / baisse diminue;
        heureux heureuse / malheureux malheureuse triste;
        facile / difficile;
        toujours / jamais
        """,
    "es": """
        aprobo aprobe aprobado aprobada / suspendio suspendi suspendido reprobo reprobe;
        acepto acepte aceptado aceptada aceptaron aprobado admitido
            / rechazo rechace rechazado rechazada rechazaron nego;
        casado casada casados / divorciado divorciada divorciados soltero soltera separado separada;
        abierto abierta abiertos abre abren / cerrado cerrada cerrados cierra;
        empezo empece empezado comenzo comence / dejo deje dejado paro;
        gano gane gana ganamos ganaron ganado / perdio perdi perdimos perdieron perdido;
        vivo viva / muerto muerta murio fallecio;
        permitido permitida permitio permite puede puedo / prohibido prohibida prohibio prohibe;
        recordo recorde / olvido olvide olvidado;
        subio aumento / bajo disminuyo;
        feliz / infeliz triste;
        facil / dificil;
        siempre / nunca jamas
        """,
}
"""Words of one meaning, a slash, and words of the other; each matter ends with a semicolon."""
_UNSPACED_PAIRS: Final = """
    合格 受かっ / 不合格 落ち 落第
    結婚 既婚 / 離婚 独身 未婚
    好き 好む / 嫌い 苦手
    始め 始まっ / やめ 辞め 止め
    開い 営業中 / 閉まっ 閉店 休業
    覚えて 思い出し / 忘れ
    賛成 / 反対
    成功 / 失敗
    出席 参加 / 欠席
    勝っ 勝ち / 負け
    許可 / 禁止
    入り / 抜き なし
    元気 / 病気
    アレルギー /
    続け / やめ
    できる / 無理
    通过 及格 / 落榜 不及格
    结婚 已婚 / 离婚 单身
    喜欢 / 讨厌
    接受 同意 / 拒绝
    记得 / 忘记 忘了
    """

_SUBJECT: Final = r"(?:i|we|he|she|they|it|(?:my|our|his|her|their|the) \w+)"
_DOES: Final = r"(?:do|does|did|am|is|are|was|were|can|could|will|would|have|has|had)"
PHRASES: Final[Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]] = {
    language: tuple((re.compile(pattern), word) for pattern, word in phrases)
    for language, phrases in {
        "en": (
            (rf"\b{_DOES} ({_SUBJECT}) ([^.?!]{{2,80}})\? (?:no|nope|nah)(?=[,.!]|$)", r"\1 not \2."),
            (rf"\b{_DOES} ({_SUBJECT}) ([^.?!]{{2,80}})\? (?:yes|yeah|yep|yup)\b", r"\1 \2."),
            (
                r"(^|[.!?,;] |\b(?:and|but|so) )((?:when|while|once|before|after|if|since|although|though|because|"
                rf"unless|as|until) {_SUBJECT}\b[^.,;!?]{{2,70}}?) (?=(?:i|we|he|she|they|it)(?:'\w+)? )",
                r"\1\2, ",
            ),
            (r", (?=except\b)", " "),
            (r"\binstead\b(?! of\b)", ""),
            (r"\bturn(?:s|ed|ing)? (?:(?!but\b|and\b)[\w'-]+ ){0,6}?down\b", "declined"),
            (r"\b(?:said|says|saying|say) yes to\b", "accepted"),
            (r"\b(?:said|says|saying|say) no to\b", "declined"),
            (r"\b(?:said|says|say) yes\b", "accepted"),
            (r"\b(?:said|says|say) no\b", "declined"),
            (r"\b(?:stay|stays|stayed|steer|steers) (?:away|clear) (?:from|of)\b", "avoids"),
            (r"\b(?:done|through) with\b", "discarded"),
            (r"\bpass(?:ed)? on (?=(?:the|a|that|this)\b)", "declined "),
            (
                r"(?<!\w)('re|'m|'s|are|am|is|was|were) out of (?!town|the|work|here|office|my|his|her|our)",
                r"\1 lacks ",
            ),
            (r"\bpa(?:id|y) off\b", "cleared"),
            (r"\bw(?:as|ere) (?:going|supposed|meant) to\b|\bwould(?: have|'ve)\b", "supposed"),
            (r"\bzero (?!degrees|percent|point)(?=[a-z])", "no "),
            (
                r"\b(?:it's|it is|it was) ([\w ]{2,30}?) (?:that |which |who )?"
                r"((?:i|we|he|she|they) (?:\w+n't|cannot|never) \w+)",
                r"\2 \1",
            ),
            (r"\bvot(?:e|ed|es) against\b", "opposed"),
            (r"\bvot(?:e|ed|es) (?:for|in favou?r of)\b", "supported"),
            (r"\bpass(?:ed|es)? away\b", "died"),
            (r"\bmov(?:e|es|ed|ing) (?:out|away)\b", "left"),
            (r"(?<!am )(?<!is )(?<!are )(?<!get )(?<!got )(?<!'m )\bused to\b", "formerly"),
            (r"\brather than\b", "instead of"),
            (r"\b(?:lost|lose|loses|losing) (?:my|his|her|their|the|a) job\b", "unemployed"),
            (r"\bdrop(?:s|ped|ping)? out of\b", "quit"),
            (r"\b(?:run|runs|ran|running) out of\b", "lacks"),
            (r"\b(switch|chang|migrat)(?:e|ed|es|ing) from (\w+) to\b", r"\1ed , quit \2 , to"),
            (r"\bg[ai]v(?:e|es|en|ing) up(?: on)?\b|\bcut out\b", "stopped"),
            (r"\b(?:took|taken|takes|taking|take) up\b", "started"),
            (r"\b(?:call|calls|called|calling) off\b", "cancelled"),
            (r"\b(?:leave|leaves|left|leaving) (?:the |any )?(\w+) out\b", r"skipped \1"),
            (r"\b(?:got|get|gets|getting) rid of\b", "discarded"),
            (r"\bw(?:ent|ill go|as going|ere going) up\b|\bgone up\b", "increased"),
            (r"\bw(?:ent|ill go|as going|ere going) down\b|\bgone down\b", "decreased"),
            (
                r"(?<=decided )against\b|(?<=advised )against\b|(?<=warned )against\b",
                "not",
            ),
            (r"(?<= is )against\b|(?<= am )against\b|(?<=i'm )against\b|(?<= are )against\b", "opposed"),
            (
                r"(?<= is )(?:in favou?r of|for)\b(?! (?:sale|rent|free))|(?<=i'm )for\b|(?<=decided )in favou?r of\b",
                "supports",
            ),
            (
                r"\b(is|am|are|was|were|been|'s|'m|'re|be|remains?|stays?) "
                r"((?:still|now|currently) )?single\b(?! [a-z]+ )",
                r"\1 unmarried",
            ),
            (
                r"\b(is|are|was|were|'s|turned|switched|stays?) ((?:still|now|currently) )?off\b",
                r"\1 inactive",
            ),
            (
                r"\b(is|are|was|were|'s|not|turned|switched|stays?|still|now) on\b"
                r"(?= (?:until|all|again|now|during|since)\b|[^\w ]|$)",
                r"\1 active",
            ),
            (r"\btoo (\w+) (?:for \w+ )?to\b", r"too \1 cannot"),
            (r"\b(?:some|any|no)thing else than\b", "only"),
        ),
        "fr": ((r", (?=sauf\b)", " "),),
        "es": ((r", (?=(?:salvo|excepto)\b)", " "),),
        "de": (
            (r"\blehn(?:t|te|en|ten|e)\b(?=[^,.;]* ab\b)", "abgelehnt"),
            (r"\bn(?:immt|ahm|ehme|ahmen)\b(?=[^,.;]* an\b)", "angenommen"),
            (r"\bhor(?:t|te|e|en)\b(?=[^,.;]* auf\b)", "aufgehort"),
            (r"\bfang(?:t|e|en)\b(?=[^,.;]* an\b)|\bfing\b(?=[^,.;]* an\b)", "angefangen"),
            (r"\b(vergessen|aufgehort|geschafft|verweigert|vermieden), (?=[^,.;]* zu )", r"\1 "),
            (r"\b(?:hat|haben|ist|war) ((?:[\w-]+ ){0,4})zu(?=[.,;!]|$)", r"ist \1geschlossen"),
            (r"\bverzichte(?:t|te|n)? auf\b", "aufgehort"),
        ),
    }.items()
}


@lru_cache(maxsize=1)
def opposites() -> Mapping[str, Mapping[str, tuple[tuple[int, int], ...]]]:
    """Return the words of each language with their matters, and the side of each that they are on: 1 or -1.

    Those of all languages stand under an empty name.
    """
    anyone: dict[str, tuple[tuple[int, int], ...]] = {}
    found = {"": anyone}
    matter = 0
    for language, lines in _PAIRS.items():
        table = found.setdefault(language, {})
        for line in lines.split(";"):
            matter += 1
            for sign, words in zip((1, -1), line.split("/"), strict=True):
                for word in words.split():
                    for of in (table, anyone):
                        of[word] = (*of.get(word, ()), (matter, sign))
    return found


@lru_cache(maxsize=1)
def unspaced_opposites() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Return words and their opposites where words are not set apart."""
    return tuple(
        (tuple(one.split()), tuple(other.split()))
        for one, other in (line.split("/") for line in _UNSPACED_PAIRS.strip().splitlines())
    )
