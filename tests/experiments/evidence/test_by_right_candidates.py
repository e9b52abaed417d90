from __future__ import annotations

from collections.abc import Callable

from dspy_fusion.experiments.evidence.contenders import strata_table
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.records.record import Record

Make = Callable[..., Record]
POOLS = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (1.0, 1.0)]


def test_strata_follow_the_number_of_right_candidates(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, 0.5, pool=pool) for i, pool in enumerate(POOLS)]
    (row,) = strata_table(summarize(config, records), records).rows
    assert [cell[-3:] for cell in row[1:]] == ["(1)", "(1)", "(2)"]


def test_last_row_is_what_fusion_gains_on_the_best_selector(config: CompareConfig, record: Make) -> None:
    records = [record("fusion", i, 0.75, pool=pool) for i, pool in enumerate(POOLS)]
    records += [record("vote", i, i / 4, pool=pool) for i, pool in enumerate(POOLS)]
    row = strata_table(summarize(config, records), records).rows[-1]
    assert row == ("fusion - vote", "+75.0 [one example]", "+50.0 [one example]", "+12.5 [+0.0, +25.0]")
