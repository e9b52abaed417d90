"""A small task of a user's own: sums, a program of two steps, and a metric."""

from __future__ import annotations

from typing import Any

import dspy


def sums(count: int) -> list[dspy.Example]:
    return [dspy.Example(question=f"{n} + 1", answer=str(n + 1)).with_inputs("question") for n in range(count)]


class TwoSteps(dspy.Module):
    """Restates the question, then answers: two calls an answer, and no pool."""

    def __init__(self) -> None:
        super().__init__()
        self.restate = dspy.Predict("question -> restated")
        self.answer = dspy.Predict("restated -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.answer(restated=self.restate(question=question).restated)


def right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> bool:
    return prediction.answer == example.answer
