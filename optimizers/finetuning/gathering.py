"""What rows are made of: per example its proposals, and what is to be learned.

Kept on disk, so that several objectives can share it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, FusionError, FusorFailed, QuorumNotMet
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate

from ..tuning.objective import example_digest
from .collected import Collected, Failures
from .objectives import Objective
from .proposals import Proposal, Proposals, as_candidate
from .references import FusorReferences, GoldReferences, References
from .training_progress import FineTuningProgress, Stage


@dataclass(frozen=True)
class Material:
    """What a row is made of."""

    example: dspy.Example
    shown: tuple[Candidate, ...]
    outputs: Mapping[str, Any]


@dataclass
class Gathering:
    """Collects the proposals and targets of a training set.

    Attributes:
        fusing: the program whose fusor is trained.
        proposals: where proposals come from.
        references: where what is to be learned comes from.
        objective: what rows are made of.
        folder: where they are kept.
        threads: examples at once.
        tolerated: share of the examples on which a model may fail.
        on_progress: called after each example.
        failed: how many were left out, once :meth:`collect` is through.
    """

    fusing: FusingProgram
    proposals: Proposals
    references: References
    objective: Objective
    folder: Path
    threads: int
    tolerated: float
    on_progress: Callable[[FineTuningProgress], None]
    failed: int = field(default=0, init=False)

    def check(self, examples: Sequence[dspy.Example]) -> None:
        """Raises ``ConfigurationError`` for what can be known to fail before any model is asked."""
        if not examples:
            raise ConfigurationError("the training set is empty; give examples with inputs")
        if self.objective.target == "direct" and not isinstance(self.references, FusorReferences):
            raise ConfigurationError(
                "objective='pseudo_aggregation' learns a stronger model's own answers; give it:"
                " references=FusorReferences(lm)"
            )
        if self.objective.target == "best" and not self.proposals.scored:
            raise ConfigurationError(
                "objective='sft' learns the best proposal, but the proposals have no scores; give SampledProposals a"
                " scorer, or GivenProposals(scores='...') the field they are in"
            )
        if self._needs_proposals:
            self.proposals.check(examples, self.fusing.signature)
        if self.objective.target == "reference":
            self.references.check(examples, self.fusing.signature)

    def collect(self, examples: Sequence[dspy.Example]) -> Iterator[Material]:
        """Makes what is missing, stage by stage, then yields what each example's row is made of.

        Raises:
            QuorumNotMet: proposals failed for more examples than tolerated.
            FusorFailed: references did.
            RecordError: the folder cannot be written.
        """
        by_key = {example_digest(example): example for example in examples}
        proposals = self._proposals(by_key) if self._needs_proposals else None
        drawn = {key: example for key, example in by_key.items() if proposals is None or key in proposals}
        targets = self._targets(drawn, proposals)
        made = [key for key in drawn if targets is None or key in targets]
        self.failed = len(by_key) - len(made)
        for key in made:
            shown = self._shown(drawn[key], key, proposals) if self.objective.shows_proposals else ()
            yield Material(drawn[key], shown, _best(proposals, key) if targets is None else targets[key])

    @property
    def _needs_proposals(self) -> bool:
        made_from_them = self.objective.target == "reference" and not isinstance(self.references, GoldReferences)
        return self.objective.shows_proposals or self.objective.target == "best" or made_from_them

    def about(self) -> dict[str, Any]:
        """What the rows depend on beside the examples."""
        program = {"fusor": _digest(self.fusing.fusor), "task": _digest(self.fusing.program)}
        program |= {"seed": self.fusing.seed, "shuffle": self.fusing.shuffle.value}
        adapter = type(dspy.settings.adapter or dspy.ChatAdapter()).__name__
        return {**program, "adapter": adapter, **self.proposals.about(), **self.references.about()}

    def _proposals(self, by_key: Mapping[str, dspy.Example]) -> Collected:
        about = {name: self.about()[name] for name in ("task", "adapter", "proposals")}

        def make(key: str) -> list[dict[str, Any]]:
            return [
                asdict(proposal)
                for proposal in self.proposals.of(by_key[key], self.fusing.program, self.fusing.signature)
            ]

        return self._fill("proposals", about, by_key, make, QuorumNotMet)

    def _targets(self, by_key: Mapping[str, dspy.Example], proposals: Collected | None) -> Collected | None:
        references = self.references
        if self.objective.target == "best":
            return None
        if self.objective.target == "direct" and isinstance(references, FusorReferences):
            about = {name: self.about()[name] for name in ("task", "adapter", "references")}
            return self._fill(
                "direct answers", about, by_key, lambda key: references.direct(by_key[key], self.fusing), FusorFailed
            )

        def make(key: str) -> dict[str, Any]:
            return references.of(by_key[key], self._shown(by_key[key], key, proposals), self.fusing)

        return self._fill("references", self.about(), by_key, make, FusorFailed)

    def _fill(
        self,
        stage: Stage,
        about: Mapping[str, Any],
        by_key: Mapping[str, dspy.Example],
        make: Callable[[str], Any],
        error: type[FusionError],
    ) -> Collected:
        kept = Collected(self.folder / f"{stage.replace(' ', '_')}.jsonl", about)
        failures = Failures(stage, round(self.tolerated * len(by_key)), error)
        kept.fill(
            by_key,
            make,
            threads=self.threads,
            failures=failures,
            on_kept=lambda done: self.on_progress(FineTuningProgress(stage, done, len(by_key))),
        )
        return kept

    def _shown(self, example: dspy.Example, key: str, proposals: Collected | None) -> tuple[Candidate, ...]:
        if proposals is None:
            return ()
        candidates = [as_candidate(index, Proposal(**read)) for index, read in enumerate(proposals[key])]
        return tuple(self.fusing.order(example.inputs().toDict(), candidates, 0))


def _best(proposals: Collected | None, key: str) -> Mapping[str, Any]:
    return {} if proposals is None else proposals[key][0]["outputs"]  # they are kept best first


def _digest(module: dspy.Module) -> str:
    state = {name: part.dump_state() for name, part in module.named_parameters()}
    text = json.dumps([type(module).__qualname__, state], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
