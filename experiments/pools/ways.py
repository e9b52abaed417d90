"""The ways of answering from recorded candidates.

Who needs what, and what each reaches with N of them, as functions of arrays.

A way sees only the candidates of its subset; what it knows about sources was learned on other questions. Only the
oracle knows more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .recorded_pool import RecordedPool
from .reliability import family_weights, vote_weights
from .similarity import medoid_curve
from .subsets import best_of_subsets
from .voting import all_ballots, vote_curve

Kind = Literal["single", "select", "oracle"]


@dataclass(frozen=True, eq=False)
class Material:
    """What ways may use."""

    pool: RecordedPool
    """Graded."""
    alike: np.ndarray
    """The texts' similarities, (questions, candidates, candidates); of size 0 where there are none."""
    reliability: np.ndarray
    """Of each source, learned on other questions, (questions, candidates)."""
    subsets: int
    """How many seeded subsets of each size ways without a fixed preference are averaged over."""
    seed: int
    """Of the subsets."""


Curve = Callable[[Material], np.ndarray]
"""(questions, C): the mean quality with N candidates in column N - 1."""


@dataclass(frozen=True)
class Recipe:
    """A way of answering."""

    name: str
    about: str
    """What it does, in a line."""
    curve: Curve
    fits: Callable[[Material], bool] = lambda material: True
    """Whether the pool has what it needs."""
    kind: Kind = "select"


def _single(material: Material) -> np.ndarray:
    quality = material.pool.quality
    return np.repeat(quality.mean(axis=1, keepdims=True), quality.shape[1], axis=1)


def _first_by(preference: Callable[[Material], np.ndarray]) -> Callable[[Material], np.ndarray]:
    """Best of N by a number that each candidate has.

    What has none comes after all that have one, and what failed comes last.
    """

    def curve(material: Material) -> np.ndarray:
        """The expected quality of the preferred candidate, by the number drawn."""
        pool = material.pool
        preferences = np.where(pool.present, np.nan_to_num(preference(material), nan=-1e300), -np.inf)
        order = np.argsort(-preferences, axis=1, kind="stable")
        ranked, preferred = (np.take_along_axis(values, order, axis=1) for values in (pool.quality, preferences))
        return best_of_subsets(_shared(ranked, preferred))

    return curve


def _shared(ranked: np.ndarray, preferred: np.ndarray) -> np.ndarray:
    """The values, those that are preferred equally replaced by their mean.

    What breaking such ties at random gives on average.
    """
    rows = np.arange(len(ranked))[:, None]
    begins = np.hstack([np.zeros((len(ranked), 1), dtype=bool), preferred[:, 1:] != preferred[:, :-1]])
    tied = np.cumsum(begins, axis=1) + rows * ranked.shape[1]
    sums, sizes = (
        np.bincount(tied.ravel(), weights=w, minlength=ranked.size) for w in (ranked.ravel(), np.ones(ranked.size))
    )
    return (sums / np.maximum(sizes, 1))[tied]


def _vote_by(weights: Callable[[Material], np.ndarray | None]) -> Callable[[Material], np.ndarray]:
    return lambda material: vote_curve(material.pool, weights(material), subsets=material.subsets, seed=material.seed)


def _gated(material: Material) -> np.ndarray:
    """The vote where it has a majority, else the answer of the most reliable source."""
    pool = material.pool
    order = np.argsort(-np.where(pool.present, material.reliability, -np.inf), axis=1, kind="stable")
    rank = np.argsort(order, axis=1)  # (questions, candidates): place of each candidate in the order of preference
    rows = np.arange(pool.shape[0])[:, None, None]
    blocks = []
    for ballots in all_ballots(pool, None, subsets=material.subsets, seed=material.seed):
        best = np.minimum.accumulate(rank[rows, ballots.orders], axis=2)
        trusted = pool.quality[rows, order[rows, best]]
        blocks.append(np.where(ballots.majority, ballots.quality, trusted).mean(axis=1))
    return np.mean(blocks, axis=0)


def _by_score(material: Material) -> np.ndarray:
    """Recorded scores brought to [0, 1] over the whole pool; who has none does not vote."""
    scores = material.pool.scores
    low, high = np.nanmin(scores), np.nanmax(scores)
    return np.nan_to_num((scores - low) / (high - low), nan=0.0) if high > low else np.ones(scores.shape)


def _medoid(material: Material) -> np.ndarray:
    return medoid_curve(material.pool, material.alike, subsets=material.subsets, seed=material.seed)


def _votes(material: Material) -> bool:
    return material.pool.is_comparable


def _families(material: Material) -> bool:
    return _votes(material) and 1 < len(set(material.pool.families)) < material.pool.shape[1]


def _has(name: str, *, votes: bool = False) -> Callable[[Material], bool]:
    return lambda material: bool((~np.isnan(getattr(material.pool, name))).any()) and (not votes or _votes(material))


def _texts(material: Material) -> bool:
    return material.pool.has_texts


RECIPES = (
    Recipe("single", "one candidate at random", _single, kind="single"),
    Recipe("vote", "the answer that most give", _vote_by(lambda material: None), _votes),
    Recipe(
        "vote by reliability",
        "votes weigh as much as their source is right on other questions",
        _vote_by(lambda material: vote_weights(material.pool, material.reliability)),
        _votes,
    ),
    Recipe(
        "vote by family",
        "the sources of a family share one vote",
        _vote_by(lambda material: family_weights(material.pool)),
        _families,
    ),
    Recipe(
        "vote by score", "votes weigh as much as their recorded scores", _vote_by(_by_score), _has("scores", votes=True)
    ),
    Recipe(
        "vote or most reliable", "the vote where it has a majority or else the most reliable source", _gated, _votes
    ),
    Recipe(
        "best by reliability",
        "the source that is right most often on other questions",
        _first_by(lambda m: m.reliability),
    ),
    Recipe("best by score", "the highest recorded score", _first_by(lambda m: m.pool.scores), _has("scores")),
    Recipe("best by likelihood", "the highest log-probability", _first_by(lambda m: m.pool.logprobs), _has("logprobs")),
    Recipe("longest", "the longest text", _first_by(lambda m: m.pool.lengths), _texts),
    Recipe("shortest", "the shortest text", _first_by(lambda m: -m.pool.lengths), _texts),
    Recipe("medoid", "the text that is most like the others", _medoid, lambda material: material.alike.size > 0),
    Recipe("oracle", "the best candidate by the right answers", _first_by(lambda m: m.pool.quality), kind="oracle"),
)
"""In the order of the tables."""
