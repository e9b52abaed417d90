"""CodeTests: a scorer that runs candidates' code against given tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError
from ..pools.candidates import Candidate, Usage
from .code_process import CodeLimits, extract_code, run_tests
from .scorer import Scorer, Scores, with_score

Tests = Sequence[str] | str | Callable[[Mapping[str, Any]], Sequence[str]]
"""Tests as texts, the name of the input field that holds them, or a function of the task's inputs."""
ToCode = Callable[[Mapping[str, Any], str], str]
"""From a task's inputs and the text of an answer to the code that is run."""


def check_fields(task: type[dspy.Signature], field: str | None, tests: object) -> None:
    """Raises ``ConfigurationError`` where a task lacks the output ``field``, or the input that ``tests`` names."""
    if field is not None and field not in task.output_fields:
        raise ConfigurationError(f"field names {field!r}, but the task's outputs are {list(task.output_fields)}")
    if isinstance(tests, str) and tests not in task.input_fields:
        raise ConfigurationError(f"tests names {tests!r}, but the task's inputs are {list(task.input_fields)}")


class CodeTests(Scorer):
    """Scores a candidate by the share of tests that its code passes, in [0, 1]; costs no calls.

    The protocol is that of HumanEval (arXiv 2107.03374): the code is executed, then a test, and what raises nothing is
    passed. Each test here is a process of its own, so a share can be told, and one that never ends keeps
    no other from its turn.

    Isolated are: the interpreter (``python -I``, an empty folder, no environment variables, so no keys), processor
    time, wall time, memory, files and their sizes. On Linux, where the kernel and the rights of the user allow it,
    there is no network (a network space of its own), no process outlives the test (a process space of its own),
    nothing can be written outside the folder, and nothing read but it, Python and the system's libraries (Landlock).
    Not isolated are the kernel itself, and a test from code that searches its own process for how passes are told:
    code of people who mean harm belongs into a virtual machine. Ending the process, replaced builtins and an ``__eq__``
    that is always true are no pass. Nothing is ever run unless this scorer is named.

    Args:
        tests: Python that raises where the code is wrong: a list of texts, the name of an input field that holds a list
            or one text, or a function from the task's inputs to a list.
        field: the output field with the code; None takes the last one. Fenced blocks are taken out of running text.
        code: from ``(inputs, the field's text)`` to the code that is run; by default :func:`extract_code` of the text.
        limits: how far the code may go.

    Raises:
        ConfigurationError: there are no tests, or no such field.

    Example:
        >>> tests = CodeTests(["assert add(1, 2) == 3", "assert add(0, 0) == 0"])
        >>> BestOfN(dspy.Predict("problem -> code"), n=5, scorer=tests, threshold=1.0)  # doctest: +SKIP
    """

    def __init__(
        self,
        tests: Tests,
        *,
        field: str | None = None,
        code: ToCode | None = None,
        limits: CodeLimits | None = None,
    ) -> None:
        super().__init__()
        if not callable(tests) and not tests:
            raise ConfigurationError(f"tests must hold at least one test, but got tests={tests!r}")
        self.tests, self.field, self.limits = tests, field, limits or CodeLimits()
        self.code = code
        self.call = _TestRun(self)

    def bound(self, task: type[dspy.Signature]) -> CodeTests:
        """This scorer for a task; raises ``ConfigurationError`` where the task lacks a field that it names."""
        check_fields(task, self.field, self.tests)
        return self

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Runs every candidate's code."""
        attempts = [
            Attempt(self.call, {"args": dict(inputs), "answer": c.prediction}, _OUTCOME, c.index, banked=False)
            for c in candidates
        ]
        verdicts = yield Batch(attempts)
        marked = [with_score(c, v, lambda answer: answer["share"]) for c, v in zip(candidates, verdicts, strict=True)]
        return Scores(tuple(marked), Usage(), rounds=0)

    def outcomes(self, inputs: Mapping[str, Any], answer: dspy.Prediction) -> list[str | None]:
        """For each test None where the answer's code passes it, else why it does not."""
        tests = tests_for(self.tests, inputs)
        if not tests:
            raise ConfigurationError("there are no tests for these inputs; give at least one")
        return run_tests(code_in(answer, inputs, self.field, self.code), tests, self.limits)


def tests_for(tests: Tests, inputs: Mapping[str, Any]) -> list[str]:
    """The tests for a task's inputs, however they are given."""
    chosen = tests(inputs) if callable(tests) else tests
    chosen = inputs[chosen] if isinstance(chosen, str) else chosen
    return [chosen] if isinstance(chosen, str) else list(chosen)


def code_in(answer: dspy.Prediction, inputs: Mapping[str, Any], field: str | None, code: ToCode | None) -> str:
    """The code of an answer: that of the named field, else of the last one that the task has."""
    names = [name for name in answer.keys() if name != "logprobs"]
    value = answer[field or names[-1]]
    text = str(getattr(value, "code", value))  # dspy.Code
    return extract_code(text) if code is None else code(inputs, text)


class _TestRun(dspy.Module):
    """A test run as something that an attempt can call."""

    def __init__(self, scorer: CodeTests) -> None:
        super().__init__()
        self._outcomes = scorer.outcomes

    def forward(self, args: dict[str, Any], answer: dspy.Prediction) -> dspy.Prediction:
        outcomes = self._outcomes(args, answer)
        return dspy.Prediction(share=sum(outcome is None for outcome in outcomes) / len(outcomes))


_OUTCOME = make_signature("args, answer -> share: float", "The share of tests that are passed.")
