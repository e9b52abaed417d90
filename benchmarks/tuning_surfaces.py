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
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from dspy_fusion.optimizers.tuning.racing import Race, looks
from dspy_fusion.optimizers.tuning.scores.study_store import Outcome
from dspy_fusion.optimizers.tuning.search.coordinate_sampler import CoordinateSampler
from dspy_fusion.optimizers.tuning.search.estimates import estimates
from dspy_fusion.optimizers.tuning.search.next_point import RACED
from dspy_fusion.optimizers.tuning.search.past_trials import DROPPED, STEP
from dspy_fusion.optimizers.tuning.search.trial_model import expected_values

from .surfaces import INSTRUCTION, LEVELS, Surface, families

EXAMPLES = 100


@dataclass
class Study:
    """One study on a surface: trials raced as the tuner races them, candidates shared as the bank shares them."""

    surface: Surface
    seed: int
    error: float = 0.2
    by_cost: bool = False
    whole: list[tuple[dict[str, Any], list[Outcome]]] = field(default_factory=list)
    tried: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    told: dict[int, np.ndarray] = field(default_factory=dict)
    expected: dict[str, float] = field(default_factory=dict)
    _pools: dict[float, np.ndarray] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _known: dict[str, list[Outcome]] = field(default_factory=dict)

    def race(
        self, setting: dict[str, Any], *, leader: int | None = None, share: float = 1.0
    ) -> tuple[list[Outcome], float | None]:
        """The outcomes of a setting, and by how much it falls short where it is raced out.

        Args:
            setting: the point.
            leader: the place of the incumbent among the whole ones; by default the one with the highest mean.
            share: of the race's error, with which it is dropped.
        """
        scores, calls = self.surface.scores(setting, EXAMPLES, self.seed), setting["width"] * setting["depth"] + 1.0
        outcomes = [Outcome(str(i), float(score), cost=calls) for i, score in enumerate(scores)]
        self.tried.append(setting)
        behind = None
        length = EXAMPLES
        if self.whole and self.error * share:
            place = max(range(len(self.whole)), key=lambda i: _mean(self.whole[i][1])) if leader is None else leader
            setting_of, rows = self.whole[place]
            luck = _mean(rows) - self.expected.get(_key(setting_of), _mean(rows))
            race = Race(
                [o for _, o in self.whole], error=self.error * share, by_cost=self.by_cost, leader=leader, luck=luck
            )
            for length in looks(EXAMPLES):
                if (behind := race.shortfall(outcomes[:length])) is not None:
                    break
        self._count(setting, length)
        if behind is None:
            self.whole.append((setting, outcomes))
        return outcomes[:length], behind

    def chosen(self) -> dict[str, Any]:
        """The best: by what is expected of it where the search says so, else by its mean, the cheapest first."""
        if self.expected:
            return max(self.whole, key=lambda pair: self.expected[_key(pair[0])])[0]
        return max(self.whole, key=lambda pair: (_mean(pair[1]), -pair[1][0].cost))[0]

    def leader(self) -> int | None:
        """The place of the whole one of which most is expected."""
        worth = [self.expected.get(_key(setting), -1.0) for setting, _ in self.whole]
        return int(np.argmax(worth)) if self.expected else None

    def loses_the_best(self) -> bool:
        """Whether the truly best of the settings tried was raced out."""
        best = max(self.tried, key=self.surface.logit)
        return all(setting != best for setting, _ in self.whole)

    def _count(self, setting: Mapping[str, Any], length: int) -> None:
        """Requests that the bank does not hold yet."""
        key, before = repr(sorted(setting.items())), self._seen.get(repr(sorted(setting.items())), 0)
        width, depth = setting["width"], setting["depth"]
        pool = self._pools.setdefault(setting["temperature"], np.zeros(EXAMPLES, int))
        wanted = width if depth else 1
        self.requests += int(np.maximum(0, wanted - pool[:length]).sum())
        pool[:length] = np.maximum(pool[:length], wanted)
        self.requests += max(0, length - before) * (width * max(0, depth - 1) + (depth > 0))
        self._seen[key] = max(before, length)


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
            values = [_mean(outcomes), outcomes[0].cost][:objectives]
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
    study.expected = {_key(settings[number]): value for number, value in expected.items()}


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
    search, options = ARMS[arm] if arm in ARMS else (_contender(arm), none)
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


def _contender(arm: str) -> Callable[..., None]:
    from .surface_contenders import contender  # which uses this file's Study

    return contender(arm.partition(",")[0])


def show(arm: str, rows: list[dict[str, Any]]) -> None:
    """A line over all families for an arm, and one for each."""
    print(
        f"\n{arm}: {_regret(rows)}; {_mean_of(rows, 'requests'):,.0f} requests, {_mean_of(rows, 'trials'):.0f} trials;"
        f" best setting tried raced out in {_mean_of(rows, 'lost'):.0%}, the chosen one {_mean_of(rows, 'missed'):.3f}"
        f" below it; {_mean_of(rows, 'seconds'):.2f} s a study"
    )
    for family in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == family]
        print(f"  {family:18} quality {_mean_of(mine, 'quality'):.3f}, {_regret(mine)}", flush=True)


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
    return f"median regret {np.median([row['regret'] for row in rows]):.3f}, mean {_mean_of(rows, 'regret'):.3f}"


def _mean_of(rows: list[dict[str, Any]], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _key(setting: Mapping[str, Any]) -> str:
    return repr(sorted(setting.items()))


def _mean(outcomes: list[Outcome]) -> float:
    return sum(outcome.score for outcome in outcomes) / len(outcomes)


if __name__ == "__main__":
    main()
