"""How much of an open answer another candidate says too: line by line, sentence by sentence, leaf by leaf.

Whole answers of several lines are hardly ever equal, so a share of equal wholes would say nothing about them. Short
texts of one line are equal or not: "Rome" shares nothing with "Oslo".
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Any

from .equality import normalized
from .folding import folded_text
from .resemblance import parts_of, text_resemblance

ALIKE = 0.75
"""Sentences of the same numbers that resemble each other by this much say the same."""
_LEAST_WORDS = 5  # of a sentence that can be alike without being equal
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:no|not|never|none|nor|cannot)\b|n't\b", re.IGNORECASE)


def shared(left: Any, right: Any) -> float:
    """The share of their parts that two values have in common, in [0, 1]; 1 for equal ones.

    Texts: lines, or sentences where there is one line (Dice: twice the common ones over all); a part is common where
    both texts have it, as votes compare text, or where long sentences with the same numbers and negations are alike.
    Records: the mean over the fields of either. Lists: items in any order. All else is equal or not.
    """
    if normalized(left) == normalized(right):
        return 1.0
    if isinstance(left, str) and isinstance(right, str):
        return _common(_parts(left), _parts(right), _say_the_same)
    if (one := parts_of(left)) is not None and (other := parts_of(right)) is not None:
        names = one.keys() | other.keys()
        return sum(shared(one[n], other[n]) for n in names if n in one and n in other) / len(names) if names else 1.0
    if isinstance(left, list | tuple | Set) and isinstance(right, list | tuple | Set):
        return _common(list(left), list(right), lambda a, b: normalized(a) == normalized(b))
    return 0.0


def _parts(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    return [part for part in _SENTENCE.split(text.strip()) if part.strip()]


def _common(left: Sequence[Any], right: Sequence[Any], same: Any) -> float:
    if min(len(left), len(right)) < 1 or max(len(left), len(right)) < 2:
        return float(len(left) == len(right) == 1 and same(left[0], right[0]))
    free = list(right)
    count = 0
    for part in left:
        place = next((place for place, other in enumerate(free) if same(part, other)), None)
        if place is not None:
            free.pop(place)
            count += 1
    return 2 * count / (len(left) + len(right))


def _say_the_same(left: str, right: str) -> bool:
    one, other = folded_text(left), folded_text(right)
    if one == other:
        return True
    if min(len(one.split()), len(other.split())) < _LEAST_WORDS or _NUMBER.findall(one) != _NUMBER.findall(other):
        return False
    if len(_NEGATION.findall(one)) != len(_NEGATION.findall(other)):
        return False
    return text_resemblance(one, other) >= ALIKE
