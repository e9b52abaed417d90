"""What a run shows while it works: a bar on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..records.record import Record

_SECONDS_BETWEEN_LINES = 15.0


class RunProgress:
    """Counts records as they come in: done of all, calls made, candidates replayed, calls a second, failures.

    Thread-safe.

    Args:
        console: where it is shown.
        total: how many records the finished run has.
        done: how many there are already.
    """

    def __init__(self, console: Console, *, total: int, done: int = 0) -> None:
        self.console, self.total, self.done = console, total, done
        self.calls = self.replayed = self.failed = 0
        self._started = self._last_line = time.monotonic()
        self._lock = threading.Lock()
        self._bar = _bar(console) if console.is_terminal else None
        self._task: TaskID | None = (
            self._bar.add_task("", total=total, completed=done, counts="") if self._bar else None
        )

    def __enter__(self) -> RunProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            self.console.print(self._line(), highlight=False)

    def add(self, record: Record) -> None:
        """Counts one more record; the first failure is shown at once."""
        with self._lock:
            self.done += 1
            self.calls += record.calls_made
            self.replayed += record.total.calls - record.calls_made
            self.failed += record.error is not None
            if record.error and self.failed == 1:
                self.console.print(
                    f"first failure: {record.strategy}, {record.example}: {record.error}",
                    style="yellow",
                    markup=False,
                    soft_wrap=True,
                )
            self._show()

    def show(self, line: str) -> None:
        """Prints a line of text, above the bar where there is one."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @property
    def counts(self) -> str:
        """What has been done so far, in words."""
        rate = self.calls / max(1e-9, time.monotonic() - self._started)
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.calls} calls made, {self.replayed} replayed, {rate:.1f} calls/s{failed}"

    def _show(self) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=self.done, counts=self.counts)
        elif time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            self.console.print(self._line(), highlight=False)

    def _line(self) -> str:
        return f"{self.done}/{self.total} records, {self.counts}"


def _bar(console: Console) -> Progress:
    columns = (
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("records  {task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=False)
