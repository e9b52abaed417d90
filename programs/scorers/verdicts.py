"""Reading verdicts: from what a judge wrote to a share, a rating, a pair of ratings, a preference or a choice.

Pure functions. A verdict that could mean two things is refused: a judge that is misread is worse than one that is asked
again. Of several verdicts in one text the one counts that is called final or the verdict (see :func:`settled`); two
that differ and have the same standing are no verdict, the same one twice is one.
"""

from __future__ import annotations

import re

from ..errors import UnreadableVerdict
from .preferences import Preference, read_preference
from .wording import Statement, cleaned, settled, with_decimal_points

__all__ = ["Preference", "read_choice", "read_preference", "read_rating", "read_ratings", "read_share"]

_WORDS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())} | {
    "none": 0
}
_COUNT = rf"(\d+(?:\.\d+)?|\b(?:{'|'.join(_WORDS)})\b)"
_FRACTION = re.compile(rf"(?<![\d./]){_COUNT}\s*(?:/|out of|of)\s*(?:the |all )?{_COUNT}(?![\d/])", re.IGNORECASE)
_PERCENT = re.compile(r"(?<![\d.])(-?\d+(?:\.\d+)?)\s*(?:%|percent|per cent)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:\.\d+)?|\.\d+)(?![\w]|\.\d)")
_WRONG = re.compile(
    r"[\s(,:]*(?:\w+ ){0,3}?(?:is |are |was |were )?"
    r"(?:wrong|incorrect|missing|false|fail\w*|errors?|mistakes?|not \w+|inaccurate|unsupported|bad)\b",
    re.IGNORECASE,
)
_NAME = (
    r"(?:rating|score|grade|mark|bewertung|punktzahl|note|puntuaci[oó]n|calificaci[oó]n|valoraci[oó]n|"
    r"оценка|评分|分数|得分|評価|点数)"
)
_NAMED = re.compile(
    rf"{_NAME}s?\s*(?:\([^()]*\)\s*(?=[:=\-]|is\b))?"
    r"(?:\b(?:is|was|of|would be|has to be|à|ist|es|est)\b|:|=|→|->|\s|\[|\()*"
    r"(?:-\s+)?(-?\d+(?:\.\d+)?)(?!\d)(?P<rest>\s*(?:/|out of|%|(?:-|to|or|bis)\s*\d)?)",
    re.IGNORECASE,
)
_JUDGMENT = re.compile(
    r"(?:judge?ment|verdict|choice|winner|best (?:response|answer|candidate)(?: is)?)\W*?"
    r"(?:(?:is|response|answer|candidate|number|no)\W*?){0,3}(-?\d+(?:\.\d+)?)",
    re.IGNORECASE,
)
_PAIR_LINE = re.compile(r"^\W*(\d+(?:\.\d+)?)(?:\s*[,;|/]\s*|\s+)(\d+(?:\.\d+)?)\W*$", re.MULTILINE)
_LABELLED = re.compile(r"\b([AB12])(?:'s)?\)?\s*(?:score|rating)?\s*(?:is|[:=])\s*\[*(\d+(?:\.\d+)?)", re.IGNORECASE)


def read_share(verdict: str) -> float:
    """A judge's verdict as a share in [0, 1]: a fraction, else a percentage, else a number in [0, 1].

    What is called wrong or missing counts only where nothing else is given, and then by what it leaves.

    Raises:
        UnreadableVerdict: there is none, it is outside [0, 1], or there are two that differ.
    """
    text = _without_scale(with_decimal_points(cleaned(verdict)), 0, 1)
    for kind in (_FRACTION, _PERCENT, _NUMBER):
        statements = [Statement(m.start(), m.end(), _as_share(m)) for m in kind.finditer(text)]
        if kind is _NUMBER:
            named = [Statement(m.start(), m.end(), float(m.group(1))) for m in _NAMED.finditer(text)]
            statements = named or [statement for statement in statements if 0 <= float(str(statement.value)) <= 1]
        if not statements:
            continue
        right = [statement for statement in statements if _WRONG.match(text, statement.end) is None]
        share = settled(text, right or statements)
        if isinstance(share, float) and 0 <= share <= 1:
            return share if right else 1 - share
        break
    raise UnreadableVerdict(
        f"no share between 0 and 1 in the judge's verdict {verdict[:200]!r}; expected one such as '3/4'"
    )


def read_rating(verdict: str, low: float, high: float) -> float:
    """A rating from ``low`` to ``high``: the number called the rating (or score), else the only number there is.

    Numbers that name the scale (``Rating (1-10): 7``, ``on a scale of 1 to 10``) are no ratings. ``7/10`` counts as 7
    where ``high`` is 10; a rating out of another number, in percent or as a range is refused.

    Raises:
        UnreadableVerdict: there is no such number, it is outside the scale, or there are two that differ.
    """
    text = _without_scale(with_decimal_points(cleaned(verdict)), low, high)
    named = [
        Statement(m.start(), m.end(), float(m.group(1)) if not m["rest"].strip() else None)
        for m in _NAMED.finditer(text)
    ]
    alone = [Statement(m.start(), m.end(), float(m.group())) for m in _NUMBER.finditer(text)]
    single = alone if len({statement.value for statement in alone}) == 1 and not re.search(r"\d\s*%", text) else []
    rating = settled(text, named or single)
    if not isinstance(rating, float) or not low <= rating <= high:
        raise UnreadableVerdict(
            f"no rating from {low:g} to {high:g} in the judge's verdict {verdict[:200]!r}; expected such as 'Rating:"
            f" {high:g}'"
        )
    return rating


def read_ratings(verdict: str) -> tuple[float, float]:
    """The two ratings of a pair, each from 1 to 10.

    They are the only line of two numbers, else those labelled A and B (or 1 and 2), else the last two numbers.

    Raises:
        UnreadableVerdict: there are not two such numbers.
    """
    text = _without_scale(cleaned(verdict), 1, 10)
    numbers = _line(text) or _line(with_decimal_points(text)) or _labelled(with_decimal_points(text)) or _last_two(text)
    if numbers is None or not all(1 <= number <= 10 for number in numbers):
        raise UnreadableVerdict(
            f"no two ratings from 1 to 10 in the judge's verdict {verdict[:200]!r}; expected such as '7 4'"
        )
    return numbers


def read_choice(verdict: str, count: int) -> int:
    """The number of the chosen response, from 1 to ``count``.

    The one that is called the judgment (or the verdict, the choice, the best response), else the only number there is.

    Raises:
        UnreadableVerdict: there is no such number, or there are two that differ.
    """
    text = cleaned(verdict)
    named = [Statement(m.start(), m.end(), m.group(1)) for m in _JUDGMENT.finditer(text)]
    numbers = [Statement(m.start(), m.end(), m.group()) for m in _NUMBER.finditer(text)]
    choice = settled(text, named or (numbers if len({statement.value for statement in numbers}) == 1 else []))
    if not isinstance(choice, str) or not choice.isdecimal() or not 1 <= int(choice) <= count:
        raise UnreadableVerdict(
            f"no response from 1 to {count} is named in the judge's verdict {verdict[:200]!r}; expected such as"
            " 'Judgment: 1'"
        )
    return int(choice)


def _as_share(match: re.Match[str]) -> float:
    """The share that a fraction, a percentage or a number says; -1 where it is none."""
    parts = [_WORDS.get(part.lower(), part) for part in match.groups()]
    if len(parts) == 2:
        return float(parts[0]) / float(parts[1]) if float(parts[1]) else -1.0
    return float(parts[0]) / 100 if parts else float(match.group())


def _without_scale(text: str, low: float, high: float) -> str:
    """The text without the ends of the scale: ``1-10``, ``[0, 1]``, ``(1 = bad, 10 = good)``, ``/10``."""
    ends = rf"{low:g}(?:\.0)?\s*(?:-|to|and|through|bis|à|a|~|\.\.\.?|,)\s*{high:g}(?:\.0)?(?!\d|\.\d)"
    text = re.sub(rf"(?<![\d.])[\[(]?{ends}[\])]?", " ", text)
    text = re.sub(rf"\(\s*{low:g}\s*=[^()]*\)|\(\s*(?:out of|max\w*|/)\s*{high:g}\s*\)", " ", text)
    return re.sub(rf"\s*(?:/|out of)\s*(?:a (?:possible|total of) )?{high:g}(?:\.0)?(?![\d.]*\d)", "", text)


def _line(text: str) -> tuple[float, float] | None:
    lines = {m.groups() for m in _PAIR_LINE.finditer(text)}
    if len(lines) != 1:
        return None
    first, second = lines.pop()
    return float(first), float(second)


def _labelled(text: str) -> tuple[float, float] | None:
    labels = {m.group(1).upper(): float(m.group(2)) for m in _LABELLED.finditer(text)}
    pairs = [(labels[one], labels[other]) for one, other in ("AB", "12") if one in labels and other in labels]
    return pairs[0] if pairs else None


def _last_two(text: str) -> tuple[float, float] | None:
    pointed = _NUMBER.findall(with_decimal_points(text))
    numbers = pointed if len(pointed) == 2 else _NUMBER.findall(text)[-2:]
    return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else None
