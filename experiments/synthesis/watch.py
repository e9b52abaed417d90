"""Watch: ends a synthesis early when a model that it needs has never answered, or a fusor has always refused."""

from __future__ import annotations

from dataclasses import dataclass

from dspy_fusion.programs.errors import RecordError

from .refusals import RefusalGate
from .synthesized_rows import Row

PATIENCE = 12
"""How many failures without one success are enough."""


@dataclass
class _Count:
    good: int = 0
    bad: int = 0
    last: str = ""


class Watch:
    """Counts, per model and role, what came of its calls since the process began.

    Args:
        refusals: tells a refusal; None counts no refusals.
    """

    def __init__(self, refusals: RefusalGate | None) -> None:
        self.refusals = refusals
        self._counts: dict[str, _Count] = {}

    def add(self, row: Row) -> None:
        """Counts a row that has been written down.

        Raises:
            RecordError: a teacher, the scorer or the fusor failed on every row so far, or the fusor refused; with the
                last cause.
        """
        for candidate in row.candidates:
            self._add(f"the teacher {candidate.teacher!r} failed", candidate.error)
        if any(candidate.text for candidate in row.candidates) and (row.scorer_error or row.best is not None):
            self._add("the scorer failed", row.scorer_error)
        if row.fused is not None:
            self._add(f"the fusor {row.fused.fusor!r} failed", row.fused.error)
            if self.refusals is not None and row.fused.text is not None:
                refused = self.refusals.found(row.fused.text)
                self._add(f"the fusor {row.fused.fusor!r} refused", refused and f"{row.fused.text[:200]!r}")

    def _add(self, what: str, error: str | None) -> None:
        count = self._counts.setdefault(what, _Count())
        if error is None:
            count.good += 1
            return
        count.bad, count.last = count.bad + 1, error
        if not count.good and count.bad >= PATIENCE:
            raise RecordError(
                f"{what} on all of the first {count.bad} rows, the last time with {' '.join(error.split())}; "
                "finished rows are kept: mend that and run the same command with --retry-failed"
            )
