"""What is ProposeAggregate's own; what every program promises is in test_contract.py."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of

from dspy_fusion import ConfigurationError, ProposeAggregate

TASK = "question -> answer"


def numbered() -> ScriptedLM:
    """Proposals say p0, p1, ... and aggregations a0, a1, ... by their places in a layer."""
    return ScriptedLM(
        lambda request: {"answer": f"a{request.config.seed % 1000}" if is_fusor(request) else f"p{request.config.seed}"}
    )


@pytest.mark.parametrize(("width", "depth"), [(1, 0), (3, 0), (3, 1), (2, 3), (1, 2), (5, 2)])
def test_calls_and_depth_are_as_documented(width: int, depth: int) -> None:
    lm = numbered()
    with dspy.context(lm=lm):
        pool = ProposeAggregate(dspy.Predict(TASK), width=width, depth=depth)(question="q").pool
    assert len(lm.requests) == pool.total.calls == width * depth + 1
    assert pool.depth == depth + 1
    assert [len(layer) for layer in pool.layers] == [width] * max(0, depth - 1)


def test_no_layer_is_a_single_call_that_is_returned_unchanged() -> None:
    with dspy.context(lm=numbered()):
        prediction = ProposeAggregate(dspy.Predict(TASK), width=4, depth=0)(question="q")
    assert (prediction.answer, prediction.pool.chosen, len(prediction.pool.candidates)) == ("p0", 0, 1)


def test_a_layer_sees_the_layer_below_and_nothing_else() -> None:
    lm = numbered()
    with dspy.context(lm=lm):
        ProposeAggregate(dspy.Predict(TASK), width=2, depth=2)(question="q")
    *middle, last = [prompt_of(request) for request in lm.requests if is_fusor(request)]
    assert all('"p0"' in text and '"p1"' in text for text in middle)
    assert '"p0"' not in last
    assert '"a0"' in last
    assert '"a1"' in last


def test_a_subset_limits_what_each_aggregation_sees() -> None:
    lm = numbered()
    with dspy.context(lm=lm):
        ProposeAggregate(dspy.Predict(TASK), width=4, depth=2, subset=2)(question="q")
    for text in (prompt_of(request) for request in lm.requests if is_fusor(request)):
        assert sum(f'"{kind}{i}"' in text for kind in "pa" for i in range(4)) == 2


def test_a_layer_that_fails_whole_falls_back_to_the_proposals() -> None:
    lm = ScriptedLM(lambda request: {"answer": "none" if is_fusor(request) else "7"})
    with dspy.context(lm=lm):
        prediction = ProposeAggregate(dspy.Predict("question -> answer: int"), width=2, depth=2)(question="q")
    assert prediction.answer == 7
    assert "all of layer 1 failed" in prediction.pool.fallback


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width must be at least 1, but got width=0"),
        ({"depth": -1}, "depth must be at least 0, but got depth=-1"),
        ({"width": 3, "subset": 4}, "subset must be between 1 and width=3, but got subset=4"),
        ({"width": 2, "quorum": 3}, "quorum must be at most width=2, but got quorum=3"),
        ({"aggregation_temperature": 2.5}, "aggregation_temperature"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ProposeAggregate(dspy.Predict(TASK), **options)
