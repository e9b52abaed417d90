"""The FLOPs of a comparison as tables and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from dspy_fusion.programs.errors import RecordError

from ..evidence.summary import Summary, summarize
from ..presentation.text_table import TextTable, percent
from ..runs.run_folder import read_run
from .equal_flops import equal_flops, equal_flops_table
from .flops import Basis, Compute, compute_of
from .model_sizes import ModelSize
from .output import Findings

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1.0, ""))


def analyse_flops(path: Path, told: Mapping[str, ModelSize], *, basis: Basis) -> tuple[Findings, tuple[Compute, ...]]:
    """The FLOPs of a run.

    Args:
        path: folder of a comparison, finished or not.
        told: sizes of models that are not embedded.
        basis: how FLOPs are counted when strategies are compared at equal ones.

    Raises:
        RecordError: the folder holds no run, or one without records.
        ConfigurationError: the size of a model is not known.
    """
    run = read_run(path)
    summary = summarize(run.config, run.records)
    if not summary.rows:
        raise RecordError(f"{path} has no records yet; run the comparison first")
    computes = compute_of(summary, told)
    matches = equal_flops(computes, basis=basis, strata=summary.groups)
    tables = (_table(summary, computes), *((equal_flops_table(matches, basis),) if matches else ()))
    records = [_record(one) for one in computes]
    return Findings("flops", tables, records, _notes(computes)), computes


def _table(summary: Summary, computes: Sequence[Compute]) -> TextTable:
    heads = ("strategy", "score %", "calls", "F, cached", "F, no cache", "FLOPs, cached", "FLOPs, no cache")
    rows = tuple(
        (
            one.row.strategy.name,
            percent(one.row.score),
            f"{one.row.cost.calls:.1f}",
            f"{one.cached:,.4g}",
            f"{one.uncached:,.4g}",
            flops_text(one.flops_cached),
            flops_text(one.flops),
        )
        for one in computes
        if not one.row.strategy.curve_of
    )
    unit = summary.points[0].strategy.models[0]
    note = (
        f"F: one plain answer of {unit}, by AFT's appendix C, questions left out. FLOPs: from the recorded tokens,"
        " questions counted."
    )
    return TextTable(f"Compute of an answer, {computes[0].row.score.n} examples", heads, rows, note=note)


def flops_text(value: float) -> str:
    """A number of FLOPs with its unit."""
    scale, unit = next(pair for pair in _UNITS if value >= pair[0] or pair[0] == 1.0)
    return f"{value / scale:.3g} {unit}".rstrip()


def _notes(computes: Sequence[Compute]) -> tuple[str, ...]:
    shuffled = any(
        one.row.strategy.options.get("shuffle", True) and "aggregations" in one.row.usage for one in computes
    )  # only a layer with several aggregators has anything to share
    unknown = [one.row.strategy.name for one in computes if not one.row.tokens]
    notes = []
    if shuffled:
        notes.append(
            "Aggregators that see a layer in different orders share no prefix: by tokens, a cache saves them nothing."
            " The formula's saving needs shuffle = false."
        )
    if unknown:
        notes.append(f"No tokens were reported for {', '.join(unknown[:4])}; their FLOPs are missing, not zero.")
    return tuple(notes)


def _record(one: Compute) -> dict[str, object]:
    strategy = one.row.strategy
    about = {"strategy": strategy.name, "program": strategy.program, "n": strategy.n, "curve_of": strategy.curve_of}
    numbers = {
        "generations_cached": one.cached,
        "generations": one.uncached,
        "flops_cached": one.flops_cached,
        "flops": one.flops,
    }
    return {**about, **asdict(one.row.score), **numbers, "calls": one.row.cost.calls, "tokens": one.row.tokens}
