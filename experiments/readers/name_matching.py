"""Whether a short answer names one of several accepted names, in scripts with and without spaces between words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from dspy_fusion.programs.pools.folding import ascii_digits

LONGEST_REST = 60
"""How many characters an answer may have beyond the name that it contains;
a longer text is an essay that names many things.
"""

_PARENTHESES = re.compile(r"\(([^()]*)\)")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")  # Thai, kana and Chinese characters
_ARTICLES = frozenset({"the", "a", "an"})


def names_one_of(answer: str, accepted: Iterable[str]) -> bool:
    """Whether an answer gives one of the accepted names.

    Both are compared in lower case, without punctuation and articles, with digits of every script as ASCII. The answer
    must be a name, or contain it as whole words (in Thai, Japanese and Chinese as a run of characters) with at most
    ``LONGEST_REST`` characters around it. A name that is a number must be the only number there is; of a number with up
    to three other characters (``1932 CE``) the number will do. A name with an addition in parentheses is also accepted
    without the addition, and the addition for the name. What an answer denies counts as given.
    """
    said = folded(answer)
    return any(_gives(said, name) for text in accepted for name in _variants(text))


def folded(text: str) -> str:
    """A text as it is compared."""
    plain = ascii_digits(unicodedata.normalize("NFKC", text)).casefold()
    letters = "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in plain)
    words = letters.split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in _ARTICLES else words)


def _variants(text: str) -> set[str]:
    within = {folded(part) for part in _PARENTHESES.findall(unicodedata.normalize("NFKC", text))}
    names = {
        folded(text),
        folded(_PARENTHESES.sub(" ", unicodedata.normalize("NFKC", text))),
        *(part for part in within if len(part) > 2),
    }
    return names - {""}


def _gives(said: str, name: str) -> bool:
    if said == name:
        return True
    if len(said) > len(name) + LONGEST_REST:
        return False
    if name.isdecimal():
        return set(re.findall(r"\d+", said)) == {name}
    if said.isdecimal():
        return re.findall(r"\d+", name) == [said] and len(name) <= len(said) + 3
    if _UNSPACED.search(name):
        return len(name) > 1 and name.replace(" ", "") in said.replace(" ", "")
    return len(name) > 1 and f" {name} " in f" {said} "
