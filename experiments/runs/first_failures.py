"""Giving up where nothing works: a comparison whose first answers all fail would spend money on failures alone."""

from __future__ import annotations

import threading
from typing import NoReturn

from dspy_fusion.programs.errors import RecordError

from ..records.record import Record

FAILURES_TO_GIVE_UP = 12


class FirstFailures:
    """Counts the failures before the first success. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[str] = []
        self._past = False

    @property
    def is_past(self) -> bool:
        """Whether something has succeeded."""
        return self._past

    def check(self, record: Record) -> None:
        """Takes note of a record.

        Raises:
            RecordError: so many failed, and nothing has succeeded yet.
        """
        with self._lock:
            if record.error is None:
                self._past = True
            if self._past or record.error is None:
                return
            self._failures.append(record.error)
            if len(self._failures) < FAILURES_TO_GIVE_UP:
                return
        self._give_up("the first ")

    def check_end(self) -> None:
        """Raises ``RecordError`` where there were failures and nothing succeeded, however few they were."""
        if self._failures and not self._past:
            self._give_up("")

    def _give_up(self, which: str) -> NoReturn:
        raise RecordError(
            f"{which}{len(self._failures)} answers all failed, the last with {self._failures[-1]}; "
            "mend that and run the same command with --retry-failed"
        )
