"""Confidence: from the agreement of a pool to the chance that its answer is right, by what labelled examples showed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..errors import ConfigurationError
from .candidates import Candidate

Method = Literal["isotonic", "beta"]


@dataclass(frozen=True)
class Calibration:
    """What was learned from labelled examples, as plain data that travels in a program's state.

    Attributes:
        method: how the curve was fitted.
        shares: agreements in ascending order, in [0, 1].
        chances: the chance of being right at each of them, in [0, 1]; between two of them it is interpolated.
        reliabilities: per model, how often its candidates are right, in (0, 1); empty where only one model answers.
        examples: how many examples it was learned from.
        strongest_first: whether the models take turns from the most reliable one on.
    """

    method: Method
    shares: tuple[float, ...]
    chances: tuple[float, ...]
    reliabilities: Mapping[str, float] = field(default_factory=dict)
    examples: int = 0
    strongest_first: bool = False

    def confidence(self, agreement: float) -> float:
        """The chance of being right at an agreement."""
        place = bisect_left(self.shares, agreement)
        if place == 0:
            return self.chances[0]
        if place == len(self.shares):
            return self.chances[-1]
        left, right = self.shares[place - 1], self.shares[place]
        part = (agreement - left) / (right - left)
        return self.chances[place - 1] + part * (self.chances[place] - self.chances[place - 1])

    def odds(self, candidates: Sequence[Candidate]) -> list[float] | None:
        """Log-odds of each candidate's model being right (0 for a model that is not known); None without any."""
        if not self.reliabilities:
            return None
        return [log_odds(self.reliabilities.get(candidate.lm, 0.5)) for candidate in candidates]

    def weights(self, candidates: Sequence[Candidate]) -> list[float] | None:
        """What each candidate's vote weighs: its log-odds, but at least 0; None where all weigh the same.

        Log-odds are the weights of the best vote among independent voters (Nitzan and Paroush, 1982). A model that is
        more often wrong than right is not counted against what it says.
        """
        odds = self.odds(candidates)
        weights = None if odds is None else [max(0.0, value) for value in odds]
        return weights if weights and any(weights) else None

    def turns(self, lms: Sequence[Any]) -> list[Any]:
        """Models in the order in which they take turns."""
        if not self.strongest_first:
            return list(lms)
        return sorted(lms, key=lambda lm: -self.reliabilities.get(getattr(lm, "model", ""), 0.0))

    def dump_state(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {**asdict(self), "shares": list(self.shares), "chances": list(self.chances)}

    @classmethod
    def of_state(cls, state: Any) -> Calibration:
        """The inverse of :meth:`dump_state`.

        Raises:
            ConfigurationError: the data is damaged.
        """
        try:
            made = cls(
                **{
                    **state,
                    "shares": tuple(map(float, state["shares"])),
                    "chances": tuple(map(float, state["chances"])),
                }
            )
            whole = len(made.shares) == len(made.chances) > 0 and list(made.shares) == sorted(made.shares)
            sound = all(0 <= chance <= 1 for chance in (*made.chances, *made.reliabilities.values()))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"the state of a calibration is damaged: {error}; calibrate again") from error
        if not (whole and sound):
            raise ConfigurationError(
                f"the state of a calibration is damaged: {len(made.shares)} shares, {len(made.chances)} chances, or"
                " some out of order or outside [0, 1]; calibrate again"
            )
        return made


def log_odds(chance: float) -> float:
    """ln(p / (1 - p)), with p kept 1e-6 away from 0 and 1."""
    chance = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(chance / (1 - chance))
