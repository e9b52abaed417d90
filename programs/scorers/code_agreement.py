"""CodeAgreement: a scorer that runs candidates' code on the same inputs and takes the largest group that agrees."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError
from ..pools.candidates import Candidate, Usage
from .code_calls import calls_like
from .code_process import CodeLimits, run_tests
from .code_tests import Tests, ToCode, check_fields, code_in, tests_for
from .scorer import Scorer, Scores

_LONGEST_REPR = 4000
_VALUE = re.compile(r"_DspyFusionValue: ([0-9a-f]{32})\Z")
# What is raised is the digest of the value, since only causes come back from the process. Sets and dicts have no order,
# 1 equals 1.0, and floats that differ in the tenth digit are one.
_SHOWN = """
import hashlib as _h, itertools as _i, math as _m
class _DspyFusionValue(Exception): pass
def _canon(value, depth=0):
    if depth > 8: return "deep"
    if isinstance(value, bool | int | float): return repr(float(f"{value:.9g}")) if abs(value) < 1e300 else str(value)
    if isinstance(value, str | bytes | None.__class__): return repr(value)
    if isinstance(value, set | frozenset): return "{" + ",".join(sorted(_canon(v, depth + 1) for v in value)) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{_canon(k, depth + 1)}:{_canon(v, depth + 1)}" for k, v in value.items())) + "}"
    if isinstance(value, list | tuple): return type(value).__name__ + str([_canon(v, depth + 1) for v in value])
    if hasattr(value, "__next__"): return "iterator" + str([_canon(v, depth + 1) for v in _i.islice(value, 1000)])
    return f"{type(value).__name__}:{str(value)[:MOST]}"
raise _DspyFusionValue(_h.sha256(_canon(CALL).encode(errors="replace")).hexdigest()[:32])
""".replace("MOST", str(_LONGEST_REPR))


class CodeAgreement(Scorer):
    """Scores a candidate by how many of the pool do the same as it on inputs that nobody has the right outputs of.

    Every candidate's code is run on the same calls; candidates whose outputs are equal on all of them are a group, and
    the score is the group's share of the pool, in [0, 1] (AlphaCode's clustering, arXiv 2203.07814; self-consistency,
    arXiv 2203.11171, for programs). A candidate that gives no output on any call is in no group and scores 0. With
    visible ``tests``, the candidates that pass more of them come first, whatever the size of their group (CodeT, arXiv
    2207.10397, weighs both; a test that the task shows is surer than a made one). Costs no calls of a model unless
    ``calls`` makes some. The code runs as :class:`CodeTests` says.

    Args:
        tests: visible tests, from which the calls are made by :func:`calls_like` where ``calls`` is None: texts, the
            name of an input field, or a function of the task's inputs.
        calls: a function from the task's inputs to the calls as Python expressions, such as ``["add(1, 2)"]``; a model
            may have written them.
        count: how many calls at most, at least 1.
        must_pass: whether candidates are ranked by the visible tests first.
        field: the output field with the code; None takes the last one.
        code: from ``(inputs, the field's text)`` to the code that is run; by default :func:`extract_code` of the text.
        limits: how far the code may go, on each call and on each test.
        seed: of the calls that are made.

    Raises:
        ConfigurationError: there are neither tests nor calls, no such field, or ``count`` is below 1.

    Example:
        >>> scorer = CodeAgreement(["assert add(1, 2) == 3"])
        >>> BestOfN(dspy.Predict("problem -> code"), n=8, scorer=scorer)  # doctest: +SKIP
    """

    def __init__(
        self,
        tests: Tests | None = None,
        *,
        calls: Callable[[Mapping[str, Any]], Sequence[str]] | None = None,
        count: int = 12,
        must_pass: bool = True,
        field: str | None = None,
        code: ToCode | None = None,
        limits: CodeLimits | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if calls is None and not tests:
            raise ConfigurationError(f"give visible tests or calls, but got tests={tests!r} and no calls")
        if count < 1:
            raise ConfigurationError(f"count must be at least 1, but got count={count!r}")
        self.tests, self.calls, self.count, self.must_pass = tests, calls, count, must_pass
        self.field, self.limits, self.seed = field, limits or CodeLimits(), seed
        self.code = code
        self.run = _Run(self)

    def bound(self, task: type[dspy.Signature]) -> CodeAgreement:
        """This scorer for a task; raises ``ConfigurationError`` where the task lacks a field that it names."""
        check_fields(task, self.field, self.tests)
        return self

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Runs every candidate's code and counts those that agree."""
        attempts = [
            Attempt(self.run, {"args": dict(inputs), "answer": c.prediction}, _DONE, c.index, banked=False)
            for c in candidates
        ]
        runs = yield Batch(attempts)
        done = [None if run.prediction is None else run.prediction for run in runs]
        groups = Counter(tuple(run["outputs"]) for run in done if run is not None and any(run["outputs"]))
        marked = []
        for candidate, run, attempt in zip(candidates, done, runs, strict=True):
            if run is None:
                marked.append(replace(candidate, score_error=attempt.error, exception=attempt.exception))
                continue
            share = groups[tuple(run["outputs"])] / len(candidates)
            marked.append(replace(candidate, score=(run["passed"] + share) / (run["of"] + 1)))
        return Scores(tuple(marked), Usage(), rounds=0)

    def outputs(self, inputs: Mapping[str, Any], answer: dspy.Prediction) -> tuple[list[str], int, int]:
        """A digest of what the answer's code returns for each call (the kind of its error.

        Empty where it gave nothing), how many visible tests it passes, and how many there are.
        """
        tests = [] if not self.tests else tests_for(self.tests, inputs)
        calls = calls_like(tests, self.count, seed=self.seed) if self.calls is None else self.calls(inputs)
        judged = tests if self.must_pass else []
        texts = [*judged, *(_SHOWN.replace("CALL", f"({call})") for call in list(calls)[: self.count])]
        if not texts:
            raise ConfigurationError("there are neither tests nor calls for these inputs; give at least one")
        causes = run_tests(code_in(answer, inputs, self.field, self.code), texts, self.limits)
        passed = sum(cause is None for cause in causes[: len(judged)])
        return [_output(cause) for cause in causes[len(judged) :]], passed, len(judged)


class _Run(dspy.Module):
    """A run of all calls as something that an attempt can call."""

    def __init__(self, scorer: CodeAgreement) -> None:
        super().__init__()
        self._outputs = scorer.outputs

    def forward(self, args: dict[str, Any], answer: dspy.Prediction) -> dspy.Prediction:
        outputs, passed, of = self._outputs(args, answer)
        return dspy.Prediction(outputs=outputs, passed=passed, of=of)


def _output(cause: str | None) -> str:
    """A value by its digest, an error by its kind; what took too long, or could not even be defined, is nothing."""
    match = _VALUE.match(cause or "")
    if match:
        return match[1]
    kind = re.match(r"(\w+): ", f"{cause or ''} ")
    return kind[1] if kind and kind[1] not in ("NameError", "SyntaxError", "IndentationError") else ""


_DONE = make_signature("args, answer -> outputs: list[str], passed: int, of: int", "What code returns.")
