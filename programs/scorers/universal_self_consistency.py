"""UniversalSelfConsistency: a model picks the candidate that agrees best with the others.

It is for answers that cannot be compared as strings.
"""

from __future__ import annotations

import dspy

from ..tasks.instructions import MOST_CONSISTENT
from .selectors import Selector


class UniversalSelfConsistency(Selector):
    """Has a model choose the most consistent candidate by its number (arXiv 2311.17311); one call per repeat.

    All candidates are shown at once, since a majority cannot be seen through windows. Unlike in the paper they come in
    a seeded order, and the model may be another than the one that wrote them.

    Args:
        lm: the choosing model; None takes the one in ``dspy.settings``.
        repeats: how often it is asked with other orders; the score is the share of times that a candidate was chosen.
        max_characters: how much of a candidate is shown, at least 100; None shows all of it.
        shuffle: show the candidates in a seeded order.
        instructions: what the model is told.
        temperature: of the choosing model, in [0, 2], or None for the model's own.
        seed: of the orders, and base of the model's seeds, where the temperature is not 0.

    Raises:
        ConfigurationError: a number is out of its bounds.

    Example:
        >>> consistent = BestOfN(dspy.Predict("question -> essay"), n=8, scorer=UniversalSelfConsistency())
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        repeats: int = 1,
        max_characters: int | None = 16_384,
        shuffle: bool = True,
        instructions: str = MOST_CONSISTENT,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__(
            lm,
            instructions=instructions,
            window=None,
            repeats=repeats,
            max_characters=max_characters,
            shuffle=shuffle,
            temperature=temperature,
            seed=seed,
        )
