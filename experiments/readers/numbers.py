"""Reading a number from an answer in any of the languages that tasks are asked in: digits of other scripts, separators,
formulas.

Plain numbers are read here; LaTeX and arithmetic by math-verify, whose timeouts are signals and fail outside the main
thread. They are switched off, and instead only short formulas are let through, of a grammar that cannot run away.
"""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from fractions import Fraction
from functools import lru_cache

DOT_GROUPS = frozenset({"de", "es", "id", "it", "nl", "pt", "tr", "vi"})
"""Languages that write 1000 as ``1.000``."""

_MYRIADS = {"万": 10**4, "萬": 10**4, "億": 10**8, "亿": 10**8}
_SIGNS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{FRACTION SLASH}": "/",
        "\N{DIVISION SLASH}": "/",
        "\N{DIVISION SIGN}": "/",
        "\N{MULTIPLICATION SIGN}": "*",
        "\N{ARABIC THOUSANDS SEPARATOR}": ",",
        "\N{ARABIC DECIMAL SEPARATOR}": ".",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "_": " ",
    }
)
_NUMBER = re.compile(r"(?<![\d.,^])-?(?:\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?!\d)|\d(?:[\d.,']*\d)?|\.\d+)")
_MIXED = re.compile(r"(-?)(?:(\d+) )?(\d+) ?/ ?(\d+)")
_FORMULA = re.compile(r"(?:[\d\s.,+\-*/()^{}]|\\(?:[dt]?frac|sqrt|cdot|times|div|left|right|[,!;:]))+")
_OPERATOR = re.compile(r".[-+*/^]|\\")
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__")
_POWER = re.compile(r"\^(?!(?:\d{1,2}|\{\d{1,2}\})(?![\d^]))")
_LONGEST_FORMULA = 100
_one_at_a_time = threading.Lock()


def read_number(text: str, language: str = "en") -> Fraction | None:
    r"""The number that an answer states; None where it states none.

    What stands in the last ``\boxed{}``, or after ``####`` or the last ``=``, is the answer; otherwise the whole text.
    That is read as a fraction or a formula where it is nothing else, and otherwise its last number counts. A comma or
    dot before exactly three digits groups thousands (the dot only in the languages of ``DOT_GROUPS``); before any other
    number of digits it is a decimal sign.

    Args:
        text: the answer.
        language: its code, such as ``de``.
    """
    stated = _stated(_plain(text))
    bare = stated.strip(" .:;!$€£¥₹฿*`'\"%")
    if found := _MIXED.fullmatch(bare):
        sign, whole, over, under = found.groups()
        value = int(whole or 0) + Fraction(int(over), int(under)) if int(under) else None
        return -value if sign and value is not None else value
    if _NUMBER.fullmatch(bare):
        return _value(bare, language)
    if _is_safe_formula(bare):
        return _evaluated(bare)
    return _last_number(bare, language)


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as ASCII digits."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in text)


def _plain(text: str) -> str:
    """Digits of every script as ASCII, full-width signs and odd spaces as common ones,
    and small raised digits as powers.
    """
    spread = "".join(_spread(c) for c in text.translate(_SIGNS))
    folded = ascii_digits(unicodedata.normalize("NFKC", spread).translate(_SIGNS))
    return "".join(" " if c.isspace() and c != "\n" else c for c in folded)


def _spread(sign: str) -> str:
    kind = unicodedata.decomposition(sign).split(" ", 1)[0]
    return f" {sign}" if kind == "<fraction>" else f"^{sign}" if kind == "<super>" and sign.isdigit() else sign


def _stated(text: str) -> str:
    text = _BOLD.sub(r"\1\2", text.replace("\\$", "$").replace("\\%", "%"))
    if (start := text.rfind("\\boxed{")) >= 0:
        return _braced(text[start + len("\\boxed{") :])
    for mark in ("####", "="):
        _, found, after = text.rpartition(mark)
        if found and any(c.isdigit() for c in after):
            text = after
    return text.strip()


def _braced(text: str) -> str:
    depth = 1
    for place, sign in enumerate(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return text[:place]
    return text


def _last_number(text: str, language: str) -> Fraction | None:
    for found in reversed(list(_NUMBER.finditer(text))):
        value = _value(found.group(), language)
        if value is not None:
            return value * _MYRIADS.get(text[found.end() : found.end() + 1], 1)
    return None


def _value(token: str, language: str) -> Fraction | None:
    token = token.replace("'", "").replace(" ", "")
    kinds = [sign for sign in ".," if sign in token]
    if len(kinds) == 2:
        decimal = max(kinds, key=token.rfind)
        token = token.replace("," if decimal == "." else ".", "")
        kinds = [decimal]
    if kinds:
        token = _with_dot(token, kinds[0], language)
    try:
        return Fraction(token)
    except (ValueError, ZeroDivisionError):
        return None


def _with_dot(token: str, sign: str, language: str) -> str:
    """The token with its only kind of separator taken out or made a decimal dot; 1.2.3 comes out as no number."""
    first, *rest = token.split(sign)
    if len(rest[-1]) == 3 and all(len(group) in (2, 3) for group in rest):  # two digits as in the Indian 1,00,000
        may_group = sign == "," or language in DOT_GROUPS
        if len(rest) > 1 or (may_group and len(first.lstrip("-")) <= 3 and first not in ("", "-", "0", "-0")):
            return "".join([first, *rest])
    return token.replace(sign, ".")


def _is_safe_formula(text: str) -> bool:
    return (
        0 < len(text) <= _LONGEST_FORMULA
        and any(c.isdigit() for c in text)
        and _OPERATOR.search(text) is not None
        and _FORMULA.fullmatch(text) is not None
        and _POWER.search(text) is None
        and text.count("^") <= 1
        and "**" not in text
    )


@lru_cache(maxsize=4096)
def _evaluated(formula: str) -> Fraction | None:
    """The value of a formula of the safe grammar, to nine digits after the point; None where it has none."""
    from math_verify import parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the timeouts that are off
    try:
        with _one_at_a_time:
            found = parse(f"${formula}$", parsing_timeout=None, raise_on_error=False)  # type: ignore[arg-type] (None is allowed)
            value = found[0].doit().evalf(30) if found and hasattr(found[0], "evalf") else None
            return (
                Fraction(str(value)).limit_denominator(10**9)
                if value is not None and value.is_real and value.is_finite
                else None
            )
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError):
        return None  # what sympy cannot work out is no number
