"""What a server reports as usage and is none, which must not cost the answer that was paid for."""

from __future__ import annotations

from typing import Any

import pytest

from dspy_fusion.programs.calls.metering import Meter


def usage_of(entry: Any) -> tuple[int, int]:
    meter = Meter(limited=False)
    meter.add_usage("m", entry)
    return meter.usage.tokens_in, meter.usage.tokens_out


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"prompt_tokens": 3.0, "completion_tokens": "2"}, (3, 2)),
        ({"prompt_tokens": -3, "completion_tokens": float("nan")}, (0, 0)),
        ({"prompt_tokens": [1], "completion_tokens": None, "output_tokens": 4}, (0, 4)),
        ({}, (0, 0)),
        (None, (0, 0)),
    ],
)
def test_a_usage_that_is_none_costs_no_answer(entry: Any, expected: tuple[int, int]) -> None:
    assert usage_of(entry) == expected
