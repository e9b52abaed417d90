"""The gate: where candidates agree there is nothing to fuse, and the call of a fusor is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dspy

from .errors import ConfigurationError
from .pools.agreement import Groups
from .pools.candidates import Candidate
from .pools.clusters import heaviest, shares
from .tasks.hyperparameters import Hyperparameter


class Gate(dspy.Module):
    """The shares at which candidates agree; each is a hyperparameter.

    Args:
        shares: one share in [0, 1] for all fields that can be voted on, or one per output field.
        outputs: the task's output fields; empty where they become known with the first answer.

    Raises:
        ConfigurationError: a field that does not exist, no field at all, or a share out of bounds.
    """

    def __init__(self, shares: float | Mapping[str, float], outputs: Sequence[str]) -> None:
        super().__init__()
        by_field = dict(shares) if isinstance(shares, Mapping) else {}
        for name in by_field:
            if outputs and name not in outputs:
                raise ConfigurationError(f"gate names {name!r}, which is no output of the task; it has {list(outputs)}")
        if isinstance(shares, Mapping) and not by_field:
            raise ConfigurationError("gate must name at least one output field, but got gate={}; None has no gate")
        self.share = None if isinstance(shares, Mapping) else _share("gate", shares)
        self.by_field = {name: _share(f"gate of {name}", share) for name, share in by_field.items()}

    def opens(
        self,
        candidates: Sequence[Candidate],
        fields: Sequence[str],
        groups: Groups,
        weights: Sequence[float] | None = None,
    ) -> tuple[Candidate, str] | None:
        """The candidate that speaks for all, and why; None where they do not agree, or there are fewer than two.

        It is the first one that is in the heaviest group of every field.
        """
        good = [candidate for candidate in candidates if candidate.prediction is not None]
        if len(good) < 2:
            return None
        needed = {name: float(part.value) for name, part in self.by_field.items()}
        needed = needed or dict.fromkeys(fields, float(self.share.value) if self.share is not None else 1.0)
        members, reasons = set(range(len(good))), []
        for name, least in needed.items():
            places = groups(name, [c.prediction.get(name) if c.prediction is not None else None for c in good])
            first = heaviest(places, weights)
            number = next(i for i, group in enumerate(places) if first in group)
            share = shares(places, weights)[number]
            if share < least - 1e-12:
                return None
            members &= set(places[number])
            reasons.append(f"{name} {share:.2f} >= {least:g}")
        if not members:
            return None
        return good[min(members)], f"{len(good)} candidates agree: {', '.join(reasons)}"


def _share(name: str, value: float) -> Hyperparameter:
    return Hyperparameter(name, value, low=0.0, high=1.0, search=(0.5, 1.0), step=0.1)
