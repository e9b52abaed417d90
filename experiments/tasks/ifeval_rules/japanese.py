"""Instructions about Japanese words and sentences; words are told apart by janome."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from itertools import pairwise
from typing import Any

from dspy_fusion.programs.extras import needs

from .formats import without_enclosed

CORNERS = (("「", "」"),)
_JAPANESE_STOP = re.compile("[。\uff01\uff1f]")
_STOPS = frozenset("。\uff01\uff1f")
_one_at_a_time = threading.Lock()


def forbidden_words(text: str, *, forbidden_words: list[str]) -> bool:
    """None of the words occurs as a word, or as several in a row: 海 (sea) is not in 海外 (abroad).

    Raises:
        ConfigurationError: janome is not installed.
    """
    words = [token.surface for token in _tokens(text)]
    for word in forbidden_words:
        row = [token.surface for token in _tokens(word)]
        if any(words[start : start + len(row)] == row for start in range(len(words))):
            return False
    return True


def nominal_ending(text: str, *, count: int) -> bool:
    """At least so many sentences outside quotation marks end with a noun.

    Raises:
        ConfigurationError: janome is not installed.
    """
    pairs = pairwise(_tokens(without_quotes(text)))
    return sum(stop.surface in _STOPS and word.part_of_speech.startswith("名詞") for word, stop in pairs) >= count


def _tokens(text: str) -> list[Any]:
    with _one_at_a_time:  # janome does not say whether a tokenizer may be shared
        return list(_tokenizer().tokenize(text))


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    with needs("an instruction about Japanese words", "tasks"):
        from janome.tokenizer import Tokenizer
    return Tokenizer()


def without_quotes(text: str) -> str:
    """A Japanese text less what stands in 「」 and 『』."""
    for left, right in (*CORNERS, ("『", "』")):
        text = without_enclosed(text, left, right)
    return text


def sentence_unified_end(text: str, *, ending: str) -> bool:
    """Every Japanese sentence outside quotation marks ends in the same form."""
    return all(sentence.endswith(ending) for sentence in _JAPANESE_STOP.split(without_quotes(text)) if sentence)
