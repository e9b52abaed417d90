"""One translation method against another.

ChrF of the corpus and of the mean segment, with intervals and p values over documents.

Segments of a document share its difficulty, and the languages share the documents: a document is resampled, or its
methods are swapped, with all its segments in all languages. Both need only sums over documents, so a resample costs a
matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dspy_fusion.experiments.statistics.intervals import RESAMPLES, Interval
from dspy_fusion.experiments.statistics.significance import FLIPS
from dspy_fusion.optimizers.bootstrap import quantiles, resampled
from dspy_fusion.programs.errors import ConfigurationError

from .chrf_counts import chrf_of
from .recorded_translations import Language


@dataclass(frozen=True)
class Measure:
    """A score that is worked out from sums over documents."""

    name: str
    sums: Callable[[Language, str], np.ndarray]
    """``(language, method)``: what is added up, one entry per document, (documents, ...)."""
    value: Callable[[np.ndarray], np.ndarray]
    """The score, in [0, 1], of such sums over documents, (..., ...) to (...)."""


@dataclass(frozen=True)
class Contest:
    """One method minus another by one measure, the mean over some languages."""

    difference: Interval
    """Its ``n`` counts documents."""
    p: float
    """Two-sided, by swapping the methods' translations of whole documents; not adjusted."""


CORPUS = Measure("corpus chrF", lambda language, method: language.by_document(language.methods[method].counts), chrf_of)
"""The chrF of all segments' n-grams together."""
SENTENCES = Measure(
    "mean segment chrF",
    lambda language, method: language.by_document(
        np.stack([language.methods[method].sentences, np.ones(len(language.documents))], axis=1)
    ),
    lambda sums: sums[..., 0] / sums[..., 1],
)
"""The mean of the segments' chrF."""


def score(
    languages: Sequence[Language], method: str, measure: Measure, *, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """A method's score, the mean over the languages, with its interval over documents."""
    sums = [measure.sums(language, method) for language in languages]
    documents = _documents(sums)
    times = resampled((documents,), resamples, seed)
    seen, drawn = (
        np.mean([measure.value(_total(some, one)) for one in sums], axis=0) for some in (np.ones((1, documents)), times)
    )
    return Interval(float(seen[0]), *quantiles(drawn), documents)


def contest(
    languages: Sequence[Language],
    one: str,
    other: str,
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    flips: int = FLIPS,
    seed: int = 0,
) -> Contest:
    """One method minus another, the mean over the languages.

    Args:
        languages: which share their documents where there are several.
        one: name of a method.
        other: name of the method that it is compared with.
        measure: ``CORPUS`` or ``SENTENCES``.
        resamples: how often the documents are drawn anew for the interval.
        flips: how often they are swapped for the p value.
        seed: of both.

    Raises:
        ConfigurationError: the languages have different numbers of documents.
    """
    sides = [(measure.sums(language, one), measure.sums(language, other)) for language in languages]
    documents = _documents([ours for ours, _ in sides])

    def difference(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """The difference when ``one`` has its own documents as often as ``ours`` says and the other's as often as
        ``theirs`` says.
        """
        values = [
            measure.value(_total(ours, a) + _total(theirs, b)) - measure.value(_total(theirs, a) + _total(ours, b))
            for a, b in sides
        ]
        return np.mean(values, axis=0)

    nothing, whole = np.zeros((1, documents)), np.ones((1, documents))
    seen = float(difference(whole, nothing)[0])
    times = resampled((documents,), resamples, seed)
    swapped = np.random.default_rng(seed).integers(0, 2, (flips, documents)).astype(float)
    extreme = int((np.abs(difference(1 - swapped, swapped)) >= abs(seen) - 1e-12).sum())
    return Contest(
        Interval(seen, *quantiles(difference(times, np.zeros_like(times))), documents), (extreme + 1) / (flips + 1)
    )


def _total(times: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """The sums over documents that count so many times, (resamples, ...)."""
    return np.tensordot(times, sums, axes=1)


def _documents(sums: Sequence[np.ndarray]) -> int:
    counts = {len(one) for one in sums}
    if len(counts) != 1:
        raise ConfigurationError(
            f"the languages have {sorted(counts)} documents; only languages that share theirs can be averaged"
        )
    return counts.pop()
