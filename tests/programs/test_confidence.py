"""How sure an answer is: agreement at no further call, calibration by examples, and abstaining."""

from __future__ import annotations

import json
import random
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, answers, prompt_of

from dspy_fusion.programs import (
    Abstained,
    BestOfN,
    ConfigurationError,
    Fusion,
    ProposeAggregate,
    Stopping,
    Vote,
    calibrate,
)


class Labelled(dspy.Signature):
    """Label."""

    question: str = dspy.InputField()
    reason: str = dspy.OutputField()
    label: Literal["x", "y"] = dspy.OutputField()


def said(*labels: str, name: str = "scripted/model") -> ScriptedLM:
    """Candidate i gives the i-th label, each with another reason."""
    return ScriptedLM(
        lambda r: {"reason": f"because {r.config.seed}", "label": labels[(r.config.seed or 0) % len(labels)]}, name=name
    )


def test_agreement_is_the_share_that_says_what_the_answer_says() -> None:
    lm = said("x", "y", "x", "x")
    with dspy.context(lm=lm):
        pool = Vote(dspy.Predict(Labelled), n=4)(question="q").pool
    assert pool.agreement == {"reason": 0.25, "label": 0.75}
    assert pool.confidence == 0.75
    assert len(lm.requests) == 4


def test_a_fused_answer_that_nobody_gave_has_no_agreement() -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "c", fused="d"))):
        pool = Fusion(dspy.Predict("question -> answer"), n=3)(question="q").pool
    assert (pool.agreement, pool.confidence) == ({"answer": 0.0}, 0.0)


def test_values_agree_by_what_they_are() -> None:
    with dspy.context(lm=ScriptedLM(answers("Paris", "paris.", "**Paris**", "Rome"))):
        pool = BestOfN(dspy.Predict("question -> answer"), n=4, scorer=lambda args, pred: 1.0)(question="q").pool
    assert pool.confidence == 0.75


def test_failed_candidates_do_not_count() -> None:
    def fails_once(request: Any) -> Any:
        if request.config.seed == 0:
            raise ValueError("boom")
        return {"answer": "a"}

    with dspy.context(lm=ScriptedLM(fails_once)):
        assert Vote(dspy.Predict("question -> answer"), n=3)(question="q").pool.confidence == 1.0


@pytest.mark.parametrize("kind", ["Vote", "BestOfN", "Fusion", "ProposeAggregate"])
def test_below_its_limit_a_program_abstains(kind: str) -> None:
    options = {"BestOfN": {"scorer": lambda args, pred: 1.0}}.get(kind, {})
    made = {"Vote": Vote, "BestOfN": BestOfN, "Fusion": Fusion, "ProposeAggregate": ProposeAggregate}[kind]
    program = dspy.Predict("question -> answer")
    with dspy.context(lm=ScriptedLM(answers("a", "b", "c", "d", "e", fused="a"))):
        with pytest.raises(Abstained, match=r"confidence 0\.200 is below abstain_below=0\.5") as raised:
            made(program, abstain_below=0.5, **options)(question="q")
        marked = made(program, abstain_below=0.5, on_abstain="mark", **options)(question="q")
        sure = made(program, abstain_below=0.2, **options)(question="q")
    assert raised.value.prediction.answer == "a"
    assert raised.value.confidence == pytest.approx(0.2)
    assert marked.answer == "a"
    assert marked.pool.abstained == "confidence 0.200 is below abstain_below=0.5"
    assert sure.pool.abstained is None


def test_the_limit_is_checked_and_can_be_tuned() -> None:
    with pytest.raises(ConfigurationError, match=r"abstain_below must be at most 1.0, but got abstain_below=90"):
        Vote(dspy.Predict("question -> answer"), abstain_below=90)
    with pytest.raises(ConfigurationError, match="on_abstain must be 'raise' or 'mark', but got on_abstain='none'"):
        Vote(dspy.Predict("question -> answer"), on_abstain="none")
    program = Vote(dspy.Predict("question -> answer"), abstain_below=0.4)
    assert "abstain_below" in dict(program.named_parameters())


def task(count: int) -> tuple[list[dspy.Example], list[ScriptedLM]]:
    """Questions with a number each; one model is right nine times in ten, three are right every third time and then
    wrong alike.
    """
    truth = {f"q{i}": str(i % 7) for i in range(count)}

    def model(name: str, right: float, alike: bool) -> ScriptedLM:
        def answer(request: Any) -> dict[str, str]:
            question = prompt_of(request).split("question ## ]]\n")[1].split("\n")[0]
            lucky = random.Random(f"{name if not alike else 'crowd'} {question}").random() < right
            return {"answer": truth[question] if lucky else f"wrong {'crowd' if alike else name}"}

        return ScriptedLM(answer, name=f"scripted/{name}")

    lms = [model("strong", 0.9, False), *(model(f"weak{i}", 0.34, True) for i in range(2))]
    return [dspy.Example(question=q, answer=a).with_inputs("question") for q, a in truth.items()], lms


def right(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return float(example.answer == prediction.answer)


@pytest.mark.parametrize("method", ["isotonic", "beta"])
def test_calibrated_confidence_is_how_often_answers_are_right(method: Any) -> None:
    examples, lms = task(240)
    program = Vote(dspy.Predict("question -> answer"), n=3, lms=lms)
    before = program.dump_state()
    sure = calibrate(program, examples[:120], right, method=method, num_threads=4)
    assert program.dump_state() == before
    assert (
        sure.calibration.reliabilities["scripted/strong"] > 0.8 > 0.5 > sure.calibration.reliabilities["scripted/weak0"]
    )
    predictions = [sure(question=example.question) for example in examples[120:]]
    rights = [right(example, prediction) for example, prediction in zip(examples[120:], predictions, strict=True)]
    confidences = [prediction.pool.confidence for prediction in predictions]
    assert sum(rights) / len(rights) > 0.85  # the strong model outweighs the crowd
    assert abs(sum(confidences) / len(confidences) - sum(rights) / len(rights)) < 0.08


def test_what_was_learned_travels_as_plain_data(tmp_path: Any) -> None:
    examples, lms = task(40)
    sure = calibrate(Vote(dspy.Predict("question -> answer"), n=3, lms=lms), examples, right, num_threads=4)

    class Larger(dspy.Module):
        def __init__(self, step: dspy.Module) -> None:
            super().__init__()
            self.step = step

        def forward(self, question: str) -> dspy.Prediction:
            return self.step(question=question)

    Larger(sure).save(tmp_path / "larger.json")
    json.loads((tmp_path / "larger.json").read_text())
    loaded = Larger(Vote(dspy.Predict("question -> answer"), n=3, lms=lms))
    old = tmp_path / "old.json"
    loaded.save(old)
    loaded.load(tmp_path / "larger.json")
    assert loaded.step.calibration == sure.calibration
    asked = sure(question="q3"), loaded(question="q3")
    assert asked[0].pool.confidence == asked[1].pool.confidence
    loaded.load(old)  # one that knows of no calibration
    assert loaded.step.calibration is None


def test_a_damaged_calibration_is_refused() -> None:
    program = Vote(dspy.Predict("question -> answer"))
    program.n.kept = {"calibration": {"method": "isotonic", "shares": [0.5, 0.1], "chances": [0.1, 0.2]}}
    with (
        dspy.context(lm=ScriptedLM(answers("a"))),
        pytest.raises(ConfigurationError, match="the state of a calibration is damaged"),
    ):
        program(question="q")


def test_the_strongest_model_can_come_first() -> None:
    examples, lms = task(60)
    program = Vote(dspy.Predict("question -> answer"), n="auto", max_n=3, lms=lms[::-1], stopping="sources")
    sure = calibrate(program, examples, right, strongest_first=True, num_threads=4)
    sure.stopping.round_size.value, sure.stopping.threshold.value = 1, 0.5
    pool = sure(question="q1").pool
    assert [candidate.lm for candidate in pool.candidates] == ["scripted/strong"]
    assert (pool.saved, pool.stopped) == (2, "sources >= 0.5 after 1 of 3 candidates")


def test_what_cannot_be_calibrated_is_refused() -> None:
    program = Vote(dspy.Predict("question -> answer"), n=3)
    examples = [dspy.Example(question=f"q{i}", answer="a").with_inputs("question") for i in range(4)]
    with dspy.context(lm=ScriptedLM(answers("a"))):
        with pytest.raises(ConfigurationError, match="at least 2 labelled examples, but got 0"):
            calibrate(program, [], right)
        with pytest.raises(
            ConfigurationError, match=r"all 4 answers score 1, .* some are answered right and some are not"
        ):
            calibrate(program, examples, right)
        with pytest.raises(ConfigurationError, match=r"needs a program of this library, .* but got Predict"):
            calibrate(dspy.Predict("question -> answer"), examples, right)  # pyright: ignore[reportArgumentType]
        with pytest.raises(ConfigurationError, match="method must be 'isotonic' or 'beta', but got method='platt'"):
            calibrate(program, examples, right, method="platt")  # pyright: ignore[reportArgumentType]


def test_a_pool_prints_as_a_table() -> None:
    with dspy.context(lm=said("x", "y", "x")):
        text = str(
            Vote(dspy.Predict(Labelled), n="auto", max_n=9, stopping=Stopping(threshold=0.6, round_size=3))(
                question="q"
            ).pool
        )
    assert "because 0" in text
    assert "confidence 0.67; agreement: reason 0.33, label 0.67" in text
    assert "stopped: agreement >= 0.6 after 3 of 9 candidates" in text
    assert "6 calls saved" in text
