from __future__ import annotations

from collections.abc import Callable

import pytest

from dspy_fusion.experiments.evidence.origins import origin_shares
from dspy_fusion.experiments.presentation.figure_style import ALL_AGREE, MISSING, NEW_RIGHT, NEW_WRONG
from dspy_fusion.experiments.records.record import PartRecord, Record


def part(given: bool, right: bool, *same_as: int, kind: str = "+") -> PartRecord:
    return PartRecord("a", kind, given, right, same_as)


def test_shares_add_up_and_split_between_models(record: Callable[..., Record]) -> None:
    parts = (part(True, True, 0, 1), part(True, True, 1), part(True, True), part(True, False), part(False, False))
    (shares,) = origin_shares([record("fusion", 0, 1.0, pool=(1.0, 1.0, 0.0), parts=parts)])
    expected = {"model0": 0.1, "model1": 0.3, NEW_RIGHT: 0.2, NEW_WRONG: 0.2, MISSING: 0.2}
    assert dict(shares.shares) == pytest.approx(expected)
    assert shares.right == pytest.approx(0.6)


def test_unanimous_parts_belong_to_nobody(record: Callable[..., Record]) -> None:
    (shares,) = origin_shares([record("fusion", 0, 1.0, parts=(part(True, True, 0, 1),))])
    assert shares.shares == {ALL_AGREE: 1.0}


def test_kinds_are_kept_apart(record: Callable[..., Record]) -> None:
    parts = (part(True, True, 0), part(True, False, 1, kind="x"))
    assert [(item.kind, item.n) for item in origin_shares([record("fusion", 0, 0.5, parts=parts)])] == [
        ("+", 1),
        ("x", 1),
    ]
