"""Length-controlled win rates as AlpacaEval 2 defines them (Dubois et al., arXiv 2404.04475).

What would the win rate be at equal length?

A logistic regression explains the verdicts by the model, by the difference in length and by the instruction; the win
rate is then predicted without the length term. scikit-learn fits it, so it is imported here only when a fit is asked
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspy_fusion.optimizers.bootstrap import quantiles, resampled
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from ..statistics.intervals import Interval, mean_interval

# inverse strength of the penalty on what is estimated: so weak that it only keeps all-or-nothing verdicts finite
_WEAK = 100.0
_PRIOR = 1.0  # the same for the difficulty of an instruction, of which each model gives one verdict only


@dataclass(frozen=True)
class Match:
    """One answer against the baseline's answer to the same instruction."""

    example: str
    """Name of the instruction."""
    win: float
    """What the judge says: 1 where the answer won, 0 where the baseline did, 0.5 for a tie,
    or a preference in between.
    """
    length: int
    """Characters of the answer."""
    baseline_length: int
    """Characters of the baseline's answer."""


@dataclass(frozen=True)
class WinRates:
    """A model's win rate against the baseline, as it is and at equal length.

    Attributes:
        raw: the mean of the verdicts.
        controlled: the length-controlled win rate.
        length_effect: log-odds of winning for being longer by one standard deviation of the differences, before the
            tanh.
        difficulty_effect: log-odds of winning per unit of the instruction's difficulty; 0 where no difficulty is known.
        mean_length: characters of the model's answers.
        mean_baseline_length: characters of the baseline's answers.
    """

    raw: Interval
    controlled: Interval
    length_effect: float
    difficulty_effect: float
    mean_length: float
    mean_baseline_length: float


def win_rates(
    matches: Sequence[Match],
    *,
    difficulty: Mapping[str, float] | None = None,
    confidence: float = 0.95,
    resamples: int = 300,
    seed: int = 0,
) -> WinRates:
    """Fits ``P(win) = sigmoid(theta + phi tanh(d / sd(d)) + psi gamma)`` and predicts the win rate with ``phi = 0``.

    d is the difference in length to the baseline, gamma the difficulty of the instruction. The win rate is the mean
    over the instructions, so a model against itself has 50 %, and swapping model and baseline gives 1 minus it, as in
    the paper.

    Unlike AlpacaEval: the penalty is a fixed weak ridge and not a cross-validated lasso; there is no prior from
    deliberately truncated answers, so a model that is only ever shorter, or only ever longer, than the baseline is
    extrapolated; and the interval comes from resampling instructions with the difficulty held fixed, where AlpacaEval
    reports a standard error.

    Args:
        matches: at least one; several of one example (seeds) are resampled together.
        difficulty: from the name of an instruction to its difficulty, such as :func:`instruction_difficulty` gives;
            None leaves the term out, which one model's verdicts alone could not identify.
        confidence: coverage of the intervals, in (0, 1).
        resamples: how often the instructions are drawn anew.
        seed: of the resampling.

    Raises:
        ConfigurationError: there are no matches, an instruction has no difficulty, or scikit-learn is missing.
    """
    if not matches:
        raise ConfigurationError("there are no verdicts to take a win rate of; judge at least one pair")
    features, wins = _features(matches, difficulty), np.array([match.win for match in matches])
    names = {name: place for place, name in enumerate(dict.fromkeys(match.example for match in matches))}
    places = np.array([names[match.example] for match in matches])
    fitted = _fit(features, wins, np.ones(len(wins)))
    rates = [
        _at_equal_length(_fit(features, wins, times[places]), features, times[places])
        for times in _draws(names, resamples, seed)
    ]
    low, high = quantiles(np.array(rates), confidence) if rates else (np.nan, np.nan)
    point = _at_equal_length(fitted, features, np.ones(len(wins)))
    scores = {(match.example, number): match.win for number, match in enumerate(matches)}
    return WinRates(
        raw=mean_interval(scores, confidence=confidence, seed=seed),
        controlled=Interval(point, low, high, len(names)),
        length_effect=float(fitted[1]),
        difficulty_effect=float(fitted[2]),
        mean_length=float(np.mean([match.length for match in matches])),
        mean_baseline_length=float(np.mean([match.baseline_length for match in matches])),
    )


def instruction_difficulty(by_model: Mapping[str, Sequence[Match]]) -> dict[str, float]:
    """How hard each instruction is for the baseline, from the verdicts on several models.

    Higher where models win more easily.

    One regression over all models, in which every model has its own strength and length effect, and an instruction
    shifts all models alike (psi = 1); the shifts, with mean 0, are the gamma of :func:`win_rates`. Unlike in
    AlpacaEval, whose published difficulties hold for its own instructions and baseline, they are estimated from the
    verdicts at hand.

    Raises:
        ConfigurationError: there are no matches, or scikit-learn is missing.
    """
    from scipy.sparse import coo_matrix

    matches = [(number, match) for number, row in enumerate(by_model.values()) for match in row]
    if not matches:
        raise ConfigurationError("there are no verdicts to estimate difficulties from; judge at least one pair")
    names = {name: place for place, name in enumerate(dict.fromkeys(match.example for _, match in matches))}
    lengths = np.concatenate([_length_term(row) for row in by_model.values() if row])
    models, rows = len(by_model), np.arange(len(matches))
    model, example = (
        np.array([number for number, _ in matches]),
        np.array([names[match.example] for _, match in matches]),
    )
    strong = float(np.sqrt(_WEAK / _PRIOR))  # a column that is scaled up is penalised less
    columns = np.concatenate([model, models + model, 2 * models + example])
    values = np.concatenate([np.full(len(matches), strong), strong * lengths, np.ones(len(matches))])
    features = coo_matrix((values, (np.tile(rows, 3), columns)), shape=(len(matches), 2 * models + len(names))).tocsr()
    shifts = _fit(features, np.array([match.win for _, match in matches]), np.ones(len(matches)), strength=_PRIOR)[
        2 * models :
    ]
    return {name: float(shifts[place] - shifts.mean()) for name, place in names.items()}


def _features(matches: Sequence[Match], difficulty: Mapping[str, float] | None) -> np.ndarray:
    """Model, length and difficulty, (matches, 3)."""
    if difficulty is not None and (missing := [match.example for match in matches if match.example not in difficulty]):
        raise ConfigurationError(
            f"no difficulty is given for the instruction {missing[0]!r}; give one for each, or none at all"
        )
    hard = [0.0 if difficulty is None else difficulty[match.example] for match in matches]
    return np.column_stack([np.ones(len(matches)), _length_term(matches), hard])


def _length_term(matches: Sequence[Match]) -> np.ndarray:
    """The tanh of the difference in length over its standard deviation; not centred, so that equal lengths give 0."""
    difference = np.array([match.length - match.baseline_length for match in matches], float)
    spread = difference.std(ddof=1) if len(difference) > 1 else 0.0
    return np.tanh(difference / spread) if spread > 0 else np.sign(difference) * np.tanh(1.0)


def _fit(features: Any, wins: np.ndarray, weights: np.ndarray, *, strength: float = _WEAK) -> np.ndarray:
    """The coefficients of a logistic regression on verdicts in [0, 1]:
    each counts as a win by its share and as a loss by the rest.
    """
    with needs("the length-controlled win rate", "tasks"):
        from sklearn.linear_model import LogisticRegression
    from scipy.sparse import issparse, vstack

    stacked: Any = vstack([features, features], format="csr") if issparse(features) else np.vstack([features, features])
    sides = np.repeat([1, 0], len(wins))
    shares = np.concatenate([wins, 1 - wins]) * np.concatenate([weights, weights])
    used = shares > 0
    if len(set(sides[used])) < 2:
        used[:] = True  # all won, or all lost: the side without weight is still named
    model = LogisticRegression(C=strength, fit_intercept=False, solver="newton-cg", tol=1e-6, max_iter=1000)
    return model.fit(stacked[used], sides[used], sample_weight=shares[used]).coef_[0]


def _at_equal_length(coefficients: np.ndarray, features: np.ndarray, weights: np.ndarray) -> float:
    logits = coefficients[0] + coefficients[2] * features[:, 2]
    return float(np.average(1 / (1 + np.exp(-logits)), weights=weights))


def _draws(names: Mapping[str, int], resamples: int, seed: int) -> np.ndarray:
    """How often each instruction is drawn, (resamples, instructions).

    No draw where one instruction cannot give an interval.
    """
    return resampled((len(names),), resamples, seed) if len(names) > 1 else np.empty((0, len(names)))
