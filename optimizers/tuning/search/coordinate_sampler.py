"""CoordinateSampler: how Optuna chooses the next point of a program.

It begins with what is known, looks at texts where the program stands and elsewhere, and then moves
texts and numbers together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from .estimates import Estimate
from .next_point import NextPoint, Shares
from .past_trials import STEP, first_value, rows_of


class CoordinateSampler(optuna.samplers.BaseSampler):
    """Proposes, one after another: the start.

    Every value without an order (a text) at the incumbent's numbers; texts at other numbers, far from what was tried;
    one number at a time from the incumbent, where that is asked for; by a Gaussian process over all trials, moves of
    one or two things around the best ones and points anywhere; and at the end again those that were dropped and may be
    the best after all.

    The second step finds what is good where the program stands. The third is for texts that trail there and lead
    elsewhere: prompts that win with one candidate and lose with ten (IAPO, arXiv 2508.10030). The incumbent is the
    trial of which most is expected in view of all others, not the one that was luckiest. How the trials are shared out
    among the steps was chosen on ``benchmarks/tuning_surfaces.py``.

    What is proposed follows from the study's trials and the seed alone, so an interrupted study goes on, and several
    processes may share one. Each trial says which step proposed it, as ``user_attrs["step"]``: a trial of the step
    ``again`` is one that whoever runs it should not drop a second time. Of several objectives the first is searched
    and the second breaks ties; what constraints forbid is never the incumbent.

    Args:
        start: the point to begin with; what is missing of it is the middle of its range, or its first choice.
        space: the distributions, by name; by default those of the trials so far.
        unordered: names of whole numbers that stand for things without an order, as categorical ones always do.
        trials: how many trials the study is to have, of which the shares below are taken.
        known: what trials are worth and how sure that is, by their numbers; else their own values are taken, and how
            sure they are is estimated.
        texts: which share of the trials may be spent on unordered values, in [0, 1].
        elsewhere: which share of the trials sees texts at other numbers, in [0, 1], and at most half of those that the
            texts leave beyond eight.
        levels: how many values of each number are tried beside the incumbent's before all move together, at least 0.
        again: which share of the trials, the last ones, goes to trials that were dropped, in [0, 1], and at most three
            in ten of those that the texts leave.
        seed: of what is drawn.

    Example:
        >>> study = optuna.create_study(direction="maximize", sampler=CoordinateSampler(start={"n": 5}, trials=40))
    """

    def __init__(
        self,
        *,
        start: Mapping[str, Any] | None = None,
        space: Mapping[str, BaseDistribution] | None = None,
        unordered: Sequence[str] = (),
        trials: int = 40,
        known: Mapping[int, Estimate] | None = None,
        texts: float = 0.75,
        elsewhere: float = 0.3,
        levels: int = 0,
        again: float = 0.175,
        seed: int = 0,
    ) -> None:
        self.start, self.space, self.unordered = dict(start or {}), space, frozenset(unordered)
        self.trials, self.known, self.seed = trials, known, seed
        self.shares = Shares(texts, elsewhere, levels, again)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The given space, or the distributions of the trials so far, the latest of each name."""
        if self.space is not None:
            return dict(self.space)
        past = study.get_trials(deepcopy=False)
        return {name: part for other in past for name, part in other.distributions.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next point, and a mark on the trial that says why; nothing for a queued trial, whose point is given."""
        if not search_space or trial.system_attrs.get("fixed_params"):
            return {}
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        rows = rows_of(study, trials, search_space, self.known)
        step, point = NextPoint(
            search_space, rows, self.start, self.unordered, self.trials, self.shares, self.seed
        ).next()
        study._storage.set_trial_user_attr(trial._trial_id, STEP, step)
        return point

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The start's value of something that no trial has had yet."""
        return first_value(param_name, param_distribution, self.start)
