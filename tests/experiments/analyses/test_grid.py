"""The grid of width and depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dspy_fusion.experiments.analyses.grid import SINGLE, grid_config, grid_findings
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.strategies import planned
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs.errors import ConfigurationError


def grid(**changed: Any):
    options: dict[str, Any] = {"fusor": "", "widths": [3, 1], "depths": [1, 2], "options": {}, "examples": 2}
    return grid_config("worksheets", ["embedded/aft"], **{**options, **changed})


def test_every_width_meets_every_depth() -> None:
    plan = planned(grid())
    assert [(s.n, s.options["depth"]) for s in plan[1:]] == [(1, 1), (3, 1), (1, 2), (3, 2)]
    assert plan[0].name == SINGLE


def test_all_cells_stand_on_the_same_proposals() -> None:
    assert len({(s.models, s.temperature) for s in planned(grid())}) == 1


def test_gains_are_paired(record: Callable[..., Record]) -> None:
    scores = {
        SINGLE: 0.5,
        "width 1, depth 1": 0.5,
        "width 3, depth 1": 0.75,
        "width 1, depth 2": 0.75,
        "width 3, depth 2": 1.0,
    }
    records = [record(name, i, score - 0.1 * i, (1.0,)) for name, score in scores.items() for i in range(3)]
    levels, gains = grid_findings(summarize(grid(), records)).tables
    assert [row[0] for row in levels.rows] == ["1", "2"]
    assert ("width 1 to 3 at depth 1", "+25.0 [+25.0, +25.0]") in gains.rows
    assert gains.rows[-1] == ("a single answer to width 3, depth 2", "+50.0 [+50.0, +50.0]")


@pytest.mark.parametrize("changed", [{"widths": [0, 1]}, {"depths": []}])
def test_numbers_begin_at_one(changed: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(changed))} must be numbers from 1"):
        grid(**changed)
