"""Length drift: whether answers grow longer than the candidates they come from, and whether length is what wins.

Aggregated answers tend to be longer (arXiv 2501.11877), and judges like length; a gain that goes with length is to be
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..presentation.text_table import TextTable, number
from ..records.record import Record, scores_of
from ..statistics.correlation import rank_correlation
from ..statistics.intervals import Interval, ratio_interval
from .provenance import word_count


@dataclass(frozen=True)
class LengthDrift:
    """One strategy's answers beside the candidates of their pools."""

    strategy: str
    answers: int
    characters: float
    """Mean length of an answer."""
    in_characters: Interval
    """Length of the answers divided by that of their candidates, which count with the mean of each pool."""
    in_words: Interval
    """The same in words."""
    with_gain: Interval | None
    """Spearman correlation of the length divided by the candidates' mean with the score minus the candidates' mean;
    None where either is
    constant."""


def length_drift(
    strategy: str, records: Iterable[Record], *, strata: Mapping[str, str] | None = None
) -> LengthDrift | None:
    """The lengths of one strategy's answers; None where there is nothing to measure. Failures are left out."""
    usable = [record for record in records if record.answer and _mean_length(record, word_count)]
    if not usable:
        return None
    own, own_words = (scores_of(usable, lambda r, size=size: float(size(r.answer or ""))) for size in (len, word_count))
    base, base_words = (scores_of(usable, lambda r, size=size: _mean_length(r, size)) for size in (len, word_count))
    return LengthDrift(
        strategy=strategy,
        answers=len(usable),
        characters=fmean(own.values()),
        in_characters=ratio_interval(own, base, strata=strata),
        in_words=ratio_interval(own_words, base_words, strata=strata),
        with_gain=rank_correlation({key: own[key] / base[key] for key in own}, scores_of(usable, _gain), strata=strata),
    )


def length_table(found: Sequence[LengthDrift]) -> TextTable:
    """One row a strategy."""
    heads = (
        "strategy",
        "answers",
        "characters",
        "times the candidates' [95 %]",
        "in words [95 %]",
        "correlation with gain [95 %]",
    )
    rows = tuple(
        (
            item.strategy,
            str(item.answers),
            f"{item.characters:.0f}",
            number(item.in_characters),
            number(item.in_words),
            number(item.with_gain, sign="+") if item.with_gain else "no variation",
        )
        for item in found
    )
    note = (
        "Length of the answers divided by the mean length of their candidates. The last column is Spearman's"
        " correlation of that ratio with the score minus the candidates' mean score: well above 0 means that it is the"
        " longer answers that gain."
    )
    return TextTable("Length of the answers beside their candidates", heads, rows, note=note)


def _mean_length(record: Record, size: Callable[[str], int]) -> float:
    sizes = [size(candidate.text) for candidate in record.candidates if candidate.text is not None]
    return fmean(sizes) if sizes else 0.0


def _gain(record: Record) -> float:
    return record.score - fmean(candidate.score for candidate in record.candidates)
