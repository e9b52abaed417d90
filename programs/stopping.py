"""Stopping: how a program whose ``n`` is ``"auto"`` draws its candidates in rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

import dspy

from .errors import ConfigurationError
from .pools.stopping_rules import SCORED, VOTED, Rule, Seen
from .tasks.hyperparameters import Hyperparameter

RuleName = Literal["agreement", "sources", "optimal", "gain", "reward"]
_GROWTH = 1.75  # of the pool from round to round; what was best on recorded pools (benchmarks/adaptive_n.py)
MOST = 16
"""``max_n`` where nothing else is said."""
_THRESHOLDS: Mapping[str, float] = {"agreement": 0.95, "sources": 0.99, "optimal": 0.99, "gain": 0.95, "reward": 1.0}


class Stopping(dspy.Module):
    """When to stop drawing, for ``n="auto"``. Its four numbers are hyperparameters: a tuner finds them.

    Candidates are drawn in at most ``max_rounds`` rounds, and the rule is asked after each. The first round holds
    ``round_size`` candidates, each further one makes the pool 1.75 times as large, and the last takes what is left.

    Args:
        rule: for programs that compare what candidates say: ``"agreement"`` (a Beta posterior that the leading answer
            leads), ``"sources"`` (a posterior that weighs each model by the reliability that :func:`calibrate` learned;
            as ``"agreement"`` before that) or ``"optimal"`` (Bayesian optimal stopping). For programs that score:
            ``"gain"`` (what one more candidate is expected to add) or ``"reward"`` (a score that is good enough). By
            default ``"agreement"``, and ``"gain"`` where candidates are scored.
        threshold: how sure the rule must be, in [0, 1]. For ``"optimal"`` and ``"gain"``, 1 minus what one more call
            must be worth. By default .95 for ``"agreement"`` and ``"gain"``, 1 for
            ``"reward"`` and .99 for the others.
        round_size: candidates of the first round, at least 1.
        max_rounds: how many rounds follow one another, at least 1; more rounds save calls and cost time.

    Raises:
        ConfigurationError: an unknown rule, or a number out of bounds.

    Example:
        >>> vote = Vote(dspy.Predict("question -> answer"), n="auto", max_n=20, stopping=Stopping("optimal"))
    """

    def __init__(
        self,
        rule: RuleName | None = None,
        *,
        threshold: float | None = None,
        round_size: int = 4,
        max_rounds: int = 3,
    ) -> None:
        super().__init__()
        if rule is not None and rule not in get_args(RuleName):
            raise ConfigurationError(f"rule must be one of {list(get_args(RuleName))}, but got rule={rule!r}")
        self._rule: RuleName | None = rule
        self._threshold = threshold
        self._round_size, self._max_rounds = round_size, max_rounds
        self._put(rule or "agreement", VOTED if rule is None or rule in VOTED else SCORED)

    def _put(self, rule: str, rules: Mapping[str, Rule]) -> None:
        threshold = _THRESHOLDS[rule] if self._threshold is None else self._threshold
        self.rule = Hyperparameter("rule", rule, choices=tuple(rules))
        self.threshold = Hyperparameter("threshold", threshold, low=0.0, high=1.0, search=(0.5, 1.0))
        self.round_size = Hyperparameter("round_size", self._round_size, low=1, search=(1, 6))
        self.max_rounds = Hyperparameter("max_rounds", self._max_rounds, low=1, search=(1, 4))

    def fitting(self, *, scored: bool) -> Stopping:
        """The same for a program that scores its candidates, or one that compares what they say.

        Raises:
            ConfigurationError: the rule is not for such a program.
        """
        rules = SCORED if scored else VOTED
        if self._rule is not None and self._rule not in rules:
            what = "scores its candidates" if scored else "compares what its candidates say"
            raise ConfigurationError(
                f"the stopping rule {self._rule!r} is not for a program that {what}; take one of {list(rules)}"
            )
        made = Stopping(self._rule, threshold=self._threshold, round_size=self._round_size, max_rounds=self._max_rounds)
        made._put(self._rule or ("gain" if scored else "agreement"), rules)
        return made

    def ends(self, most: int, least: int = 1) -> list[int]:
        """How many candidates there are after each round; the last is ``most``, the first at least ``least``."""
        first, rounds = min(most, max(self.round_size.value, least)), self.max_rounds.value
        ends = [min(most, math.ceil(first * _GROWTH**place)) for place in range(rounds - 1)]
        return list(dict.fromkeys([*ends, most]))

    def is_enough(self, seen: Seen) -> bool:
        """Whether the rule says that no more candidates are needed."""
        return {**VOTED, **SCORED}[self.rule.value](seen, self.threshold.value)


def counted(
    n: int | Literal["auto"], max_n: int | None, stopping: Stopping | RuleName | None, *, scored: bool = False
) -> tuple[Hyperparameter, Stopping | None]:
    """What ``n``, ``max_n`` and ``stopping`` mean: how many candidates at most, and how the drawing stops.

    Raises:
        ConfigurationError: ``max_n`` or ``stopping`` beside a fixed ``n``, or one of them is not what it should be.
    """
    if isinstance(n, str) and n != "auto":
        raise ConfigurationError(f"n must be a whole number of at least 1 or 'auto', but got n={n!r}")
    if n != "auto":
        for name, value in (("max_n", max_n), ("stopping", stopping)):
            if value is not None:
                raise ConfigurationError(f"{name} needs n='auto', but got n={n!r} and {name}={value!r}; leave one out")
        return Hyperparameter("n", n, low=1, search=(1, 16)), None
    most = MOST if max_n is None else max_n
    rule = stopping if isinstance(stopping, Stopping) else Stopping(stopping)
    count = Hyperparameter("max_n", most, low=1, search=(min(4, most), max(16, most)))
    return count, rule.fitting(scored=scored)
