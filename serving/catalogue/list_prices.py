"""What providers ask for their models by the price list that DSPy brings, for models that no catalogue has a price of.

A list is advice: it names public prices without discounts, and knows nothing of a server of one's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from .model_entry import Price

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dspy

_MILLION = 1_000_000
_OFFLINE = "LITELLM_LOCAL_MODEL_COST_MAP"


def prices_of(lms: Iterable[dspy.BaseLM]) -> dict[str, Price]:
    """The list prices of models by what they call themselves (``lm.model``).

    A model at an address of its own, or that the list does not have, is left out.
    """
    names = {str(lm.model) for lm in lms if not getattr(lm, "kwargs", {}).get("api_base")}
    return {name: price for name in sorted(names) if (price := list_price(name)) is not None}


@cache
def list_price(model: str) -> Price | None:
    """The list price of a ``provider/model`` string, or None where the list does not have it. Nothing is fetched."""
    provider, slash, name = model.partition("/")
    if not slash:
        return None
    from dspy.clients.model_metadata import model_info  # reads a list of some megabytes

    with _offline():
        entry = model_info(provider, name)
    asked, answered = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not isinstance(asked, int | float) or not isinstance(answered, int | float):
        return None
    return Price(_MILLION * asked, _MILLION * answered)


@contextmanager
def _offline() -> Iterator[None]:
    """Has DSPy read the list that it brings; by default it fetches a newer one."""
    before = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = before
