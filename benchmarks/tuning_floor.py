"""The requests that no study of given trials can do without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dspy_fusion.optimizers import TrialReport
from dspy_fusion.optimizers.tuning.racing import looks
from dspy_fusion.optimizers.tuning.search_space import INSTRUCTION


def floor(trials: Sequence[TrialReport], examples: int) -> int:
    """The requests that no study of these trials can do without.

    The program as it is on all examples, every other on the first look.

    Candidates of one temperature are shared by all trials, and aggregations by those trials that agree in all that
    comes before them.
    """
    needed = {call for example in range(examples) for call in _distinct(trials[0].setting, example)}
    needed |= {
        call for trial in trials for example in range(looks(examples)[0]) for call in _distinct(trial.setting, example)
    }
    return len(needed)


def _distinct(setting: Mapping[str, Any], example: int) -> Iterator[tuple[Any, ...]]:
    """What tells one request from another, for every request that a setting makes on an example."""
    width, depth = setting["width"], setting["depth"]
    above: tuple[Any, ...] = (example, setting["temperature"])
    yield from ((*above, place) for place in range(width if depth else 1))
    above = (*above, width, *(value for name, value in setting.items() if name.startswith(INSTRUCTION)))
    for _ in range(depth - 1):
        above = (*above, setting["aggregation_temperature"])
        yield from ((*above, "layer", place) for place in range(width))
    if depth:
        yield (*above, "last")
