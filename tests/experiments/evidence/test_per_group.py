from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from dspy_fusion.experiments.evidence.per_group import PerGroup, group_table, per_group
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record

Make = Callable[..., Record]
Scores = Mapping[str, Mapping[str, float]]


def found_in(config: CompareConfig, record: Make, scores: Scores, sizes: Mapping[str, int]) -> PerGroup:
    """``scores`` of each strategy by group, with so many examples in each group."""
    starts = {group: 100 * place for place, group in enumerate(sizes)}
    records = [
        record(name, starts[group] + i, mean, group=group)
        for name, means in scores.items()
        for group, mean in means.items()
        for i in range(sizes[group])
    ]
    found = per_group(summarize(config, records))
    assert found is not None
    return found


def test_rows_are_groups_and_the_average_counts_each_the_same(config: CompareConfig, record: Make) -> None:
    scores = {"vote": {"de": 0.5, "sw": 0.25}, "fusion": {"de": 0.75, "sw": 0.25}}
    found = found_in(config, record, scores, {"de": 8, "sw": 2})
    assert [(group.name, group.examples, group.means) for group in found.groups] == [
        ("de", 8, (0.5, 0.75)),
        ("sw", 2, (0.25, 0.25)),
    ]
    assert found.average.means == (0.375, 0.5)
    assert found.average.difference is not None
    assert found.average.difference.mean == pytest.approx(0.125)


def test_the_best_of_each_row_stands_out_but_never_the_oracle(config: CompareConfig, record: Make) -> None:
    scores = {"vote": {"de": 0.5, "sw": 0.5}, "oracle": {"de": 1.0, "sw": 1.0}, "fusion": {"de": 0.75, "sw": 0.25}}
    table = group_table(found_in(config, record, scores, {"de": 3, "sw": 3}))
    assert table.heads[:5] == ("group", "n", "vote", "oracle", "fusion")
    assert [table.rows[y][x] for y, x in sorted(table.best)] == ["75.0", "50.0", "50.0", "50.0"]


def test_best_of_n_is_the_opponent_where_there_is_one(config: CompareConfig, record: Make) -> None:
    more = replace(
        config, strategies=(*config.strategies, StrategyConfig("bon", "best_of_n", "both", scorer="likelihood"))
    )
    scores = {"vote": {"de": 0.9, "sw": 0.9}, "bon": {"de": 0.5, "sw": 0.5}, "fusion": {"de": 0.75, "sw": 0.25}}
    found = found_in(more, record, scores, {"de": 3, "sw": 3})
    assert found.duel is not None
    assert found.duel.chooser.strategy.name == "bon"
    assert "fusion - bon [95 %]" in group_table(found).heads


def test_a_group_is_lost_only_beyond_chance(config: CompareConfig, record: Make) -> None:
    scores = {"vote": {"de": 0.5, "sw": 0.5, "uk": 0.5}, "fusion": {"de": 0.75, "sw": 0.25, "uk": 0.25}}
    found = found_in(config, record, scores, {"de": 9, "sw": 9, "uk": 3})
    assert [(group.name, group.loses) for group in found.groups] == [("de", False), ("sw", True), ("uk", False)]


def test_a_strategy_that_has_not_got_so_far_has_empty_cells(config: CompareConfig, record: Make) -> None:
    table = group_table(
        found_in(config, record, {"vote": {"de": 0.5}, "fusion": {"de": 0.5, "sw": 0.25}}, {"de": 2, "sw": 2})
    )
    assert [row[2:4] for row in table.rows] == [("50.0", "50.0"), ("", "25.0"), ("", "37.5")]


def test_one_group_is_no_table(config: CompareConfig, record: Make) -> None:
    assert per_group(summarize(config, [record("fusion", i, 1.0, group="de") for i in range(3)])) is None
