"""Whether a fact names somebody or something that nobody named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from memkit.extraction.align import Words, bare, particle, same_stem
from memkit.extraction.amounts import UNITS
from memkit.extraction.dates import MONTHS, WEAK_MONTHS, WEEKDAYS
from memkit.extraction.text import Token, keys, language, tokens
from memkit.extraction.words import FUNCTION_WORDS, NUMBER_WORDS, STARTERS, VERBS
from memkit.prompts.extract import ExtractedMemory

_PROPER: Final = (
    "person",
    "place",
    "organisation",
    "organization",
    "product",
    "project",
    "work",
    "company",
    "city",
    "country",
)
# Languages whose names keep their form in a sentence; in the others an ending may change.
_UNINFLECTED: Final = frozenset(("en", "de", "fr", "es", "it", "pt", "nl", "sv"))
_GERMAN_ARTICLES: Final = frozenset(
    "der die das den dem des ein eine einen einem einer eines mein meine meinen meiner sein seine seinen seiner "
    "ihr ihre ihren "
    "ihrer kein keine keinen zum zur im am vom beim ins jede jeden jeder viel viele wenig mehr als fur mit ohne uber "
    "zwei drei vier funf sechs sieben acht neun zehn".split()
)
_LONG_NAMES: Final = re.compile(
    r"^(?:i|ok|tv|pc|dr|mr|mrs|ms|am|pm|usa?|uk|eu|id|url|api|ai|cv|gps|usd|eur)$"
)
_DEMONYMS: Final = (
    "france french frenchman", "netherland dutch holland", "spain spanish spaniard", "sweden swedish swede",
    "poland polish "
    "pole", "turkey turkish turkiye", "greece greek", "switzerland swiss", "china chinese", "wales welsh",
    "britain british uk england english", "ireland irish", "denmark danish dane", "finland finnish finn",
    "norway norwegian", "portugal portuguese", "thailand thai", "philippines filipino tagalog",
    "usa us america "
    "american", "nyc york", "la angeles", "sf francisco", "uk kingdom", "germany german deutschland deutsch",
    "japan japanese", "frankreich franzose franzosisch", "espana espanol espanola", "francia frances francesa",
)  # fmt: skip
_SAME_PLACE: Final = [frozenset(group.split()) for group in _DEMONYMS]

# What facts say in Chinese and Japanese about almost anything; it names nothing.
UNSPACED_PLAIN: Final = re.compile(
    "用户|使用者|助手|助理|目前|现在|現在|已经|已經|最近|正在|计划|計劃|打算|希望|想要|想|需要|必须|喜欢|喜歡|讨厌|討厭|最爱|偏好|偏爱|爱好|"
    "不再|没有|沒有|拥有|擁有|养了|养|居住|住在|搬到|搬去|迁居|前往|来自|來自|出生|位于|工作|任职|就职|担任|职业|公司|学习|就读|妻子|丈夫|太太|先生|老公|老婆|"
    "配偶|儿子|女儿|孩子|父亲|母亲|爸爸|妈妈|哥哥|弟弟|姐姐|妹妹|朋友|同事|宠物|名字|名叫|叫做|名为|称为|今年|去年|明年|每天|每周|经常|通常|从不|"
    "过敏|可以|将于|将在|曾经|非常|的|是|在|了|和|与|有|叫|为|他|她|它|我|你|也|很|不|没|于|到|"
    "ユーザー|さん|アシスタント|です|ます|ました|でした|している|しています|していた|した|する|である|であり|いる|います|いた|ある|あります|住んで|勤務|"
    "勤めて|働いて|好き|嫌い|苦手|好む|好み|飼って|名前|という|といい|だった|なった|予定|現在|以前|妻|夫|息子|娘|子供|友人|友達|同僚|ペット|"
    "あまり|もう|まだ|全然|"
    "は|が|を|に|で|と|の|も|へ|や|から|まで|より|ため|こと|もの|よう|ない|なく|なり|また|そして|"
    "ผู้ใช้|ชอบ|ไม่|อยู่|ที่|เป็น|มี|ของ|และ|ใน|ได้"
)
_UNCASED_PLAIN: Final = frozenset(
    (
        "है हैं हूँ हूं था थी थे हो का के की को में से पर और वह वे उसका उसकी उनके उनका अपना अपनी अपने रहता रहती "
        "रहते करता करती करते होता होती गया गई गए "
        "चाहता चाहती पसंद नाम एक यह साथ लिए पास बहुत अब जो कि "
        "가장 제일 매우 아주 정말 자주 항상 현재 최근 이제 지금 가끔 매일 매주 약 더 잘 "
        "في من على الى عن مع هو هي كان كانت لدى لديه لديها له لها ان انه التي الذي هذا هذه منذ قبل بعد حاليا "
        "الان يوجد لا لم ليس "
        "הוא היא של את עם על גם יש אין לו לה היה הייתה"
    ).split()
)
_BEFORE_VERBS: Final = frozenset(
    "now also still currently already recently often always usually just nun jetzt auch".split()
)
"""What may stand between a name and its verb."""
_TO_SOMEBODY: Final = frozenset("to with for mit zu zum avec con para com met married".split())
"""Behind which a word that may be a month is somebody's name."""
_KOREAN_VERB: Final = re.compile(r"(?:다|고|며|면서|지만|면|려고|기로|어서|아서)$")
_DENIED_VERB: Final = re.compile(
    "[\u4e00-\u9fff]{0,2}[\u3041-\u3093]{0,3}(?:ない|なかった|ません|ませんでした)$"
)
"""A Japanese verb that a fact denies: it may be another one than was said."""
_KATAKANA: Final = re.compile("[\u30a1-\u30fa\u30fc]{2,}")


def unlicensed_name(memory: ExtractedMemory, words: Words) -> str | None:
    """Return what is wrong with the names of a fact, or None.

    A name must stand in the message, in the turns before it, among the speakers or in the memory it replaces. In
    scripts with capitals a name is a capitalised word, or what the model itself lists as a person, place,
    organisation or product. In scripts without, it is what the model lists, and a new word that stands where the
    message has another one.
    """
    if words.keys.issuperset(keys(memory.text)):
        return None
    found = tokens(memory.text)
    inflecting = language(words.keys | keys(memory.text)) not in _UNINFLECTED
    listed = _listed(memory)
    for at, token in enumerate(found):
        if token.key in words.keys or _known(token, words, inflecting=inflecting):
            continue
        if token.unspaced:
            foreign = _foreign_run(token.key, words.folded, listed)
            if foreign:
                return f"{foreign!r} was not said"
        elif (token.cased and _is_cased_name(found, at, listed, words)) or (
            not token.cased and _is_uncased_name(found, at, listed, words)
        ):
            return f"{token.raw!r} was not named"
    return None


def _listed(memory: ExtractedMemory) -> set[str]:
    """Return the words of the names that the model lists."""
    return {
        token.key
        for entity in memory.entities
        if entity.kind.casefold() in _PROPER
        for token in tokens(entity.name)
        if token.key not in FUNCTION_WORDS
    }


def _known(token: Token, words: Words, *, inflecting: bool) -> bool:
    key = token.key
    if len(key) == 1 and not token.unspaced:
        return True
    if (key in MONTHS and key not in WEAK_MONTHS) or key in WEEKDAYS or key in NUMBER_WORDS:
        return True
    if key in UNITS or words.has_name(token, inflecting=inflecting):
        return True
    if token.unspaced or not token.cased:
        return False
    if not token.capital and words.has_word(key):
        return True
    return any(key in group and group & words.keys for group in _SAME_PLACE) or _related_adjective(key, words)


def _related_adjective(key: str, words: Words) -> bool:
    """`Italian` for Italy, `Brazilian` for Brazil."""
    endings = ("ian", "an", "ese", "ish", "i", "isch", "ische", "ano", "ana", "ien", "ienne", "ais", "aise")
    return any(
        len(stem) >= 4 and any(other.startswith(stem) for other in words.keys)
        for ending in endings
        if key.endswith(ending) and (stem := key[: -len(ending)])
    )


def _is_cased_name(found: Sequence[Token], at: int, listed: set[str], words: Words) -> bool:
    token = found[at]
    if _LONG_NAMES.match(token.key):
        return False
    if not any(char.isupper() for char in token.raw):
        return token.key in listed
    if _acronym_stands(found, at, words):
        return False
    following = found[at + 1] if at + 1 < len(found) else None
    if token.initial:
        if token.key in STARTERS:
            return False
        if token.key in listed:
            return True
        if words.has_word(token.key):
            return False
        if following is not None and following.key in _BEFORE_VERBS and at + 2 < len(found):
            following = found[at + 2]
        return following is not None and (
            following.key in VERBS
            or following.parted
            or (following.capital and not following.initial)
            or words.said_of_name(following.key)
        )
    if token.key in listed:
        return True
    if token.key in FUNCTION_WORDS or (token.key in WEAK_MONTHS and _is_month(found, at)):
        return False
    return not _is_german_noun(found, at)


def _is_month(found: Sequence[Token], at: int) -> bool:
    """`in May` is a month, `May lives` and `engaged to Jan` are not."""
    following = found[at + 1].key if at + 1 < len(found) else ""
    before = found[at - 1] if at else None
    return (
        following not in VERBS
        and before is not None
        and not before.capital
        and before.key not in _TO_SOMEBODY
    )


def _acronym_stands(found: Sequence[Token], at: int, words: Words) -> bool:
    start = end = at
    while start > 0 and found[start - 1].capital and not found[start].initial:
        start -= 1
    while end + 1 < len(found) and found[end + 1].capital and not found[end + 1].initial:
        end += 1
    return end > start and words.has_acronym_of(found[start : end + 1])


def _is_german_noun(found: Sequence[Token], at: int) -> bool:
    """German writes all nouns with a capital; after an article or an adjective it is no name."""
    if language(frozenset(token.key for token in found)) != "de" or at == 0:
        return False
    before = found[at - 1]
    if before.key in _GERMAN_ARTICLES:
        return True
    return (
        not before.capital
        and before.key not in FUNCTION_WORDS
        and re.search(r"(?:e|en|er|es|em)$", before.key) is not None
    )


def _is_uncased_name(found: Sequence[Token], at: int, listed: set[str], words: Words) -> bool:
    """A new word that is listed as a name, or stands where the message has a word that the fact leaves out."""
    token = found[at]
    if token.key in FUNCTION_WORDS or token.key in _UNCASED_PLAIN or words.has_word(token.key):
        return False
    if _is_korean_verb(found, at):
        return False
    if token.key in listed or bare(token.key) in {bare(name) for name in listed}:
        return True
    used = [other.key for other in found]
    said = words.tokens
    before = found[at - 1].key if at else None
    after = found[at + 1].key if at + 1 < len(found) else None
    ending = particle(token.key)
    for place, other in enumerate(said):
        if (
            other.cased
            or other.unspaced
            or other.key in FUNCTION_WORDS
            or any(same_stem(other.key, key) for key in used)
        ):
            continue
        left = said[place - 1].key if place else None
        right = said[place + 1].key if place + 1 < len(said) else None
        if (
            (before and left == before)
            or (after and right and same_stem(right, after))
            or (ending and particle(other.key) == ending)
        ):
            return True
    return False


def _is_korean_verb(found: Sequence[Token], at: int) -> bool:
    """Korean ends sentences and clauses with a verb, whose form a fact changes."""
    if not "\uac00" <= found[at].key[:1] <= "\ud7a3":
        return False
    if at + 1 == len(found) or found[at + 1].initial or _KOREAN_VERB.search(found[at].key):
        return True
    return found[at].key.endswith("지") and found[at + 1].key.startswith(("않", "못", "말"))


def _foreign_run(run: str, said: str, listed: set[str]) -> str | None:
    """Return the part of a run that nobody said and that is a name, or None.

    Pairs of characters that were said and common words are covered. What is left is a name where the model lists it,
    where it is katakana, or where its neighbours were said next to something else.
    """
    covered = _covered(run, said)
    for start, end in _gaps(covered):
        part = run[start:end]
        if _DENIED_VERB.match(run, start):
            continue
        if any(part in name or name in part for name in listed if len(name) > 1) or _KATAKANA.search(part):
            return part
        left, right = run[max(0, start - 2) : start], run[end : end + 2]
        if end - start < 2:
            # One new character in the place of another, and not put in between.
            if len(left) == len(right) == 2 and left in said and right in said and left + right not in said:
                return part
            continue
        if (start > 1 and left in said) or (len(right) > 1 and right in said):
            return part
    return None


def _covered(run: str, said: str) -> list[bool]:
    covered = [False] * len(run)
    for match in UNSPACED_PLAIN.finditer(run):
        covered[match.start() : match.end()] = [True] * (match.end() - match.start())
    for at in range(len(run) - 1):
        if run[at : at + 2] in said:
            covered[at] = covered[at + 1] = True
    return [
        done or (char in said and at > 0 and covered[at - 1])
        for at, (done, char) in enumerate(zip(covered, run, strict=True))
    ]


def _gaps(covered: Sequence[bool]) -> list[tuple[int, int]]:
    gaps: list[tuple[int, int]] = []
    start: int | None = None
    for at, done in enumerate([*covered, True]):
        if not done and start is None:
            start = at
        elif done and start is not None:
            gaps.append((start, at))
            start = None
    return gaps
