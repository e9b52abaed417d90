"""A program of two steps with a metric of its own: sums are copied out first and worked out then.

It asks the models that come with dspy-fusion, so it runs anywhere; put ``dspy.configure(lm=dspy.LM("openai/..."))`` in
their place for your own.
"""

import dspy

from dspy_fusion import Fusion, PlainAdapter, Vote, embedded_lm

ADAPTER = PlainAdapter()
MODELS = [embedded_lm(name) for name in ("plus", "minus", "aft")]


class DraftAndCheck(dspy.Module):
    """Solves a sheet twice and returns the second solution: two calls, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.draft = dspy.Predict("worksheet -> answers")
        self.check = dspy.Predict("worksheet -> answers")

    def forward(self, worksheet: str) -> dspy.Prediction:
        """Answers one sheet."""
        self.draft(worksheet=worksheet)
        return self.check(worksheet=worksheet)


def two_steps() -> dspy.Module:
    """The program as it is, on the first model, greedily."""
    program = DraftAndCheck()
    program.set_lm(embedded_lm("plus", temperature=0.0))
    return program


def vote() -> dspy.Module:
    """Three candidates of the program, one of each model, and the answer that most give."""
    return Vote(DraftAndCheck(), n=3, lms=MODELS)


def fused() -> dspy.Module:
    """The same three candidates, and an answer written from them."""
    return Fusion(DraftAndCheck(), n=3, lms=MODELS, fusor_lm=MODELS[-1])


def share_of_lines(example: dspy.Example, prediction: dspy.Prediction, trace: object = None) -> float:
    """The share of the right answer's lines that the answer has."""
    lines = {line.strip() for line in str(prediction.answers).splitlines()}
    right = [line.strip() for line in example.answers.splitlines()]
    return sum(line in lines for line in right) / len(right)
