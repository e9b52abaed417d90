"""A diagnosis for people: tables in per cent, and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..pools.overview_files import known
from ..pools.overview_tables import curve_table, diversity_table, source_table
from ..presentation.text_table import TextTable, percent, points
from .diagnosis import Diagnosis
from .spending import Spending

_NAMED = 4  # candidates that a sentence names


def diagnosis_tables(diagnosis: Diagnosis) -> tuple[TextTable, ...]:
    """What each candidate adds, what each way gains, how that grows with N, and how different the candidates are."""
    tables = [gain_table(diagnosis), curve_table(diagnosis.measured), diversity_table(diagnosis.overview)]
    if len(diagnosis.measured.sources) > 1:
        tables.insert(0, source_table(diagnosis.measured))
    return tuple(table for table in tables if table.rows)


def gain_table(diagnosis: Diagnosis) -> TextTable:
    """What one answer, every way of choosing, and a perfect choice score."""
    measured, prospects = diagnosis.measured, diagnosis.prospects
    rows = [
        (f"one answer of {prospects.best_source}", percent(prospects.best), "", "the best model on these questions")
    ]
    for way in measured.ways:
        rows.append((way.name, percent(measured.curves[way.name][-1]), points(prospects.gains[way.name]), way.about))
    if diagnosis.parts is not None:
        for name, value, about in (
            ("vote per part", diagnosis.parts.vote, "each part as most candidates have it"),
            ("oracle per part", diagnosis.parts.best, "each part from a candidate that has it right"),
        ):
            rows.append((name, f"{100 * value:.1f}", f"{100 * (value - prospects.best.mean):+.1f}", about))
    none, one, several, every = (f"{100 * share:.0f} %" for share in prospects.right)
    note = f"No candidate is right on {none} of the questions, one on {one}, several on {several}, all on {every}."
    heads = ("way", "score % [95 %]", "gain", "what it does")
    title = f"One answer from {measured.pool.shape[1]} candidates ({measured.pool.shape[0]} questions)"
    return TextTable(title, heads, tuple(rows), note=note)


def spending_table(lines: Mapping[str, Spending], *, priced: bool) -> TextTable:
    """What would be spent."""
    rows = [
        (
            name,
            f"{line.calls:,.0f}",
            f"{line.tokens_in:,.0f}",
            f"{line.tokens_out:,.0f}",
            f"{line.usd:,.2f}" if priced else "no price",
        )
        for name, line in lines.items()
    ]
    title, heads = "Cost, estimated from the candidates seen", ("what", "calls", "tokens in", "tokens out", "USD")
    return TextTable(title, heads, tuple(rows), note="A fused answer is taken to be as long as a candidate.")


def sentences(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The recommendation, its reasons, and what cannot be known."""
    advice = diagnosis.advice
    number = f" with N = {advice.n}" if advice.n > 1 else ""
    found = [f"Recommended: {advice.strategy}{number}", *(f"  because {reason}" for reason in advice.reasons)]
    idle, count = [facts.column for facts in diagnosis.idle], len(diagnosis.measured.sources)
    if idle and count > 1:
        named = ", ".join(idle) if len(idle) <= _NAMED else f"any of {len(idle)} of the {count} candidates"
        found.append(f"  one of these could be left out without loss to a perfect choice: {named}")
    return (*found, "Not known from this:", *(f"  {text}" for text in advice.unknown))


def to_json(diagnosis: Diagnosis, lines: Mapping[str, Spending]) -> dict[str, Any]:
    """All numbers as plain data; scores in [0, 1]."""
    measured = diagnosis.measured
    return known(
        {
            "questions": measured.pool.shape[0],
            "candidates": list(measured.pool.columns),
            "recommended": asdict(diagnosis.advice),
            "prospects": asdict(diagnosis.prospects),
            "beta": asdict(measured.beta),
            "curves": {name: [estimate.mean for estimate in curve] for name, curve in measured.curves.items()},
            "diversity": asdict(diagnosis.diversity),
            "parts": asdict(diagnosis.parts) if diagnosis.parts else None,
            "sources": [asdict(facts) for facts in measured.sources],
            "spending": {name: asdict(line) for name, line in lines.items()},
            "notes": list(diagnosis.notes),
        }
    )
