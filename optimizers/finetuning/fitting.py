"""Rows that fit the model: each is measured in its tokens, and none is ever cut.

A row with too many proposals is refused, or, when that is asked for, rewritten with as few of them left out as it
takes: the longest first. What is known to be too long is refused early: a prompt before proposals are drawn for it, and
one with its proposals before an answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.pools.candidates import Candidate

from ..tuning.scores.objective import example_digest
from .aggregation_rows import RowWriter
from .files.training_row import TrainingRow
from .gathering import Gathering

_LONGEST = 5  # prompts that are measured before anything is drawn

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

    def foresee(self, place: int, row: TrainingRow, model: str) -> None:
        """Raises as :meth:`check` does for a row whose prompt alone, which is shown here, is too long."""
        size = self.tokens(row)
        if size > self.limit and not (self.drops and row.proposals > 1):
            self.overlong.append((place, size, row.proposals))
            self.check(model)

    def check(self, model: str) -> None:
        """Raises ``ConfigurationError`` when a row was too long; says by how much, and what can be done."""
        if not self.overlong:
            return
        place, size, proposals = max(self.overlong, key=lambda sizes: sizes[1])
        shown = f" with its {proposals} proposals" if proposals else ""
        cure = "leave it out, or take a model with a longer context"
        if proposals and not self.drops:
            cure = "too_long='drop_proposals' leaves out as few proposals as it takes"
        raise ConfigurationError(
            f"{len(self.overlong)} row(s) are too long for {model}, which takes {self.limit} tokens: that of example"
            f" {place} has {size}{shown}, {size - self.limit} too many; {cure}"
        )


def foresee(
    fitter: Fitter, model: str, examples: Sequence[dspy.Example], gathering: Gathering, writer: RowWriter
) -> None:
    """Measures the longest prompts at once, and every prompt as soon as its proposals are there.

    Raises:
        ConfigurationError: one is too long, and nothing can be left out of it.
    """
    shows = gathering.objective.shows_proposals
    places = {example_digest(example): place for place, example in enumerate(examples)}

    def check(example: dspy.Example, shown: Sequence[Candidate]) -> None:
        prompt = writer.prompt(example.inputs().toDict(), shown if shows else None)
        fitter.foresee(places[example_digest(example)], TrainingRow(prompt, "", len(shown)), model)

    for example in sorted(examples, key=lambda one: -len(str(one.inputs().toDict())))[:_LONGEST]:
        check(example, ())
    if shows:
        gathering.on_proposals = check
