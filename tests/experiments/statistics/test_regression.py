"""The regression against numbers worked out another way."""

from __future__ import annotations

import numpy as np
import pytest

from dspy_fusion.experiments.statistics.regression import fit
from dspy_fusion.programs.errors import ConfigurationError


def made(groups: int = 60, size: int = 20, *, a: float = 2.0, b: float = 0.5, shared: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    names = [f"q{i}" for i in range(groups) for _ in range(size)]
    x, z = rng.normal(size=(2, groups * size))
    hard = np.repeat(rng.normal(size=groups), size)
    noise = rng.normal(size=groups * size) + shared * np.repeat(rng.normal(size=groups), size) * x
    return a * x + b * z + 5 * hard + noise, {"x": x, "z": z}, names


def test_it_finds_the_coefficients_whatever_the_questions_are() -> None:
    y, regressors, names = made()
    found = fit(y, regressors, names, within=True)
    spread = np.std(y - np.repeat(y.reshape(60, 20).mean(1), 20))
    assert found.coefficients["x"].mean == pytest.approx(2 / spread, abs=0.05)
    assert found.coefficients["z"].low < 0.5 / spread < found.coefficients["z"].high
    assert found.contrast.low > 0


def test_one_observation_a_cluster_gives_whites_interval() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    y = x @ [1.0, -1.0] + rng.normal(size=40)
    found = fit(y, {"x": x[:, 0], "z": x[:, 1]}, [f"q{i}" for i in range(40)], within=False)
    ready, target = (x - x.mean(0)) / x.std(0), (y - y.mean()) / y.std()
    bread = np.linalg.inv(ready.T @ ready)
    beta = bread @ ready.T @ target
    meat = (ready * (target - ready @ beta)[:, None] ** 2).T @ ready
    error = np.sqrt(np.diag(bread @ meat @ bread) * 40 / 39 * 39 / 37)
    assert found.coefficients["x"].high - found.coefficients["x"].mean == pytest.approx(2.0227 * error[0], rel=1e-3)


def test_groups_that_go_together_widen_the_interval() -> None:
    y, regressors, names = made(shared=2.0)
    robust = fit(y, regressors, names, within=True).coefficients["x"]
    naive = fit(y, regressors, [f"{name} {i}" for i, name in enumerate(names)], within=False).coefficients["x"]
    assert robust.high - robust.low > 1.5 * (naive.high - naive.low)


def test_the_interval_covers_about_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(200):
        y, regressors, names = made(30, 10, a=0.0, shared=1.0, seed=seed)
        found = fit(y, regressors, names, within=True).coefficients["x"]
        hits += found.low <= 0 <= found.high
    assert 178 <= hits <= 198


def test_what_cannot_be_fitted_is_said() -> None:
    y, names = [1.0, 2.0, 3.0, 5.0], ["a", "a", "b", "b"]
    with pytest.raises(ConfigurationError, match="needs at least 2 of them, but got 1"):
        fit(y, {"x": y, "z": y}, ["a"] * 4, within=True)
    with pytest.raises(ConfigurationError, match="z does not vary"):
        fit(y, {"x": y, "z": [1, 1, 2, 2]}, names, within=True)
    with pytest.raises(ConfigurationError, match="x and z go together exactly"):
        fit(y, {"x": y, "z": [-v for v in y]}, names, within=False)
