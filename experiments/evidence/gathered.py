"""All the evidence of a run at once, and its tables in the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..presentation.text_table import TextTable
from ..records.record import Record
from .attribution import Attribution, attribution, attribution_table
from .contenders import strata_table
from .equal_budget import Match, budget_table, equal_budget
from .followed_candidates import followed
from .length_drift import LengthDrift, length_drift, length_table
from .per_group import PerGroup, group_table, per_group
from .position_bias import PositionBias, position_bias, position_table
from .summary import Summary
from .sureness import Sureness, sureness, sureness_table


@dataclass(frozen=True)
class Evidence:
    """What stands behind a verdict; empty where the records say nothing on it."""

    groups: PerGroup | None
    matches: tuple[Match, ...]
    attributions: tuple[Attribution, ...]
    positions: tuple[PositionBias, ...]
    lengths: tuple[LengthDrift, ...]
    strata: TextTable
    sureness: tuple[Sureness, ...] = ()


def gather(summary: Summary, records: Sequence[Record]) -> Evidence:
    """Asks every question of the records of a run, finished or not."""
    pooled = [
        row.strategy for row in summary.rows if row.strategy.n > 1 and row.strategy.role in ("select", "parts", "fuse")
    ]
    own = {strategy.name: [record for record in records if record.strategy == strategy.name] for strategy in pooled}
    fusing = {strategy.name: followed(own[strategy.name]) for strategy in pooled if strategy.role == "fuse"}
    attributions = [attribution(name, pairs) for name, pairs in fusing.items()]
    positions = [position_bias(name, pairs, strata=summary.groups) for name, pairs in fusing.items()]
    lengths = [length_drift(name, some, strata=summary.groups) for name, some in own.items()]
    sure = [sureness(strategy.name, strategy.program, own[strategy.name]) for strategy in pooled]
    return Evidence(
        groups=per_group(summary),
        matches=equal_budget(summary),
        attributions=tuple(item for item in attributions if item is not None),
        positions=tuple(item for item in positions if item is not None),
        lengths=tuple(item for item in lengths if item is not None),
        strata=strata_table(summary, records),
        sureness=tuple(item for item in sure if item is not None),
    )


def evidence_tables(evidence: Evidence) -> tuple[TextTable, ...]:
    """The tables that have rows, groups first."""
    groups = (group_table(evidence.groups),) if evidence.groups else ()
    tables = (
        *groups,
        budget_table(evidence.matches),
        evidence.strata,
        attribution_table(evidence.attributions),
        position_table(evidence.positions),
        length_table(evidence.lengths),
        sureness_table(evidence.sureness),
    )
    return tuple(table for table in tables if table.rows)
