"""Measuring every way of answering from a recorded pool, with every number of candidates, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspy_fusion.programs.errors import ConfigurationError

from ..statistics.column_intervals import column_intervals
from ..statistics.intervals import Interval, clopper_pearson_upper
from .ceiling import check_ceiling
from .recorded_pool import RecordedPool
from .reliability import reliabilities
from .similarity import similarities
from .ways import RECIPES, Kind, Material

SUBSETS = 200
RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Way:
    """A way of answering and what it reaches."""

    name: str
    about: str
    """What it does, in a line."""
    kind: Kind
    """``oracle`` knows the right answers."""
    curve: np.ndarray
    """(questions, C): the mean quality of its answer with N candidates in column N - 1."""


@dataclass(frozen=True)
class Beta:
    """How often the whole pool is wrong, so that no choice can be right (arXiv 2606.27288)."""

    share: float
    upper: float
    """Upper 95 % bound (Clopper-Pearson)."""
    questions: int


def evaluate(
    pool: RecordedPool, *, subsets: int = SUBSETS, seed: int = 0, alike: np.ndarray | None = None
) -> tuple[Way, ...]:
    """Measures every way that a pool allows.

    Args:
        pool: a graded pool of at least two questions.
        subsets: how many seeded subsets of each size ways without a fixed preference are averaged over, at least.
        seed: of the subsets, and of dealing the questions into folds.
        alike: of :func:`similarities`, where they were computed before; None computes them.

    Raises:
        ConfigurationError: there are fewer than two questions, or one whose quality is not known.
        CeilingBroken: a way of choosing came out above the best candidate.
    """
    if pool.shape[0] < 2 or np.isnan(pool.quality).any():
        graded = pool.graded().shape[0]
        raise ConfigurationError(
            f"{pool.name!r} has {graded} questions with known correctness; at least 2 are needed to measure anything"
        )
    if alike is None:
        alike = similarities(pool) if pool.has_texts else np.empty(0)
    material = Material(pool, alike, reliabilities(pool, seed=seed), subsets, seed)
    ways = [Way(r.name, r.about, r.kind, r.curve(material)) for r in RECIPES if r.fits(material)]
    best = pool.quality.max(axis=1)
    for way in ways:
        check_ceiling(way.name, way.curve[:, -1], best)
    return tuple(ways)


def beta_of(pool: RecordedPool) -> Beta:
    """How often no candidate of a graded pool is right in full."""
    wrong, questions = int((~pool.right.any(axis=1)).sum()), pool.shape[0]
    return Beta(wrong / questions, clopper_pearson_upper(wrong, questions), questions)


def curves_with_intervals(
    pool: RecordedPool, ways: Sequence[Way], *, resamples: int = RESAMPLES
) -> dict[str, list[Interval]]:
    """The mean of each way with 1 .. C candidates, with intervals over questions.

    Args:
        pool: the pool that they were measured on.
        ways: of :func:`evaluate`.
        resamples: of the intervals.
    """
    groups, size = list(pool.groups.values()), pool.shape[1]
    intervals = column_intervals(np.hstack([way.curve for way in ways]), groups, resamples=resamples)
    return {way.name: intervals[place * size : (place + 1) * size] for place, way in enumerate(ways)}


def differences(
    pool: RecordedPool, ways: Sequence[Way], reference: np.ndarray, *, resamples: int = RESAMPLES
) -> dict[str, Interval]:
    """By how much each way with all candidates is better than something else, paired by question.

    Args:
        pool: the pool that they were measured on.
        ways: of :func:`evaluate`.
        reference: (questions,): the quality to compare with.
        resamples: of the intervals.
    """
    gains = np.column_stack([way.curve[:, -1] - reference for way in ways])
    intervals = column_intervals(gains, list(pool.groups.values()), resamples=resamples, scores=False)
    return dict(zip((way.name for way in ways), intervals, strict=True))
