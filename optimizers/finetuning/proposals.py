"""Where proposals come from, and those that are given with the examples (off-policy)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Unpack

import dspy
from pydantic import ValidationError

from dspy_fusion.programs.calls.drawing import Steps
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.options import SamplingOptions
from dspy_fusion.programs.pools.candidates import Candidate, Pool, PooledPrediction
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.scorers.scorer import Reward, Scorer, as_scorer, check_scored
from dspy_fusion.programs.tasks.signatures import plain, typed

from .files.identities import scorer_identity
from .settings import whole


@dataclass(frozen=True)
class Proposal:
    """A draft answer: its output fields as plain data, its score where one is known, and who wrote it."""

    outputs: Mapping[str, Any]
    score: float | None = None
    source: str = ""


class Proposals(Protocol):
    """A way to get the proposals of an example."""

    @property
    def scored(self) -> bool:
        """Whether the proposals have scores."""
        ...

    def about(self) -> dict[str, Any]:
        """What the proposals depend on, as plain data."""
        ...

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature], optional: Sequence[str] = ()) -> None:
        """Raises ``ConfigurationError`` for examples that can have no proposals; calls no model.

        ``optional`` outputs, such as a reasoning that no example has, may be missing in a proposal.
        """
        ...

    def of(
        self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature], optional: Sequence[str] = ()
    ) -> list[Proposal]:
        """The proposals of an example, best first where they have scores."""
        ...


@dataclass(frozen=True)
class GivenProposals:
    """Proposals that came with the examples, of whatever models: the paper's off-policy proposals.

    Attributes:
        field: of the examples, a list of answers: texts for a task with one answer field, else mappings or predictions
            with all of them.
        scores: a field with a number for each of them, higher is better; empty where there are none.
        keep: how many of them become proposals, the best by their scores; without scores, the first. None for all.
        scorer: ranks them instead of ``scores``: a function ``(args, prediction)`` or a scorer of this library, such as
            a judge or a reward model.
    """

    field: str = "proposals"
    scores: str = ""
    keep: int | None = None
    scorer: Scorer | Reward | None = None

    def __post_init__(self) -> None:
        """Checks the options."""
        if self.keep is not None:
            whole("keep", self.keep)
        if self.scorer is not None and self.scores:
            raise ConfigurationError(
                f"the proposals are ranked by the field scores={self.scores!r} or by a scorer, not both; leave one out"
            )

    @property
    def scored(self) -> bool:
        """Whether there are scores, or a scorer."""
        return bool(self.scores) or self.scorer is not None

    def about(self) -> dict[str, Any]:
        """The names of the fields, how many are kept, and what ranks them."""
        ranked = {"keep": self.keep, "scorer": scorer_identity(self.scorer)}
        return {"proposals": {"given": self.field, "scores": self.scores, **ranked}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature], optional: Sequence[str] = ()) -> None:
        """Reads them all; raises ``ConfigurationError`` naming the first example that lacks them."""
        for place, example in enumerate(examples):
            try:
                self._read(example, task, optional)
            except ConfigurationError as error:
                raise ConfigurationError(f"example {place} of the training set: {error}") from error

    def of(
        self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature], optional: Sequence[str] = ()
    ) -> list[Proposal]:
        """The example's own proposals, as many as are kept."""
        proposals = self._read(example, task, optional)
        if self.scorer is not None:
            proposals = _ranked(proposals, example, program, task, as_scorer(self.scorer, task))
        elif self.scores:
            proposals.sort(key=lambda proposal: -(proposal.score or 0.0))
        return proposals[: self.keep]

    def _read(self, example: dspy.Example, task: type[dspy.Signature], optional: Sequence[str]) -> list[Proposal]:
        values = example.get(self.field)
        if not isinstance(values, list | tuple) or not values:
            raise ConfigurationError(f"its field {self.field!r} must be a list of proposals, but is {values!r}")
        scores = example.get(self.scores) if self.scores else [None] * len(values)
        if not isinstance(scores, list | tuple) or len(scores) != len(values):
            raise ConfigurationError(
                f"its field {self.scores!r} must hold a number for each of {len(values)} proposals, but is {scores!r}"
            )
        if self.scores:
            scores = [_number(score, self.scores) for score in scores]
        return [
            Proposal(proposed_outputs(value, task, optional), score)
            for value, score in zip(values, scores, strict=True)
        ]


class _Ranking(SamplingProgram):
    """Has a scorer score answers that are there already."""

    def __init__(
        self, program: dspy.Module, candidates: Sequence[Candidate], scorer: Scorer, **options: Unpack[SamplingOptions]
    ) -> None:
        super().__init__(program, **options)
        self.candidates, self.scorer = candidates, scorer

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        scores = yield from self.scores_of(inputs, self.candidates, self.scorer)
        check_scored(self.scorer, scores.candidates)
        return PooledPrediction.of({}, Pool(scores.candidates))


def _ranked(
    proposals: Sequence[Proposal],
    example: dspy.Example,
    program: dspy.Module,
    task: type[dspy.Signature],
    scorer: Scorer,
) -> list[Proposal]:
    if scorer.needs_logprobs:
        raise ConfigurationError(f"{type(scorer).__name__} cannot rank proposals that are given; take another scorer")
    candidates = [as_candidate(place, proposal) for place, proposal in enumerate(proposals)]
    marked = scores_of(candidates, example, program, task, scorer)
    scored = [replace(one, score=candidate.score) for one, candidate in zip(proposals, marked, strict=True)]
    return sorted(scored, key=lambda one: -(one.score if one.score is not None else float("-inf")))


def scores_of(
    candidates: Sequence[Candidate],
    example: dspy.Example,
    program: dspy.Module,
    task: type[dspy.Signature],
    scorer: Scorer,
) -> tuple[Candidate, ...]:
    """Answers to an example that are there already, with their scores.

    Raises:
        ScorerError: none of them can be scored, or a score is no finite number.
    """
    return _Ranking(program, candidates, scorer, signature=task)(**example.inputs().toDict()).pool.candidates


def as_candidate(index: int, proposal: Proposal) -> Candidate:
    """A proposal as programs show it to a fusor."""
    return Candidate(index, dspy.Prediction(**proposal.outputs), score=proposal.score)


def is_blank(value: Any) -> bool:
    """Whether there is nothing in a value: None, or a text of spaces. An empty list is an answer."""
    return value is None or (isinstance(value, str) and not value.strip())


def proposed_outputs(value: Any, task: type[dspy.Signature], optional: Sequence[str] = ()) -> dict[str, Any]:
    """An answer as it is given, a text or a table, as the task's output fields in plain data, their types checked.

    Raises:
        ConfigurationError: a field is missing, empty, or of another type.
    """
    names = [name for name in task.output_fields if name not in optional]
    if len(names) == 1 and not isinstance(value, Mapping | dspy.Example):
        value = {names[0]: value}
    if isinstance(value, dspy.Example):  # predictions are examples too
        value = value.toDict()
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"a proposal must hold the output fields {list(task.output_fields)}, but is {value!r}")
    if blank := [name for name in names if is_blank(value.get(name))]:
        raise ConfigurationError(f"a proposal has an empty {blank[0]!r}: {value!r}")
    return checked_outputs({name: value.get(name, "") for name in task.output_fields}, task)


def checked_outputs(values: Mapping[str, Any], task: type[dspy.Signature]) -> dict[str, Any]:
    """Output fields as plain data, in the signature's types; raises ``ConfigurationError`` for another type."""
    texts = {name for name, field in task.output_fields.items() if field.annotation is str}
    as_said = {
        name: str(plain(value)) if name in texts and not isinstance(value, str | None) else value
        for name, value in values.items()
    }
    try:
        return {name: plain(value) for name, value in typed(task, as_said).items()}
    except ValidationError as error:
        (first, *_) = error.errors()
        raise ConfigurationError(
            f"an answer has another type than the task's: {first['msg']}, but is {first['input']!r}"
        ) from error


def _number(score: Any, name: str) -> float:
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise ConfigurationError(f"its field {name!r} must hold finite numbers, but holds {score!r}")
    return float(score)
