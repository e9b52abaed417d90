"""What a search finds on surfaces with a known optimum: ``python -m benchmarks.tuning_surfaces``.

Every arm has the same examples, at most so many trials and so many requests. Trials are raced, told to Optuna and
counted as the tuner does, in memory and without models, so a study takes a fraction of a second. The surfaces are in
``benchmarks/surfaces.py``. MIPROv2 and GEPA, each with a grid over the numbers, run on DSPy's real LM layer, with a
scripted model (``benchmarks/surface_contenders.py``); a study of theirs takes minutes.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from dspy_fusion.optimizers.tuning.search.coordinate_sampler import CoordinateSampler
from dspy_fusion.optimizers.tuning.search.estimates import estimates
from dspy_fusion.optimizers.tuning.search.next_point import RACED
from dspy_fusion.optimizers.tuning.search.past_trials import DROPPED, STEP
from dspy_fusion.optimizers.tuning.search.trial_model import expected_values

from .surface_contenders import contender
from .surface_study import Study, key_of, mean_of
from .surfaces import INSTRUCTION, LEVELS, Surface, families


def sampled(make: Callable[[Surface, int], optuna.samplers.BaseSampler], objectives: int = 1) -> Callable[..., None]:
    """A search by an Optuna sampler, told of trials as the tuner tells it."""

    def search(study: Study, trials: int, requests: int) -> None:
        warnings.simplefilter("ignore")
        directions: Any = ["maximize", "minimize"][:objectives]
        optuna_study = optuna.create_study(directions=directions, sampler=make(study.surface, study.seed))
        optuna_study.enqueue_trial(study.surface.begin)
        space = distributions(study.surface)
        while len(study.tried) < trials and study.requests < requests:
            if isinstance(optuna_study.sampler, CoordinateSampler):
                _look(study, optuna_study, space)
            trial = optuna_study.ask(space)
            setting = {name: round(v, 6) if isinstance(v, float) else v for name, v in trial.params.items()}
            marks = optuna_study.get_trials(deepcopy=False)[trial.number].user_attrs  # the trial's own are older
            share = RACED.get(marks.get(STEP, ""), 1.0)
            outcomes, behind = study.race(setting, leader=study.leader(), share=share)
            study.told[trial.number] = np.array([outcome.score for outcome in outcomes])
            values = [mean_of(outcomes), outcomes[0].cost][:objectives]
            if behind is None:
                optuna_study.tell(trial, values)
                continue
            trial.set_constraint(DROPPED, behind)
            if objectives > 1:
                optuna_study.tell(trial, values)
            else:
                trial.report(values[0], len(outcomes))
                optuna_study.tell(trial, state=TrialState.PRUNED)
        if isinstance(optuna_study.sampler, CoordinateSampler):
            _look(study, optuna_study, space)

    return search


def _look(study: Study, optuna_study: optuna.Study, space: Mapping[str, BaseDistribution]) -> None:
    """What trials are worth, told to the sampler, the races and the choice, as the tuner does it."""
    known = dict(zip(study.told, estimates(list(study.told.values())), strict=True))
    cast("CoordinateSampler", optuna_study.sampler).known = known
    trials = optuna_study.get_trials(deepcopy=False)
    expected = expected_values(optuna_study, trials, space, (INSTRUCTION,), known)
    settings = {trial.number: {k: round(v, 6) if isinstance(v, float) else v for k, v in trial.params.items()}
                for trial in trials}  # fmt: skip
    study.expected = {key_of(settings[number]): value for number, value in expected.items()}


def one_at_a_time(study: Study, trials: int, requests: int) -> None:
    """Every instruction at the program's own numbers, then every number's values at the best so far, again and
    again.
    """
    for setting in _plan(study):
        if len(study.tried) >= trials or study.requests >= requests:
            return
        study.race(setting)


def _plan(study: Study) -> Iterator[dict[str, Any]]:
    begin = study.surface.begin
    yield begin
    yield from ({**begin, INSTRUCTION: place} for place in range(1, study.surface.instructions))
    while True:
        before = len(study.tried)
        for name, values in LEVELS.items():
            best = study.chosen()
            for value in values[:: 2 if len(values) > 5 else 1]:
                if {**best, name: value} not in study.tried:
                    yield {**best, name: value}
        if len(study.tried) == before:
            return


def distributions(surface: Surface) -> dict[str, BaseDistribution]:
    """The space as the tuner describes it to Optuna."""
    return {
        "width": IntDistribution(1, 8),
        "depth": IntDistribution(0, 3),
        "temperature": FloatDistribution(0.1, 1.3, step=0.3),
        "aggregation_temperature": FloatDistribution(0.1, 1.3, step=0.3),
        INSTRUCTION: IntDistribution(0, surface.instructions - 1),
    }


def tpe(surface: Surface, seed: int) -> optuna.samplers.BaseSampler:
    """The tuner's default before the structured search."""
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=8, multivariate=True, constant_liar=True)


def structured(**options: Any) -> Callable[[Surface, int], optuna.samplers.BaseSampler]:
    """The tuner's own search."""

    def make(surface: Surface, seed: int) -> optuna.samplers.BaseSampler:
        space = distributions(surface)
        return CoordinateSampler(
            **{"start": surface.begin, "space": space, "unordered": (INSTRUCTION,), "seed": seed, **options}
        )

    return make


def random(surface: Surface, seed: int) -> optuna.samplers.BaseSampler:
    """Points anywhere."""
    return optuna.samplers.RandomSampler(seed=seed)


ARMS: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "the tuner": (sampled(structured()), {"error": 0.02}),
    "the tuner, racing error .2": (sampled(structured()), {}),
    "one at a time": (one_at_a_time, {}),
    "random, raced": (sampled(random), {}),
    "TPE, raced": (sampled(tpe), {}),
    "TPE, quality and cost": (sampled(tpe, 2), {"by_cost": True}),
    "TPE alone": (sampled(tpe), {"error": 0.0}),
}


DSPYS = ("MIPROv2, then a grid", "GEPA, then a grid")


def run(arm: str, family: int, seed: int, trials: int, requests: int) -> dict[str, Any]:
    """One study: its true quality, its regret against the optimum, and what it took."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    none: dict[str, Any] = {"error": 0.0}
    search, options = ARMS[arm] if arm in ARMS else (contender(arm.partition(",")[0]), none)
    surface, began = families(seed)[family], time.process_time()
    study = Study(surface, seed, **options)
    search(study, trials, requests)
    best, found = surface.quality(max(study.tried, key=surface.logit)), surface.quality(study.chosen())
    return {
        "arm": arm,
        "family": surface.name,
        "quality": found,
        "regret": surface.optimum() - found,
        "missed": best - found,
        "lost": study.loses_the_best(),
        "requests": study.requests,
        "trials": len(study.tried),
        "seconds": time.process_time() - began,
    }


def show(arm: str, rows: list[dict[str, Any]]) -> None:
    """A line over all families for an arm, and one for each."""
    print(
        f"\n{arm}: {_regret(rows)}; {_average(rows, 'requests'):,.0f} requests, {_average(rows, 'trials'):.0f} trials;"
        f" best setting tried raced out in {_average(rows, 'lost'):.0%}, the chosen one {_average(rows, 'missed'):.3f}"
        f" below it; {_average(rows, 'seconds'):.2f} s a study"
    )
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        print(f"  {family:18} quality {_average(mine, 'quality'):.3f}, {_regret(mine)}", flush=True)


def main() -> None:
    """Prints every arm's regret, over all families and in each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=40, help="at most")
    parser.add_argument("--requests", type=int, default=15_000, help="of each study, at most")
    parser.add_argument("--arms", nargs="*", choices=[*ARMS, *DSPYS], default=list(ARMS))
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        for arm in options.arms:
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            cells = itertools.product([arm], range(len(families(0))), seeds)
            jobs = [pool.submit(run, *cell, options.trials, options.requests) for cell in cells]
            show(arm, [job.result() for job in jobs])


def _regret(rows: list[dict[str, Any]]) -> str:
    return f"median regret {np.median([row['regret'] for row in rows]):.3f}, mean {_average(rows, 'regret'):.3f}"


def _average(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


if __name__ == "__main__":
    main()
