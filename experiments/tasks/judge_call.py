"""Asking a judge outside of any program.

What it costs is the evaluation's and not the strategy's whose answer is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import dspy

from dspy_fusion.programs.calls.drawing import Steps, run
from dspy_fusion.programs.errors import UnreadableVerdict
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.scorers.scorer import Scorer

T = TypeVar("T")


def ask(judge: dspy.BaseLM, steps: Steps[T]) -> T:
    """Drives a judge's steps with its own model and DSPy's chat format,
    apart from all settings of the program that is judged.
    """
    with dspy.context(
        lm=judge,
        adapter=dspy.ChatAdapter(),
        callbacks=[],
        usage_tracker=None,
        trace=None,
        send_stream=None,
        disable_history=True,
    ):
        return run(steps)


def grade(judge: dspy.BaseLM, scorer: Scorer, inputs: Mapping[str, Any], answer: dspy.Prediction) -> float:
    """The score of one answer, in [0, 1], by a scorer that is bound to the task.

    Raises:
        UnreadableVerdict: the scorer gave none; the message says why.
    """
    (graded,) = ask(judge, scorer.steps(inputs, [Candidate(0, answer)])).candidates
    if graded.score is None:
        raise UnreadableVerdict((graded.score_error or "the judge gave no score").removeprefix("UnreadableVerdict: "))
    return graded.score
