"""Where proposals come from: given with the examples (off-policy),
or sampled from the model that is to be trained (on-policy).

AFT, arXiv 2501.11877, section 4: 10 samples at temperature 1.0, top-p 0.95, top-k 50, of which a reward model keeps the
best 5. The paper has a base model answer by demonstrations in its context; here the task program may carry
demonstrations of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Unpack

import dspy

from dspy_fusion.programs.calls.drawing import Steps
from dspy_fusion.programs.errors import ConfigurationError, QuorumNotMet
from dspy_fusion.programs.options import SamplingOptions
from dspy_fusion.programs.pools.candidates import Candidate, Pool, PooledPrediction
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.scorers.scorer import Reward, Scorer, as_scorer
from dspy_fusion.programs.tasks.signatures import plain

if TYPE_CHECKING:
    from dspy_fusion.programs import CandidateBank


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

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Raises ``ConfigurationError`` for examples that can have no proposals; calls no model."""
        ...

    def of(self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature]) -> list[Proposal]:
        """The proposals of an example, best first where they have scores."""
        ...


@dataclass(frozen=True)
class GivenProposals:
    """Proposals that came with the examples, of whatever models: the paper's off-policy proposals.

    Attributes:
        field: of the examples, a list of answers: texts for a task with one output field, else mappings or predictions
            with all of them.
        scores: a field with a number for each of them, higher is better; empty where there are none.
    """

    field: str = "proposals"
    scores: str = ""

    @property
    def scored(self) -> bool:
        """Whether a field with scores was named."""
        return bool(self.scores)

    def about(self) -> dict[str, Any]:
        """The names of the fields."""
        return {"proposals": {"given": self.field, "scores": self.scores}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Reads them all; raises ``ConfigurationError`` naming the first example that lacks them."""
        for place, example in enumerate(examples):
            try:
                self._read(example, task)
            except ConfigurationError as error:
                raise ConfigurationError(f"example {place} of the training set: {error}") from error

    def of(self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature]) -> list[Proposal]:
        """The example's own proposals."""
        return self._read(example, task)

    def _read(self, example: dspy.Example, task: type[dspy.Signature]) -> list[Proposal]:
        given = example.get(self.field)
        if not isinstance(given, list | tuple) or not given:
            raise ConfigurationError(f"its field {self.field!r} must be a list of proposals, but is {given!r}")
        scores = example.get(self.scores) if self.scores else [None] * len(given)
        if not isinstance(scores, list | tuple) or len(scores) != len(given):
            raise ConfigurationError(
                f"its field {self.scores!r} must hold a number for each of {len(given)} proposals, but is {scores!r}"
            )
        read = [Proposal(_outputs(value, task), score) for value, score in zip(given, scores, strict=True)]
        return sorted(read, key=lambda proposal: -(proposal.score or 0.0)) if self.scores else read


@dataclass(frozen=True)
class SampledProposals:
    """Proposals sampled from models: on-policy when it is the one that is to be trained, off-policy from any others.

    Attributes:
        lm: the model, or several that take turns; their own sampling options stand where these say None.
        draws: how many answers are drawn for an example.
        keep: how many of them become proposals, the best by the scorer; without one, the first.
        scorer: a function ``(args, prediction)`` or a scorer of this library, such as a judge or a reward model; needed
            where ``keep`` is less than ``draws``, and for the objective ``"sft"``.
        temperature: in [0, 2].
        top_p: in (0, 1].
        top_k: from 1; DSPy's native engine would drop it, litellm's and the embedded models' do not.
        seed: answer i is drawn with seed ``seed + i``.
        bank: where what was drawn is kept and replayed from.
    """

    lm: dspy.BaseLM | Sequence[dspy.BaseLM]
    draws: int = 10
    keep: int = 5
    scorer: Scorer | Reward | None = None
    temperature: float = 1.0
    top_p: float | None = 0.95
    top_k: int | None = 50
    seed: int = 0
    bank: CandidateBank | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 1 <= self.keep <= self.draws:
            raise ConfigurationError(f"keep must be between 1 and draws={self.draws}, but got keep={self.keep!r}")
        if self.keep < self.draws and self.scorer is None:
            raise ConfigurationError(
                f"a scorer must say which {self.keep} of {self.draws} draws are kept; give one, or keep={self.draws}"
            )

    @property
    def scored(self) -> bool:
        """Whether there is a scorer."""
        return self.scorer is not None

    @property
    def _lms(self) -> list[dspy.BaseLM]:
        return [self.lm] if isinstance(self.lm, dspy.BaseLM) else list(self.lm)

    def about(self) -> dict[str, Any]:
        """The models' names and the numbers."""
        numbers = {name: getattr(self, name) for name in ("draws", "keep", "temperature", "top_p", "top_k", "seed")}
        return {"proposals": {"sampled": [lm.model for lm in self._lms], "scorer": _name(self.scorer), **numbers}}

    def check(self, examples: Sequence[dspy.Example], task: type[dspy.Signature]) -> None:
        """Nothing can be wrong before the model is asked."""

    def of(self, example: dspy.Example, program: dspy.Module, task: type[dspy.Signature]) -> list[Proposal]:
        """Draws and scores; raises ``QuorumNotMet`` where fewer than ``keep`` succeed with a text in them."""
        truncation = {
            name: value for name, value in (("top_p", self.top_p), ("top_k", self.top_k)) if value is not None
        }
        drawn = _Drawing(
            program,
            count=self.draws,
            scorer=None if self.scorer is None else as_scorer(self.scorer, task),
            lms=[lm.copy(**truncation) for lm in self._lms],
            temperature=self.temperature,
            seed=self.seed,
            quorum=self.keep,
            bank=self.bank,
            signature=task,
        )(**example.inputs().toDict())
        good = [candidate for candidate in drawn.pool.good if not _is_blank(candidate, task)]
        if len(good) < self.keep:
            raise QuorumNotMet(
                f"{len(good)} of {self.draws} draws have an answer that is not empty, but keep={self.keep}"
            )
        if self.scorer is not None:
            good.sort(key=lambda candidate: -(candidate.score if candidate.score is not None else float("-inf")))
        return [
            Proposal({name: plain(c.prediction[name]) for name in task.output_fields}, c.score, c.lm)
            for c in good[: self.keep]
            if c.prediction is not None
        ]


class _Drawing(SamplingProgram):
    """Draws and scores a pool and takes nothing out of it."""

    def __init__(
        self, program: dspy.Module, *, count: int, scorer: Scorer | None, **options: Unpack[SamplingOptions]
    ) -> None:
        super().__init__(program, **options)
        self.count, self.scorer = count, scorer

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        drawn = yield from self.draw(inputs, self.count, self.scorer)
        return PooledPrediction.of({}, Pool(drawn.candidates, usage=drawn.usage))


def as_candidate(index: int, proposal: Proposal) -> Candidate:
    """A proposal as programs show it to a fusor."""
    return Candidate(index, dspy.Prediction(**proposal.outputs), score=proposal.score)


def is_blank(value: Any) -> bool:
    """Whether there is nothing in a value: None, an empty list, or a text of spaces."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _is_blank(candidate: Candidate, task: type[dspy.Signature]) -> bool:
    return candidate.prediction is None or any(is_blank(candidate.prediction[name]) for name in task.output_fields)


def _outputs(value: Any, task: type[dspy.Signature]) -> dict[str, Any]:
    names = list(task.output_fields)
    if isinstance(value, str) and len(names) == 1:
        value = {names[0]: value}
    if isinstance(value, dspy.Example):  # predictions are examples too
        value = value.toDict()
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"a proposal must hold the output fields {names}, but is {value!r}")
    if blank := [name for name in names if is_blank(value.get(name))]:
        raise ConfigurationError(f"a proposal has an empty {blank[0]!r}: {value!r}")
    return {name: plain(value[name]) for name in names}


def _name(scorer: Any) -> str | None:
    return None if scorer is None else getattr(scorer, "__name__", type(scorer).__name__)
