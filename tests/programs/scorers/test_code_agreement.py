"""Programs are chosen by what they return, on inputs whose right outputs nobody knows."""

from __future__ import annotations

import dspy
import pytest
from conftest import ScriptedLM

from dspy_fusion.programs import BestOfN, CodeAgreement, CodeLimits, ConfigurationError
from dspy_fusion.programs.scorers.code_calls import calls_like

LIMITS = CodeLimits(seconds=60.0)
TEST = "assert double(4) == 8"
RIGHT, SAME = "def double(x):\n    return 2 * x", "def double(x):\n    return x + x"
LUCKY, BROKEN = "def double(x):\n    return 8", "def double(x) return"


def chosen(*codes: str, scorer: CodeAgreement) -> dspy.Prediction:
    lm = ScriptedLM(lambda request: {"code": codes[(request.config.seed or 0) % len(codes)]})
    return BestOfN(dspy.Predict("problem, tests: list[str] -> code"), lms=[lm], n=len(codes), scorer=scorer)(
        problem="double", tests=[TEST]
    )


def test_programs_that_agree_on_other_inputs_go_before_one_that_only_knows_the_test() -> None:
    answer = chosen(LUCKY, BROKEN, RIGHT, SAME, scorer=CodeAgreement("tests", limits=LIMITS))
    assert answer.code == RIGHT
    lucky, broken, right, same = (candidate.score for candidate in answer.pool.candidates)
    assert right == same == pytest.approx((1 + 0.5) / 2)
    assert lucky == pytest.approx((1 + 0.25) / 2)
    assert broken == 0


def test_a_visible_test_goes_before_the_size_of_a_group_unless_told_otherwise() -> None:
    wrong = "def double(x):\n    return x"
    for must_pass, expected in ((True, RIGHT), (False, wrong)):
        scorer = CodeAgreement(lambda inputs: inputs["tests"], must_pass=must_pass, limits=LIMITS)
        assert chosen(wrong, wrong, RIGHT, scorer=scorer).code == expected


def test_equal_means_equal_by_value_and_an_error_is_an_outcome() -> None:
    codes = (
        "def f(x): return {'b', 'a'} if x else 1 / x",
        "def f(x): return {'a', 'b'} if x else x / 0",
        "def f(x): return ['a', 'b']",
        "def f(x): return (i for i in 'ab')",
    )
    scorer = CodeAgreement(calls=lambda inputs: ["f(1)", "f(0)"], limits=LIMITS)
    scores = [c.score for c in chosen(*codes, scorer=scorer).pool.candidates]
    assert scores == [0.5, 0.5, 0.25, 0.25]


def test_code_that_never_ends_is_in_no_group() -> None:
    scorer = CodeAgreement(calls=lambda inputs: ["f()"], limits=CodeLimits(seconds=2.0))
    loop = "def f():\n    while True: pass"
    assert [c.score for c in chosen(loop, loop, "def f(): return 1", scorer=scorer).pool.candidates] == [0, 0, 1 / 3]


def test_calls_keep_the_kinds_of_arguments_and_depend_on_tests_and_seed_alone() -> None:
    tests = ["assert f([3, 1], 'ab', flag=True) == 2", "assert set(g((1, 2))) == {1}", "import nothing", "assert ("]
    calls = calls_like(tests, 12, seed=3)
    assert calls == calls_like(tests, 12, seed=3)
    assert calls[:2] == ["f([3, 1], 'ab', flag=True)", "g((1, 2))"]
    assert len(set(calls)) == len(calls) > 6
    assert all(call.startswith(("f([", "g((", "g(()")) for call in calls)
    assert all(call.endswith("flag=True)") for call in calls if call.startswith("f"))
    assert calls_like(["pass"], 5) == []


def test_what_cannot_score_is_said() -> None:
    with pytest.raises(ConfigurationError, match="give visible tests or calls, but got tests=None and no calls"):
        CodeAgreement()
    with pytest.raises(ConfigurationError, match="count must be at least 1, but got count=0"):
        CodeAgreement([TEST], count=0)
    with pytest.raises(ConfigurationError, match="tests names 'nope', but the task's inputs are"):
        chosen(RIGHT, scorer=CodeAgreement("nope"))
    with pytest.raises(ConfigurationError, match="field names 'nope'"):
        chosen(RIGHT, scorer=CodeAgreement([TEST], field="nope"))
