"""BestOfN: draw several candidates and return the one a scorer likes best, unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import dspy

from .calls.drawing import Steps
from .errors import ConfigurationError
from .options import SamplingOptions
from .pools.candidates import Candidate, Usage
from .rounds import Drawn
from .sampling_program import SamplingProgram
from .scorers.scorer import Reward, RewardFunction, Scorer, as_scorer, check_scored
from .stopping import RuleName, Stopping, counted


class BestOfN(SamplingProgram):
    """Draws up to ``n`` candidates and returns the one with the highest score; equal scores go to the lowest index.

    ``dspy.BestOfN``'s call works as it is, ``BestOfN(module=..., N=3, reward_fn=f, threshold=1.0, fail_count=1)``, by
    name or in that order: with a ``threshold`` candidates are drawn one after another, and the first that reaches it is
    the answer. ``max_concurrency`` draws rounds of so many side by side instead, and the drawing stops after the first
    round in which one reaches the threshold. Without a threshold all are drawn at once.

    Unlike there, candidates are drawn with ``temperature`` and seeds, nothing is kept between calls, and where every
    candidate failed there is always an exception, never None.

    Args:
        program: the task program, also called ``module``.
        n: how many candidates at most, at least 1, also called ``N``; 5 by default.
        scorer: a function ``(args, prediction) -> number``, also called ``reward_fn``, or a :class:`Scorer`. A number
            may be of any type that ``float`` takes: numpy's, bool, Decimal, or a ``dspy.Prediction`` with a score.
        threshold: a score that is good enough to stop at; None draws all.
        fail_count: how many failures are let pass, as ``dspy.BestOfN`` counts them (candidate i fails the call where
            ``i > fail_count`` minus the failures before it); the exception of the candidate or of the reward function
            is raised then. None, the default, leaves that to ``quorum``; with ``reward_fn`` it means ``n``.
        max_n: with ``n="auto"``, how many at most; 16 by default. ``"auto"`` draws in rounds until one more candidate
            is expected to gain hardly anything.
        stopping: with ``n="auto"``, when to stop: a :class:`Stopping` or the name of its rule.
        module: another name of ``program``.
        N: another name of ``n``.
        reward_fn: another name of ``scorer``.
        **options: see :class:`SamplingOptions`.

    Raises:
        QuorumNotMet: too few candidates succeeded.
        ScorerError: a score was not finite, or no candidate could be scored.

    Example:
        >>> best = BestOfN(dspy.Predict("question -> answer"), n=5, scorer=lambda args, pred: float(len(pred.answer) <
        20))
    """

    def __init__(
        self,
        program: dspy.Module | None = None,
        n: int | Literal["auto"] | None = None,
        scorer: Scorer | Reward | None = None,
        threshold: float | None = None,
        fail_count: int | None = None,
        *,
        max_n: int | None = None,
        stopping: Stopping | RuleName | None = None,
        module: dspy.Module | None = None,
        N: int | None = None,  # noqa: N803 (DSPy's name)
        reward_fn: Reward | None = None,
        **options: Unpack[SamplingOptions],
    ) -> None:
        super().__init__(_one_of("program", program, "module", module), **options)
        count = 5 if n is None and N is None else _one_of("n", n, "N", N)
        if count == "auto" and (threshold is not None or fail_count is not None):
            raise ConfigurationError(
                "n='auto' stops by its own rule and takes no threshold or fail_count; write"
                " stopping=Stopping('reward', threshold=...)"
            )
        self.n, self.stopping = counted(count, max_n, stopping, scored=True)
        self.check_quorum_fits(self.n.name, self.n.value)
        self.scorer = as_scorer(_one_of("scorer", scorer, "reward_fn", reward_fn), self.signature)
        self.threshold = threshold
        self._fail_count = fail_count or (None if reward_fn is None else self.n.value)

    @property
    def module(self) -> dspy.Module:
        """The task program, as ``dspy.BestOfN`` calls it."""
        return self.program

    @property
    def N(self) -> int:  # noqa: N802 (DSPy's name)
        """How many candidates at most, as ``dspy.BestOfN`` calls it."""
        return self.n.value

    @property
    def reward_fn(self) -> Scorer | Reward:
        """The reward function, or the scorer where it is none."""
        return self.scorer.call.reward if isinstance(self.scorer, RewardFunction) else self.scorer

    @property
    def fail_count(self) -> int:
        """How many failures are let pass; ``n`` where nothing else was said."""
        return self._fail_count or self.n.value

    def steps(self, inputs: dict[str, Any]) -> Steps[dspy.Prediction]:
        """Draws, scores, and takes the best."""
        pool = yield from self._draw_until_good_enough(inputs)
        chosen = max((c for c in pool.candidates if c.score is not None), key=lambda c: (c.score, -c.index))
        return self.take(chosen, pool.pool(chosen.index))

    def _draw_until_good_enough(self, inputs: dict[str, Any]) -> Steps[Drawn]:
        if self.stopping is not None or (self.threshold is None and self._fail_count is None):
            return (yield from self.draw(inputs, self.n.value, self.scorer))
        attempts = self.attempts(inputs, self.n.value, logprobs=self.scorer.needs_logprobs)
        size = self.max_concurrency or (len(attempts) if self.threshold is None else 1)
        seen: list[Candidate] = []
        usage, rounds = Usage(), 0
        for begin in range(0, len(attempts), size):
            fresh = yield self.side_by_side(attempts[begin : begin + size])
            rounds += 1
            scores = yield from self.scores_of(inputs, fresh, self.scorer)
            usage, rounds = usage + scores.usage, rounds + scores.rounds
            seen.extend(scores.candidates)
            self._check_failures(seen)
            if self._is_good_enough(scores.candidates):
                break
        self._check_failures(seen, at_end=True)
        self.check_quorum(seen)
        check_scored(self.scorer, seen)
        return Drawn(tuple(seen), usage, rounds)

    def _is_good_enough(self, candidates: Sequence[Candidate]) -> bool:
        scores = [candidate.score for candidate in candidates if candidate.score is not None]
        return self.threshold is not None and any(score >= self.threshold for score in scores)

    def _check_failures(self, seen: Sequence[Candidate], *, at_end: bool = False) -> None:
        """Raises what a candidate failed of where ``dspy.BestOfN`` raises it, and at the end where all have failed."""
        if self._fail_count is None:
            return
        failures = [candidate for candidate in seen if candidate.score is None]
        for before, candidate in enumerate(failures):
            is_last = at_end and len(failures) == len(seen) == before + 1
            if candidate.exception is not None and (candidate.index > self._fail_count - before or is_last):
                raise candidate.exception


def _one_of(name: str, value: Any, other: str, alias: Any) -> Any:
    if (value is None) == (alias is None):
        told = "only one" if value is not None else "one"
        raise ConfigurationError(f"BestOfN needs {told} of {name}= and {other}=, which mean the same")
    return alias if value is None else value
