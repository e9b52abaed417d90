"""Text as votes compare it: what only dresses a text is taken off, what changes its meaning stays."""

from __future__ import annotations

import re
import unicodedata

_SINGLE, _DOUBLE = "\u2018\u2019\u201a\u201b\u2032\u02bc", "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"
_DASH, _SLASH = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "\u2044\u2215"
_SIGNS = str.maketrans(
    {sign: plain for signs, plain in ((_SINGLE, "'"), (_DOUBLE, '"'), (_DASH, "-"), (_SLASH, "/")) for sign in signs}
)
_RAISED = re.compile("[\u2070-\u207f\u00b9\u00b2\u00b3]+")
_VULGAR = re.compile("(?<=[0-9])(?=[\u00bc-\u00be\u2150-\u215e\u2189])")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\ufeff\ufe0e\ufe0f]")
_JOINERS = re.compile("[\u200c\u200d]")
_STARS = re.compile(r"(?<![\w*\\])(\*{1,3})(?=[^\s*])(.+?)(?<=[^\s*])\1(?![\w*])", re.DOTALL)
_UNDERLINES = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])(.+?)(?<=[^\s_])\1(?!\w)", re.DOTALL)
_CODE = re.compile(r"(`{1,3})([^`]+)\1")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_CLOSING = ".,;:!?\u2026\u3002\u3001\uff61\u0964\u06d4\u061f\u061b\u060c"
_FACTORIAL = re.compile(r"(?:\d|\)|\b[a-z])!+")
_MILLI = re.compile(r"(?<=\d)(\s?)m(W|Wh|V|A|Hz|J|Pa|N|eV|F|H|T|K)\b")
_BITS = re.compile(r"(?<=\d)(\s?)([kKMGT])b(?=ps|/s|its?\b|\b)")


def folded_text(text: str) -> str:
    """A text as votes compare it.

    Equal are: upper and lower case; full-width and other compatible forms (NFKC); digits of every script; kinds of
    white space, quotation marks and dashes; Markdown emphasis and code marks or none; quotation marks around the whole
    text or none; zero-width characters or none; marks that close a word (``.``, ``,``, ``;``, ``:``, ``!``, ``?`` and
    those of other scripts) or none.

    Different stay: signs that belong to a token (``C`` and ``C++``, ``-1`` and ``1``, ``3.5`` and ``35``, ``a.b`` and
    ``ab``, ``.NET``, ``50%``, ``5!``, ``__init__``); powers (``10²`` is ``10^2``, not ``102``); marks of a script,
    accents among them, and the joiners that Persian and Indian scripts spell with; units that differ only by case
    (``5 mW`` and ``5 MW``, ``1 Mb`` and ``1 MB``). A text of nothing but punctuation stays as it is.
    """
    text = _RAISED.sub(lambda run: "^" + unicodedata.normalize("NFKC", run.group()), _VULGAR.sub(" ", text))
    text = unicodedata.normalize("NFKC", _seen(text)).translate(_SIGNS)
    text = _BITS.sub(r"\1\2bit", _MILLI.sub(r"\1milli\2", ascii_digits(text)))
    bare = _undressed(text)
    words = [_unclosed(word) for word in bare.casefold().split()]
    return " ".join(words).rstrip(_closing_of(words)).strip() or " ".join(text.casefold().split())


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as ASCII digits."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)


def _seen(text: str) -> str:
    """Without what nobody sees; a joiner stays between two characters that are not Latin."""
    if text.isascii():
        return text
    text = _INVISIBLE.sub("", text)
    return _JOINERS.sub(lambda joiner: joiner.group() if _joins(text, joiner.start()) else "", text)


def _joins(text: str, place: int) -> bool:
    around = text[place - 1 : place] + text[place + 1 : place + 2]
    return len(around) == 2 and all(ord(sign) > 0x24F and not sign.isspace() for sign in around)


def _undressed(text: str) -> str:
    """Without emphasis, code marks and quotation marks around it."""
    before = None
    while before != text:
        before, text = text, text.strip()
        text = _CODE.sub(r"\2", _STARS.sub(r"\2", text))
        text = _UNDERLINES.sub(lambda run: run.group() if _IDENTIFIER.fullmatch(run.group(2)) else run.group(2), text)
        for quote in "\"'":
            body = text.rstrip(_CLOSING + " ")
            if len(body) > 2 and body[0] == body[-1] == quote and quote not in body[1:-1]:
                text = body[1:-1]
    return text


def _unclosed(word: str) -> str:
    return word if _FACTORIAL.search(word) else word.rstrip(_CLOSING) or word


def _closing_of(words: list[str]) -> str:
    return "" if not words or _FACTORIAL.search(words[-1]) else _CLOSING + " "
