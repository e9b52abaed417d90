"""How far an answer's confidence can be trusted, and what gates, stopping rules and abstaining did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ..presentation.text_table import TextTable
from ..records.record import Record

BINS = 10
COVERAGES = (0.95, 0.9, 0.8)


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence lies in one tenth: how many, what was said of them on average, and their mean score."""

    answers: int
    said: float
    score: float


@dataclass(frozen=True)
class Sureness:
    """One strategy's confidences beside its scores.

    Attributes:
        strategy: its name.
        program: its kind.
        pairs: confidence and score of each answer, the surest first.
        saved: calls that were not made, a mean over answers.
        calls: calls that were made, likewise.
        abstained: the share of answers that were marked as not to be used.
    """

    strategy: str
    program: str
    pairs: tuple[tuple[float, float], ...]
    saved: float
    calls: float
    abstained: float

    @property
    def error(self) -> float:
        """The expected calibration error over ten bins of equal width (Guo et al., 2017), in [0, 1]."""
        gaps = [part.answers * abs(part.said - part.score) for part in self.bins]
        return math.fsum(gaps) / len(self.pairs)

    @property
    def ranking(self) -> float | None:
        """The chance that an answer that is right in full is surer than one that is not (AUROC), or None where all are
        or none is.
        """
        right = [sure for sure, score in self.pairs if score == 1]
        wrong = [sure for sure, score in self.pairs if score < 1]
        if not right or not wrong:
            return None
        wins = math.fsum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
        return wins / (len(right) * len(wrong))

    @property
    def bins(self) -> tuple[Bin, ...]:
        """The tenths that hold answers, in ascending order."""
        tenths: dict[int, list[tuple[float, float]]] = {}
        for sure, score in self.pairs:
            tenths.setdefault(min(BINS - 1, int(sure * BINS)), []).append((sure, score))
        return tuple(
            Bin(len(part), fmean(sure for sure, _ in part), fmean(score for _, score in part))
            for _, part in sorted(tenths.items())
        )

    def at(self, coverage: float) -> float:
        """The mean score of the surest share of the answers; equal confidences count with their mean."""
        most = max(1, round(coverage * len(self.pairs)))
        least = self.pairs[most - 1][0]
        above = [score for sure, score in self.pairs if sure > least]
        tied = [score for sure, score in self.pairs if sure == least]
        return (math.fsum(above) + (most - len(above)) * fmean(tied)) / most

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """Coverage and mean score, at every confidence that was said."""
        ends = [
            n for n in range(1, len(self.pairs) + 1) if n == len(self.pairs) or self.pairs[n][0] < self.pairs[n - 1][0]
        ]
        return tuple((end / len(self.pairs), self.at(end / len(self.pairs))) for end in ends)


def sureness(strategy: str, program: str, records: Sequence[Record]) -> Sureness | None:
    """One strategy's confidences; None where its records have none."""
    known = [record for record in records if record.confidence is not None and record.error is None]
    if not known:
        return None
    pairs = sorted(((float(record.confidence or 0.0), record.score) for record in known), reverse=True)
    return Sureness(
        strategy,
        program,
        tuple(pairs),
        saved=fmean(record.saved for record in known),
        calls=fmean(record.total.calls for record in known),
        abstained=fmean(record.abstained is not None for record in known),
    )


def sureness_table(items: Sequence[Sureness]) -> TextTable:
    """One row a strategy."""
    heads = ("strategy", "answers", "calibration error", "AUROC", *(f"score at {c:.0%}" for c in (1.0, *COVERAGES)))
    heads = (*heads, "refused", "calls saved")
    rows = tuple(
        (
            item.strategy,
            str(len(item.pairs)),
            f"{item.error:.3f}",
            "" if item.ranking is None else f"{item.ranking:.3f}",
            *(f"{100 * item.at(c):.1f}" for c in (1.0, *COVERAGES)),
            f"{item.abstained:.0%}" if item.abstained else "",
            f"{item.saved:.2f} of {item.calls + item.saved:.2f}" if item.saved else "",
        )
        for item in items
    )
    note = (
        "Score at 90 %: mean score of the nine tenths of the answers that are surest. The calibration error is the mean"
        " distance between what was said and what came true, in ten bins; before calibrate() a confidence is the share"
        " of the candidates that agree. Calls saved are those that a gate or a stopping rule spared, per answer."
    )
    return TextTable("How sure the answers are", heads, rows, note=note)
