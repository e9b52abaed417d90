"""Response surfaces with a known optimum: how likely a program at a setting answers an example rightly.

A setting's logit is that of its instruction plus what width, depth and temperatures do to it; an example adds its own
difficulty. Whether an example is answered rightly is drawn once per example and setting, so a study on a surface may be
repeated, and the true quality of a setting is an integral over the examples' difficulty.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

INSTRUCTION = "instruction:fusor"
LEVELS: dict[str, tuple[Any, ...]] = {
    "width": tuple(range(1, 9)),
    "depth": (0, 1, 2, 3),
    "temperature": (0.1, 0.4, 0.7, 1.0, 1.3),
    "aggregation_temperature": (0.1, 0.4, 0.7, 1.0, 1.3),
}
START = {"width": 3, "depth": 1, "temperature": 1.0, "aggregation_temperature": 1.0, INSTRUCTION: 0}
Setting = Mapping[str, Any]
Logit = Callable[[Setting], Any]


@dataclass(frozen=True)
class Surface:
    """A family's surface of one seed.

    Attributes:
        name: of the family.
        logit: of a setting, for an example of middling difficulty.
        instructions: how many there are.
        spread: standard deviation of the examples' difficulty, in logits.
        noise: share of scores that the metric gives at random.
        start: where the program stands.
    """

    name: str
    logit: Logit
    instructions: int = 8
    spread: float = 2.5
    noise: float = 0.0
    start: Mapping[str, Any] | None = None

    @property
    def begin(self) -> dict[str, Any]:
        """The program as it is."""
        return {**START, **(self.start or {})}

    def quality(self, setting: Setting) -> float:
        """The true quality of a setting."""
        nodes, weights = _nodes()
        right = float(weights @ _sigmoid(self.logit(setting) + self.spread * nodes))
        return (1 - self.noise) * right + self.noise / 2

    def scores(self, setting: Setting, examples: int, seed: int) -> np.ndarray:
        """Right or wrong on the examples of a seed."""
        difficulty = np.random.default_rng([seed, 1]).standard_normal(examples)
        key = hashlib.sha256(repr([self.name, seed, sorted(setting.items())]).encode()).digest()
        rng = np.random.default_rng(int.from_bytes(key[:8], "big"))
        right = (rng.random(examples) < _sigmoid(self.logit(setting) + self.spread * difficulty)).astype(float)
        return np.where(rng.random(examples) < self.noise, rng.integers(0, 2, examples), right)

    def optimum(self) -> float:
        """The best true quality on the grid."""
        names = [*LEVELS, INSTRUCTION]
        grid = itertools.product(*LEVELS.values(), range(self.instructions))
        best = max((dict(zip(names, values, strict=True)) for values in grid), key=self.logit)
        return self.quality(best)


def families(seed: int) -> list[Surface]:
    """The surface of the issue that all started with, and six more families, each with effects of its own a seed."""
    rng = np.random.default_rng([seed, 7])
    makers = (known, separable, interacting, flat, deceptive, noisy, many_instructions)
    return [maker(rng) for maker in makers]


def known(rng: np.random.Generator) -> Surface:
    """Instructions from -1.5 to +1.8, inner optima, depth that helps under a good instruction only: .48, .70, .89."""
    effects = _effects(rng, 8, -1.5, 1.8)

    def logit(s: Setting) -> float:
        good = effects[s[INSTRUCTION]]
        deeper = (0.6 if good > 1 else -0.4) * (s["depth"] - 1)
        return 1.0 + good + _hill(s, width=(6, 1.3), temperature=(0.7, 0.8)) + deeper

    return Surface("known", logit, spread=2.8)


def separable(rng: np.random.Generator) -> Surface:
    """Every part adds its own."""
    effects, peaks = _effects(rng, 8, -1.0, 1.2), _peaks(rng)
    return Surface("separable", lambda s: 0.8 + effects[s[INSTRUCTION]] + _hill(s, **peaks))


def interacting(rng: np.random.Generator) -> Surface:
    """Each instruction wants its own depth and temperature."""
    effects, peaks = _effects(rng, 8, -0.8, 0.8), _peaks(rng)
    depths, warmth = rng.integers(0, 4, 8), rng.choice(LEVELS["temperature"], 8)

    def logit(s: Setting) -> float:
        k = s[INSTRUCTION]
        apart = abs(s["depth"] - depths[k]) * 0.5 + abs(s["temperature"] - warmth[k]) * 1.0
        return 1.2 + effects[k] + _hill(s, width=peaks["width"]) - apart

    return Surface("interacting", logit)


def flat(rng: np.random.Generator) -> Surface:
    """Nothing matters much: whoever chases noise pays for it."""
    effects, peaks = _effects(rng, 8, -0.15, 0.15), _peaks(rng)
    return Surface("flat", lambda s: 0.3 + effects[s[INSTRUCTION]] + 0.1 * _hill(s, **peaks))


def deceptive(rng: np.random.Generator) -> Surface:
    """One prompt leads at width 1 and gains nothing from more; another trails there and wins at width 8."""
    effects = _effects(rng, 8, -1.0, 0.3)
    quick, patient = rng.choice(np.arange(1, 8), 2, replace=False)

    def logit(s: Setting) -> float:
        k, wide = s[INSTRUCTION], (s["width"] - 1) / 7
        own = {quick: 1.0 - 0.3 * wide, patient: -0.2 + 3.0 * wide}.get(k, effects[k] + 0.5 * wide)
        return 0.3 + own + _hill(s, temperature=(0.7, 0.6))

    return Surface("deceptive", logit, start={"width": 1})


def noisy(rng: np.random.Generator) -> Surface:
    """A third of the scores is drawn by lot."""
    effects, peaks = _effects(rng, 8, -1.0, 1.5), _peaks(rng)
    return Surface("noisy", lambda s: 0.8 + effects[s[INSTRUCTION]] + _hill(s, **peaks), noise=1 / 3)


def many_instructions(rng: np.random.Generator) -> Surface:
    """Thirty instructions, few of them good."""
    effects, peaks = rng.normal(-0.3, 0.8, 30), _peaks(rng)
    return Surface("many instructions", lambda s: 0.8 + effects[s[INSTRUCTION]] + _hill(s, **peaks), instructions=30)


def _effects(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """Effects of instructions over a range; the program's own, 0, among them and first."""
    return np.concatenate([[0.0], rng.permutation(np.linspace(low, high, count - 1))])


def _peaks(rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    return {name: (float(rng.choice(values)), float(rng.uniform(0.3, 1.2))) for name, values in LEVELS.items()}


def _hill(s: Setting, **peaks: tuple[float, float]) -> float:
    """A parabola a number: 0 at its peak, minus its height half a range away."""
    spans: dict[str, Sequence[float]] = {name: (min(v), max(v)) for name, v in LEVELS.items()}
    return sum(
        -height * ((s[name] - peak) / ((spans[name][1] - spans[name][0]) / 2)) ** 2
        for name, (peak, height) in peaks.items()
    )


def _sigmoid(logit: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(logit)))


@lru_cache(maxsize=1)
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    return nodes, weights / weights.sum()
