"""Open answers agree by the parts that they have in common."""

from __future__ import annotations

from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, answers
from pydantic import BaseModel

from dspy_fusion.programs import Abstained, Fusion, ProposeAggregate, Vote
from dspy_fusion.programs.pools.shared_parts import shared


class Item(BaseModel):
    name: str
    price: float


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [
        ("Rome", "rome.", 1.0),
        ("Rome", "Oslo", 0.0),
        ("(a) 1\n(b) 2", "(a) 1\n(b) 3", 0.5),
        ("(a) 1\n(b) 2", "(b) 2\n(a) 1\nAll say so.", 0.8),
        ("(a) 1\n(b) 2", "(a) 1", 2 / 3),
        ("", "a\nb", 0.0),
        ("It rains. The sun shines.", "The sun shines. It snows.", 0.5),
        ("The total of all the orders is 42 euros.", "The total of all orders is 42 euros.", 1.0),
        ("The total of all the orders is 42 euros.", "The total of all the orders is 43 euros.", 0.0),
        ("The order can be sent back in time.", "The order can not be sent back in time.", 0.0),
        (["a", "b"], ["b", "c"], 0.5),
        ([], ["a"], 0.0),
        (Item(name="x", price=1), Item(name="x", price=2), 0.5),
        ({"a": 1, "b": "x"}, {"a": 1.0}, 0.5),
        (None, "a", 0.0),
        (3, 4, 0.0),
    ],
)
def test_the_share_of_common_parts(left: Any, right: Any, share: float) -> None:
    assert shared(left, right) == pytest.approx(share)
    assert shared(right, left) == pytest.approx(share)


SHEETS = ("(a) 1\n(b) 2\n(c) 3", "(a) 1\n(b) 2\n(c) 4", "(a) 1\n(b) 5\n(c) 3")
LIE = "(a) 7\n(b) 8\n(c) 9\nAll five agree."
KINDS: dict[str, Any] = {"Vote": Vote, "Fusion": Fusion, "ProposeAggregate": ProposeAggregate}


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_abstains_on_texts_of_several_lines_where_they_contradict_one_another(kind: str) -> None:
    """Honest answers differ in a line each; a hostile majority shares none with the honest ones."""

    def asked(*texts: str, fused: str = SHEETS[0]) -> Any:
        with dspy.context(lm=ScriptedLM(answers(*texts, fused=fused))):
            options = {"width": 5} if kind == "ProposeAggregate" else {"n": 5}
            return KINDS[kind](dspy.Predict("question -> answer"), abstain_below=0.65, **options)(question="q")

    honest = asked(*SHEETS, SHEETS[0], SHEETS[0])
    assert honest.pool.confidence == pytest.approx((3 + 2 * 2 / 3) / 5)
    for fused in (SHEETS[0], LIE):
        with pytest.raises(Abstained, match="is below abstain_below"):
            asked(LIE, LIE, LIE, *SHEETS[:2], fused=fused)
