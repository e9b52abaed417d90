"""What a study shows while it works: one line after each trial, which a terminal keeps in place."""

from __future__ import annotations

import math
import threading
from types import TracebackType

from rich.console import Console
from rich.status import Status

from dspy_fusion.optimizers import Progress


class TuningProgress:
    """Tells where a study stands: trials, the best score, trials raced out, requests that the bank saved,
    the budget left. Thread-safe.

    Args:
        console: where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._status: Status | None = console.status("scoring the program as it is") if console.is_terminal else None
        self._lock = threading.Lock()

    def __enter__(self) -> TuningProgress:
        if self._status:
            self._status.start()
        else:
            self.console.print("scoring the program as it is", highlight=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def add(self, progress: Progress) -> None:
        """Shows where the study stands after a trial; a failed trial is named with its cause."""
        with self._lock:
            if progress.trial.state == "failed":
                text = f"trial {progress.trial.number} failed: {progress.trial.cause}"
                self.console.print(text, style="yellow", markup=False, soft_wrap=True)
            if self._status:
                self._status.update(progress_line(progress))
            else:
                self.console.print(progress_line(progress), highlight=False, soft_wrap=True)


def progress_line(progress: Progress) -> str:
    """Where a study stands, in one line."""
    best = "-" if math.isnan(progress.best) else f"{100 * progress.best:.1f} %"
    saved = progress.replayed.calls / max(1, progress.replayed.calls + progress.spent.calls)
    return (
        f"{progress.finished}/{progress.wanted} trials, best {best}, {progress.dropped} raced out,"
        f" {progress.spent.calls} requests made, {progress.replayed.calls} saved by the bank ({100 * saved:.0f} %),"
        f" budget left: {progress.budget_left}"
    )
