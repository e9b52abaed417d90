"""The dial of an OptunaTuner: how much effort a study takes, as one word over its single options."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from dspy_fusion.programs import ConfigurationError

from .scores.budget import Budget

Auto = Literal["light", "medium", "heavy"]


@dataclass(frozen=True)
class Effort:
    """What the dial sets.

    Attributes:
        trials: how many trials the study is to have in all, at least 1.
        proposals: how many grounded instructions are asked for at the beginning, per fusor.
        reflect_every: after how many trials the best instruction is rewritten; 0 for never.
        racing_error: chance of dropping a trial that would have turned out just as good as is wanted, in [0, 1).
        holdout: share of the validation examples that no trial sees, in [0, 1).
        budget: hard limits.
    """

    trials: int = 40
    proposals: int = 4
    reflect_every: int = 10
    racing_error: float = 0.02
    holdout: float = 1 / 3
    budget: Budget = field(default_factory=Budget)


EFFORTS: dict[Auto, Effort] = {
    # To see within minutes whether anything is to be gained: few trials, dropped readily, most examples to score on.
    "light": Effort(12, proposals=2, reflect_every=6, racing_error=0.05, holdout=0.25, budget=Budget(calls=5_000)),
    "medium": Effort(40, proposals=4, reflect_every=10, racing_error=0.02, holdout=1 / 3, budget=Budget(calls=25_000)),
    # For a result to publish: little is dropped, and the gain is measured on as many examples as were tuned on.
    "heavy": Effort(120, proposals=8, reflect_every=12, racing_error=0.01, holdout=0.5, budget=Budget(calls=125_000)),
}
"""What each place of the dial sets, where an option is not given itself."""


def chosen_effort(auto: Auto | None, **given: Any) -> tuple[Effort, str]:
    """The options of a study, and what a report says of the dial.

    Args:
        auto: a place of the dial, or None for the defaults of :class:`Effort`, which have no budget.
        **given: options that were given themselves, by their names; None stands for one that was not.

    Returns:
        The options, and a sentence, which is empty without a dial.

    Raises:
        ConfigurationError: there is no such place.
    """
    if auto is not None and auto not in EFFORTS:
        raise ConfigurationError(f"auto must be one of {', '.join(EFFORTS)} or None, but got auto={auto!r}")
    own = {name: value for name, value in given.items() if value is not None}
    effort = replace(Effort() if auto is None else EFFORTS[auto], **own)
    if auto is None:
        return effort, ""
    texts = {part.name: _text(getattr(effort, part.name)) for part in fields(effort)}
    told = ", ".join(f"{name}={text}{' (given)' if name in own else ''}" for name, text in texts.items())
    return effort, f"auto={auto!r} stands for {told}"


def _text(value: Any) -> str:
    if not isinstance(value, Budget):
        return f"{value:.3g}"
    limits = ", ".join(f"{name}={limit:g}" for name, limit in vars(value).items() if limit is not None)
    return f"Budget({limits})"
