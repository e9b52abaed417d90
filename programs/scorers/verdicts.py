"""Reading verdicts: from what a judge wrote to a share, a rating, a pair of ratings, a preference or a choice.

Pure functions.

A verdict that could mean two things is refused: a judge that is misread is worse than one that is asked again.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import UnreadableVerdict

Preference = Literal["A", "B", "tie"]
"""Which of two answers is better."""

_FRACTION = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/|out of|of)\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_JUDGMENT = re.compile(r"judge?ment\W*?(\d+)", re.IGNORECASE)
_RATING = re.compile(r"(?:rating|score)\W*?(\d+(?:\.\d+)?)", re.IGNORECASE)
_BRACKETED = re.compile(r"\[\[\s*(A|B|C|tie|A>>?B|B>>?A|A=B)\s*\]\]", re.IGNORECASE)
_PREFERENCES: dict[str, Preference] = {
    "a": "A", "a>b": "A", "a>>b": "A", "b": "B", "b>a": "B", "b>>a": "B", "c": "tie", "tie": "tie", "a=b": "tie",
}  # fmt: skip


def read_share(verdict: str) -> float:
    """A judge's verdict as a share in [0, 1]: the last fraction in it, else the last percentage, else a number in [0,
    1].

    Raises:
        UnreadableVerdict: there is none, or it is outside [0, 1].
    """
    if found := _FRACTION.findall(verdict):
        share = float(found[-1][0]) / float(found[-1][1]) if float(found[-1][1]) else -1.0
    elif found := _PERCENT.findall(verdict):
        share = float(found[-1]) / 100
    else:
        numbers = _NUMBER.findall(verdict)
        share = float(numbers[-1]) if numbers else -1.0
    if not 0 <= share <= 1:
        raise UnreadableVerdict(
            f"no share between 0 and 1 in the judge's verdict {verdict[:200]!r}; expected one such as '3/4'"
        )
    return share


def read_rating(verdict: str, low: float, high: float) -> float:
    """A rating from ``low`` to ``high``: the last number that follows the word rating (or score),
    else the only number there is.

    ``7/10`` counts as 7 where ``high`` is 10.

    Raises:
        UnreadableVerdict: there is no such number, or it is outside the scale.
    """
    text = re.sub(rf"\s*(?:/|out of)\s*{high:g}\b", "", verdict)
    named, numbers = _RATING.findall(text), _NUMBER.findall(text)
    found = named[-1:] or (numbers if len(set(numbers)) == 1 else [])
    if not found or not low <= float(found[0]) <= high:
        raise UnreadableVerdict(
            f"no rating from {low:g} to {high:g} in the judge's verdict {verdict[:200]!r}; expected such as 'Rating:"
            f" {high:g}'"
        )
    return float(found[0])


def read_ratings(verdict: str) -> tuple[float, float]:
    """The two ratings of a pair: the last two numbers of the verdict, each from 1 to 10.

    Raises:
        UnreadableVerdict: there are not two such numbers.
    """
    numbers = [float(number) for number in _NUMBER.findall(verdict)][-2:]
    if len(numbers) != 2 or not all(1 <= number <= 10 for number in numbers):
        raise UnreadableVerdict(
            f"no two ratings from 1 to 10 in the judge's verdict {verdict[:200]!r}; expected such as '7 4'"
        )
    return numbers[0], numbers[1]


def read_preference(verdict: str) -> Preference:
    """Which of two answers is better: the last of ``[[A]]``, ``[[B]]`` and ``[[tie]]``,
    or a verdict that is nothing but one of them.

    ``[[C]]``, which MT-bench's judges write for a tie, and Arena-Hard's ``[[A>B]]`` are understood as well.

    Raises:
        UnreadableVerdict: there is no such mark.
    """
    marks = _BRACKETED.findall(verdict)
    bare = re.sub(r"[\s\[\]().:*]|^(?:response|answer)\s", "", verdict.strip().lower())
    mark = marks[-1].lower().replace(" ", "") if marks else bare
    if mark not in _PREFERENCES:
        raise UnreadableVerdict(
            f"no preference in the judge's verdict {verdict[:200]!r}; expected [[A]], [[B]] or [[tie]]"
        )
    return _PREFERENCES[mark]


def read_choice(verdict: str, count: int) -> int:
    """The number of the chosen response, from 1 to ``count``: the last after the word judgment,
    else the only number there is.

    Raises:
        UnreadableVerdict: there is no such number.
    """
    named, numbers = _JUDGMENT.findall(verdict), _NUMBER.findall(verdict)
    found = named[-1:] or (numbers if len(set(numbers)) == 1 else [])
    if not found or not found[0].isdecimal() or not 1 <= int(found[0]) <= count:
        raise UnreadableVerdict(
            f"no response from 1 to {count} is named in the judge's verdict {verdict[:200]!r}; expected such as"
            " 'Judgment: 1'"
        )
    return int(found[0])
