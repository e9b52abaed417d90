"""Instructions about the form of a response (IFEval's group *detectable_format*)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dspy_fusion.programs.json_text import read_json

from .relation import Relation


def enclosed(text: str, left: str, right: str) -> list[str]:
    """The stretches from a left mark to the next right one, both left out, one after the other."""
    return [line[start + len(left) : end] for line in text.split("\n") for start, end in _places(line, left, right)]


def without_enclosed(text: str, left: str, right: str) -> str:
    """The text less those stretches and their marks."""
    return "\n".join(_cut(line, left, right) for line in text.split("\n"))


def widest(text: str, left: str, right: str) -> list[str]:
    """In each line that has both, what stands between the first left mark and the last right one."""
    places = ((line, line.find(left), line.rfind(right)) for line in text.split("\n"))
    return [line[start + len(left) : end] for line, start, end in places if 0 <= start <= end - len(left)]


def _cut(line: str, left: str, right: str) -> str:
    pieces, place = [], 0
    for start, end in _places(line, left, right):
        pieces.append(line[place:start])
        place = end + len(right)
    return "".join([*pieces, line[place:]])


def _places(line: str, left: str, right: str) -> Iterator[tuple[int, int]]:
    place = 0
    while (start := line.find(left, place)) >= 0 and (end := line.find(right, start + len(left))) >= 0:
        yield start, end
        place = end + len(right)


STAR_OR_DASH = r"^\s*(?:\*[^*]|-).*$"
STAR = r"^\s*\*[^*].*$"
MIDDLE_DOT = r"^\s*・[^・].*$"
NUMBER = r"^\s*\d+\.\s.*$"
ANGLES = ("<<", ">>")
DOUBLE_HASHES = ("##", "##")
DOUBLE_CORNERS = ("『", "』")


def number_bullet_lists(text: str, *, num_bullets: int, bullet: str) -> bool:
    """Exactly so many lines that match ``bullet``."""
    return len(re.findall(bullet, text, re.MULTILINE)) == num_bullets


def number_numbered_lists(text: str, *, num_items: int) -> bool:
    """Exactly so many lines that begin with a number, a full stop and a space."""
    return len(re.findall(NUMBER, text, re.MULTILINE)) == num_items


def constrained_response(text: str, *, options: tuple[str, ...]) -> bool:
    """One of the answers that were allowed occurs."""
    return any(option in text for option in options)


def number_highlighted_sections(text: str, *, num_highlights: int, relation: Relation = Relation.AT_LEAST) -> bool:
    """As many highlighted stretches as asked, ``*so*`` or ``**so**``; within a line, and not empty."""
    single = [piece.strip("*") for piece in re.findall(r"\*[^\n*]*\*", text)]
    double = [piece[2:-2] for piece in re.findall(r"\*\*[^\n*]*\*\*", text)]
    return relation.holds(sum(bool(piece.strip()) for piece in single + double), num_highlights)


def number_bracketed_sections(text: str, *, num_highlights: int) -> bool:
    """At least so many stretches in 《 and 》 within a line, and not empty: for Japanese."""
    return sum(bool(piece.strip("《 ")) for piece in enclosed(text, "《", "》")) >= num_highlights


def multiple_sections(
    text: str, *, section_spliter: str, num_sections: int, relation: Relation = Relation.AT_LEAST
) -> bool:
    """As many sections as asked, each beginning with the word and a number, ``Section 1``."""
    return relation.holds(len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)), num_sections)


def numbered_chapters(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many sections, each beginning with 第, a number and the word: for Japanese."""
    return len(re.findall(rf"第\d+{re.escape(section_spliter.strip())}", text)) >= num_sections


def json_format(text: str) -> bool:
    """The whole is JSON, maybe in a fenced block of Markdown."""
    body = re.sub(r"^```(?:json|Json|JSON)?", "", text.strip()).removesuffix("```")
    try:
        read_json(body.strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str, *, marks: tuple[str, str]) -> bool:
    """There is a title between the marks, within a line, and not empty."""
    left, right = marks
    return any(piece.lstrip(left[0]).rstrip(right[0]).strip() for piece in widest(text, left, right))
