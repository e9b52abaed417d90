"""Which lettered choice an answer means, in the ways people and models write it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from dspy_fusion.programs.pools.folding import folded_text

LETTERS = "ABCDEFGH"  # no data set has more choices, and an I is more often a Roman one

_COMMAND = re.compile(r"\\(?:boxed|textbf|textit|text|mathbf|mathrm|mathsf|bf|rm|,|;|!|\s)\s*|\$|\\[()\[\]]")
_TAGS = re.compile(r"</?[A-Za-z_]\w*>")
_DRESS = re.compile(r"[*`\"\u201c\u201d\u201e\u00ab\u00bb{}\[\]]|(?<!\w)_+|_+(?!\w)")
_END = r"(?![0-9A-Za-z\u00c0-\u024f_'+#*]|\s*[-/&]\s*[A-Ha-h]\b)"
_LETTER = rf"\(?\s*((?-i:[A-H]|[a-h](?!\s+\w))){_END}"
_LONE = re.compile(r"[\s(.]*([A-Ha-h])[\s).:!,;]*")
ANSWER_WORDS = (
    r"answer|solution|choice|option|antwort|l[oö]sung|respuesta|opci[oó]n|r[eé]ponse|risposta|opzione|resposta|antwoord|"
    r"odpowied[zź]|ответ|вариант|cevap|jibu|jawapan|jawaban|đáp án"
)
COPULA = (
    r"(?:(?:is|are|was|would be|must be|should be|ist|lautet|w[aä]re|es|est|[eè]|é|są|jest|ni|adalah|là|это|будет)"
    r"(?!\w)"
    r"|[:=\u2192]|[-\u2013\u2014](?=\s))"
)
"""What stands between such a word and the answer."""
UNSPACED_MARKS = unicodedata.normalize(
    "NFKC",
    "答案是|答案为|答案為|答案选|答案|正确选项是|正确选项|应选|应该选|选择|故选|因此选|选|正解は|答えは|答え|"
    "คำตอบคือ|คำตอบ|উত্তর|उत्तर|సమాధానం",
)
_STATED = re.compile(
    rf"(?:\b(?:{ANSWER_WORDS})s?\b(?:\s+(?:{ANSWER_WORDS}|correct\w*|richtige?|number|letter|to the question))?"
    rf"(?:\s*\)?\s*{COPULA})+\s*(?:(?:the\s+)?(?:{ANSWER_WORDS}|letter|buchstabe|letra|lettre)\b\s*:?\s*)?{_LETTER}"
    rf"|(?:{UNSPACED_MARKS})\s*[:=]?\s*{_LETTER})",
    re.IGNORECASE,
)
_MARK = re.compile(rf"\b(?:{ANSWER_WORDS})s?\b(?:\s*{COPULA})+\s*|(?:{UNSPACED_MARKS})[:\s]*")
_NAMED = re.compile(
    rf"\b(?:{ANSWER_WORDS})\s*:?\s*\(?\s*([A-H]){_END}|\b(?:option|choice|antwort|opci[oó]n|answer)\s+\(?([a-h]){_END}"
    rf"|\b(?:choose|chose|pick|select|go with|w[aä]hle|elijo|choisis)\s+(?:(?:the\s+)?(?:{ANSWER_WORDS})\s+)?"
    rf"\(?([A-H]){_END}",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    rf"(?<![\w'])\(?([A-H])\)?{_END}[).:]?\s*(?:[^.\n]{{0,60}}?\s)?(?:is|ist|es|est)\s+(?:the\s+)?"
    r"(?:right|correct|true|best|richtig|korrekt|correct[ao]|juste)\b"
)
_NEGATED = re.compile(r"\b(?:not|isn't|n't|wrong|incorrect|false|nicht|falsch|no es|n'est pas)\b", re.IGNORECASE)
_LEADING = re.compile(r"[\s(]*([A-Ha-h])(?:\s*[).:](?=\s|$)|\s+[-\u2013\u2014]\s|,\s|\s*\n)")
_AT_LINE = re.compile(r"^[\s(]*([A-H])\s*[).:](?=\s|$)", re.MULTILINE)
_BRACKETED = re.compile(r"\(([A-H])\)", re.IGNORECASE)
_LISTED = re.compile(r"(?<![\w'])([A-H])[.):](?=\s)")


def letter_in(text: str) -> str | None:
    r"""The letter that an answer names; None where it names none, or more than one.

    That is the letter it consists of (``B``, ``(B)``, ``\boxed{\textbf{B}}``, ``<answer>B</answer>``), else the one it
    calls the answer in one of several languages (``the answer is B``, ``Die Antwort ist B``, ``{"answer": "B"}``; of
    several the last), else the only one among the letter it begins with (``B. text``, ``B`` on a line of its own),
    those in brackets, those called an option or a choice, and those said to be right. Where more than one choice is
    listed (``A. ... is wrong. B. ...``) none of these counts.
    """
    plain = _plain(text)
    if alone := _LONE.fullmatch(plain):
        return alone.group(1).upper()
    if stated := _positive(_STATED, plain):
        return stated[-1]
    if right := set(_positive(_RIGHT, plain)):
        return right.pop() if len(right) == 1 else None
    letters = {letter.upper() for letter in _BRACKETED.findall(plain)} | set(_positive(_NAMED, plain))
    listed = set(_LISTED.findall(plain)) | {letter.upper() for letter in _AT_LINE.findall(plain)}
    leading = _LEADING.match(plain)
    if leading and not _NEGATED.search(plain[leading.end() :].split(".")[0]):
        letters |= {leading.group(1).upper()}
    if len(listed) > 1:
        return None
    return letters.pop() if len(letters) == 1 else None


def chosen(answer: object, options: Sequence[str]) -> str | None:
    """The letter of the choice that an answer means; None where that is unclear.

    A letter alone means its choice, else the very text of one choice does (alone, after its letter as in ``B London``,
    or after ``The answer is``), else a letter that the answer names (see :func:`letter_in`).
    """
    text = str(answer if answer is not None else "")
    if alone := _LONE.fullmatch(_plain(text)):
        return _among(alone.group(1).upper(), options)
    if (meant := _by_text(text, options)) is not None:
        return meant
    if (meant := _by_statement(text, options)) is not None:
        return meant
    letter = letter_in(text)
    return None if letter is None else _among(letter, options)


def _among(letter: str, options: Sequence[str]) -> str | None:
    return letter if letter in LETTERS[: len(options)] else None


def _by_text(text: str, options: Sequence[str]) -> str | None:
    said = _folded(text)
    meant = [letter for letter, option in zip(LETTERS, options, strict=False) if _folded(option) == said]
    if len(meant) == 1:
        return meant[0]
    pairs = zip(LETTERS, options, strict=False)
    lettered = [
        letter
        for letter, option in pairs
        if re.fullmatch(rf"\(?{letter.lower()}[\s.):,-]+{re.escape(_folded(option))}", said)
    ]
    return lettered[0] if len(lettered) == 1 else None


def _by_statement(text: str, options: Sequence[str]) -> str | None:
    """The only choice whose text follows ``the answer is``, the last time that one's does."""
    plain = _folded(_TAGS.sub(" ", text))
    for mark in reversed(list(_MARK.finditer(plain))):
        fits = [
            (len(folded), letter)
            for letter, option in zip(LETTERS, options, strict=False)
            if (folded := _folded(option)).upper() not in ("", *LETTERS)
            and re.match(rf"(?:the\s+|an?\s+)?{re.escape(folded)}(?!\w)", plain[mark.end() :])
        ]
        if fits:
            longest = [letter for length, letter in fits if length == max(fits)[0]]
            return longest[0] if len(longest) == 1 else None
    return None


def _folded(text: str) -> str:
    return folded_text(_DRESS.sub("", _COMMAND.sub("", text)))


def _positive(pattern: re.Pattern[str], text: str) -> list[str]:
    """The letters that a pattern finds, but for those that are denied just before."""
    letters = []
    for match in pattern.finditer(text):
        before = re.split(r"[.;!?\n]", text[: match.start()])[-1]
        if not _NEGATED.search(before[-20:]) and not _NEGATED.search(match.group()):
            letters += [letter.upper() for letter in match.groups() if letter]
    return letters


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).replace("\u3010", "[").replace("\u3011", "]").replace("\u2019", "'")
    return _DRESS.sub("", _TAGS.sub(" ", _COMMAND.sub("", text))).replace("\u3002", ".").strip()
