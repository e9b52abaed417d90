"""How much each tuned thing mattered: Optuna's importance (PED-ANOVA), over the whole trials alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from dspy_fusion.optimizers import TrialReport

_LEAST = 6  # whole trials; with fewer there is nothing to say


def importances(storage: str, study: str, trials: Sequence[TrialReport]) -> dict[str, float]:
    """The share of each dimension, largest first; empty with too few trials, or where all of them score alike.

    Args:
        storage: URL of the study.
        study: its name.
        trials: of its report; dropped ones have partial scores and are left out.
    """
    scores = {trial.number: trial.quality.mean for trial in trials if trial.state == "whole" and trial.quality}
    if len(scores) < _LEAST or len(set(scores.values())) < 2:
        return {}
    finished = [
        t for t in optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False) if t.number in scores
    ]
    widest = _widest([trial.distributions for trial in finished])
    copy = optuna.create_study(direction="maximize")
    for trial in finished:
        distributions = {name: widest[name] for name in trial.params}
        copy.add_trial(
            create_trial(
                params=trial.params, distributions=distributions, value=scores[trial.number], state=TrialState.COMPLETE
            )
        )
    return optuna.importance.get_param_importances(copy)


def _widest(all_distributions: Sequence[Mapping[str, BaseDistribution]]) -> dict[str, BaseDistribution]:
    """One distribution per dimension: lists of instructions grow while a study runs."""
    widest: dict[str, BaseDistribution] = {}
    for distributions in all_distributions:
        for name, distribution in distributions.items():
            known = widest.get(name)
            if isinstance(known, IntDistribution) and isinstance(distribution, IntDistribution):
                distribution = max(known, distribution, key=lambda d: d.high)
            widest[name] = distribution
    return widest
