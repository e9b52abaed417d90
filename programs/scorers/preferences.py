"""Reading which of two answers a judge prefers, from marks, from a stated verdict, or from what is said of them."""

from __future__ import annotations

import re
from typing import Literal

from ..errors import UnreadableVerdict
from .wording import Statement, cleaned, settled

Preference = Literal["A", "B", "tie"]
"""Which of two answers is better."""

_NOUN = (
    r"(?:(?:the )?(?:response|answer|assistant|model|candidate|option|output|solution|translation|choice|text)s?\s+)?"
)
_TIE = r"(?:an? )?(?:tie|tied|draw|equal\w*|both (?:are )?equal\w*|neither|the same|no (?:preference|difference))\b"
_SIDE = r"(?:a\s*[>=]+\s*b|b\s*[>=]+\s*a|[abc](?!\w|'\w)(?!\s*(?:tie|draw)\b)(?!\s*(?:and|or|&|/|,|>|=|<)\s*[abc]\b))"
_MARK = re.compile(r"\[\[\s*(tie|a\s*[>=]+\s*b|b\s*[>=]+\s*a|[abc])\s*\]\]", re.IGNORECASE)
_STATED = re.compile(
    r"(?:verdict|winner|preference|preferred|judge?ment|decision|"
    r"(?:the )?(?:better|best)(?: (?:response|answer|one|assistant|candidate|option|output|translation))?|"
    r"(?:final|my) (?:answer|choice|pick))"
    rf"[\s'}}]*(?:is|would be|goes to|:|=|->|-)+\s*(?:is\s+)?[\[('{{]*\s*(?:{_NOUN}[\[('{{]*({_SIDE})|({_TIE}))",
    re.IGNORECASE,
)
_HOW = (
    r"(?:\s+(?:clearly|slightly|much|far|significantly|somewhat|marginally|definitely|simply|overall|a (?:bit|little)|"
    r"the))*"
)
_SAID = re.compile(
    rf"(?<![\w'])(?P<side>[AB])\)?{_HOW}\s+(?:"
    rf"(?:is|was|seems|looks|does|performs|gives)(?P<not>\s+not\b|n't\b)?{_HOW}\s+"
    r"(?P<how>better|best|winner|superior|preferred|preferable|stronger|worse|worst|weaker|inferior|loser)\b|"
    r"(?P<verb>wins|loses|won|lost|deserves to win)\b)"
)
_CHOSEN = re.compile(
    rf"\b(?:prefer|choose|chose|pick|select|favou?r|go with|vote for|opt for)\s+(?i:{_NOUN})"
    rf"[\[('{{]*([AB])(?![\w'])(?!\s*(?:and|or)\s*[AB]\b)"
)
_TIED = re.compile(
    r"\b(?:it(?:'s| is|s)? a (?:tie|draw)|(?:are|were|seem)(?: both)? (?:equal(?:ly \w+)?|tied|on par|the same)|"
    r"call (?:it|this) a (?:tie|draw)|"
    r"neither (?:is|one is|response is|answer is|assistant is) better|no clear winner|(?:is|ends in) a (?:tie|draw))\b",
    re.IGNORECASE,
)
_UNSURE = re.compile(
    r"(?:\b(?:if|whether|unless|not|never|hardly|can't|cannot|who says)\b|n't\b|\bnor\b)[^.;:!?\n]*$", re.I
)
_BARE = re.compile(rf"\W*{_NOUN}\W*({_SIDE}|tie|draw)\W*", re.IGNORECASE)
_LOSING = frozenset({"worse", "worst", "weaker", "inferior", "loser", "loses", "lost"})


def read_preference(verdict: str) -> Preference:
    """Which of two answers is better.

    That is what a mark (``[[A]]``, ``[[B]]``, ``[[tie]]``) or a stated verdict (``Verdict: A``, ``winner: B``,
    ``{"better": "A"}``) says, else what the text is in full (``A``, ``Response B``, ``tie``), else what is said of one
    of them (``A is better``, ``Assistant B wins``, ``I prefer A``, ``it is a tie``). ``[[C]]``, which MT-bench's judges
    write for a tie, and Arena-Hard's ``[[A>B]]`` are understood as well.

    Raises:
        UnreadableVerdict: there is no such word, or there are two that differ and neither is called final.
    """
    text = cleaned(verdict)
    for statements in (_named(text), _whole(text), _discussed(text)):
        if statements:
            preference = settled(text, statements)
            if preference is not None:
                return preference  # type: ignore[return-value] (all statements here hold one)
            break
    raise UnreadableVerdict(f"no preference in the judge's verdict {verdict[:200]!r}; expected [[A]], [[B]] or [[tie]]")


def _named(text: str) -> list[Statement]:
    matches = [*_MARK.finditer(text), *_STATED.finditer(text)]
    return [Statement(m.start(), m.end(), _meant(next(part for part in m.groups() if part))) for m in matches]


def _whole(text: str) -> list[Statement]:
    bare = _BARE.fullmatch(text)
    return [Statement(0, len(text), _meant(bare.group(1)))] if bare else []


def _discussed(text: str) -> list[Statement]:
    statements = [Statement(m.start(), m.end(), "tie") for m in _TIED.finditer(text)]
    statements += [Statement(m.start(), m.end(), m.group(1)) for m in _CHOSEN.finditer(text)]
    for match in _SAID.finditer(text):
        said = match["how"] or match["verb"]
        if not match["not"]:
            other = "A" if match["side"] == "B" else "B"
            statements.append(Statement(match.start(), match.end(), other if said in _LOSING else match["side"]))
    return [s for s in statements if s.value == "tie" or not _UNSURE.search(text[: s.start])]


def _meant(side: str) -> Preference:
    letters = re.sub(r"\s", "", side).upper()
    if letters in ("A", "B"):
        return letters
    if ">" in letters:
        return "A" if letters.startswith("A") else "B"
    return "tie"
