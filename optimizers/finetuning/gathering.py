"""What rows are made of: per example its proposals, and what is to be learned.

Kept on disk, so that several objectives can share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError, FusionError, FusorFailed, QuorumNotMet
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.trained_fusor import adapter_state

from ..tuning.scores.objective import example_digest
from .aggregation_preferences import Preferences
from .aggregation_rows import present_adapter
from .files.collected import Collected, Failures
from .files.identities import program_digest
from .objectives import Objective
from .proposals import Proposal, Proposals, as_candidate
from .references import FusorReferences, References, unsaid_outputs
from .training_progress import FineTuningProgress, Stage


@dataclass(frozen=True)
class Material:
    """What a row is made of."""

    example: dspy.Example
    shown: tuple[Candidate, ...]
    outputs: Mapping[str, Any]
    rejected: Mapping[str, Any] | None = None


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
        preferences: how aggregations are told apart, where one is learned as better than another.
        on_proposals: told the proposals of an example as soon as they are there, in the order they are shown in.
        failed: how many were left out because a model failed, once :meth:`collect` is through.
        unexplained: how many were left out because nothing led to their answers.
        unpaired: how many were left out because no aggregation is better than another.
        merged: how many were left out because they equal another.
    """

    fusing: FusingProgram
    proposals: Proposals
    references: References
    objective: Objective
    folder: Path
    threads: int
    tolerated: float
    on_progress: Callable[[FineTuningProgress], None]
    preferences: Preferences | None = None
    on_proposals: Callable[[dspy.Example, Sequence[Candidate]], None] | None = field(default=None, init=False)
    failed: int = field(default=0, init=False)
    unexplained: int = field(default=0, init=False)
    unpaired: int = field(default=0, init=False)
    merged: int = field(default=0, init=False)

    def check(self, examples: Sequence[dspy.Example]) -> None:
        """Raises ``ConfigurationError`` for what can be known to fail before any model is asked."""
        if not self.fusing.signature.output_fields:
            raise ConfigurationError(
                f"{type(self.fusing.program).__name__} does not say what it answers with, so what is to be learned is"
                " not clear; pass the program signature='inputs -> outputs' for the task as a whole"
            )
        _check_inputs(examples, self.fusing.signature)
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
        if self.objective.method != "sft" and self.preferences is None:
            raise ConfigurationError(
                f"objective={self.objective.name!r} needs to know which answer is better; give it:"
                " preferences=Preferences(scorer=...)"
            )
        if self._needs_proposals(examples):
            optional = [] if self.objective.target == "best" else unsaid_outputs(examples, self.fusing.signature)
            self.proposals.check(examples, self.fusing.signature, optional)
        if self.objective.target == "reference":
            self.references.check(examples, self.fusing.signature)

    def collect(self, examples: Sequence[dspy.Example]) -> Iterator[Material]:
        """Makes what is missing, stage by stage, then yields what each example's row is made of.

        Raises:
            ConfigurationError: no example has anything that could be learned.
            QuorumNotMet: proposals failed for more examples than tolerated.
            FusorFailed: references did.
            RecordError: the folder cannot be written.
        """
        by_key = {example_digest(example): example for example in examples}
        self.merged = len(examples) - len(by_key)
        proposals = self._proposals(by_key) if self._needs_proposals(examples) else None
        ready = {key: example for key, example in by_key.items() if proposals is None or key in proposals}
        targets = self._targets(ready, proposals)
        made = [key for key in ready if targets is None or key in targets]
        self.failed = len(by_key) - len(made)
        rows = 0
        for key in made:
            outputs = _best(proposals, key) if targets is None else targets[key]
            is_pair = self.objective.target == "pair"
            if outputs is None:
                if is_pair:
                    self.unpaired += 1
                else:
                    self.unexplained += 1
                continue
            shown = self._shown(ready[key], key, proposals) if self.objective.shows_proposals else ()
            rows += 1
            if is_pair:
                yield Material(ready[key], shown, outputs["chosen"], outputs["rejected"])
            else:
                yield Material(ready[key], shown, outputs)
        if not rows and self.unpaired:
            raise ConfigurationError(
                f"none of {len(made)} examples has two aggregations of which one is better; draw more"
                " (Preferences(draws=...)), at a higher temperature, or take another scorer"
            )
        if not rows:
            raise ConfigurationError(
                f"none of {len(made)} examples has a reasoning that leads to its answer: no proposal and no stronger"
                " model is right; take GoldReferences(reasoning='leave_out'), or other proposals"
            )

    def _needs_proposals(self, examples: Sequence[dspy.Example]) -> bool:
        unsaid = unsaid_outputs(examples, self.fusing.signature)
        made_from_them = self.objective.target == "reference" and self.references.needs_proposals(unsaid)
        return self.objective.shows_proposals or self.objective.target == "best" or made_from_them

    def about(self) -> dict[str, Any]:
        """What the rows depend on beside the examples."""
        compared = {} if self.preferences is None else self.preferences.about()
        return {**self._about_references(), **compared}

    def _about_references(self) -> dict[str, Any]:
        """What an answer to be learned depends on, so that other objectives can share it."""
        program = {"fusor": program_digest(self.fusing.fusor), "task": program_digest(self.fusing.program)}
        program |= {"seed": self.fusing.seed, "shuffle": self.fusing.shuffle.value}
        adapter = adapter_state(present_adapter())
        return {**program, "adapter": adapter, **self.proposals.about(), **self.references.about()}

    def _proposals(self, by_key: Mapping[str, dspy.Example]) -> Collected:
        about = {name: self.about()[name] for name in ("task", "adapter", "proposals")}
        task, program = self.fusing.signature, self.fusing.program
        optional = [] if self.objective.target == "best" else unsaid_outputs(list(by_key.values()), task)

        def make(key: str) -> list[dict[str, Any]]:
            proposals = self.proposals.of(by_key[key], program, task, optional)
            if self.on_proposals is not None:
                self.on_proposals(by_key[key], self._ordered(by_key[key], proposals))
            return [asdict(proposal) for proposal in proposals]

        return self._fill("proposals", about, by_key, make, QuorumNotMet)

    def _targets(self, by_key: Mapping[str, dspy.Example], proposals: Collected | None) -> Collected | None:
        references = self.references
        if self.objective.target == "best":
            return None
        if self.objective.target == "pair" and (preferences := self.preferences) is not None:
            return self._fill(
                "preferences",
                self.about(),
                by_key,
                lambda key: preferences.pair(by_key[key], self._shown(by_key[key], key, proposals), self.fusing),
                FusorFailed,
            )
        if self.objective.target == "direct" and isinstance(references, FusorReferences):
            about = {name: self.about()[name] for name in ("task", "adapter", "references")}
            return self._fill(
                "direct answers", about, by_key, lambda key: references.direct(by_key[key], self.fusing), FusorFailed
            )

        def make(key: str) -> dict[str, Any] | None:
            return references.of(by_key[key], self._shown(by_key[key], key, proposals), self.fusing)

        return self._fill("references", self._about_references(), by_key, make, FusorFailed)

    def _fill(
        self,
        stage: Stage,
        about: Mapping[str, Any],
        by_key: Mapping[str, dspy.Example],
        make: Callable[[str], Any],
        error: type[FusionError],
    ) -> Collected:
        kept = Collected(self.folder / f"{stage.replace(' ', '_')}.jsonl", about)
        failures = Failures(stage, round(self.tolerated * len(by_key)), error, f"tolerated_failures={self.tolerated:g}")
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
        return self._ordered(example, [Proposal(**read) for read in proposals[key]])

    def _ordered(self, example: dspy.Example, proposals: Sequence[Proposal]) -> tuple[Candidate, ...]:
        candidates = [as_candidate(index, proposal) for index, proposal in enumerate(proposals)]
        return tuple(self.fusing.order(example.inputs().toDict(), candidates, 0))


def _best(proposals: Collected | None, key: str) -> Mapping[str, Any]:
    return {} if proposals is None else proposals[key][0]["outputs"]  # they are kept best first


def _check_inputs(examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
    if not examples:
        raise ConfigurationError("the training set is empty; give examples with inputs")
    for place, example in enumerate(examples):
        where = f"example {place} of the training set"
        if not isinstance(example, dspy.Example):
            raise ConfigurationError(f"{where} is a {type(example).__name__}, not a dspy.Example")
        try:
            inputs = example.inputs()
        except ValueError as error:
            raise ConfigurationError(
                f"{where} has no inputs; name them: example.with_inputs({', '.join(map(repr, task.input_fields))})"
            ) from error
        if missing := [name for name in task.input_fields if name not in inputs]:
            raise ConfigurationError(
                f"{where} lacks the task's input {missing[0]!r}; its inputs are {', '.join(inputs.keys()) or 'none'}"
            )
