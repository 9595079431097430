"""What makes one stem of the forms of a word: Snowball's rules, and light ones where it has none."""

from __future__ import annotations

import importlib
import re
from typing import Final, Protocol, cast


class Stemmer(Protocol):
    """Makes stems."""

    def stemWord(self, word: str) -> str:
        """Return the stem of a lower-case word."""
        ...


class _Snowball(Stemmer, Protocol):
    maxCacheSize: int


def stemmer(language: str) -> Stemmer:
    """Return what makes stems in a language, by its English name in lower case."""
    if language in _OWN:
        return _OWN[language]()
    # PyStemmer has no type stubs; the protocol above is what is used of it.
    made = cast("_Snowball", importlib.import_module("Stemmer").Stemmer(language))
    made.maxCacheSize = 0  # `text._Stems` is the cache
    return _WITH[language](made) if language in _WITH else made


class _Cyrillic:
    """Russian stems, of Ukrainian words too: their endings are nearly the same in other letters."""

    _LETTERS: Final = str.maketrans({"і": "и", "ї": "и", "є": "е", "ґ": "г", "ў": "в", "ё": "е"})

    def __init__(self, russian: Stemmer) -> None:
        self._russian = russian

    def stemWord(self, word: str) -> str:
        return self._russian.stemWord(word.translate(self._LETTERS))


class _Hebrew:
    """Takes off what is written together with a word (and, the, in, to) and the commonest endings.

    Prefixes go while three letters stay, whether they are of the word's root or not: the same word loses the same
    letters wherever it stands.
    """

    _PREFIXES: Final = "והבל"
    _ENDINGS: Final = re.compile("(?<=...)(?:יים|ים|ות|ה|ת)$")
    _FINAL: Final = str.maketrans("ךםןףץ", "כמנפצ")

    def stemWord(self, word: str) -> str:
        while len(word) > 3 and word[0] in self._PREFIXES:
            word = word[1:]
        return self._ENDINGS.sub("", word).translate(self._FINAL)


class _Turkish:
    """Takes off endings one after the other: Snowball's rules need the letters of vowel harmony, which are folded."""

    _ENDINGS: Final = re.compile(
        "(?<=...)(?:[iu]?yor(?:um|sun|uz|lar)?|m[ae]kt[ae]|m[ae]k|l[ae]r|[iu]?[mn][iu]z|n[iu]n|n?d[ae]n?|t[ae]n?|yl[ae]"
        "|(?:[dt][iu]|m[iu]s(?:t[iu])?|[ae]c[ae][kg])(?:[mnk]|[iu]m|[iu]z|n[iu]z|l[ae]r)?|[iu][mn]|[sny]?[iu]|[ny]?[ae]"
        "|[iuae]r|(?<=[aeiou])m)$"
    )
    _VOICED: Final = str.maketrans("gbd", "kpt")

    def stemWord(self, word: str) -> str:
        before = ""
        while word != before:
            before, word = word, self._ENDINGS.sub("", word)
        return word[:-1] + word[-1:].translate(self._VOICED)


class _Persian:
    """Persian stems, without what is written behind a noun for my, his, our, your and their."""

    _ENDINGS: Final = re.compile("(?<=...)(?:مان|تان|شان|م|ش)$")

    def __init__(self, persian: Stemmer) -> None:
        self._persian = persian

    def stemWord(self, word: str) -> str:
        return self._ENDINGS.sub("", self._persian.stemWord(word))


class _Whole:
    """Leaves words as they are: those of Vietnamese have one form."""

    def stemWord(self, word: str) -> str:
        return word


_OWN: Final = {"hebrew": _Hebrew, "turkish": _Turkish, "vietnamese": _Whole}
_WITH: Final = {"russian": _Cyrillic, "persian": _Persian}

_PAST: Final = 20
_BEFORE: Final = {"다": 4, "니": 17}
"""Syllables, and the final consonant that a verb's stem takes on before them: that of -ㄴ다 and of -ㅂ니다."""
_FINALS: Final = 28


def korean_form(run: str) -> str:
    """Return a run of Korean without the final consonants that tense and politeness put under a verb's stem.

    고친다 and 고칩니다 become 고치다 and 고치니다, and 자랐어 becomes 자라어: pairs of syllables meet in all forms.
    """
    return "".join(
        chr(ord(syllable) - final)
        if (final := _final(syllable)) == _PAST or (final and final == _BEFORE.get(behind))
        else syllable
        for syllable, behind in zip(run, run[1:] + " ", strict=True)
    )


def _final(syllable: str) -> int:
    """Return the number of a syllable's final consonant, 0 for none and for what is no syllable of Korean."""
    return (ord(syllable) - 0xAC00) % _FINALS if "\uac00" <= syllable <= "\ud7a3" else 0
