"""How numbers are written: separators of thousands and decimals by language, and formulas, worked out by math-verify.

math-verify's timeouts are signals, which fail outside the main thread. They are switched off, and instead only short
formulas are let through, of a grammar that cannot run away.
"""

from __future__ import annotations

import logging
import re
import threading
from fractions import Fraction
from functools import lru_cache

DOT_GROUPS = frozenset({"de", "es", "id", "it", "nl", "pt", "tr", "vi"})
"""Languages that write 1000 as ``1.000``."""

_FORMULA = re.compile(r"(?:[\d\s.,+\-*/()^{}]|\\(?:[dt]?frac|sqrt|cdot|times|div|left|right|[,!;:]))+")
_OPERATOR = re.compile(r".[-+*/^]|\\")
_POWER = re.compile(r"\^(?!(?:\d{1,2}|\{\d{1,2}\})(?![\d^]))")
_LONGEST_FORMULA = 100
_one_at_a_time = threading.Lock()


def grouped_value(token: str, language: str) -> Fraction | None:
    """The value of digits with separators of a language; None where they are no number (``1.2.3``)."""
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


def is_formula(text: str) -> bool:
    """Whether a text is arithmetic and nothing else, short and of a grammar that cannot run away."""
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
def evaluated(formula: str) -> Fraction | None:
    """The value of a formula of the safe grammar, to nine digits after the point; None where it has none."""
    from math_verify import parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the timeouts that are off
    try:
        with _one_at_a_time:
            values = parse(f"${formula}$", parsing_timeout=None, raise_on_error=False)  # type: ignore[arg-type] (None is allowed)
            value = values[0].doit().evalf(30) if values and hasattr(values[0], "evalf") else None
            return (
                Fraction(str(value)).limit_denominator(10**9)
                if value is not None and value.is_real and value.is_finite
                else None
            )
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError):
        return None  # what sympy cannot work out is no number
