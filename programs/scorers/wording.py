"""What the text of a verdict says once its dress is off, and which of several verdicts in one text counts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from ..pools.folding import ascii_digits

_SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\u2044\u2215\u00f7", "/"),
        **dict.fromkeys("\u3010\u3016\u300c", "["),
        **dict.fromkeys("\u3011\u3017\u300d", "]"),
        **dict.fromkeys('*`"\u201c\u201d\u201e', None),
        **dict.fromkeys("\u2018\u2019", "'"),
    }
)
_VULGAR = re.compile("(\\d*)\\s?([\u00bc-\u00be\u2150-\u215e])")
_LATEX = re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}")
_COMMAND = re.compile(r"\\(?:boxed|text|textbf|mathbf|mathrm)\s*|\$|\\(?=[%$])")
_DECIMAL_COMMA = re.compile(r"(?<![\d,.])(\d+),(\d{1,2})(?![\d,.]*\d)")
_FINAL = re.compile(
    r"\bfinal|\bactually\b|\bon (?:reflection|second thought)|\bbut no\b|\bno[,:]|\bwait\b|\bcorrection\b|\brevis|"
    r"\breconsider|\binstead\b|\bchange my",
    re.IGNORECASE,
)
_CONCLUDING = re.compile(
    r"\bverdict|\bwinner|\boverall|\bin (?:all|total|sum|conclusion)\b|\btotal|\bdecision|\bjudge?ment|\bthus\b|"
    r"\btherefore|\bhence\b|\bso\b|=",
    re.IGNORECASE,
)


class Statement(NamedTuple):
    """A verdict somewhere in a text."""

    start: int
    end: int
    value: object


def cleaned(verdict: str) -> str:
    r"""The text of a verdict without emphasis and quotation marks, with common signs, digits and fractions.

    ``¾`` becomes ``3/4`` and ``7½`` becomes ``7.5``, ``\frac{3}{4}`` becomes ``3/4``, ``7,5`` becomes ``7.5``.
    """
    text = _VULGAR.sub(_spelled, verdict)
    text = ascii_digits(unicodedata.normalize("NFKC", text)).translate(_SIGNS)
    text = _COMMAND.sub("", _LATEX.sub(r"\1/\2", text)).replace("{", " ").replace("}", " ")
    text = re.sub(r"(?<!\w)_{1,2}(?=\S)|(?<=\S)_{1,2}(?!\w)", "", text)
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def with_decimal_points(text: str) -> str:
    """The text with decimal commas as points (``7,5``; not ``7, 5``)."""
    return _DECIMAL_COMMA.sub(r"\1.\2", text)


def settled(text: str, statements: Iterable[Statement]) -> object | None:
    """The value of the verdict that counts; None where there is none, or two that differ.

    A verdict that is called final, or said to correct an earlier one, outranks one that is only called the verdict or
    the sum, and that one outranks any other. Those of the highest rank must agree; an earlier one of the same rank is
    no discussion but a second verdict.
    """
    ranked: list[tuple[int, object]] = []
    before = 0
    for statement in sorted(statements):
        heading = text[max(before, statement.start - 60) : statement.end]
        ranked.append((2 if _FINAL.search(heading) else 1 if _CONCLUDING.search(heading) else 0, statement.value))
        before = statement.end
    highest = max((rank for rank, _ in ranked), default=0)
    values = {value for rank, value in ranked if rank == highest}
    return values.pop() if len(values) == 1 else None


def _spelled(fraction: re.Match[str]) -> str:
    whole, sign = fraction.groups()
    if whole:
        return f"{int(whole) + unicodedata.numeric(sign):g}"
    over, _, under = unicodedata.normalize("NFKC", sign).partition("\u2044")
    return f" {over}/{under} " if under else fraction.group()
