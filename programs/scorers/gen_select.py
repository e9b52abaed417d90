"""GenSelect: a model reads all candidates side by side and names the best one."""

from __future__ import annotations

import dspy

from ..tasks.instructions import SELECT
from .selectors import Selector


class GenSelect(Selector):
    """Has a model choose the best candidate by its number (GenSelect, arXiv 2507.17797).

    One call where all fit one window.

    Shown in a seeded order, without thoughts and at most ``max_characters`` of each, as NeMo-Skills does it. Unlike
    there, larger pools are decided in knockouts of windows, the middle of a long candidate is left out instead of its
    end (which holds the answer), and the temperature is 0 where nothing else is said (there: 0.6).

    Args:
        lm: the choosing model; None takes the one in ``dspy.settings``.
        window: how many candidates it is shown at once, at least 2.
        repeats: how many knockouts with other orders are played and averaged, at least 1.
        max_characters: how much of a candidate is shown, at least 100; None shows all of it.
        shuffle: show the candidates in a seeded order.
        instructions: what the model is told.
        temperature: of the choosing model, in [0, 2], or None for the model's own.
        seed: of the orders, and base of the model's seeds, where the temperature is not 0.

    Raises:
        ConfigurationError: a number is out of its bounds.

    Example:
        >>> best = BestOfN(dspy.Predict("question -> answer"), n=8, scorer=GenSelect())
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        window: int = 8,
        repeats: int = 1,
        max_characters: int | None = 16_384,
        shuffle: bool = True,
        instructions: str = SELECT,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__(
            lm,
            instructions=instructions,
            window=window,
            repeats=repeats,
            max_characters=max_characters,
            shuffle=shuffle,
            temperature=temperature,
            seed=seed,
        )
