"""Rows that fit the model: each is measured in its tokens, and none is ever cut.

A row with too many proposals is refused, or, when that is asked for, rewritten with as few of them left out as it
takes: the longest first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.pools.candidates import Candidate

from .training_row import TrainingRow

WriteRow = Callable[[Sequence[Candidate]], TrainingRow]


@dataclass
class Fitter:
    """Measures rows and remembers what it found.

    Attributes:
        tokens: counts a row's tokens.
        limit: how many a row may have.
        drops: whether proposals may be left out.
        longest: tokens of the longest row that was let through.
        dropped: how many proposals were left out.
        overlong: for each row that was refused, its example's place, its tokens and its proposals.
    """

    tokens: Callable[[TrainingRow], int]
    limit: int
    drops: bool = False
    longest: int = 0
    dropped: int = 0
    overlong: list[tuple[int, int, int]] = field(default_factory=list)

    def fit(self, place: int, shown: Sequence[Candidate], write: WriteRow) -> TrainingRow | None:
        """The row of an example, or None where it is too long; ``write`` makes it from the proposals that are shown."""
        kept = list(shown)
        row = write(kept)
        size = self.tokens(row)
        first = (place, size, row.proposals)
        while size > self.limit and self.drops and len(kept) > 1:
            kept.remove(max(kept, key=lambda candidate: len(str(candidate.prediction))))
            row = write(kept)
            size = self.tokens(row)
        if size > self.limit:
            self.overlong.append(first)
            return None
        self.dropped += len(shown) - len(kept)
        self.longest = max(self.longest, size)
        return row

    def check(self, model: str) -> None:
        """Raises ``ConfigurationError`` when a row was too long; says by how much, and what can be done."""
        if not self.overlong:
            return
        place, size, proposals = max(self.overlong, key=lambda found: found[1])
        shown = f" with its {proposals} proposals" if proposals else ""
        cure = "leave it out, or take a model with a longer context"
        if proposals and not self.drops:
            cure = "too_long='drop_proposals' leaves out as few proposals as it takes"
        raise ConfigurationError(
            f"{len(self.overlong)} row(s) are too long for {model}, which takes {self.limit} tokens: that of example"
            f" {place} has {size}{shown}, {size - self.limit} too many; {cure}"
        )
