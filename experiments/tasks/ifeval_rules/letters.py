"""Instructions about accents and scripts, from M-IFEval (arXiv 2502.04688): Spanish and French letters,
kana and kanji.
"""

from __future__ import annotations

import re
import unicodedata

from .lengths import spaced_words, words
from .relation import Relation

_KANJI = "[\u4e00-\u9faf]"
_HIRAGANA = "[ぁ-ゖ]"
_KATAKANA = "[ァ-ヺ\uff66-\uff9f]"


def words_with_tilde(text: str, *, num_words: int, relation: Relation) -> bool:
    """As many words with an acute accent on a vowel as asked."""
    return relation.holds(_words_with(text, "áéíóúÁÉÍÓÚ"), num_words)


def words_with_letter(text: str, *, let_frequency: int, letter: str) -> bool:
    """Exactly so many words with the letter, small or capital."""
    return _words_with(text, letter.lower() + letter.upper()) == let_frequency


def no_accents(text: str) -> bool:
    """No letter carries a mark: no accent, no dieresis, no cedilla."""
    return not any(map(_marks, text))


def accents(text: str, *, word_to_accentuate: dict[str, str]) -> bool:
    """Every word that is one of the given ones, but for its accents, is written with the right accents."""
    pairs = ((word_to_accentuate.get(_bare(word)), word) for word in words(text.lower()))
    return all(right is None or word == right for right, word in pairs)


def furigana(text: str) -> bool:
    """Every run of kanji is followed by its reading in hiragana, in full-width parentheses."""
    return len(re.findall(f"{_KANJI}+", text)) == len(re.findall(f"{_KANJI}+\uff08[ぁ-ん]+\uff09", text))


def kanji(text: str, *, kanji_limit: int, relation: Relation) -> bool:
    """As many kanji as asked."""
    return relation.holds(len(re.findall(_KANJI, text)), kanji_limit)


def no_hiragana(text: str) -> bool:
    """No letter is hiragana."""
    return not re.search(_HIRAGANA, text)


def no_katakana(text: str) -> bool:
    """No letter is katakana."""
    return not re.search(_KATAKANA, text)


def only_hiragana(text: str) -> bool:
    """Every letter is hiragana; the long vowel mark is allowed, and so is all that is no letter."""
    return _only(text, "[ぁ-んー]")


def only_katakana(text: str) -> bool:
    """Every letter is katakana; the long vowel mark is allowed, and so is all that is no letter."""
    return _only(text, "[ァ-ンー\uff66-\uff9f]")


def _only(text: str, letters: str) -> bool:
    return all(re.match(letters, char) or not unicodedata.category(char).startswith("L") for char in text)


def _words_with(text: str, letters: str) -> int:
    return sum(any(letter in word for letter in letters) for word in spaced_words(text))


def _marks(char: str) -> bool:
    return any(map(unicodedata.combining, unicodedata.normalize("NFD", char)))


def _bare(word: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFD", word) if not unicodedata.combining(char))
