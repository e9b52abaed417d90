"""What all programs share: the options by which candidates are drawn, and the step that draws a pool of them.

Candidate i has rollout id i and seed ``seed + i``, so a pool of 8 begins with the pool of 4. ``n=`` of the model API is
never used: DSPy's native engines make it a loop of equal requests with one seed, and one unparsable answer would spoil
them all.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import dspy

from .calls.attempts import Attempt
from .calls.drawing import Batch, Steps, arun, run
from .concluding import Concluding, noting_left_out
from .errors import ConfigurationError, QuorumNotMet
from .pools.candidates import Candidate, Pool, PooledPrediction
from .rounds import Drawn, drawn_in_rounds, taken_over
from .saving.self_describing import SelfDescribing
from .scorers.scorer import Scorer, Scores, check_scored, scored
from .stopping import Stopping
from .tasks.adapter_names import AdapterName, adapter_choice, adapter_named
from .tasks.hyperparameters import Hyperparameter
from .tasks.open_tasks import closed_task, output_names, program_task, thawed
from .tasks.reasoning_room import ReasoningRoom
from .tasks.task_text import task_text
from .visible_options import VisibleOptions

if TYPE_CHECKING:
    from .banks.bank import CandidateBank


class SamplingProgram(Concluding, VisibleOptions, SelfDescribing):
    """A task program that is called several times, and made one answer of.

    Args:
        program: the task program: any ``dspy.Module`` that returns a ``dspy.Prediction``.

    The other options are described in :class:`SamplingOptions`.
    """

    def __init__(
        self,
        program: dspy.Module,
        *,
        lms: Sequence[dspy.BaseLM] | None = None,
        temperature: float | None = 0.7,
        seed: int | None = 0,
        quorum: int = 1,
        deadline_seconds: float | None = None,
        max_concurrency: int | None = None,
        signature: str | type[dspy.Signature] | None = None,
        bank: CandidateBank | None = None,
        abstain_below: float | None = None,
        on_abstain: Literal["raise", "mark"] = "raise",
        adapter: AdapterName | None = None,
        reasoning: str | None = None,
    ) -> None:
        super().__init__()
        self.signature, self.loose = program_task(program, signature)
        self.has_given_signature = signature is not None
        self.program = thawed(program)
        self.lms = None if lms is None else _checked_lms(lms)
        self.temperature = optional_temperature("temperature", temperature)
        self.seed = seed
        self.quorum = _at_least_one("quorum", quorum)
        self.deadline_seconds = _positive("deadline_seconds", deadline_seconds)
        self.max_concurrency = None if max_concurrency is None else _at_least_one("max_concurrency", max_concurrency)
        self.bank = bank
        self.adapter, self.reasoning = adapter_choice(adapter), ReasoningRoom(reasoning)
        self.stopping: Stopping | None = None
        self.set_abstention(abstain_below, on_abstain)

    def forward(self, *args: Any, **inputs: Any) -> dspy.Prediction:
        """Answers one input; see the class for what is returned and raised."""
        self._check_named(args)
        return run(self.concluded(noting_left_out(self.steps(inputs))))

    async def aforward(self, *args: Any, **inputs: Any) -> dspy.Prediction:
        """As :meth:`forward`, in the running event loop."""
        self._check_named(args)
        return await arun(self.concluded(noting_left_out(self.steps(inputs))))

    def _check_named(self, args: Sequence[Any]) -> None:
        if args:
            call, kind = ", ".join(f"{name}=..." for name in self.signature.input_fields), type(self).__name__
            raise ConfigurationError(
                f"{kind} takes its inputs by name, but got {len(args)} without; write program({call})"
            )

    @abstractmethod
    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """The program's logic: yields batches of attempts and is sent their candidates."""

    def proposers(self) -> tuple[Sequence[dspy.BaseLM] | None, dspy.Adapter | None]:
        """The models that take turns, and the adapter that writes their prompts; None leaves either to the settings."""
        return self.lms, adapter_named(self.adapter.value)

    def task_text(self) -> str:
        """What the task asks for, in its own words: the task program's instructions as they are now."""
        return task_text(self.program, self.signature, given=self.has_given_signature)

    @property
    def kept_beside(self) -> str:
        """The name of what a bank keeps of an answer beside the task's outputs, where the answer has it."""
        return ""

    def attempts(self, inputs: Mapping[str, Any], count: int, *, logprobs: bool = False) -> list[Attempt]:
        """What would be called for the first ``count`` candidates of an input, with their keys in a bank."""
        lms, adapter = self.proposers()
        if lms and (calibration := self.calibration) is not None:
            lms = calibration.turns(lms)
        made = [
            Attempt(
                self.program,
                inputs,
                self.signature,
                index,
                lm=lms[index % len(lms)] if lms else None,
                temperature=value_of(self.temperature),
                seed=self.seed,
                logprobs=logprobs,
                adapter=adapter,
                room=self.reasoning.room,
                loose=self.loose,
                beside=self.kept_beside,
            )
            for index in range(count)
        ]
        return self._keyed(made)

    def side_by_side(self, attempts: Sequence[Attempt]) -> Batch:
        """Attempts with this program's deadline, concurrency and bank."""
        if self.deadline_seconds is not None:
            attempts = [replace(attempt, deadline_seconds=self.deadline_seconds) for attempt in attempts]
        return Batch(self._keyed(attempts), self.deadline_seconds, self.max_concurrency, self.bank)

    def _keyed(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        if self.bank is None:
            return list(attempts)
        from .banks.bank_keys import keyed  # SQLAlchemy is loaded only where a bank is used

        return keyed(attempts)

    def draw(self, inputs: Mapping[str, Any], count: int, scorer: Scorer | None = None) -> Steps[Drawn]:
        """Draws ``count`` candidates (or up to as many, where a stopping rule decides), checks the quorum and has a
        scorer score them.

        Raises:
            QuorumNotMet: fewer than ``quorum`` succeeded (or than ``count``, where that is less).
        """
        if (candidates := taken_over()) is None:
            if self.stopping is not None:
                return (yield from drawn_in_rounds(self, self.stopping, inputs, count, scorer))
            attempts = self.attempts(inputs, count, logprobs=scorer is not None and scorer.needs_logprobs)
            candidates = yield self.side_by_side(attempts)
        self.check_quorum(candidates)
        if scorer is None:
            return Drawn(tuple(candidates))
        scores = yield from self.scores_of(inputs, candidates, scorer)
        check_scored(scorer, scores.candidates)
        return Drawn(scores.candidates, scores.usage, 1 + scores.rounds)

    def scores_of(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate], scorer: Scorer) -> Steps[Scores]:
        """Has a scorer, told what the task asks for, score the candidates that succeeded, each of its rounds within
        this program's deadline.
        """
        steps = scored(scorer.told(self.task_text()), inputs, candidates)
        try:
            batch = next(steps)
            while True:
                batch = steps.send((yield self.side_by_side(batch.attempts)))
        except StopIteration as finished:
            return finished.value

    def check_quorum_fits(self, name: str, count: int) -> None:
        """Raises ``ConfigurationError`` when the quorum is more than the candidates drawn."""
        if self.quorum > count:
            raise ConfigurationError(f"quorum must be at most {name}={count}, but got quorum={self.quorum}")

    def check_quorum(self, candidates: Sequence[Candidate]) -> None:
        """Raises ``QuorumNotMet`` with every cause when too few candidates succeeded."""
        good = sum(candidate.ok for candidate in candidates)
        needed = min(self.quorum, len(candidates))
        if good < needed:
            causes = [f"candidate {c.index}: {c.error}" for c in candidates if not c.ok]
            raise QuorumNotMet(
                f"{good} of {len(candidates)} candidates succeeded, but quorum={self.quorum}; the causes:", causes
            )

    def take(self, chosen: Candidate, pool: Pool) -> PooledPrediction:
        """Returns a candidate unchanged, and puts its steps into DSPy's trace."""
        leave_trace([chosen])
        return self.answer(chosen, pool)

    def answer(self, source: Candidate, pool: Pool, task: type[dspy.Signature] | None = None) -> PooledPrediction:
        """The output fields of a candidate, or of a fused answer to ``task``, as this program's prediction."""
        prediction = source.prediction
        if prediction is None:
            raise ConfigurationError(f"candidate {source.index} has no answer: {source.error}")
        names = output_names(task or self.signature, prediction, loose=self.loose and task is None)
        return PooledPrediction.of({name: prediction[name] for name in names}, pool)

    def task_of(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> type[dspy.Signature]:
        """The task's signature, which for some programs only their answers show.

        Raises:
            ConfigurationError: the answers do not make it clear.
        """
        if not self.loose:
            return self.signature
        answers = [candidate.prediction for candidate in candidates if candidate.prediction is not None]
        return closed_task(self.signature, self.program, inputs, answers)


def leave_trace(sources: Sequence[Candidate]) -> None:
    """Adds the steps of these candidates to DSPy's trace, in order; of more than its size the last ones stay."""
    trace, most = dspy.settings.trace, dspy.settings.max_trace_size
    if trace is not None and most > 0:
        trace.extend(row for source in sources for row in source.trace)
        del trace[: max(0, len(trace) - most)]


def value_of(parameter: Hyperparameter | None) -> Any:
    """The value of a hyperparameter that may be absent."""
    return None if parameter is None else parameter.value


def optional_temperature(
    name: str, value: float | None, *, search: tuple[float, float] = (0.1, 1.3)
) -> Hyperparameter | None:
    """A temperature in [0, 2] as a hyperparameter that is searched in steps of 0.3, or None."""
    return None if value is None else Hyperparameter(name, value, low=0.0, high=2.0, search=search, step=0.3)


def _checked_lms(lms: Sequence[dspy.BaseLM]) -> list[dspy.BaseLM]:
    if not lms:
        raise ConfigurationError("lms must hold at least one model, but got lms=[]; leave it out for dspy.settings.lm")
    for lm in lms:
        if not isinstance(lm, dspy.BaseLM):
            raise ConfigurationError(f"lms must hold dspy.LM objects, but got {lm!r}; write dspy.LM({lm!r})")
    return list(lms)


def _at_least_one(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1, but got {name}={value!r}")
    return value


def _positive(name: str, value: float | None) -> float | None:
    if value is not None and not (isinstance(value, int | float) and value > 0):
        raise ConfigurationError(f"{name} must be a positive number of seconds or None, but got {name}={value!r}")
    return value
