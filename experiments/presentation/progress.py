"""What a person sees while something works: a bar on a terminal, and anywhere else a line now and then."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class Stages:
    """What a person sees of work in several stages, one after another: a view for each, which ends with the stage."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._stage, self._view = "", None
        self._lock = threading.RLock()

    def advance(self, stage: str, done: int, total: int, counts: str = "") -> None:
        """So many of a stage are done; ``counts`` says what else is known."""
        with self._lock:
            if stage != self._stage:
                self.close()
                self._stage, self._view = stage, ProgressView(self.console, stage, total=total).__enter__()
            if self._view is not None:
                self._view.total = total
                self._view.advance(counts, done=done)
            if done >= total:
                self.close()

    def close(self) -> None:
        """Ends the view of the stage that was begun last."""
        if self._view is not None:
            self._view.__exit__(None, None, None)
        self._view = None


class ProgressView:
    """Counts what is done of all there is, and says what else is known. Thread-safe.

    Args:
        console: where it is shown.
        what: the things that are counted, such as ``records``.
        total: how many there will be; None where that is not known.
        done: how many there are already.
        every_seconds: how far apart lines are where there is no terminal.
    """

    def __init__(
        self,
        console: Console,
        what: str,
        *,
        total: int | None,
        done: int = 0,
        every_seconds: float = _SECONDS_BETWEEN_LINES,
    ) -> None:
        self.console, self.what, self.total, self.done = console, what, total, done
        self.failures = 0
        self._counts, self._said, self._every = "", "", every_seconds
        self._started = self._last_line = time.monotonic()
        self._lock = threading.RLock()
        columns = (BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console) if console.is_terminal else None
        self._task = self._bar.add_task(what, total=total, completed=done) if self._bar else None

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif self._line() != self._said:
            self.show(self._line())

    @property
    def seconds(self) -> float:
        """Since it was made; more than 0."""
        return max(1e-9, time.monotonic() - self._started)

    def advance(self, counts: str = "", *, done: int | None = None) -> None:
        """One more is done, or so many are; ``counts`` says what else is known."""
        with self._lock:
            self.done = self.done + 1 if done is None else done
            self._counts = counts
            if self._bar and self._task is not None:
                text = f"{self.what}  {counts}"
                self._bar.update(self._task, completed=self.done, total=self.total, description=text)
            elif time.monotonic() - self._last_line >= self._every:
                self._last_line, self._said = time.monotonic(), self._line()
                self.show(self._said)

    def fail(self, text: str) -> None:
        """Counts a failure; the first is shown at once."""
        with self._lock:
            self.failures += 1
            if self.failures == 1:
                self.show(f"first failure: {text}", style="yellow")

    def show(self, line: str, *, style: str = "") -> None:
        """Prints a line, above the bar where there is one."""
        self.console.print(line, style=style or None, markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> str:
        counts = f", {self._counts}" if self._counts else ""
        return f"{self.done}/{'?' if self.total is None else self.total} {self.what}{counts}"
