"""Tables of a comparison: for the terminal (rich), for a paper (Markdown) and for machines (CSV). Percentages are made here only."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.markup import escape
from rich.table import Table

from .records import Record
from .stats import Estimate, mean_interval
from .summary import MeanUsage, Row, Summary

ROLES = ("candidates", "aggregations", "fusor", "scorer", "failed")


@dataclass(frozen=True)
class TextTable:
    """A table of texts: a title, column heads and rows of one length; the first column is left-aligned."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def rich(self) -> Table:
        """For the terminal."""
        style = {"title_justify": "left", "title_style": "bold", "header_style": "bold", "box": box.SIMPLE_HEAD}
        table = Table(title=self.title, padding=(0, 1, 0, 0), show_edge=False, **style)
        table.add_column(escape(self.heads[0]), overflow="fold")
        for head in self.heads[1:]:
            table.add_column(escape(head), justify="right", overflow="fold")
        for name, *cells in self.rows:
            table.add_row(
                escape(name), *(escape(cell.replace(", ", ",")) for cell in cells)
            )  # a narrow terminal then breaks before an interval
        return table

    def markdown(self) -> str:
        """For a document."""
        lines = [self.heads, tuple(["---", *["---:"] * (len(self.heads) - 1)]), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def quality_table(summary: Summary) -> TextTable:
    """Scores with their intervals, differences to the reference, and the standing against the best candidate."""
    heads = ("strategy", "n", "score % [95 %]", f"against {summary.config.reference_name}", "fully right %", "won, tied, lost")
    rows = [
        (
            _name(row),
            str(row.score.n),
            _percent(row.score),
            _points(row.difference) if row.difference else "reference",
            _percent(row.whole),
            f"{row.wins}-{row.ties}-{row.losses}" if row.wins + row.ties + row.losses else "",
        )
        for row in summary.rows
    ]
    title = f"Quality (n: examples, {summary.config.seeds} answer{'s' * (summary.config.seeds > 1)} each)"
    return TextTable(title, heads, tuple(rows))


def cost_table(summary: Summary, *, by_role: bool = True) -> TextTable:
    """Means per answer: calls, sequential depth, tokens in and out (also by role), and seconds."""
    roles = [role for role in ROLES if by_role and any(role in row.usage for row in summary.rows)]
    money = ("USD",) if any(row.cost_usd for row in summary.rows) else ()
    heads = ("strategy", "calls", "depth", "tokens in", "tokens out", *(f"{role} in/out" for role in roles), *money, "seconds")
    rows = [
        (
            row.strategy.name,
            f"{row.cost.calls:.1f}",
            f"{row.depth:.1f}",
            f"{row.cost.tokens_in:.0f}",
            f"{row.cost.tokens_out:.0f}",
            *(_in_out(row.usage.get(role)) for role in roles),
            *(f"{row.cost_usd:.3g}" for _ in money),
            f"{row.seconds:.2f}",
        )
        for row in summary.rows
    ]
    return TextTable("Cost per answer (mean)", heads, tuple(rows))


def pool_table(summary: Summary) -> TextTable:
    """What each pool allows: its candidates' mean, its oracle, and beta."""
    heads = ("pool", "N", "mean candidate % [95 %]", "oracle % [95 %]", "oracle fully right %", "beta (upper 95 %)")
    rows = [
        (
            pool.name,
            str(pool.n),
            _percent(pool.single),
            _percent(pool.oracle),
            _percent(pool.oracle_whole),
            _beta(pool.beta, pool.beta_upper),
        )
        for pool in summary.pools
    ]
    return TextTable("Pools (the oracle uses the right answers; beta: no candidate fully right)", heads, tuple(rows))


def pass_table(summary: Summary) -> TextTable:
    """How often at least one of k candidates is fully right: what choosing among k could reach at best."""
    most = max((pool.n for pool in summary.pools), default=0)
    rows = [(pool.name, *(f"{100 * value:.1f}" for value in pool.pass_at), *[""] * (most - pool.n)) for pool in summary.pools]
    return TextTable("At least one of k candidates fully right, %", ("pool", *(f"k={k}" for k in range(1, most + 1))), tuple(rows))


def strata_table(summary: Summary, records: Sequence[Record]) -> TextTable:
    """Scores by how many candidates of the pool are fully right: seeing candidates helps most where some are (arXiv 2608.18379)."""
    heads = ("strategy", "none right", "one right", "several right")
    rows = []
    for row in summary.rows:
        if row.strategy.n > 1 and row.strategy.role != "control":
            own = [record for record in records if record.strategy == row.strategy.name and record.candidates]
            strata = [[record for record in own if min(2, record.right_candidates) == stratum] for stratum in range(3)]
            rows.append((_name(row), *(_stratum(stratum) for stratum in strata)))
    return TextTable("Score % [95 %] by the number of fully right candidates in the pool (number of answers)", heads, tuple(rows))


def slug(name: str) -> str:
    """A name with nothing but letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_")


def notes(summary: Summary) -> tuple[str, ...]:
    """What a reader of the tables must know: unfinished, failed and fallen-back answers."""
    found = []
    if summary.found < summary.expected:
        found.append(f"Unfinished: {summary.found} of {summary.expected} records.")
    for row in summary.rows:
        if row.failures:
            found.append(f"{row.strategy.name}: {row.failures} answers failed and count as 0.")
        if row.fallbacks:
            found.append(f"{row.strategy.name}: {row.fallbacks} answers fell back to a candidate.")
    return tuple(found)


def to_markdown(summary: Summary, verdict: str) -> str:
    """All tables, the verdict and the notes as one Markdown text."""
    tables = (quality_table(summary), cost_table(summary), pool_table(summary), pass_table(summary))
    blocks = [f"**{verdict}**", *(f"{table.title}\n\n{table.markdown()}" for table in tables)]
    return "\n\n".join([*blocks, *notes(summary)]) + "\n"


def to_csv(summary: Summary) -> str:
    """One line per strategy with every number unrounded; scores in [0, 1]."""
    out = io.StringIO()
    rows = [_flat(row) for row in summary.rows]
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["strategy"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {"strategy": row.strategy.name, "program": row.strategy.program, "pool": row.strategy.pool}
    flat |= {"candidates": row.strategy.n, "examples": row.score.n, "answers": len(row.scores)}
    for name, estimate in (("score", row.score), ("difference", row.difference), ("fully_right", row.whole)):
        for part in ("mean", "low", "high"):
            flat[f"{name}_{part}"] = getattr(estimate, part) if estimate else ""
    flat |= {"wins": row.wins, "ties": row.ties, "losses": row.losses, "failures": row.failures, "fallbacks": row.fallbacks}
    flat |= {
        "calls": row.cost.calls,
        "depth": row.depth,
        "cost_usd": row.cost_usd,
        "tokens_in": row.cost.tokens_in,
        "tokens_out": row.cost.tokens_out,
    }
    for role in ROLES:
        usage = row.usage.get(role, MeanUsage(0, 0, 0))
        flat |= {f"{role}_calls": usage.calls, f"{role}_tokens_in": usage.tokens_in, f"{role}_tokens_out": usage.tokens_out}
    return flat | {"seconds": row.seconds}


def _name(row: Row) -> str:
    return f"{row.strategy.name} (uses the answers)" if row.strategy.role == "oracle" else row.strategy.name


def _stratum(records: Sequence[Record]) -> str:
    if not records:
        return "none such"
    return f"{_percent(mean_interval({(record.example, record.seed): record.score for record in records}))} ({len(records)})"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f}" + _interval(estimate, "")


def _points(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:+.1f}" + _interval(estimate, "+")


def _interval(estimate: Estimate, sign: str) -> str:
    if math.isnan(estimate.low):
        return " [one example]"
    return f" [{100 * estimate.low:{sign}.1f}, {100 * estimate.high:{sign}.1f}]"


def _in_out(usage: MeanUsage | None) -> str:
    return f"{usage.tokens_in:.0f}/{usage.tokens_out:.0f}" if usage else ""


def _beta(beta: float, upper: float) -> str:
    return f"{beta:.3f} ({upper:.3f})"
