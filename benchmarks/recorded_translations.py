"""One language's recorded translations by several methods.

Texts, n-gram counts, sentence scores and lengths, added up by document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dspy_fusion.experiments.rows.row_files import Row, read_file
from dspy_fusion.programs.errors import ConfigurationError

from .chrf_counts import chrf_counts, chrf_of

METHODS = ("default", "sc_corrected", "bon5", "usi5_fusion", "trank5")
"""A single shot, self-correction, best of 5, fusion of 5, and a tournament of 5 with its winner mended."""


@dataclass(frozen=True)
class Method:
    """One method's translations of all segments."""

    texts: Sequence[str]
    counts: np.ndarray  # (segments, 3, orders)

    @cached_property
    def sentences(self) -> np.ndarray:
        """The chrF of each segment, in [0, 1], (segments,)."""
        return chrf_of(self.counts)

    @cached_property
    def characters(self) -> np.ndarray:
        """The length of each segment, (segments,)."""
        return np.array([len(text) for text in self.texts], dtype=float)

    @property
    def empty(self) -> np.ndarray:
        """Which segments have no translation at all, (segments,)."""
        return np.array([not text.strip() for text in self.texts])


@dataclass(frozen=True)
class Language:
    """The recorded segments of one language."""

    name: str
    documents: Sequence[str]
    """The document of each segment."""
    names: Sequence[str]
    """All documents, in the order in which sums over documents are given."""
    references: Sequence[str]
    methods: Mapping[str, Method]
    """The methods that were recorded; a method without any text is left out."""

    def by_document(self, values: np.ndarray) -> np.ndarray:
        """Values of segments added up by document, (documents, ...)."""
        total = np.zeros((len(self.names), *values.shape[1:]))
        np.add.at(total, [self.names.index(document) for document in self.documents], values)
        return total

    def without(self, left_out: np.ndarray) -> Language:
        """The language without some segments; a document that has none left stays, and adds nothing."""
        kept: list[int] = np.flatnonzero(~left_out).tolist()
        methods = {name: Method([m.texts[i] for i in kept], m.counts[kept]) for name, m in self.methods.items()}
        return Language(
            self.name, [self.documents[i] for i in kept], self.names, [self.references[i] for i in kept], methods
        )


def read_language(path: Path, *, most: int | None = None) -> Language:
    """Reads a file of segments with ``doc``, ``ref`` and a column per method.

    Args:
        path: JSON lines, named after the language; compressed or not.
        most: read no more than so many segments.

    Raises:
        ConfigurationError: the file cannot be read, holds nothing, or a column is missing.
    """
    rows = list(read_file(path))[:most]
    if not rows:
        raise ConfigurationError(f"{path} holds no segments")
    references = [_text(row, "ref") for row in rows]
    columns = {name: [row.get(name) for row in rows] for name in METHODS}
    recorded = {name: [str(text or "") for text in column] for name, column in columns.items() if any(column)}
    methods = {name: Method(texts, chrf_counts(texts, references)) for name, texts in recorded.items()}
    documents = [_text(row, "doc") for row in rows]
    return Language(path.name.split(".")[0], documents, sorted(set(documents)), references, methods)


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"{row.where}: {name!r} must be a text, but is {value!r}")
    return value
