"""Tables of a recorded set, in per cent, for the terminal and for documents."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..presentation.text_table import TextTable, percent, points
from ..recordings.store import RecordedSet
from ..statistics.intervals import Interval
from .overview import Measured, Overview

_SHOWN_SIZES = (1, 2, 3, 5, 8, 12, 16, 20, 24, 32, 48, 64)


def overview_tables(overview: Overview) -> tuple[TextTable, ...]:
    """Every table for which there is data."""
    tables = []
    if overview.measured is not None:
        tables += [source_table(overview.measured), way_table(overview.measured), curve_table(overview.measured)]
    if any(facts.quality or facts.score for facts in overview.made):
        tables.append(made_table(overview))
    different = diversity_table(overview)
    return (*tables, different) if different.rows else tuple(tables)


def set_table(sets: Sequence[RecordedSet]) -> TextTable:
    """The sets of a bank."""
    rows = tuple(
        (item.name, item.task or "none", item.shape, str(item.questions), str(item.candidates)) for item in sets
    )
    return TextTable("Recorded sets", ("set", "task", "shape", "questions", "candidates"), rows)


def source_table(measured: Measured) -> TextTable:
    """Each source alone, and what it adds to the others."""
    heads = ("source", "answers", "alone % [95 %]", "only one right", "oracle without it", "errors correlate")
    rows = [
        (
            facts.column,
            str(facts.answered),
            percent(facts.score),
            str(facts.alone),
            f"{-100 * facts.oracle_loss:+.1f}" if facts.oracle_loss else "0.0",
            "" if math.isnan(facts.error_correlation) else f"{facts.error_correlation:.2f}",
        )
        for facts in measured.sources
    ]
    best = frozenset(
        (place, 2) for place, facts in enumerate(measured.sources) if facts.column == measured.best_source.column
    )
    note = (
        "only one right: questions that no other source gets right; errors correlate: mean correlation of its errors"
        " with the others'."
    )
    return TextTable(f"Sources ({measured.pool.shape[0]} questions)", heads, tuple(rows), best, note)


def way_table(measured: Measured) -> TextTable:
    """Every way of answering with all candidates, against the best source."""
    best, size = measured.best_source.column, measured.pool.shape[1]
    heads = ("way", "score % [95 %]", f"against {best}", "what it does")
    rows = [
        (way.name, percent(measured.curves[way.name][-1]), points(measured.gains[way.name]), way.about)
        for way in measured.ways
    ]
    beta = measured.beta
    note = (
        f"beta: {100 * beta.share:.1f} % of the questions have no right candidate (at most {100 * beta.upper:.1f} %"
        f" with 95 % confidence), so no choice is fully right more often than in {100 * (1 - beta.share):.1f} %. The"
        " best source was found on these very questions, which flatters it a little."
    )
    return TextTable(f"One answer from {size} candidates", heads, tuple(rows), note=note)


def curve_table(measured: Measured) -> TextTable:
    """The ways with some numbers of candidates."""
    size = measured.pool.shape[1]
    sizes = [n for n in _SHOWN_SIZES if n < size] + [size]
    rows = [(way.name, *(f"{100 * measured.curves[way.name][n - 1].mean:.1f}" for n in sizes)) for way in measured.ways]
    note = (
        "Averages over all subsets of N candidates: exact for best-by ways and the oracle, over seeded subsets for"
        " votes and the medoid."
    )
    return TextTable("Score % with N candidates", ("way", *(f"N={n}" for n in sizes)), tuple(rows), note=note)


def made_table(overview: Overview) -> TextTable:
    """Recorded answers that were made from other candidates, which are not part of the pool."""
    against = overview.made[0].against
    heads = (
        "made from candidates",
        "answers",
        "score % [95 %]",
        "recorded score [95 %]",
        f"recorded score against {against}",
    )
    rows = [
        (
            facts.column,
            str(facts.questions),
            percent(facts.quality) if facts.quality else "not known",
            _plain(facts.score, "") if facts.score else "none",
            _plain(facts.difference, "+") if facts.difference else "",
        )
        for facts in overview.made
    ]
    return TextTable("Answers that were made from others", heads, tuple(rows))


def diversity_table(overview: Overview) -> TextTable:
    """How different the candidates are; without rows where nothing was recorded that could be compared."""
    diversity = overview.diversity
    cells = {
        "different answers": diversity.answers,
        "effective answers (Vendi)": diversity.answer_vendi,
        "chance that two agree": diversity.agreement,
        "effective texts (Vendi)": diversity.text_vendi,
        "similarity of two texts": diversity.text_similarity,
    }
    shown_cells = {name: f"{value:.2f}" for name, value in cells.items() if not math.isnan(value)}
    count, questions = overview.pool.shape[1], overview.pool.shape[0]
    title = f"Diversity (means over {questions} questions)"
    return TextTable(title, ("candidates", *shown_cells), ((str(count), *shown_cells.values()),) if shown_cells else ())


def _plain(estimate: Interval, sign: str) -> str:
    return f"{estimate.mean:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
