"""Scorers say how good candidates are; best of N takes the best by them, votes can be weighted by them.

A scorer is a ``dspy.Module`` (so that judges' prompts are found, saved and tuned) with one method, ``steps``, which
yields batches of attempts like a program's. A candidate that cannot be scored keeps its cause; when none can be scored
the whole fails.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError, ScorerError
from ..pools.candidates import Candidate, Usage
from ..redaction import described
from ..visible_options import VisibleOptions

Reward = Callable[[dict[str, Any], dspy.Prediction], float]
"""What DSPy calls a reward function: from a task's inputs and an answer to a number, higher is better."""


@dataclass(frozen=True)
class Scores:
    """Candidates with their scores, what the scoring cost, and how many rounds of calls it took."""

    candidates: tuple[Candidate, ...]
    usage: Usage
    rounds: int


class Scorer(VisibleOptions, dspy.Module):
    """Base of scorers.

    Attributes:
        needs_logprobs: whether candidates must be drawn with log-probabilities.
    """

    needs_logprobs = False

    def bound(self, task: type[dspy.Signature]) -> Scorer:
        """This scorer, or a copy of it, made ready for a task's signature."""
        return self

    def told(self, task_text: str) -> Scorer:
        """This scorer, or a copy of it with the same predictors, for one call: told what the task asks for.

        Args:
            task_text: the task's instructions as they are at the moment of the call.
        """
        return self

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Scores candidates that have answers; the result has the same candidates in the same order."""
        raise ConfigurationError(
            f"{type(self).__name__} defines no steps(); a scorer yields batches and returns Scores"
        )
        yield


class RewardFunction(Scorer):
    """Scores by a function ``reward(args, prediction) -> float``, the same that ``dspy.BestOfN`` takes.

    Any finite number is a score here; the higher the better. The function runs once per candidate, in threads.

    Args:
        reward: the function; it may itself call models, which are counted.
    """

    def __init__(self, reward: Reward) -> None:
        super().__init__()
        if inspect.iscoroutinefunction(reward):
            raise ConfigurationError(
                f"the scorer {reward!r} is a coroutine function; give a plain function(args, prediction)"
            )
        self.call = _RewardCall(reward)

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Calls the function for every candidate."""
        attempts = [
            Attempt(
                self.call,
                {"args": dict(inputs), "answer": candidate.prediction},
                _REWARD,
                candidate.index,
                banked=False,
            )
            for candidate in candidates
        ]
        verdicts = yield Batch(attempts)
        marked = [with_score(c, v, lambda answer: answer["reward"]) for c, v in zip(candidates, verdicts, strict=True)]
        usage = Usage.total(verdict.usage for verdict in verdicts)
        return Scores(tuple(marked), usage, rounds=1 if usage.calls else 0)


class Likelihood(Scorer):
    """Scores a candidate by how likely its own model found it.

    The geometric mean of its tokens' probabilities, in [0, 1].

    Costs no calls. Models in one pool are compared as they are, though a surer model is not a better one.

    Raises:
        ScorerError: no model of the pool reported log-probabilities.
    """

    needs_logprobs = True

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Reads the log-probabilities that came with the candidates."""
        marked = [
            replace(c, score=math.exp(min(0.0, c.logprob)))
            if c.logprob is not None
            else replace(c, score_error=f"the model {c.lm or 'of this program'} reported no log-probabilities")
            for c in candidates
        ]
        return Scores(tuple(marked), Usage(), 0)
        yield


def as_scorer(scorer: Scorer | Reward, task: type[dspy.Signature]) -> Scorer:
    """A scorer ready for a task; a plain function becomes a :class:`RewardFunction`."""
    if isinstance(scorer, Scorer):
        return scorer.bound(task)
    if not callable(scorer):
        raise ConfigurationError(f"scorer must be a function(args, prediction) or a scorer, but got scorer={scorer!r}")
    return RewardFunction(scorer)


def scored(scorer: Scorer, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
    """Scores those candidates that have answers and leaves the others as they are.

    Raises:
        ScorerError: a score is not a finite number.
    """
    good = [candidate for candidate in candidates if candidate.ok]
    if not good:
        return Scores(tuple(candidates), Usage(), 0)
    scores = yield from scorer.steps(inputs, good)
    by_index = {candidate.index: candidate for candidate in scores.candidates}
    return replace(scores, candidates=tuple(by_index.get(candidate.index, candidate) for candidate in candidates))


def check_scored(scorer: Scorer, candidates: Sequence[Candidate]) -> None:
    """Raises ``ScorerError`` with the causes when no candidate has a score."""
    if not any(candidate.score is not None for candidate in candidates):
        causes = "; ".join(sorted({candidate.score_error or candidate.error or "no score" for candidate in candidates}))
        raise ScorerError(f"{type(scorer).__name__} scored none of {len(candidates)} candidates: {causes}")


def with_score(candidate: Candidate, verdict: Candidate, read: Callable[[dspy.Prediction], Any]) -> Candidate:
    """A candidate with the score read from a verdict, or with the cause why there is none.

    Raises:
        ScorerError: the score is not a finite number; that is a fault of the scorer, not of the candidate.
    """
    if verdict.prediction is None:
        return replace(candidate, score_error=verdict.error, exception=verdict.exception)
    try:
        score = read(verdict.prediction)
    except ScorerError as error:
        return replace(candidate, score_error=described(error))
    return replace(candidate, score=finite(score))


def finite(score: Any) -> float:
    """A score as a float; raises ``ScorerError`` naming the value when it is no finite number."""
    number = None
    if hasattr(score, "__float__") and not isinstance(score, str | bytes):  # numpy, Decimal, dspy.Prediction(score=...)
        try:
            number = float(score)
        except (TypeError, ValueError, OverflowError):
            number = None
    if number is None or not math.isfinite(number):
        raise ScorerError(f"the scorer returned {score!r}; return a finite number, higher for better answers")
    return number


class _RewardCall(dspy.Module):
    """A reward function as something that an attempt can call."""

    def __init__(self, reward: Reward) -> None:
        super().__init__()
        self.reward = reward

    def forward(self, args: dict[str, Any], answer: dspy.Prediction) -> dspy.Prediction:
        return dspy.Prediction(reward=self.reward(args, answer))


_REWARD = make_signature("args, answer -> reward: float", "The value of a reward function.")
