"""All that can be said about a recorded set without a model, as one object of numbers, of which tables,
figure and JSON are views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..recordings.recording import RecordedQuestion
from ..statistics.column_intervals import column_intervals
from ..statistics.intervals import Interval
from .complementarity import SourceFacts, source_facts
from .diversity import Diversity, diversity
from .evaluation import RESAMPLES, SUBSETS, Beta, Way, beta_of, curves_with_intervals, differences, evaluate
from .recorded_pool import RecordedPool
from .similarity import similarities


@dataclass(frozen=True)
class MadeFacts:
    """A source whose answers were made from other candidates, such as a recorded fusion."""

    column: str
    questions: int
    quality: Interval | None
    """Mean quality, where it is known."""
    score: Interval | None
    """Mean of the recorded scores."""
    against: str
    """The first such source of the set."""
    difference: Interval | None
    """Mean difference of the recorded scores to that source, paired; None for that source itself."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What needs to know which answers are right."""

    pool: RecordedPool
    """The questions of which that is known."""
    sources: tuple[SourceFacts, ...]
    ways: tuple[Way, ...]
    curves: dict[str, list[Interval]]
    """The mean of each way with 1 .. C candidates."""
    gains: dict[str, Interval]
    """By how much each way with all candidates beats the best source, which was found on the same questions."""
    beta: Beta

    @property
    def best_source(self) -> SourceFacts:
        """The source with the highest mean."""
        return max(self.sources, key=lambda facts: facts.score.mean)


@dataclass(frozen=True, eq=False)
class Overview:
    """A recorded set."""

    pool: RecordedPool
    diversity: Diversity
    measured: Measured | None
    """None where it is not known which answers are right."""
    made: tuple[MadeFacts, ...]
    notes: tuple[str, ...]


def overview_of(
    name: str,
    questions: tuple[RecordedQuestion, ...],
    *,
    columns: tuple[str, ...] = (),
    subsets: int = SUBSETS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Overview:
    """Measures a recorded set.

    Args:
        name: of the set.
        questions: its questions.
        columns: which candidates are the pool; empty takes all that were not made from others.
        subsets: how many seeded subsets of each size are averaged over, where there is no exact formula.
        resamples: of the intervals.
        seed: of the subsets.

    Raises:
        ConfigurationError: there are no candidates, or a column is not there.
        CeilingBroken: a way of choosing came out above the best candidate.
    """
    pool = RecordedPool.of(name, questions, columns=columns)
    alike = similarities(pool) if pool.has_texts else None
    graded_rows = np.flatnonzero(~np.isnan(pool.quality).any(axis=1))
    measured = None
    if len(graded_rows) > 1:
        part = pool.rows(graded_rows)
        measured = _measured(part, np.empty(0) if alike is None else alike[graded_rows], subsets, resamples, seed)
    return Overview(
        pool, diversity(pool, alike), measured, made_facts(questions, resamples), _notes(pool, len(graded_rows))
    )


def made_facts(questions: tuple[RecordedQuestion, ...], resamples: int) -> tuple[MadeFacts, ...]:
    """What is known of the sources whose answers were made from other candidates,
    in the order of their first appearance.
    """
    names = dict.fromkeys(c.column for q in questions for c in q.candidates if c.derived)
    if not names:
        return ()
    pool = RecordedPool.of("made", questions, columns=tuple(names), derived=True)
    groups = np.array(list(pool.groups.values()))

    def mean(values: np.ndarray, which: np.ndarray) -> Interval | None:
        column = values[which][:, None]
        return (
            column_intervals(column, list(groups[which]), resamples=resamples, scores=False)[0] if which.any() else None
        )

    facts = []
    for place, column in enumerate(pool.columns):
        scored = ~np.isnan(pool.scores[:, place])
        both = scored & ~np.isnan(pool.scores[:, 0])
        difference = mean(pool.scores[:, place] - pool.scores[:, 0], both) if place else None
        graded = pool.present[:, place] & ~np.isnan(pool.quality[:, place])
        quality = mean(pool.quality[:, place], graded)
        answered = int(pool.present[:, place].sum())
        facts.append(
            MadeFacts(column, answered, quality, mean(pool.scores[:, place], scored), pool.columns[0], difference)
        )
    return tuple(facts)


def _measured(pool: RecordedPool, alike: np.ndarray, subsets: int, resamples: int, seed: int) -> Measured:
    ways = evaluate(pool, subsets=subsets, seed=seed, alike=alike)
    sources = source_facts(pool, resamples=resamples)
    best = int(np.argmax([facts.score.mean for facts in sources]))
    gains = differences(pool, ways, pool.quality[:, best], resamples=resamples)
    return Measured(pool, sources, ways, curves_with_intervals(pool, ways, resamples=resamples), gains, beta_of(pool))


def _notes(pool: RecordedPool, known: int) -> tuple[str, ...]:
    """What a reader of the numbers must know."""
    notes = []
    missing = int((~pool.present).sum())
    if missing:
        notes.append(f"{missing} of {pool.present.size} answers are missing; they count as failed: 0, no vote")
    if not known:
        notes.append("it was not recorded which answers are right, so nothing can be said about scores")
    elif known == 1:
        notes.append("of one question only is it known which answers are right, which says nothing about scores")
    elif known < pool.shape[0]:
        notes.append(
            f"{pool.shape[0] - known} questions have answers of unknown correctness and are left out of the scores"
        )
    conflicts = sum(candidate.conflict for question in pool.questions for candidate in question.candidates)
    if conflicts:
        notes.append(f"{conflicts} answers are flagged against their text (flag_conflict); the flags were kept")
    left_out = dict.fromkeys(
        c.column for q in pool.questions for c in q.candidates if c.derived and c.column not in pool.columns
    )
    if left_out:
        notes.append(f"made from other candidates, and so not in the pool: {', '.join(left_out)}")
    if not pool.has_texts:
        notes.append("no texts were recorded, so there is nothing to fuse")
    if known and not pool.is_comparable:
        notes.append("no comparable answers were recorded, so nothing is voted on")
    return tuple(notes)
