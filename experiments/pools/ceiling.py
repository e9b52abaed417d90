"""The ceiling of choosing.

Whoever returns one of the candidates is as good as the best of them at most (arXiv 2606.27288).
"""

from __future__ import annotations

import numpy as np

from dspy_fusion.programs.errors import CeilingBroken

_ROUNDING = 1e-9


def check_ceiling(name: str, chosen: np.ndarray, best: np.ndarray) -> None:
    """Makes sure that nothing that was chosen is better than the best there was to choose from.

    Args:
        name: of the way of choosing.
        chosen: the quality of what was chosen, any shape.
        best: the best quality there was, same shape.

    Raises:
        CeilingBroken: something is better, which is a mistake in this library or in the data, never a result.
    """
    over = chosen > best + _ROUNDING
    if over.any():
        place = tuple(int(index) for index in np.argwhere(over)[0])
        raise CeilingBroken(
            f"{name!r} chose an answer of quality {chosen[place]:.4f} where the best candidate has {best[place]:.4f}"
            f" (at {place}); no choice can be better than the best candidate, so this number must not be used"
        )
