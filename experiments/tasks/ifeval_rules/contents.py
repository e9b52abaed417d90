"""Instructions about what a response holds, how it begins and how it ends (detectable_content, startend)."""

from __future__ import annotations

import re

from .formats import enclosed
from .relation import Relation

STRAIGHT_DOUBLE = (('"', '"'),)
FRENCH_QUOTES = (('"', '"'), ("'", "'"), ("«", "»"))
_TUTOIEMENT = re.compile(r"\b(?:tu|te|toi|ton|ta|tes|t')\b", re.IGNORECASE)


def number_placeholders(text: str, *, num_placeholders: int, relation: Relation = Relation.AT_LEAST) -> bool:
    """As many placeholders in square brackets as asked, at least so many where nothing else is said."""
    return relation.holds(len(enclosed(text, "[", "]")), num_placeholders)


def postscript(text: str, *, postscript_marker: str) -> bool:
    """There is a postscript that starts with the marker, whatever its case.

    In ``P.S.`` and its like a space may follow a full stop.
    """
    marker = re.escape(postscript_marker.strip().lower())
    if re.fullmatch(r"(?:\w\.)+\w?", postscript_marker.strip()):
        marker = marker.replace(r"\.", r"\.\s?")
    return re.search(marker, text.lower()) is not None


def no_digits(text: str) -> bool:
    """There are no digits, of any script."""
    return not re.search(r"\d", text)


def informal_address(text: str) -> bool:
    """The reader is addressed as a friend: a French pronoun of the second person singular occurs."""
    return _TUTOIEMENT.search(text) is not None


def two_responses(text: str) -> bool:
    """Two responses that differ, divided by ``******``.

    An empty one in the middle is a fault, one at an end is none.
    """
    pieces = [piece.strip() for piece in text.split("******")]
    responses = [piece for piece in pieces if piece]
    return all(pieces[1:-1]) and len(responses) == 2 and responses[0] != responses[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """The request comes first, word for word, whatever its case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def without(text: str, *, mark: str) -> bool:
    """The mark does not occur."""
    return mark not in text


def question_marks(text: str) -> bool:
    """There is a question between ¿ and ?, and it is not empty."""
    return re.search(r"¿\s*[^\s?¿][^?]*\?", text) is not None


def exclamation_marks(text: str) -> bool:
    """There is an exclamation between ¡ and !, and it is not empty."""
    return re.search(r"¡\s*[^\s!¡][^!]*!", text) is not None


def end_checker(text: str, *, end_phrase: str, closing: str = '"') -> bool:
    """The response ends with the phrase, whatever its case; characters of ``closing`` around the whole do not count."""
    phrase = end_phrase.strip().lower()
    ended = text.strip().strip(closing).lower()
    return ended.endswith(phrase) or ended.endswith(phrase.strip(closing))


def quotation(text: str, *, marks: tuple[tuple[str, str], ...]) -> bool:
    """The whole stands between one of the pairs of quotation marks."""
    whole = text.strip()
    return len(whole) > 1 and any(whole.startswith(left) and whole.endswith(right) for left, right in marks)
