"""Subsets of pools as two tables.

They are a regression of the fused answer's quality on its proposals', and the grid of figure 7 (arXiv 2501.11877).

As in the paper, each question's subsets are ranked among themselves before questions are put together; the regression
takes each question's mean off instead, which keeps the sizes of differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from dspy_fusion.programs.errors import ConfigurationError

from ..presentation.text_table import TextTable, number, percent, points
from ..statistics.correlation import average_ranks
from ..statistics.intervals import mean_interval
from ..statistics.regression import Fit, fit
from .output import Findings
from .pool_subsets import SubsetRecord

QUALITY, DIVERSITY = "mean quality", "diversity (Vendi)"
_MANY = 100  # subsets a question, from which on ten ranks have enough in each


def subset_findings(records: Sequence[SubsetRecord]) -> Findings:
    """Tables and records; where there is nothing to be fitted, a note says why."""
    fits, notes = dict[str, Fit](), list[str]()
    for name, within in (("within a question", True), ("over all", False)):
        try:
            fits[name] = regression(records, within=within)
        except ConfigurationError as error:
            notes.append(f"No regression {name}: {error}.")
    tables = (*((_regression_table(records, fits),) if fits else ()), _levels(records))
    return Findings("subsets", tables, [asdict(record) for record in records], tuple(notes))


def _regression_table(records: Sequence[SubsetRecord], fits: Mapping[str, Fit]) -> TextTable:
    rows = [
        (name, *(number(fit.coefficients[name], sign="+") for fit in fits.values())) for name in (QUALITY, DIVERSITY)
    ]
    rows.append((f"{QUALITY} minus {DIVERSITY}", *(number(fit.contrast, sign="+") for fit in fits.values())))
    rows.append(("share of variance explained", *(f"{fit.explained:.2f}" for fit in fits.values())))
    rows.append(("correlation of the two", *(f"{fit.correlation:+.2f}" for fit in fits.values())))
    examples = len({record.example for record in records})
    title = (
        f"Quality of the fused answer: standardised coefficients [95 %], {len(records)} subsets of {examples} questions"
    )
    note = (
        "Within a question its own mean is taken off everything. Intervals are robust to the subsets of one question"
        " going together."
    )
    return TextTable(title, ("", *fits), tuple(rows), note=note)


def regression(records: Sequence[SubsetRecord], *, within: bool) -> Fit:
    """The fused answers' scores on their proposals' mean quality and diversity.

    Raises ``ConfigurationError`` where nothing varies.
    """
    regressors = {QUALITY: [record.quality for record in records], DIVERSITY: [record.diversity for record in records]}
    return fit([record.fused for record in records], regressors, [record.example for record in records], within=within)


def rank_cells(records: Sequence[SubsetRecord]) -> np.ndarray:
    """The mean rank of the fused answer by the ranks of diversity (rows) and quality (columns), (bins, bins).

    NaN where there is none.

    Ranks are among a question's own subsets, from 1 to the number of bins: ten as in the paper where there are enough
    subsets, else five.
    """
    examples = np.array([record.example for record in records])
    bins = 10 if len(records) >= _MANY * len(set(examples.tolist())) else 5
    quality, diversity, fused = (
        _ranked(np.array([getattr(record, name) for record in records]), examples, bins)
        for name in ("quality", "diversity", "fused")
    )
    places = np.ceil(diversity).astype(int) - 1, np.ceil(quality).astype(int) - 1
    sums, counts = np.zeros((bins, bins)), np.zeros((bins, bins))
    np.add.at(sums, places, fused)
    np.add.at(counts, places, 1)
    with np.errstate(invalid="ignore"):
        return sums / counts


def _ranked(values: np.ndarray, examples: np.ndarray, bins: int) -> np.ndarray:
    """Ranks within each question, more than 0 and up to ``bins``; ties share the mean of theirs."""
    ranks = np.empty(len(values))
    for example in np.unique(examples):
        own = examples == example
        ranks[own] = (average_ranks(values[own]) - 0.5) / own.sum() * bins
    return ranks


def _levels(records: Sequence[SubsetRecord]) -> TextTable:
    keys = [(record.example, place) for place, record in enumerate(records)]
    scores = {
        name: {key: getattr(record, value) for key, record in zip(keys, records, strict=True)}
        for name, value in (("mean of the subset", "quality"), ("best of the subset", "oracle"), ("fused", "fused"))
    }
    gain = {key: record.fused - record.oracle for key, record in zip(keys, records, strict=True)}
    rows = [(name, percent(mean_interval(values))) for name, values in scores.items()]
    rows.append(("fused minus the best", points(mean_interval(gain))))
    return TextTable("What the subsets score", ("", "score % [95 %]"), tuple(rows))
