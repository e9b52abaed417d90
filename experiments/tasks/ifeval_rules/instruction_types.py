"""Which check belongs to which instruction id, in four languages.

English ids are those of IFEval (arXiv 2311.07911), with or without the prefix ``en:``; the others are M-IFEval's (arXiv
2502.04688).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from . import contents, formats, japanese, lengths, letters, words

Check = Callable[..., bool]
"""``(text, *, the instruction's arguments)``: whether the text follows it."""

# What one of which a response to an instruction of the type constrained_response has to contain.
_ENGLISH_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_SPANISH_OPTIONS = ("Sí.", "No.", "Quizás.")
_FRENCH_OPTIONS = ("Oui.", "Non.", "Peut-être.")
_JAPANESE_OPTIONS = ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。")

_COMMON: Mapping[str, Check] = {
    "combination:repeat_prompt": contents.repeat_prompt,
    "combination:two_responses": contents.two_responses,
    "detectable_content:number_placeholders": contents.number_placeholders,
    "detectable_content:postscript": contents.postscript,
    "detectable_format:json_format": formats.json_format,
    "keywords:existence": words.existence,
    "keywords:frequency": words.frequency,
    "language:response_language": words.response_language,
    "length_constraints:number_paragraphs": lengths.number_paragraphs,
}

_LATIN: Mapping[str, Check] = {
    **_COMMON,
    "change_case:capital_word_frequency": words.capital_word_frequency,
    "detectable_format:multiple_sections": formats.multiple_sections,
    "detectable_format:number_bullet_lists": partial(formats.number_bullet_lists, bullet=formats.STAR_OR_DASH),
    "detectable_format:number_highlighted_sections": formats.number_highlighted_sections,
    "detectable_format:title": partial(formats.title, marks=formats.ANGLES),
    "keywords:forbidden_words": words.forbidden_words,
    "keywords:letter_frequency": words.letter_frequency,
    "length_constraints:nth_paragraph_first_word": lengths.nth_paragraph_first_word,
    "length_constraints:number_words": lengths.number_words,
    "punctuation:no_comma": partial(contents.without, mark=","),
    "startend:end_checker": contents.end_checker,
    "startend:quotation": partial(contents.quotation, marks=contents.STRAIGHT_DOUBLE),
}

_ENGLISH: Mapping[str, Check] = {
    **_LATIN,
    "change_case:english_capital": partial(words.all_capital, language="en"),
    "change_case:english_lowercase": partial(words.all_lowercase, language="en"),
    "detectable_format:constrained_response": partial(formats.constrained_response, options=_ENGLISH_OPTIONS),
    "length_constraints:number_sentences": partial(lengths.number_sentences, language="en"),
}

_SPANISH: Mapping[str, Check] = {
    **_LATIN,
    "change_case:spanish_capital": partial(words.all_capital, language="es"),
    "change_case:spanish_lowercase": partial(words.all_lowercase, language="es"),
    "detectable_format:constrained_response": partial(formats.constrained_response, options=_SPANISH_OPTIONS),
    "detectable_format:number_bullet_lists": partial(formats.number_bullet_lists, bullet=formats.STAR),
    "length_constraints:number_sentences": partial(lengths.number_sentences, language="es"),
    "length_constraints:number_words": lengths.number_spaced_words,
    "punctuation:exclamation_marks": contents.exclamation_marks,
    "punctuation:question_marks": contents.question_marks,
    "special_character:dieresis": partial(letters.words_with_letter, letter="ü"),
    "special_character:enie": partial(letters.words_with_letter, letter="ñ"),
    "special_character:tildes": letters.words_with_tilde,
    "startend:end_checker": partial(contents.end_checker, closing='".'),
}

_FRENCH: Mapping[str, Check] = {
    **_LATIN,
    "change_case:french_capital": partial(words.all_capital, language="fr"),
    "change_case:french_lowercase": partial(words.all_lowercase, language="fr"),
    "detectable_content:informal_address": contents.informal_address,
    "detectable_content:no_digits": contents.no_digits,
    "detectable_format:constrained_response": partial(formats.constrained_response, options=_FRENCH_OPTIONS),
    "detectable_format:title": partial(formats.title, marks=formats.DOUBLE_HASHES),
    "length_constraints:number_sentences": partial(lengths.number_sentences, language="fr"),
    "special_character:accents": letters.accents,
    "special_character:ethel_or_cedilla": words.forbidden_character,
    "special_character:no_accents": letters.no_accents,
    "startend:quotation": partial(contents.quotation, marks=contents.FRENCH_QUOTES),
}

_JAPANESE: Mapping[str, Check] = {
    **_COMMON,
    "detectable_format:constrained_response": partial(formats.constrained_response, options=_JAPANESE_OPTIONS),
    "detectable_format:multiple_sections": formats.numbered_chapters,
    "detectable_format:nominal_ending": japanese.nominal_ending,
    "detectable_format:number_bullet_lists": partial(formats.number_bullet_lists, bullet=formats.MIDDLE_DOT),
    "detectable_format:number_highlighted_sections": formats.number_bracketed_sections,
    "detectable_format:number_numbered_lists": formats.number_numbered_lists,
    "detectable_format:title": partial(formats.title, marks=formats.DOUBLE_CORNERS),
    "keywords:forbidden_words": japanese.forbidden_words,
    "keywords:letter_frequency": words.kana_frequency,
    "length_constraints:nth_paragraph_first_word": lengths.nth_paragraph_start,
    "length_constraints:number_letters": lengths.number_letters,
    "length_constraints:number_sentences": partial(lengths.number_sentences, language="ja"),
    "letters:furigana": letters.furigana,
    "letters:hiragana_only": letters.only_hiragana,
    "letters:kanji": letters.kanji,
    "letters:kansuuji": contents.no_digits,
    "letters:katakana_only": letters.only_katakana,
    "letters:no_hiragana": letters.no_hiragana,
    "letters:no_katakana": letters.no_katakana,
    "punctuation:no_comma": partial(contents.without, mark="、"),
    "punctuation:no_period": partial(contents.without, mark="。"),
    "startend:end_checker": partial(contents.end_checker, closing="」』"),
    "startend:quotation": partial(contents.quotation, marks=japanese.CORNERS),
    "startend:sentence_unified_end": japanese.sentence_unified_end,
}

_BY_LANGUAGE = {"en": _ENGLISH, "es": _SPANISH, "fr": _FRENCH, "ja": _JAPANESE}

INSTRUCTIONS: Mapping[str, Check] = MappingProxyType(
    {
        **_ENGLISH,
        **{f"{language}:{name}": check for language, checks in _BY_LANGUAGE.items() for name, check in checks.items()},
    }
)
"""From an instruction's id to its check."""
