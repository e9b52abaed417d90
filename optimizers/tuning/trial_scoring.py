"""How a trial is scored: example by example in the shared order, in a race against what was scored before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import dspy
from optuna.trial import FrozenTrial

from .constraints import meets
from .racing import Race, looks
from .scores.scored import means_of
from .search.next_point import RACED
from .search.past_trials import STEP
from .search_space import setting_digest
from .study import DIGEST, tell_dropped, tell_failed, tell_whole

if TYPE_CHECKING:
    from .tuning_run import TuningRun

_FAR = 1e9  # a constraint of which nothing was measured is missed by this much: databases keep no infinity


def scored_trial(run: TuningRun, trial: FrozenTrial, program: dspy.Module) -> bool:
    """Scores a trial until it is whole or its race is lost, and ends it; False where another worker has ended it.

    Raises:
        MetricError: the metric failed.
        BudgetSpent: before the next example.
    """
    digest = trial.user_attrs[DIGEST]
    race, known = _race(run, trial), run.of_trials.look(digest)
    outcomes, behind = known, None
    for length in looks(len(run.examples)) if len(known) < len(run.examples) else ():
        outcomes = run.objective.outcomes(program, digest, run.examples[:length], keep=False)
        if (behind := race.shortfall(outcomes)) is not None:
            break
    run.objective.keep(digest)
    means = means_of(outcomes)
    values = [means.get(name, math.nan) for name in run.objectives]
    if any(math.isnan(value) for value in values):
        cause = f"{' and '.join(run.objectives)} could be measured on none of its examples"
        return tell_failed(run.study, trial, f"{cause}; the last: {outcomes[-1].error}"[:1000])
    if behind is None:
        limits = {str(limit): min(limit.missed(means), _FAR) for limit in run.constraints}
        return tell_whole(run.study, trial, values, limits)
    return tell_dropped(run.study, trial, values, scored=len(outcomes), shortfall=behind)


def _race(run: TuningRun, trial: FrozenTrial) -> Race:
    """Against the trials that are whole and meet the constraints.

    One that was dropped and is taken up again is not dropped again, and none is before anything meets the constraints.
    """
    every = {setting_digest(run.program), *(whole.user_attrs[DIGEST] for whole in run.ended)}
    fitting = {digest for digest in every if meets(run.constraints, run.of_trials.scored(digest).means)}
    whole = [d for d in sorted(fitting or every) if len(run.of_trials.scored(d)) == len(run.examples)]
    by_cost = len(run.objectives) > 1 and run.tolerance > 0
    leader, luck = _leader(run, whole)
    return Race(
        run.of_trials.complete(whole),
        error=run.racing_error * RACED.get(trial.user_attrs.get(STEP, ""), 1.0) if fitting else 0.0,
        tolerance=run.tolerance if by_cost else 0.0,
        by_cost=by_cost,
        second=run.second,
        leader=leader,
        luck=luck,
    )


def _leader(run: TuningRun, digests: Sequence[str]) -> tuple[int | None, float]:
    """The place of the program of which most is expected, and by how much its mean is above that.

    None where nothing is expected yet.
    """
    numbers = {trial.user_attrs[DIGEST]: trial.number for trial in run.ended if trial.number in run.expected}
    expected = {digest: run.expected[number] for digest, number in numbers.items()}
    known = [place for place, digest in enumerate(digests) if digest in expected]
    if not known:
        return None, 0.0
    best = max(known, key=lambda place: expected[digests[place]])
    return best, run.of_trials.scored(digests[best]).means["quality"] - expected[digests[best]]
