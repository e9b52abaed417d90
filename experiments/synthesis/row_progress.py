"""What a synthesis shows while it works: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .synthesized_rows import Row

_SECONDS_BETWEEN_LINES = 15.0


class SynthesisProgress:
    """Counts rows as they come in.

    Args:
        console: where it is shown.
        total: how many rows the finished synthesis has; None where that is not known.
        done: how many there are already.
    """

    def __init__(self, console: Console, *, total: int | None, done: int) -> None:
        self.console, self.total, self.done = console, total, done
        self.calls = self.made = self.failed = 0
        self._started = self._last_line = time.monotonic()
        columns = (
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("rows  {task.fields[counts]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console) if console.is_terminal else None
        self._task = self._bar.add_task("", total=total, completed=done, counts="") if self._bar else None

    def __enter__(self) -> SynthesisProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            self.console.print(self.line, highlight=False)

    def add(self, row: Row) -> None:
        """Counts one more row; the first failure is shown at once."""
        self.done, self.made = self.done + 1, self.made + 1
        self.calls += sum(usage.calls for usage in row.usage.values())
        self.failed += bool(row.failures)
        if row.failures and self.failed == 1:
            text = f"first failure: {row.where}: {row.failures[0]}"
            self.console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done, counts=self._counts)
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.console.print(self.line, highlight=False)

    @property
    def line(self) -> str:
        """What has been done so far, in words."""
        return f"{self.done}/{self.total if self.total is not None else '?'} rows, {self._counts}"

    @property
    def _counts(self) -> str:
        seconds = max(1e-9, time.monotonic() - self._started)
        failed = f", {self.failed} with a failure" if self.failed else ""
        return f"{self.made / seconds:.1f} rows/s, {self.calls / seconds:.1f} calls/s{failed}"
