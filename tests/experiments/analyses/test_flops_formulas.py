"""Appendix C's formulas, exactly."""

from __future__ import annotations

import pytest

from dspy_fusion.experiments.analyses.flops_formulas import (
    choosing_work,
    generations,
    propose_aggregate_work,
    single_work,
)


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (5, 1), (5, 2), (3, 4), (8, 3)])
def test_with_a_cache_it_is_the_papers_formula(width: int, depth: int) -> None:
    assert generations(propose_aggregate_work(width, depth), cached=True) == depth * 2 * width + 1


@pytest.mark.parametrize(("width", "depth"), [(1, 1), (5, 1), (5, 2), (3, 4), (8, 3)])
def test_without_a_cache_every_aggregator_reads_its_layer(width: int, depth: int) -> None:
    written, read = depth * width + 1, (depth - 1) * width**2 + width
    assert generations(propose_aggregate_work(width, depth), cached=False) == written + read


def test_the_papers_settings() -> None:
    two, one = propose_aggregate_work(5, 2), propose_aggregate_work(5, 1)
    assert (generations(two, cached=True), generations(two, cached=False)) == (21, 41)
    assert (generations(one, cached=True), generations(one, cached=False)) == (11, 11)
    assert generations(choosing_work(10, answers_read=10), cached=True) == 20


def test_without_layers_it_is_one_answer() -> None:
    assert generations(propose_aggregate_work(5, 0), cached=True) == generations(single_work(), cached=False) == 1


def test_a_vote_reads_nothing() -> None:
    assert generations(choosing_work(7), cached=False) == 7


def test_subsets_share_no_prefix() -> None:
    work = propose_aggregate_work(5, 2, subset=2)
    assert generations(work, cached=True) == generations(work, cached=False) == 5 + 5 + 5 * 2 + 1 + 2


def test_a_larger_fusor_costs_more() -> None:
    assert generations(propose_aggregate_work(5, 1), cached=True, sizes={"fusor": 3}) == 5 + 3 * 6
