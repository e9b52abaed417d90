"""A program within a program draws anew when the outer one has another seed,
and the same again when it has the same.
"""

from __future__ import annotations

import dspy
from conftest import ScriptedLM

from dspy_fusion.programs import Vote


def drawn(seed: int) -> list[int]:
    """The seeds of all calls, in order."""
    lm = ScriptedLM(lambda request: {"answer": "a"})
    with dspy.context(lm=lm):
        Vote(Vote(dspy.Predict("question -> answer"), n=2), n=2, seed=seed)(question="q")
    return sorted(request.config.seed or 0 for request in lm.requests)


def test_an_outer_seed_reaches_the_inner_program() -> None:
    assert drawn(0) == drawn(0)
    assert drawn(1000) == drawn(1000)
    assert not set(drawn(0)) & set(drawn(1000))
