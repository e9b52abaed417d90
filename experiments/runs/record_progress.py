"""What a comparison shows while it works."""

from __future__ import annotations

from rich.console import Console

from ..presentation.progress import ProgressView
from ..records.record import Record


class RunProgress(ProgressView):
    """Counts records as they come in: done of all, calls made, candidates replayed, calls a second, failures.

    Args:
        console: where it is shown.
        total: how many records the finished run has.
        done: how many there are already.
    """

    def __init__(self, console: Console, *, total: int, done: int = 0) -> None:
        super().__init__(console, "records", total=total, done=done)
        self.calls = self.replayed = 0

    def add(self, record: Record) -> None:
        """Counts one more record; the first failure is shown at once."""
        with self._lock:
            self.calls += record.calls_made
            self.replayed += record.total.calls - record.calls_made
            if record.error:
                self.fail(f"{record.strategy}, {record.example}: {record.error}")
            failed = f", {self.failures} failed" if self.failures else ""
            rate = f"{self.calls / self.seconds:.1f} calls/s{failed}"
            self.advance(f"{self.calls} calls made, {self.replayed} replayed, {rate}")
