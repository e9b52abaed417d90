"""Instructions about words and letters: how often, and in which case (keywords, change_case, language)."""

from __future__ import annotations

import re

from .arguments import Character, Language, language_of
from .relation import Relation

_TOKEN = re.compile(r"\w[\w'.&-]*\w|\w")


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: Relation) -> bool:
    """As many words in capital letters only as asked; a word with a hyphen is one."""
    return capital_relation.holds(sum(word.isupper() for word in _TOKEN.findall(text)), capital_frequency)


def all_capital(text: str, *, language: str) -> bool:
    """No small letter, at least one capital, and in the language.

    langdetect knows capital letters of English only, so other languages are put into small letters for it.
    """
    return text.isupper() and language_of(text if language == "en" else text.lower()) in (language, None)


def all_lowercase(text: str, *, language: str) -> bool:
    """No capital letter, at least one small, and in the language."""
    return text.islower() and language_of(text) in (language, None)


def response_language(text: str, *, language: Language) -> bool:
    """The response is in the language; one without letters is not held against it, as in IFEval's own check."""
    return language_of(text) in (language, None)


_HIRAGANA_TO_KATAKANA = ord("ア") - ord("あ")


def existence(text: str, *, keywords: list[str]) -> bool:
    """Every keyword occurs."""
    return all(_occurrences(text, keyword) for keyword in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: Relation) -> bool:
    """The keyword occurs as often as asked."""
    return relation.holds(_occurrences(text, keyword), frequency)


def forbidden_words(text: str, *, forbidden_words: list[str]) -> bool:
    """None of the words occurs as a word of its own."""
    return not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, *, letter: Character, let_frequency: int, let_relation: Relation) -> bool:
    """The letter, small or capital, occurs as often as asked; any character counts as a letter here."""
    return let_relation.holds(text.lower().count(letter.lower()), let_frequency)


def kana_frequency(text: str, *, letter: Character, let_frequency: int, let_relation: Relation) -> bool:
    """The hiragana letter or its katakana twin occurs as often as asked."""
    return let_relation.holds(text.count(letter) + text.count(chr(ord(letter) + _HIRAGANA_TO_KATAKANA)), let_frequency)


def forbidden_character(text: str, *, forbidden_char: Character) -> bool:
    """The character does not occur, small or capital."""
    return not _occurrences(text, forbidden_char)


def _occurrences(text: str, part: str) -> int:
    return len(re.findall(re.escape(part), text, re.IGNORECASE))
