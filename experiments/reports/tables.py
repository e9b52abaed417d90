"""The tables of a comparison: quality, further scores, cost and pools; and what a reader of them must know."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from ..evidence.headroom import headrooms
from ..evidence.summary import MeanUsage, Row, Summary
from ..presentation.page_text import spreadsheet_cell
from ..presentation.text_table import TextTable, p_text, percent, points, starred
from ..statistics.significance import ALPHA


def to_csv(summary: Summary) -> str:
    """One line per strategy with every number unrounded; scores in [0, 1]."""
    out = io.StringIO()
    rows = [_flat(row) for row in summary.rows]
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["strategy"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: spreadsheet_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _flat(row: Row) -> dict[str, object]:
    flat: dict[str, object] = {
        "strategy": row.strategy.name,
        "program": row.strategy.program,
        "pool": row.strategy.pool,
    }
    flat |= {"candidates": row.strategy.n, "examples": row.score.n, "answers": len(row.scores)}
    for name, estimate in (("score", row.score), ("difference", row.difference), ("fully_right", row.whole)):
        for part in ("mean", "low", "high"):
            flat[f"{name}_{part}"] = getattr(estimate, part) if estimate else ""
    flat["p_holm"] = "" if row.p_holm is None else row.p_holm
    flat |= {
        "wins": row.wins,
        "ties": row.ties,
        "losses": row.losses,
        "failures": row.failures,
        "fallbacks": row.fallbacks,
    }
    flat |= {
        "calls": row.cost.calls,
        "depth": row.depth,
        "cost_usd": row.cost_usd,
        "tokens_in": row.cost.tokens_in,
        "tokens_out": row.cost.tokens_out,
    }
    for role in ROLES:
        usage = row.usage.get(role, MeanUsage(0, 0, 0))
        flat |= {
            f"{role}_calls": usage.calls,
            f"{role}_tokens_in": usage.tokens_in,
            f"{role}_tokens_out": usage.tokens_out,
        }
    return flat | {"seconds": row.seconds}


ROLES = ("candidates", "aggregations", "fusor", "scorer", "failed")


def quality_table(summary: Summary, *, p_values: bool = False) -> TextTable:
    """Scores with their intervals, differences to the reference, and the standing against the best candidate.

    Differences that are more than chance are starred; ``p_values`` gives them a column, for which a narrow terminal has
    no room.
    """
    column = ("p (Holm)",) if p_values else ()
    heads = (
        "strategy",
        "n",
        "score % [95 %]",
        f"against {summary.config.reference_name}",
        *column,
        "fully right %",
        "won, tied, lost",
    )
    rows = [
        (
            _name(row),
            str(row.score.n),
            percent(row.score),
            points(row.difference) + starred(row.p_holm) * (not p_values) if row.difference else "reference",
            *(p_text(row.p_holm) for _ in column),
            percent(row.whole),
            f"{row.wins}-{row.ties}-{row.losses}" if row.wins + row.ties + row.losses else "",
        )
        for row in summary.rows
    ]
    title = f"Quality (n: examples, {summary.config.seeds} answer{'s' * (summary.config.seeds > 1)} each)"
    return TextTable(title, heads, tuple(rows), note=" ".join(_quality_notes(summary)))


def _quality_notes(summary: Summary) -> list[str]:
    tested = sum(row.p_holm is not None for row in summary.rows)
    told = []
    if tested:
        told.append(
            f"* p below {ALPHA} by a sign-flip test of the difference, adjusted by Holm for {tested} comparisons."
        )
    if any(row.wins + row.ties + row.losses for row in summary.rows):
        told.append("Won, tied, lost: against the best candidate of its own pool.")
    return told


def aspect_table(summary: Summary) -> TextTable:
    """Means of the further scores that the task gives an answer, such as those of other metrics."""
    names = sorted({name for row in summary.rows for name in row.aspects})
    rows = [
        (_name(row), *(f"{100 * row.aspects[name]:.1f}" if name in row.aspects else "" for name in names))
        for row in summary.rows
    ]
    return TextTable("Further scores, %", ("strategy", *names), tuple(rows) if names else ())


def cost_table(summary: Summary, *, by_role: bool = True) -> TextTable:
    """Means per answer: calls, sequential depth, tokens in and out (also by role), and seconds."""
    roles = [role for role in ROLES if by_role and any(role in row.usage for row in summary.rows)]
    money = ("USD",) if any(row.cost_usd for row in summary.rows) else ()
    heads = (
        "strategy",
        "calls",
        "depth",
        "tokens in",
        "tokens out",
        *(f"{role} in/out" for role in roles),
        *money,
        "seconds",
    )
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
            percent(pool.single),
            percent(pool.oracle),
            percent(pool.oracle_whole),
            _beta(pool.beta, pool.beta_upper),
        )
        for pool in summary.pools
    ]
    return TextTable("Pools (the oracle uses the right answers; beta: no candidate fully right)", heads, tuple(rows))


def pass_table(summary: Summary) -> TextTable:
    """How often at least one of k candidates is fully right: what choosing among k could reach at best."""
    most = max((pool.n for pool in summary.pools), default=0)
    rows = [
        (pool.name, *(f"{100 * value:.1f}" for value in pool.pass_at), *[""] * (most - pool.n))
        for pool in summary.pools
    ]
    return TextTable(
        "At least one of k candidates fully right, %", ("pool", *(f"k={k}" for k in range(1, most + 1))), tuple(rows)
    )


def notes(summary: Summary) -> tuple[str, ...]:
    """What a reader of the tables must know: unfinished, failed and fallen-back answers.

    The last of them says what share of the headroom was recovered.
    """
    lines = []
    if summary.found < summary.expected:
        lines.append(f"Unfinished: {summary.found} of {summary.expected} records.")
    if summary.set_aside:
        lines.append(f"{summary.set_aside} rows of the task were not asked, because their right answer cannot be read.")
    for row in summary.rows:
        if row.failures:
            lines.append(f"{row.strategy.name}: {row.failures} answers failed and count as 0.")
        if row.fallbacks:
            lines.append(f"{row.strategy.name}: {row.fallbacks} answers fell back to a candidate.")
    return (*lines, *map(str, headrooms(summary)))


def to_markdown(summary: Summary, verdict: str, more: Iterable[TextTable] = ()) -> str:
    """The verdict, all tables that have rows, and the notes as one Markdown text."""
    quality = quality_table(summary, p_values=True)
    tables = (quality, aspect_table(summary), cost_table(summary), pool_table(summary), pass_table(summary), *more)
    blocks = [
        f"{table.title}\n\n{table.markdown()}" + (f"\n\n{table.note}" if table.note else "")
        for table in tables
        if table.rows
    ]
    return "\n\n".join([f"**{verdict}**", *blocks, *notes(summary)]) + "\n"


def _name(row: Row) -> str:
    return f"{row.strategy.name} (uses the answers)" if row.strategy.role == "oracle" else row.strategy.name


def _in_out(usage: MeanUsage | None) -> str:
    return f"{usage.tokens_in:.0f}/{usage.tokens_out:.0f}" if usage else ""


def _beta(beta: float, upper: float) -> str:
    return f"{beta:.3f} ({upper:.3f})"
