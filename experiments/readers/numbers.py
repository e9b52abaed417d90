"""Reading the number that an answer states in any of the languages that tasks are asked in.

Where it stands, in which digits, in figures or in words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction

from dspy_fusion.programs.pools.folding import ascii_digits

from .choice_letters import ANSWER_WORDS, COPULA, UNSPACED_MARKS
from .notation import evaluated, grouped_value, is_formula
from .number_words import NEGATIVE, SCALES, number_in_words

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
        "\N{EN DASH}": "-",
        "\N{NON-BREAKING HYPHEN}": "-",
        "\N{FIGURE DASH}": "-",
        "\N{FULLWIDTH HYPHEN-MINUS}": "-",
    }
)
_DIGITS = r"(?:\d{1,3}(?: \d{3})+(?:[.,]\d+)?(?!\d)|\d(?:[\d.,']*\d)?|\.\d+)"
_NUMBER = re.compile(rf"-?{_DIGITS}")
_MIXED = re.compile(r"(-?)(?:(\d+)(?: |-| and ))?(\d+) ?/ ?(\d+)")
_LATIN = r"[A-Za-z\u00c0-\u024f\u0400-\u04ff]"
_SCALE = "|".join(sorted(map(re.escape, SCALES), key=len, reverse=True))
_TOKEN = re.compile(
    rf"(?<![\d.,^])(?<!{_LATIN})(?<!{_LATIN}-)(?:"
    r"(?P<time>\d{1,2}:\d\d)(?::\d\d)?(?![\d:])"
    r"|(?P<ratio>\d+ ?:[ \d:]+)"
    r"|(?P<mixed>-?(?:\d+(?: |-| and ))?\d+ ?/ ?\d+)(?![\d/])"
    rf"|(?P<mantissa>-?{_DIGITS})(?:[eE](?P<e>[+-]?\d{{1,3}})(?!\w)|"
    r"\s*(?:x|\*|\\times|\\cdot|·)\s*10\s*\^\s*\{?(?P<ten>[+-]?\d{1,3})\}?)"
    rf"|(?P<plain>-?{_DIGITS})(?:\s*(?P<scale>{_SCALE})(?!{_LATIN})|(?P<k>(?-i:k))(?!\w))?)",
    re.IGNORECASE,
)
_CURRENCY = re.compile(
    r"(?:US|R|A|C|HK|NT|S)\$|\b(?:USD|EUR|GBP|INR|Rs\.?|CHF|JPY|RM|Tk\.?|KES|Ksh\.?)\s*(?=-?\d)", re.IGNORECASE
)
_GROUPING = re.compile(r"(?<=\d)(?:\{,\}|\\[,;:! ]|~)(?=\d)")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
_MARK = re.compile(
    rf"(?:\b(?:{ANSWER_WORDS})s?\b(?:\s+(?:{ANSWER_WORDS}|number|to the \w+))?"
    rf"(?:\s*{COPULA})+|(?:{UNSPACED_MARKS})\s*:?)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"(?:[\s$€£¥₹฿*:(\[]|(?:about|approximately|only|exactly|etwa|environ|unos|около|the)\b)*", re.IGNORECASE
)
_OF = r"in|for|per|after|out of|of|at|within|each|every|from|by|on|during|with|if|when|over|pro|für|por|en|par|за|в"
_QUANTITY = re.compile(rf"(?:[^\W\d]+[\s-]+){{0,3}}(?:{_OF})\b", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d) ?x ?(?=\d)")
_SENTENCE_END = re.compile(r"[.!?\u3002]\s+(?=\S)|\S\s*\n\s*\S|=")
_ASIDE = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_SPACES = re.compile(r"\\(?:quad|qquad)\b")
_BOLD = re.compile(r"(?<![\w*])\*\*(.+?)\*\*(?![\w*])|(?<!\w)__(.+?)__(?!\w)")


def read_number(text: str, language: str = "en") -> Fraction | None:
    r"""The number that an answer states; None where it states none.

    What stands in the last ``\boxed{}``, after the last ``####``, or after the last ``the answer is`` (in any of MGSM's
    languages) is the answer, whatever follows it; otherwise what stands after the last ``=``, otherwise the whole text.
    That is read as a number, a fraction or a formula where it is nothing else. Of running text the last number counts,
    as GSM8K's graders have it, but not one in parentheses; of a single sentence that begins with a quantity, that
    (``50 miles in 7 hours``). Digits within a name (``H2O``,
    ``COVID-19``) are no number. ``2 1/2`` is a mixed number, ``10:30`` is 10.5, ``1.2 million`` and ``3 x 10^5`` are
    worked out. Where there are no digits, numbers in words are read.

    A comma or dot before exactly three digits groups thousands (the dot only in the languages of ``DOT_GROUPS``);
    before any other number of digits it is a decimal sign.

    Args:
        text: the answer.
        language: its code, such as ``de``.
    """
    plain = _plain(text)
    for stretch, leads in _stretches(plain):
        value = _read(stretch, language, leads=leads)
        if value is not None:
            return value
    if any(sign.isdigit() for sign in plain):
        return None
    words = number_in_words(plain, language)
    return None if words is None else Fraction(words)


def _plain(text: str) -> str:
    """Digits of every script as ASCII, full-width signs and odd spaces as common ones, small raised digits as powers;
    without emphasis, LaTeX's spaces in numbers and what LaTeX sets as text.
    """
    spread = "".join(_spread(c) for c in text.translate(_SIGNS))
    folded = ascii_digits(unicodedata.normalize("NFKC", spread).translate(_SIGNS))
    spaced = "".join(" " if c.isspace() and c != "\n" else c for c in folded)
    bare = _BOLD.sub(r"\1\2", spaced.replace("\\$", "$").replace("\\%", "%"))
    bare = _CURRENCY.sub("$", _GROUPING.sub(lambda gap: "," if "," in gap.group() else " ", bare))
    return _TEXT.sub(r" \1", _SPACES.sub(" ", bare)).replace("\\ ", " ").replace("- $", "-").replace("-$", "-")


def _spread(sign: str) -> str:
    kind = unicodedata.decomposition(sign).split(" ", 1)[0]
    return f" {sign}" if kind == "<fraction>" else f"^{sign}" if kind == "<super>" and sign.isdigit() else sign


def _stretches(text: str) -> Iterator[tuple[str, bool]]:
    """What may state the answer, best first, and whether its first number is the answer."""
    if (start := text.rfind("\\boxed{")) >= 0:
        yield _result(_braced(text[start + len("\\boxed{") :])), False
    _, mark, after = text.rpartition("####")
    if mark:
        line = next((line for line in after.splitlines() if line.strip()), "")
        yield _result(line), True
    if marks := list(_MARK.finditer(text)):
        rest = text[marks[-1].end() :].strip()
        line = rest.split("\n")[0]
        yield _result(line), bool(_TOKEN.match(line, _end_of(_ABOUT, line)))
    _, equals, after = text.rpartition("=")
    if equals and any(sign.isdigit() for sign in after):
        yield f"= {after}", False
    yield text, False


def _result(text: str) -> str:
    _, equals, after = text.rpartition("=")
    return after if equals and any(sign.isdigit() for sign in after) else text


def _read(text: str, language: str, *, leads: bool) -> Fraction | None:
    bare = text.strip(" \n.:;!=$€£¥₹฿*`'\"%")
    if mixed := _MIXED.fullmatch(bare):
        return _mixed(mixed)
    if _NUMBER.fullmatch(bare):
        return grouped_value(bare, language)
    formula = _TIMES.sub("*", bare)
    if is_formula(formula):
        return evaluated(formula)
    outside = _ASIDE.sub(" ", text)
    if not any(sign.isdigit() for sign in outside):
        outside = text
    tokens = list(_TOKEN.finditer(outside))
    values = [_token_value(token, language, outside) for token in tokens]
    number = _joined([(token, value) for token, value in zip(tokens, values, strict=True) if value is not None])
    if not number:
        return None
    if leads:
        return number[0][1]
    return _counting(outside, number)


def _joined(known: list[tuple[re.Match[str], Fraction]]) -> list[tuple[re.Match[str], Fraction]]:
    """The numbers of a text with those added up that are one (``3万5千``)."""
    joined: list[tuple[re.Match[str], Fraction]] = []
    end = -1
    for token, value in known:
        if joined and token.start() == end and joined[-1][0]["scale"]:
            joined[-1] = (joined[-1][0], joined[-1][1] + value)
        else:
            joined.append((token, value))
        end = token.end()
    return joined


def _counting(text: str, known: list[tuple[re.Match[str], Fraction]]) -> Fraction:
    """Of the numbers of a text the one that counts: the last, or that of a sentence that begins with a quantity."""
    first, value = known[0]
    begins = first.start() <= _end_of(_ABOUT, text)
    return value if begins and _SENTENCE_END.search(text) is None and _qualified(text, first) else known[-1][1]


def _qualified(text: str, token: re.Match[str]) -> bool:
    return _QUANTITY.match(text[token.end() :].lstrip(" %$€")) is not None


def _end_of(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0


def _braced(text: str) -> str:
    depth = 1
    for place, sign in enumerate(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if depth == 0:
            return text[:place]
    return text


def _token_value(token: re.Match[str], language: str, text: str) -> Fraction | None:
    if token["time"]:
        hours, minutes = token["time"].split(":")
        return Fraction(int(hours)) + Fraction(int(minutes), 60)
    if token["ratio"]:
        return None
    if token["mixed"]:
        mixed = _MIXED.fullmatch(token["mixed"])
        value = _mixed(mixed) if mixed else None
    else:
        value = grouped_value(token["plain"] or token["mantissa"], language)
        power = token["e"] or token["ten"]
        if value is not None and power:
            value *= Fraction(10) ** int(power)
        if value is not None and (token["scale"] or token["k"]):
            value *= SCALES[token["scale"].casefold()] if token["scale"] else 1000
    return -value if value is not None and NEGATIVE.search(text[: token.start()]) else value


def _mixed(match: re.Match[str]) -> Fraction | None:
    sign, whole, over, under = match.groups()
    value = int(whole or 0) + Fraction(int(over), int(under)) if int(under) else None
    return -value if sign and value is not None else value
