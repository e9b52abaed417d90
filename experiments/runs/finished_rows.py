"""The table of a comparison while it fills: a strategy's row is shown as soon as its last answer is recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from ..plans.strategies import Strategy
from ..presentation.text_table import percent
from ..records.record import Record, scores_of
from ..statistics.intervals import mean_interval

_HEADS = ("score % [95 %]", "fully right %", "calls", "tokens in/out")


class FinishedRows:
    """Collects records and shows each strategy once, when it has seen every example: those numbers are final.

    Thread-safe. Points of N curves have no row.

    Args:
        plan: the strategies of the comparison.
        answers: how many records each of them has when it is finished.
        show: is called with one line of text at a time.
        records: what was recorded before; strategies that are finished are shown at once.
    """

    def __init__(
        self, plan: Sequence[Strategy], answers: int, show: Callable[[str], None], records: Iterable[Record] = ()
    ) -> None:
        self._answers, self._show = answers, show
        self._records: dict[str, dict[tuple[str, int], Record]] = {s.name: {} for s in plan if not s.curve_of}
        self._shown: set[str] = set()
        self._width = max(map(len, self._records), default=0)
        self._lock = threading.Lock()
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Counts a record; the last one of its strategy shows the row."""
        rows = self._records.get(record.strategy)
        if rows is None:
            return
        with self._lock:
            rows[record.example, record.seed] = record.numbers
            if len(rows) < self._answers or record.strategy in self._shown:
                return
            if not self._shown:
                self._show(self._line("finished so far", _HEADS))
            self._shown.add(record.strategy)
            self._show(self._line(record.strategy, _cells(list(rows.values()))))

    def _line(self, name: str, cells: Sequence[str]) -> str:
        return f"{name:<{self._width}}  {cells[0]:>18}  {cells[1]:>18}  {cells[2]:>5}  {cells[3]:>13}"


def _cells(records: Sequence[Record]) -> tuple[str, ...]:
    groups = {record.example: record.group for record in records if record.group}
    score = mean_interval(scores_of(records), strata=groups)
    whole = mean_interval(scores_of(records, lambda record: float(record.score == 1)), strata=groups)
    total = [record.total for record in records]
    calls, tokens_in, tokens_out = (
        sum(getattr(usage, name) for usage in total) / len(total) for name in ("calls", "tokens_in", "tokens_out")
    )
    failures = sum(record.error is not None for record in records)
    failed = f"  {failures} failed" if failures else ""
    return percent(score), percent(whole), f"{calls:.1f}", f"{tokens_in:.0f}/{tokens_out:.0f}{failed}"
