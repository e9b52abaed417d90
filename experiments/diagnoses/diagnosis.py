"""A diagnosis: what twenty to fifty examples say about whether more candidates, choosing or fusing would pay,
before money is spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dspy_fusion.programs.errors import ConfigurationError

from ..pools.complementarity import SourceFacts
from ..pools.diversity import Diversity
from ..pools.overview import Measured, Overview, overview_of
from ..recordings.recording import RecordedQuestion
from .advice import Advice, advise
from .live_pool import PartFacts
from .prospects import Prospects, prospects_of

T = TypeVar("T")
_FEWEST, _ENOUGH = 2, 20


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What was seen, and what it means."""

    overview: Overview
    measured: Measured
    prospects: Prospects
    advice: Advice
    parts: PartFacts | None

    @property
    def diversity(self) -> Diversity:
        """How different the candidates are."""
        return self.overview.diversity

    @property
    def idle(self) -> tuple[SourceFacts, ...]:
        """Candidates without which the best choice would be as good: they add nothing."""
        return tuple(facts for facts in self.measured.sources if not facts.oracle_loss)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        count = self.measured.pool.shape[0]
        few = (
            (f"{count} questions are few: look at {_ENOUGH} or more before relying on this",) if count < _ENOUGH else ()
        )
        return (*self.overview.notes, *few)


def sampled(questions: Sequence[T], count: int, *, seed: int = 0) -> tuple[T, ...]:
    """A random sample of the questions, in their own order; all, where there are no more."""
    if count >= len(questions):
        return tuple(questions)
    places = np.random.default_rng(seed).choice(len(questions), size=count, replace=False)
    return tuple(questions[place] for place in sorted(places))


def diagnose(
    name: str,
    questions: Sequence[RecordedQuestion],
    *,
    columns: tuple[str, ...] = (),
    parts: PartFacts | None = None,
    subsets: int,
    resamples: int,
    seed: int = 0,
) -> Diagnosis:
    """Looks at a few questions with their candidates.

    Args:
        name: of the set or task.
        questions: recorded, or drawn now.
        columns: which candidates; empty takes all.
        parts: of a task whose answers have parts.
        subsets: see :func:`overview_of`.
        resamples: of the intervals.
        seed: of the subsets.

    Raises:
        ConfigurationError: fewer than two of the questions have candidates of known correctness.
    """
    overview = overview_of(name, tuple(questions), columns=columns, subsets=subsets, resamples=resamples, seed=seed)
    measured = overview.measured
    if measured is None:
        raise ConfigurationError(
            f"{name!r}: it is known for fewer than {_FEWEST} of {len(questions)} questions which candidates are right, "
            "so nothing can be said about gains; dspy-fusion bank show says how different the candidates are"
        )
    prospects = prospects_of(measured.pool, measured.ways, resamples=resamples)
    advice = advise(measured.pool, measured.ways, measured.curves, prospects, parts)
    return Diagnosis(overview, measured, prospects, advice, parts)
