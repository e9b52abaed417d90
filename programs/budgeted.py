"""BudgetedEvaluate: calls for a whole data set, spread over its questions by what more candidates promise.

After arXiv 2506.12721 (which treats it as a bandit problem) and 2605.26849. Unlike there nothing is trained: every
question gets a few candidates, and then round by round the next one goes where a Dirichlet posterior over what was said
so far promises the greatest gain a call; where :func:`calibrate` learned how reliable the models are, where the
weighted posterior is least sure.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy.evaluate.evaluate import EvaluationResult
from dspy.utils.parallelizer import ParallelExecutor

from .calls.drawing import run
from .errors import ConfigurationError, FusionError
from .fusion import Fusion
from .pools.candidates import Candidate
from .pools.stopping_rules import Seen, gain_of_more, source_posterior
from .redaction import redacting
from .rounds import ready, seen_of
from .vote import Vote

logger = redacting(logging.getLogger(__name__))
_ROUNDS = 8  # each spends about an eighth of what is left


@dataclass
class _Question:
    """What was drawn for an example, and what it cost."""

    inputs: dict[str, Any]
    candidates: list[Candidate] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Calls that its candidates cost; one that made none, such as a look-up, counts as one."""
        return sum(max(1, candidate.usage.calls) for candidate in self.candidates)


class BudgetedEvaluate:
    """Evaluates a program on a data set within a number of calls for all of it together.

    Used as ``dspy.Evaluate``. The program's ``n`` does not count: an easy question keeps its first candidates, and a
    doubtful one gets up to ``most``. The candidates of a question are those that the program would begin with.

    Args:
        devset: the examples, with their inputs marked; at least 1.
        metric: ``(example, prediction) -> score``.
        calls: of models for all candidates and fusions together, replayed ones included at what they cost first, so
            that a bank changes nothing about who gets what; at least ``least`` for each example (and one more with a
            fusor).
        least: candidates that each example gets, at least 1.
        most: candidates that an example gets at most.
        num_threads: how many examples at once; None for DSPy's own number.
        failure_score: of an example that could not be answered.

    Raises:
        ConfigurationError: the calls do not suffice for ``least``, or a number is out of bounds.

    Example:
        >>> evaluate = BudgetedEvaluate(devset=devset, metric=metric, calls=5 * len(devset))  # doctest: +SKIP
        >>> evaluate(Vote(program)).score  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        devset: Sequence[dspy.Example],
        metric: Callable[..., Any],
        calls: int,
        least: int = 2,
        most: int = 20,
        num_threads: int | None = None,
        failure_score: float = 0.0,
    ) -> None:
        if not devset:
            raise ConfigurationError("devset must hold at least one example")
        if not 1 <= least <= most:
            raise ConfigurationError(f"least must be from 1 to most={most}, but got least={least!r}")
        if isinstance(calls, bool) or not isinstance(calls, int) or calls < least * len(devset):
            raise ConfigurationError(
                f"calls must be at least {least} for each of {len(devset)} examples, so {least * len(devset)}, but got"
                f" calls={calls!r}"
            )
        self.devset, self.metric, self.calls = list(devset), metric, calls
        self.least, self.most = least, most
        self.num_threads, self.failure_score = num_threads, failure_score

    def __call__(self, program: Vote | Fusion) -> EvaluationResult:
        """The mean score in percent and the results as of ``dspy.Evaluate``.

        ``calls`` and ``drawn`` (candidates for each example) beside them.

        Raises:
            ConfigurationError: the program is neither a Vote nor a Fusion, weighs votes by a scorer, or has a fusor
                that the calls do not suffice for.
        """
        _check(program)
        fusions = len(self.devset) if isinstance(program, Fusion) else 0
        if self.calls < self.least * len(self.devset) + fusions:
            raise ConfigurationError(f"calls={self.calls} leaves no call for the fusor; give {fusions} more")
        questions = [_Question(dict(example.inputs().items())) for example in self.devset]
        drawing = program.deepcopy()
        drawing.stopping = None
        self._draw(drawing, questions, range(len(questions)), self.least)
        while picked := self._next(drawing, questions, self.calls - fusions):
            self._draw(drawing, questions, picked, 1)
        results = self._each(lambda place: self._answered(drawing, place, questions[place]), range(len(questions)))
        triples = [(example, *result) for example, result in zip(self.devset, results, strict=True)]
        made = EvaluationResult(100 * math.fsum(score for *_, score in triples) / len(triples), triples)
        made["calls"] = sum(question.calls for question in questions) + fusions
        made["drawn"] = [len(question.candidates) for question in questions]
        return made

    def _draw(self, program: Vote | Fusion, questions: Sequence[_Question], places: Sequence[int], count: int) -> None:
        def more(place: int) -> list[Candidate]:
            """The question's next candidates, after those that it has."""
            question = questions[place]
            attempts = program.attempts(question.inputs, len(question.candidates) + count)

            def steps() -> Any:
                return (yield program.side_by_side(attempts[len(question.candidates) :]))

            return run(steps())

        for place, fresh in zip(places, self._each(more, places), strict=True):
            questions[place].candidates.extend(fresh)

    def _next(self, program: Vote | Fusion, questions: Sequence[_Question], calls: int) -> list[int]:
        """Who gets the next candidate: those who gain most, an eighth of what is left at a time."""
        spent = sum(question.calls for question in questions)
        price = spent / sum(len(question.candidates) for question in questions)
        affordable = int((calls - spent) / price + 1e-9)
        worth = {
            place: _worth(program, question.candidates)
            for place, question in enumerate(questions)
            if len(question.candidates) < self.most
        }
        open_ = sorted((place for place in worth if worth[place] > 0), key=lambda place: (-worth[place], place))
        return open_[: min(affordable, max(1, math.ceil(affordable / _ROUNDS)))] if affordable > 0 else []

    def _answered(self, program: Vote | Fusion, place: int, question: _Question) -> tuple[dspy.Prediction, float]:
        try:
            with ready(question.candidates):
                prediction = program(**question.inputs)
        except FusionError as error:
            logger.warning("example %d was not answered: %s", place, error)
            return dspy.Prediction(), self.failure_score
        return prediction, float(self.metric(self.devset[place], prediction))

    def _each(self, work: Callable[[int], Any], places: Sequence[int]) -> list[Any]:
        """The work on each place, in order; what fails is raised."""
        executor = ParallelExecutor(
            num_threads=self.num_threads, disable_progress_bar=True, max_errors=1, provide_traceback=False
        )
        return executor.execute(work, list(places))


def _worth(program: Vote | Fusion, candidates: Sequence[Candidate]) -> float:
    """What one more candidate promises; nothing is certain before one has succeeded."""
    good = [candidate for candidate in candidates if candidate.ok]
    if not good:
        return 1.0
    seen: Seen = seen_of(program, good, 1)
    if seen.odds is not None:
        return 1 - source_posterior(seen.groups, seen.odds)
    return gain_of_more(*seen.counts)


def _check(program: Any) -> None:
    if not isinstance(program, Vote | Fusion):
        raise ConfigurationError(
            f"BudgetedEvaluate compares what candidates say, so it takes a Vote or a Fusion, but got"
            f" {type(program).__name__}"
        )
    if isinstance(program, Vote) and program.weights is not None:
        raise ConfigurationError("BudgetedEvaluate takes no Vote that is weighted by a scorer; leave weights out")
