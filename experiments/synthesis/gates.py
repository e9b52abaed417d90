"""Gates: what a row must be like to be kept.

A row that is not is marked with the first gate it failed at, and stays where it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs
from dspy_fusion.programs.json_text import read_json

from .duplicates import DuplicateIndex
from .refusals import RefusalGate
from .row_maker import FAILED, NO_PROMPT
from .synthesis_config import SynthesisConfig
from .synthesized_rows import Dropped, Row

SURE = 0.9
"""The confidence from which a language counts as found out."""
_READ = 2000
_NO_LANGUAGE = "zxx"
_WRITTEN_AS = {
    "arz": "ar",
    "ary": "ar",
    "yue": "zh",
    "wuu": "zh",
    "nb": "no",
    "nn": "no",
    "pcm": "en",
    "uzs": "uz",
    "iw": "he",
}
_LETTERS = 20  # in bytes of UTF-8, so that seven syllables of Korean say as much as twenty letters of English


def language_of(text: str) -> str:
    """The ISO 639-1 code of a text's language, or an empty string where the text does not say.

    A text with too few letters, or of which the model is less than 90 % sure, does not say. The first 2,000 characters
    are read.

    Raises:
        ConfigurationError: py3langid is not installed.
    """
    beginning = text[:_READ]
    if len("".join(filter(str.isalpha, beginning)).encode("utf-8", "replace")) < _LETTERS:
        return ""
    language, confidence = _identifier().classify(beginning)
    return base_code(language) if confidence >= SURE and language != _NO_LANGUAGE else ""


def known_languages() -> frozenset[str]:
    """The codes of the languages that can be found out."""
    return frozenset(map(base_code, _identifier().labels))


def base_code(language: str) -> str:
    """The code without region or script, ``pt`` of ``pt-BR``.

    For varieties that share a written language, the code of that.
    """
    code = language.lower().replace("_", "-").partition("-")[0]
    return _WRITTEN_AS.get(code, code)


@cache
def _identifier() -> Any:
    with needs("the language gate", "synthesize", otherwise="set language = false in [gates]"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


GATES = (NO_PROMPT, FAILED, "parse", "refusal", "length", "language", "near_duplicate")
"""Every reason for which a row may be dropped, in the order in which they are looked at."""


class Gates:
    """Marks rows. They must come in the order of their places, each place once between two calls of ``commit``.

    Args:
        config: which gates there are.
        duplicates: file of the index of near duplicates.

    Raises:
        ConfigurationError: a package is missing, or a language is not known.
    """

    def __init__(self, config: SynthesisConfig, duplicates: Path) -> None:
        self.config = config.gates
        self.refusals = RefusalGate(self.config.refusal_patterns) if self.config.refusals else None
        self._pattern = re.compile(self.config.pattern, re.DOTALL | re.MULTILINE) if self.config.pattern else None
        self._index = DuplicateIndex(duplicates, self.config.near_duplicates) if self.config.near_duplicates else None
        self._checks: tuple[tuple[str, Callable[[Row], str | None]], ...] = (
            ("parse", self._parse),
            ("refusal", self._refusal),
            ("length", self._length),
            ("language", self._language),
            ("near_duplicate", self._near_duplicate),
        )
        if self.config.language and config.prompts.language:
            _check_known(config.prompts.language)

    def fill(self, rows: Callable[[], Iterable[Row]]) -> None:
        """Has the index of near duplicates know the rows that were kept, where it was lost."""
        if self._index is not None:
            self._index.fill(row for row in rows() if row.dropped is None)

    def mark(self, row: Row) -> Row:
        """The row with its language, where that was found out, and with the gate that it fails at, if any."""
        row = replace(row, language=row.language or (language_of(row.prompt) if self.config.language else ""))
        if row.answer is None:
            return row
        for gate, check in self._checks:
            if (why := check(row)) is not None:
                return replace(row, dropped=Dropped(gate, why))
        return replace(row, dropped=None)

    def commit(self) -> None:
        """Keeps what is known of the rows that were marked; to be called before their file appears."""
        if self._index is not None:
            self._index.commit()

    def close(self) -> None:
        """Closes the index."""
        if self._index is not None:
            self._index.close()

    def _parse(self, row: Row) -> str | None:
        answer = row.answer or ""
        if not answer.strip():
            return "the answer is blank"
        if self.config.format == "json":
            try:
                read_json(answer)
            except ValueError as error:
                return f"the answer is no JSON: {error}"
        if self._pattern is not None and self._pattern.search(answer) is None:
            return "the pattern is not found in the answer"
        return None

    def _refusal(self, row: Row) -> str | None:
        words = self.refusals.found(row.answer or "") if self.refusals else None
        return None if words is None else f"the {'fusor' if row.fused else 'teacher'} refused: {words}"

    def _length(self, row: Row) -> str | None:
        length, most = len(row.answer or ""), self.config.max_characters
        if length < self.config.min_characters:
            return f"{length} characters, at least {self.config.min_characters} wanted"
        return f"{length} characters, at most {most} wanted" if most and length > most else None

    def _language(self, row: Row) -> str | None:
        if not (self.config.language and row.language):
            return None
        wanted, language = base_code(row.language), language_of(row.answer or "")
        if not language or language == wanted or wanted not in known_languages():
            return None
        return f"the prompt is in {wanted}, the answer in {language}"

    def _near_duplicate(self, row: Row) -> str | None:
        match = None if self._index is None else self._index.check(row)
        return None if match is None else f"like row {match.place}, similarity {match.similarity:.2f}"


def _check_known(language: str) -> None:
    if base_code(language) not in known_languages():
        raise ConfigurationError(
            f"the language gate does not know {language!r}; give an ISO 639-1 code such as 'en', or set language ="
            " false in [gates]"
        )
