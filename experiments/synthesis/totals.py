"""Totals: what became of the prompts, counted over the rows one at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dspy_fusion.programs.pools.candidates import NOTHING_USED, Usage

from .gates import GATES
from .synthesized_rows import Row


@dataclass
class Totals:
    """Counts over rows; ``add`` every row once."""

    rows: int = 0
    """How many rows there are."""
    kept: int = 0
    """How many of them passed all gates."""
    dropped: Counter[str] = field(default_factory=Counter)
    """How many each gate dropped."""
    answered: Counter[str] = field(default_factory=Counter)
    """How many answers each teacher gave."""
    failed: Counter[str] = field(default_factory=Counter)
    """How many of each teacher's calls failed."""
    best: Counter[str] = field(default_factory=Counter)
    """How often each teacher's candidate was the best."""
    fused: int = 0
    """How many answers the fusor wrote."""
    fusor_failed: int = 0
    """How many of the fusor's calls failed."""
    fusor_refused: int = 0
    """How many of its answers the refusal gate dropped."""
    usage: dict[str, Usage] = field(default_factory=dict)
    """Calls and tokens by role."""
    cost_usd: float = 0.0
    """What all of it cost by the catalogue's prices."""
    languages: Counter[str] = field(default_factory=Counter)
    """Kept rows by the prompt's language, where that is known."""

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Totals:
        """Counts rows."""
        totals = cls()
        for row in rows:
            totals.add(row)
        return totals

    def add(self, row: Row) -> None:
        """Counts a row."""
        self.rows += 1
        self.cost_usd += row.cost_usd
        for role, usage in row.usage.items():
            self.usage[role] = self.usage.get(role, NOTHING_USED) + usage
        for candidate in row.candidates:
            (self.answered if candidate.error is None else self.failed)[candidate.teacher] += 1
        if row.best is not None:
            self.best[row.candidates[row.best].teacher] += 1
        if row.fused is not None:
            self.fused += row.fused.error is None
            self.fusor_failed += row.fused.error is not None
            self.fusor_refused += row.dropped is not None and row.dropped.gate == "refusal"
        if row.dropped is not None:
            self.dropped[row.dropped.gate] += 1
        else:
            self.kept += 1
            self.languages[row.language] += bool(row.language)

    def plain(self) -> dict[str, Any]:
        """The counts as plain data, for a JSON file."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": {gate: self.dropped[gate] for gate in GATES if self.dropped[gate]},
            "teachers": {
                name: {"answered": self.answered[name], "failed": self.failed[name], "best": self.best[name]}
                for name in sorted({*self.answered, *self.failed})
            },
            "fusor": {"written": self.fused, "failed": self.fusor_failed, "refused": self.fusor_refused},
            "usage": {role: vars(usage) for role, usage in self.usage.items()},
            "cost_usd": self.cost_usd,
            "languages": {name: count for name, count in self.languages.most_common() if count},
        }
