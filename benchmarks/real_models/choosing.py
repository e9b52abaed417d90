"""The program that is tuned on a real model: it draws answers to an MBPP problem and takes one of them."""

from __future__ import annotations

from typing import Any

import dspy

from dspy_fusion.experiments.tasks import Task
from dspy_fusion.programs import (
    BestOfN,
    CandidateBank,
    CodeAgreement,
    CodeTests,
    Hyperparameter,
    Likelihood,
    Stopping,
    Vote,
)

from .plan import MBPP, TEMPERATURE

WAYS = ("first", "vote", "likelihood", "visible test", "test, adaptive n", "equal outputs")
INSTRUCTIONS = (
    MBPP.instructions,
    "Read the problem and its example. Write one Python function that does what the problem says and agrees with the"
    " example. Give the code alone, in one block.",
    "You are a careful Python programmer. Work out which cases the problem has, then answer with a correct and simple"
    " function in one block of code. Add no explanation.",
)
TEMPERATURES = (0.4, TEMPERATURE)
_UNTIL_ONE_PASSES = Stopping("reward", round_size=1, max_rounds=4)


class Choosing(dspy.Module):
    """Draws answers and settles on one; what is asked, how many are drawn and how one is taken can be tuned.

    Args:
        task: what is asked.
        lm: the model.
        bank: where answers are kept, so that a study pays for each once.
        most: the largest ``n``.
        n: how many answers.
        way: one of ``WAYS``.
        instructions: one of ``INSTRUCTIONS``.
        temperature: of the answers.
    """

    def __init__(
        self,
        task: Task,
        lm: dspy.LM,
        bank: CandidateBank | None = None,
        *,
        most: int = MBPP.n,
        n: int = 1,
        way: str = "first",
        instructions: str = MBPP.instructions,
        temperature: float = TEMPERATURE,
    ) -> None:
        super().__init__()
        self.n = Hyperparameter("n", n, low=1, search=(1, most))
        self.way = Hyperparameter("way", way, choices=WAYS)
        self.instructions = Hyperparameter("instructions", instructions, choices=INSTRUCTIONS)
        self.temperature = Hyperparameter("temperature", temperature, choices=TEMPERATURES)
        self._task, self._lm, self._bank, self._most = task, lm, bank, most

    def __deepcopy__(self, memo: dict[int, Any]) -> Choosing:
        return Choosing(self._task, self._lm, self._bank, most=self._most, **self.setting)

    @property
    def setting(self) -> dict[str, Any]:
        """The values of what can be tuned."""
        return {name: getattr(self, name).value for name in ("n", "way", "instructions", "temperature")}

    def forward(self, **inputs: Any) -> dspy.Prediction:
        """The answer that the way takes among the first n."""
        return self._program()(**inputs)

    def _program(self) -> dspy.Module:
        program = self._task.program(self.instructions.value)
        tests = self._task.visible_tests or (lambda inputs: ["pass"])
        shared: dict[str, Any] = {"lms": [self._lm], "temperature": self.temperature.value, "bank": self._bank}
        n, way = self.n.value, self.way.value
        if way in ("first", "vote"):
            return Vote(program, n=1 if way == "first" else n, normalize=self._task.vote_key, **shared)
        if way == "test, adaptive n":
            return BestOfN(program, n="auto", max_n=n, scorer=CodeTests(tests), stopping=_UNTIL_ONE_PASSES, **shared)
        scorers = {
            "likelihood": Likelihood,
            "visible test": lambda: CodeTests(tests),
            "equal outputs": lambda: CodeAgreement(tests),
        }
        return BestOfN(program, n=n, scorer=scorers[way](), **shared)
