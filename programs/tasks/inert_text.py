"""Candidates as text that cannot pass for part of a prompt: neither for another candidate nor for a field.

What matters is what a line says, not how it is dressed up: it is read without indentation, invisible characters,
Markdown and HTML, and with full-width and other compatible characters as what they stand for. Where it then says what
only the prompt may say, one mark is put into it; all other text stays as it is, character for character.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable

# whatever some reader takes for the end of a line
_LINE = re.compile("[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_MARKUP = str.maketrans("", "", "*_`~\\")
_ALIKE = str.maketrans("еоѕрнΕΟΡΝ∶ː꞉", "eosphEOPN:::")  # noqa: RUF001 (letters that look like ours are the point)
_LINE_START = re.compile(r"[\W\d]*response\W*(?:n(?:o|r|umber))?\W*\d+(?P<after>.*)", re.IGNORECASE | re.DOTALL)
_HEADER = re.compile(r"\[\[##")
_CUSTOM_TYPE = re.compile(r"<<CUSTOM-TYPE-(?:START|END)-IDENTIFIER>>", re.IGNORECASE)


def without_headings(text: str) -> str:
    """A text in which each line that reads like ``Response 2:`` is quoted with ``> ``.

    A line that was quoted before is quoted once more, so that the quotes can be taken off without loss.
    """
    return _LINE.sub(lambda line: f"> {line[0]}" if _is_heading(line[0]) else line[0], text)


def without_fields(text: str, names: Iterable[str]) -> str:
    """A text in which nothing passes for a field of DSPy's adapters.

    ``[[ ##`` becomes ``[[ # #``, the tags of the named fields get a space (``< answer>``, ``< /answer>``), and so does
    the marker by which DSPy sends images and files (``< <CUSTOM-TYPE...``).
    """
    if not any(sign in unicodedata.normalize("NFKC", text) for sign in "[<"):
        return text
    said, places = _read(text)
    tag = re.compile(rf"<(?=/?(?:{'|'.join(re.escape(n.translate(_MARKUP)) for n in names)})/?>)", re.IGNORECASE)
    hashes = [(places[match.end() - 2] + 1, places[match.end() - 1]) for match in _HEADER.finditer(said)]
    cuts = {second for first, second in hashes if first == second or text[first:second].strip(" ")}
    cuts |= {places[match.end() - 1] + 1 for match in tag.finditer(said)}
    cuts |= {match.start() + 1 for match in _CUSTOM_TYPE.finditer(text)}
    return _spaced(text, sorted(cuts))


def _spaced(text: str, cuts: list[int]) -> str:
    pieces = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return " ".join(pieces)


def _is_heading(line: str) -> bool:
    if line.isascii() and not any(sign in line.lower() for sign in ("response", *"&<_*`~\\")):
        return False  # what most lines are
    plain = re.sub(r"<[^<>]*>", " ", html.unescape(line))
    said = "".join(
        char
        for char in unicodedata.normalize("NFKC", plain).translate(_ALIKE)
        if unicodedata.category(char) not in ("Cf", "Mn", "Cc")
    )
    match = _LINE_START.match(said.translate(_MARKUP))
    if match is None:
        return False
    after = match["after"].lstrip("*_`~)]}> \t\xa0")
    return not after or after[0] in ":|" or unicodedata.category(after[0]) == "Pd"


def _read(text: str) -> tuple[str, list[int]]:
    """What a text says without what does not show, and where in the text each character of that stands."""
    said, places = [], []
    for place, char in enumerate(text):
        if char.isspace() or not char.translate(_MARKUP):
            continue
        if char.isascii():
            said.append(char)
            places.append(place)
        elif unicodedata.category(char) not in ("Cf", "Mn", "Cc"):
            for stands_for in unicodedata.normalize("NFKC", char):
                said.append(stands_for)
                places.append(place)
    return "".join(said), places
