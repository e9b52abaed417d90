"""CoordinateSampler: an Optuna sampler that begins with what is known, moves one thing at a time,
and then moves texts and numbers together.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from .past_trials import STEP, Point, Row, first_value, grid, key_of, rows_of
from .surrogate import Surrogate, improvement

_RANDOM, _TOP, _TRIES = 200, 3, 20


class CoordinateSampler(optuna.samplers.BaseSampler):
    """Proposes, one after another: the start; every value without an order (a text) at the incumbent's numbers; the
    better texts at other numbers; one number at a time from the incumbent; and then, by a Gaussian process over all
    trials, moves of one, two or three things around the best ones and points anywhere.

    The second step finds what is good where the program stands. The third is for texts that trail there and lead
    elsewhere: prompts that win with one candidate and lose with ten (IAPO, arXiv 2508.10030). How the trials are shared
    out among the steps was chosen on ``benchmarks/tuning_surfaces.py``.

    What is proposed follows from the study's trials and the seed alone, so an interrupted study goes on, and several
    processes may share one. Each trial says which step proposed it, as ``user_attrs["step"]``. Of several objectives
    the first is searched and the second breaks ties; what constraints forbid is never the incumbent.

    Args:
        start: the point to begin with; what is missing of it is the middle of its range, or its first choice.
        space: the distributions, by name; by default those of the trials so far.
        unordered: names of whole numbers that stand for things without an order, as categorical ones always do.
        trials: how many trials the study is to have, of which the shares below are taken.
        examples: on how many examples a whole trial is scored, so that a dropped one counts for less.
        texts: which share of the trials may be spent on unordered values, in [0, 1].
        elsewhere: which share of the trials sees the better texts at other numbers, in [0, 1].
        levels: how many values of a number are tried beside the incumbent's before all move together, at least 0.
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
        examples: int = 100,
        texts: float = 0.5,
        elsewhere: float = 0.2,
        levels: int = 1,
        seed: int = 0,
    ) -> None:
        self.start, self.space, self.unordered = dict(start or {}), space, frozenset(unordered)
        self.trials, self.examples, self.texts, self.elsewhere = trials, examples, texts, elsewhere
        self.levels, self.seed = levels, seed

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
        step, point = _Search(self, search_space, rows_of(study, trials, search_space, self.examples)).next()
        study._storage.set_trial_user_attr(trial._trial_id, STEP, step)
        return point

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The start's value of something that no trial has had yet."""
        return first_value(param_name, param_distribution, self.start)


class _Search:
    """The next point of a history."""

    def __init__(self, sampler: CoordinateSampler, space: Mapping[str, BaseDistribution], rows: list[Row]) -> None:
        self.sampler, self.space, self.rows = sampler, space, rows
        self.grids = {name: grid(part) for name, part in space.items()}
        self.tried = {key_of(row.point) for row in rows}
        self.texts = [n for n, d in space.items() if isinstance(d, CategoricalDistribution) or n in sampler.unordered]
        self.numbers = [name for name in space if name not in self.texts]
        self.steps = Counter(row.step for row in rows)
        self.rng = np.random.default_rng([sampler.seed, len(rows)])

    def next(self) -> tuple[str, Point]:
        """The step and the point that it proposes."""
        start = {name: first_value(name, part, self.sampler.start) for name, part in self.space.items()}
        if key_of(start) not in self.tried:
            return "start", start
        whole = [row for row in self.rows if row.is_whole]
        best = max(whole, key=lambda row: row.rank).point if whole else start
        for step, point in itertools.chain(self._each_text(best), self._elsewhere(best), self._sweeps(best)):
            if key_of(point) not in self.tried:
                return step, point
        return "joint", self._joint(best)

    def _each_text(self, best: Point) -> Iterator[tuple[str, Point]]:
        if self._spent("each ") >= self.sampler.texts * self.sampler.trials:
            return
        for name in self.texts:
            seen = {row.point[name] for row in self.rows}
            yield from ((f"each {name}", {**best, name: value}) for value in self.grids[name] if value not in seen)

    def _elsewhere(self, best: Point) -> Iterator[tuple[str, Point]]:
        """Texts at numbers drawn anywhere: those that were least often there, the better ones first."""
        share = self.sampler.elsewhere * self.sampler.trials
        if not self.numbers or not self.texts or self._spent("elsewhere") >= share:
            return
        name = max(self.texts, key=lambda text: len(self.grids[text]))
        worth: dict[Any, float] = {}
        for row in self.rows:
            if row.value is not None:
                worth[row.point[name]] = max(row.value, worth.get(row.point[name], -math.inf))
        often = Counter(row.point[name] for row in self.rows if row.step == "elsewhere")
        for text in sorted(worth, key=lambda text: (often[text], -worth[text])):
            for _ in range(_TRIES):
                yield "elsewhere", {**best, **{number: self._any(number) for number in self.numbers}, name: text}

    def _sweeps(self, best: Point) -> Iterator[tuple[str, Point]]:
        for name in self.numbers:
            step = f"sweep {name}"
            seen = {best[name], *(row.point[name] for row in self.rows if row.step == step)}
            left = [value for value in self.grids[name] if value not in seen]
            if left and self.steps[step] < self.sampler.levels:
                yield step, {**best, name: max(left, key=lambda v: (min(abs(v - s) for s in seen), -v))}

    def _joint(self, best: Point) -> Point:
        options = [point for point in self._options(best) if key_of(point) not in self.tried]
        rows = [row for row in self.rows if row.value is not None]
        if not options:
            return best
        if len(rows) < 2:
            return options[int(self.rng.integers(len(options)))]
        model = Surrogate(
            self._array([row.point for row in rows]),
            np.array([row.value for row in rows]),
            np.array([row.share for row in rows]),
            np.array([name in self.texts for name in self.space]),
            self.sampler.seed,
        )
        known, _ = model.predict(self._array([row.point for row in rows if row.is_whole] or [best]))
        return options[int(np.argmax(improvement(*model.predict(self._array(options)), float(known.max()))))]

    def _options(self, best: Point) -> Iterator[Point]:
        """Moves of one, two or three things from the best points, and points anywhere."""
        names, whole = list(self.space), sorted((row for row in self.rows if row.is_whole), key=lambda row: row.rank)
        tops = [row.point for row in whole[-_TOP:]] or [best]
        for top in tops:
            yield from ({**top, name: value} for name in names for value in self.grids[name])
            for _ in range(_RANDOM // len(tops)):
                moved = self.rng.choice(len(names), size=min(len(names), 2 + int(self.rng.integers(2))), replace=False)
                yield {**top, **{names[place]: self._any(names[place]) for place in moved}}
        for _ in range(_RANDOM):
            yield {name: self._any(name) for name in names}

    def _spent(self, prefix: str) -> int:
        return sum(count for step, count in self.steps.items() if step.startswith(prefix))

    def _any(self, name: str) -> Any:
        return self.grids[name][int(self.rng.integers(len(self.grids[name])))]

    def _array(self, points: Sequence[Point]) -> np.ndarray:
        return np.array([[self._place(name, point[name]) for name in self.space] for point in points])

    def _place(self, name: str, value: Any) -> float:
        values = self.grids[name]
        if name in self.texts:
            return float(values.index(value)) if value in values else -1.0
        return (float(value) - float(values[0])) / max(1e-9, float(values[-1]) - float(values[0]))
