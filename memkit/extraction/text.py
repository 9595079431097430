"""Texts made comparable: folding, tokens with their case, numbers in every notation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from memkit.extraction.words import NUMBER_WORDS, STOP_WORDS

_QUOTES: Final = str.maketrans(
    dict.fromkeys("‘’‚‛ʼ´`′＇", "'")
    | dict.fromkeys("“”„‟«»‹›″「」『』《》〈〉", '"')
    | dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u0640\u200e\u200f", "")
    | {"أ": "ا", "إ": "ا", "آ": "ا", "ى": "ي", "ة": "ه", "ß": "ss", "ı": "i"}
)
# Accents of Latin, Greek and Cyrillic, vowel signs of Arabic and Hebrew: optional in practice.
_OPTIONAL_MARKS: Final = re.compile(
    "[\u0300-\u036f\u064b-\u0652\u0670\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7]"
)
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u0900-\u0903\u093a-\u093c\u093e-\u094f\u0951-\u0957\u0962\u0963\u0981-\u0983\u09bc\u09be-\u09cd\u09d7\u0a01-\u0a4d"
    "\u0a70-\u0a75\u0a81-\u0acd\u0b01-\u0b57\u0b82-\u0bcd\u0c00-\u0c56\u0c81-\u0cd6\u0d00-\u0d57\u0d81-\u0ddf\u0e31"
    "\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u102b-\u103e\u17b4-\u17d3\u30fc"
)
_WORD: Final = re.compile(rf"(?:[^\W\d_]|[{_MARKS}])+")
_ASCII_WORD: Final = re.compile(r"[A-Za-z]+")
_NO_SPACES: Final = re.compile(
    "[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff]"
)
_SENTENCE_END: Final = re.compile(r"[.!?:;。！？\n•][\"')\]]?\s*[-*\"'(\[]*\s*$|^[\s\"'(\[*-]*$")


_ABBREVIATION: Final = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|Sr|Sra|Jr|Nr|No|vs|Dra|Mme|M|Ing|[A-Z])\.\s*$")


@lru_cache(maxsize=128)
def fold(text: str) -> str:
    """Return a text without what writers vary freely: case, accents, kinds of quotes and dashes, white space."""
    if text.isascii():
        return " ".join(text.replace("`", "'").lower().split())
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES)).casefold().translate(_QUOTES)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _OPTIONAL_MARKS.sub("", unicodedata.normalize("NFD", text)))
    return " ".join(text.split())


class Token(NamedTuple):
    """A word as written, as compared, and where it stands."""

    raw: str
    key: str
    initial: bool
    """Whether it begins a sentence."""
    parted: bool = False
    """Whether a comma stands before it."""

    @property
    def capital(self) -> bool:
        """Whether its first letter is a capital."""
        return self.raw[:1].isupper()

    @property
    def cased(self) -> bool:
        """Whether its script has capitals at all."""
        return self.raw[:1].upper() != self.raw[:1].lower()

    @property
    def unspaced(self) -> bool:
        """Whether its script is written without spaces between words."""
        return not self.raw.isascii() and _NO_SPACES.match(self.raw) is not None


@lru_cache(maxsize=128)
def tokens(text: str) -> tuple[Token, ...]:
    """Return the words of a text; runs of Chinese, Japanese or Thai are one token each."""
    if text.isascii():
        plain, word = text.replace("`", "'"), _ASCII_WORD
    else:
        plain, word = unicodedata.normalize("NFKC", text.translate(_QUOTES)), _WORD
    out: list[Token] = []
    for match in word.finditer(plain):
        raw, start = match.group(), match.start()
        # Most words follow a word and a space.
        if plain[start - 1 : start] == " " and plain[start - 2 : start - 1].isalnum():
            initial, parted = False, False
        else:
            before = plain[max(0, start - 8) : start]
            initial = _begins_sentence(plain, start, before)
            parted = before.rstrip().endswith((",", "،"))
        if raw.isascii():
            out.append(Token(raw, raw.lower(), initial, parted))
            continue
        for part, at in _script_runs(raw):
            out.append(Token(part, fold(part), initial and at == 0, parted and at == 0))
    return tuple(out)


def _begins_sentence(plain: str, start: int, before: str) -> bool:
    if start == 0:
        return True
    if _ABBREVIATION.search(before):
        return False
    return _SENTENCE_END.search(before if start > 8 else plain[:start]) is not None


def _script_runs(word: str) -> Iterator[tuple[str, int]]:
    """Split `Acme社` into its scripts."""
    start = 0
    for at in range(1, len(word)):
        if bool(_NO_SPACES.match(word[at - 1])) != bool(_NO_SPACES.match(word[at])):
            yield word[start:at], start
            start = at
    yield word[start:], start


@lru_cache(maxsize=256)
def keys(text: str) -> frozenset[str]:
    """Return the words of a text as they are compared."""
    return frozenset(ordered_keys(text))


def ordered_keys(text: str) -> list[str]:
    """Return the words of a text as they are compared, in order."""
    return _ASCII_WORD.findall(text.lower()) if text.isascii() else [token.key for token in tokens(text)]


_ALL_STOP_WORDS: Final = frozenset[str]().union(*STOP_WORDS.values())


@lru_cache(maxsize=128)
def language(seen: frozenset[str]) -> str | None:
    """Return the language whose frequent words stand out among words, or None."""
    frequent = seen & _ALL_STOP_WORDS
    scores = sorted(((len(frequent & stops), name) for name, stops in STOP_WORDS.items()), reverse=True)
    best, second = scores[0], scores[1]
    return best[1] if best[0] >= 2 and best[0] > second[0] else None


_DIGIT: Final = re.compile(r"\d")
_NUMBER: Final = re.compile(r"\d{1,3}(?:[\u00a0\u202f '’]\d{3})+(?!\d)|\d+(?:[.,:]\d+)*")
_SCALED: Final = re.compile(
    r"(\d+(?:[.,]\d+)?)\s?(k|thousand|tausend|mille|mil|m|mio|million(?:s|en)?|millones|milhoes|milioni|миллион\w*|тысяч\w*"
    r"|tys|bn|billion|万|萬|만|千|천|億|亿|억|lakh|लाख|crore)(?![a-z])"
)
_SCALES: Final = (
    (("milli", "millon", "milh", "milio", "mio"), 1e6),
    (("k", "th", "ta", "mille", "mil", "ты", "ty", "千", "천"), 1e3),
    (("lakh", "लाख"), 1e5),
    (("crore",), 1e7),
    (("bn", "bil"), 1e9),
    (("万", "萬", "만"), 1e4),
    (("億", "亿", "억"), 1e8),
)
_HOURS: Final = re.compile(r"(?<![\d.,])(\d{1,2})\.(\d{2})(?= ?uhr)|(?<![\d.,])(\d{1,2}) ?h ?(\d{2})(?!\d)")
_CLOCK: Final = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s?([ap])\.?m\b")
_HAN_DIGITS: Final = {char: value for value, char in enumerate("零一二三四五六七八九")} | {
    "两": 2,
    "兩": 2,
    "〇": 0,
}
_HAN_UNITS: Final = {"十": 10, "百": 100, "千": 1000, "万": 10_000, "萬": 10_000}
_HAN_NUMBER: Final = re.compile(r"[零〇一二三四五六七八九两兩十百千万萬]+")
_MIXED_HAN: Final = re.compile(r"(\d{1,4})[万萬만]\s?(?:(\d)[千천])")
_HAN_COUNTED: Final = re.compile(
    r"([零〇一二三四五六七八九两兩十百千万萬]+)(?=[点點公里米斤层層楼樓倍页頁集號号个個岁歳歲只隻条條人名匹冊本台位件杯元块円小時时分天日月年周週次回度家辆輛張张])"
)


_KOREAN_COUNTED: Final = re.compile(
    r"\b([두세네열])(?=\s?(?:마리|명|개|살|잔|번|권|대|시|달|그루|병|장)(?!\w{2}))"
)


_GROUPED_BY_COMMAS: Final = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?")
_GROUPED_BY_POINTS: Final = re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_DIGIT_RUN: Final = re.compile(r"\d[\d\s()./-]*\d")
_PERSONAL_DIGITS: Final = 6
"""So many digits, set apart anyhow, are one number: of a telephone, of an account."""


@lru_cache(maxsize=512)
def number_forms(raw: str) -> frozenset[str]:
    """Return what a written number may mean, each as a text: `1,200` is 1200 and 1.2."""
    if raw.isascii() and raw.isdigit():
        return frozenset((raw, _plain(float(raw))))
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in raw)
    forms = {digits}
    bare = re.sub(r"[\u00a0\u202f '’]", "", digits)
    texts = [bare, bare.replace(",", ".")]
    if _GROUPED_BY_COMMAS.fullmatch(bare):
        texts.append(bare.replace(",", ""))
    if _GROUPED_BY_POINTS.fullmatch(bare):
        texts.append(bare.replace(".", "").replace(",", "."))
    for text in texts:
        try:
            forms.add(_plain(float(text)))
        except ValueError:
            continue
    return frozenset(forms)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def numbers(text: str) -> list[tuple[str, frozenset[str]]]:
    """Return the numbers of a folded text with their meanings: in digits, and counted Chinese and Korean ones."""
    found = [(match.group(), number_forms(match.group())) for match in _NUMBER.finditer(text)]
    if text.isascii():
        return found
    for match in _HAN_COUNTED.finditer(text):
        value = _han_value(match.group(1))
        if value > 1:
            found.append((match.group(1), frozenset((_plain(value),))))
    korean = (match.group(1) for match in _KOREAN_COUNTED.finditer(text))
    return [*found, *((word, frozenset((_plain(NUMBER_WORDS[word]),))) for word in korean)]


@lru_cache(maxsize=32)
def number_meanings(text: str) -> frozenset[str]:
    """Return every number that a folded text may be said to contain: digits, words, times of day, 2k, 3万."""
    return frozenset(_in_digits(text) if _DIGIT.search(text) else ()) | _in_han(text) | _spelled(text)


def _in_digits(text: str) -> set[str]:
    out: set[str] = set()
    for raw, forms in numbers(text):
        out |= forms
        if ":" not in raw:
            continue
        if clock := re.fullmatch(r"(1[3-9]|2[0-3]):(\d\d)", raw):
            out |= {str(int(clock.group(1)) - 12), f"{int(clock.group(1)) - 12}:{clock.group(2)}"}
        for piece in raw.split(":"):
            out |= number_forms(piece)
    for year in re.findall(r"(?<!\w)'(\d\d)(?!\d)", text):
        out |= {f"19{year}", f"20{year}"}
    runs = (re.sub(r"\D", "", run) for run in _DIGIT_RUN.findall(text))
    out.update(run for run in runs if len(run) >= _PERSONAL_DIGITS)
    for match in _SCALED.finditer(text):
        for form in number_forms(match.group(1)):
            scale = next((value for names, value in _SCALES if match.group(2).startswith(names)), 1e6)
            try:
                out.add(_plain(float(form) * scale))
            except ValueError:
                continue
    for match in _HOURS.finditer(text):
        hour, minute = match.group(1) or match.group(3), match.group(2) or match.group(4)
        out |= {f"{int(hour)}:{minute}", f"{int(hour):02}:{minute}"}
    for match in _CLOCK.finditer(text):
        hour = int(match.group(1)) % 12 + (12 if match.group(3) == "p" else 0)
        out |= {str(hour), f"{hour}:{match.group(2) or '00'}", f"{hour:02}:{match.group(2) or '00'}"}
        out |= number_forms(match.group(2) or "00")
    return out


def _in_han(text: str) -> set[str]:
    if text.isascii():
        return set()
    mixed = (
        float(match.group(1)) * 10_000 + float(match.group(2) or 0) * 1_000
        for match in _MIXED_HAN.finditer(text)
    )
    return {
        *(_plain(_han_value(match.group())) for match in _HAN_NUMBER.finditer(text)),
        *map(_plain, mixed),
    }


def _spelled(text: str) -> set[str]:
    out: set[str] = set()
    if not _spells(text):
        return out
    for spelled in spelled_numbers(text):
        out |= spelled.parts
    for match in _QUARTERS.finditer(text):
        part, side, hour = match.groups()
        value = NUMBER_WORDS.get(hour) or (int(hour) if hour.isdigit() else 0)
        count = int(NUMBER_WORDS.get(part) or 15)
        minutes = {"half": 30, "halb": -30}.get(part, count if side in ("past", "after", "nach") else -count)
        if 0 < value <= 24:
            at = int(value) * 60 + minutes
            out |= {
                f"{(at + late) // 60 % 24:{width}}:{at % 60:02}" for late in (0, 720) for width in ("", "02")
            }
            out |= {str(at // 60), str(at % 60)}
    if not _HALVES.isdisjoint(keys(text)):
        out.add("50")
    return out


class Spelled(NamedTuple):
    """A number in words."""

    words: tuple[str, ...]
    whole: str
    """Its value, as it is compared."""
    parts: frozenset[str]
    """That value, and those of its words."""


def _spells(text: str) -> bool:
    return not NUMBER_WORDS.keys().isdisjoint(keys(text)) or any(
        "und" in word and _in_german(word) for word in keys(text)
    )


@lru_cache(maxsize=64)
def spelled_numbers(text: str) -> Sequence[Spelled]:
    """Return the numbers that a folded text spells: "two hundred", "treinta y cinco", "funfunddreissig"."""
    if not _spells(text):
        return ()
    found: list[Spelled] = []
    common = STOP_WORDS.get(language(keys(text)) or "", frozenset[str]())
    words: list[str] = []
    values: list[float] = []
    whole: float | None = None
    end = 0
    for match in _WORD.finditer(text):
        word = match.group()
        beside = whole is not None and text[end : match.start()].strip(" -") == ""
        if word in _JOINING and beside:
            end = match.end()
            continue
        # Turkish ten is English on.
        value = None if word in common - _ONES.keys() else NUMBER_WORDS.get(word) or _in_german(word)
        value = value or _ONES.get(word)
        joined = _joined(whole, value, word) if beside and whole is not None and value is not None else None
        if joined is None:
            if whole is not None:
                found.append(_spelled_number(words, values, whole))
            words, values, whole = [], [], None if word in _ONES else value
        else:
            whole = joined
        if whole is not None and value is not None:
            words.append(word)
            values += [value, whole]
            end = match.end()
    if whole is not None:
        found.append(_spelled_number(words, values, whole))
    return found


def _spelled_number(words: Sequence[str], values: Iterable[float], whole: float) -> Spelled:
    return Spelled(tuple(words), _plain(whole), frozenset(map(_plain, values)))


def _joined(whole: float, value: float, word: str) -> float | None:
    """Return what two numbers side by side are together, None where they are two."""
    if value >= 100:
        return whole * value if whole < value else None
    if whole == 4 and word.startswith("vingt"):
        return 80.0
    if 13 <= whole <= 20 and value >= 20:  # nineteen ninety, twenty twenty
        return whole * 100 + value
    return whole + value if whole >= 20 and value < whole and whole % 10 == 0 else None


_ONES: Final[Mapping[str, float]] = dict.fromkeys(
    "one un une uno una um uma een en ett jeden bir один eins ein eine".split(), 1.0
)
_JOINING: Final = frozenset("and und et y e en og och i".split())
_HALVES: Final = frozenset("half halfte halb moitie mitad meta polowa половина".split())
_QUARTERS: Final = re.compile(
    r"\b(quarter|half|viertel|halb|five|ten|twenty|funf|zehn|zwanzig) "
    r"(?:(past|after|to|before|nach|vor) )?([a-z]+|\d{1,2})\b"
)
_GERMAN_TENS: Final = re.compile(
    r"(ein|zwei|drei|vier|funf|sechs|sieben|acht|neun)und(zwanzig|dreissig|vierzig|funfzig|sechzig|siebzig|achtzig|neunzig)"
)


def _in_german(word: str) -> float | None:
    match = _GERMAN_TENS.fullmatch(word) if "und" in word else None
    return None if match is None else NUMBER_WORDS[match.group(2)] + (NUMBER_WORDS.get(match.group(1)) or 1)


def _han_value(text: str) -> float:
    total = section = digit = 0
    if len(text) > 1 and all(char in _HAN_DIGITS for char in text):
        return float("".join(str(_HAN_DIGITS[char]) for char in text))
    for char in text:
        if char in _HAN_DIGITS:
            digit = _HAN_DIGITS[char]
        elif _HAN_UNITS[char] == 10_000:
            total += (section + digit or 1) * 10_000
            section = digit = 0
        else:
            section += (digit or 1) * _HAN_UNITS[char]
            digit = 0
    return float(total + section + digit)
