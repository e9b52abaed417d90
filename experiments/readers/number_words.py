"""Numbers in words, in the languages that word problems are asked in: from num2words' tables, read backwards."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

SCALES = {
    "hundred": 10**2,
    "thousand": 10**3, "tausend": 10**3, "mille": 10**3, "mil": 10**3, "тысяча": 10**3, "тысячи": 10**3,
    "тысяч": 10**3, "elfu": 10**3,
    "lakh": 10**5, "lakhs": 10**5, "lac": 10**5, "লক্ষ": 10**5, "లక్షలు": 10**5, "లక్ష": 10**5,
    "million": 10**6, "millions": 10**6, "millionen": 10**6, "mio": 10**6, "millón": 10**6, "millones": 10**6,
    "миллион": 10**6, "миллиона": 10**6, "миллионов": 10**6, "млн": 10**6, "milioni": 10**6, "ล้าน": 10**6,
    "crore": 10**7, "crores": 10**7, "কোটি": 10**7, "కోట్లు": 10**7, "కోటి": 10**7,
    "billion": 10**9, "billions": 10**9, "milliarde": 10**9, "milliarden": 10**9, "mrd": 10**9, "milliard": 10**9,
    "milliards": 10**9, "миллиард": 10**9, "миллиарда": 10**9, "миллиардов": 10**9, "млрд": 10**9,
    "trillion": 10**12,
    "千": 10**3, "万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8,
}  # fmt: skip
"""What a word after a number multiplies it by."""

_MINUS = "minus|negative|moins|menos|минус|マイナス|负|負|ลบ"
NEGATIVE = re.compile(rf"(?:{_MINUS})\s*$", re.IGNORECASE)
"""What stands before a number that is below zero."""
_TABLES = frozenset({"en", "bn", "de", "es", "fr", "ja", "ru", "te", "th"})
_LARGEST = 10_000  # every number below has its words in the table, above it only round thousands
_LONGEST = 9  # words that a number of the table has at most
_ARTICLES = frozenset(
    {"a", "an", "one", "ein", "eins", "un", "uno", "une", "один", "ఒకటి"}
)  # words that are often no number
_KANJI = re.compile("[〇零一二三四五六七八九十百千万萬億亿两]+")


def number_in_words(text: str, language: str) -> int | None:
    """The last number that a text without digits writes out; None where it writes none.

    A word for one counts only where it is all the text says. English words are read in every language. Swahili and
    Chinese have no table in num2words; Chinese and Japanese characters are read one by one.
    """
    words = _words(text)
    for name in dict.fromkeys((language, "en")):
        table = _table(name)
        for end in range(len(words), 0, -1):
            for start in range(max(0, end - _LONGEST), end):
                phrase = " ".join(words[start:end])
                if phrase in table and (phrase not in _ARTICLES or len(words) == 1):
                    sign = -1 if NEGATIVE.search(" ".join(words[:start])) else 1
                    return sign * table[phrase]
    runs = [run for run in _KANJI.findall(text) if language in ("ja", "zh")]
    return _kanji(runs[-1]) if runs else None


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold().replace("-", " ")
    letters = "".join(sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " " for sign in plain)
    return [word for word in letters.split() if word != "and"]


@lru_cache(maxsize=16)
def _table(language: str) -> dict[str, int]:
    if language not in _TABLES:
        return {}
    from num2words import num2words

    numbers = [*range(_LARGEST), *range(_LARGEST, 1_000_001, 1000)]
    return {" ".join(_words(num2words(number, lang=language))): number for number in reversed(numbers)}


def _kanji(run: str) -> int:
    total = group = digit = 0
    for sign in run.replace("两", "二"):
        value = int(unicodedata.numeric(sign))
        if value >= 10_000:
            total, group, digit = total + (group + digit or 1) * value, 0, 0
        elif value >= 10:
            group, digit = group + (digit or 1) * value, 0
        else:
            digit = digit * 10 + value
    return total + group + digit
