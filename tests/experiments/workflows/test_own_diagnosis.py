"""Diagnosing programs, examples and metrics of a user's own, from Python."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion import ConfigurationError, Fusion, QuorumNotMet, RecordError, compare, diagnose
from dspy_fusion.programs import CandidateBank

from .sums import TwoSteps, right, sums

scripted = importlib.import_module("conftest")
ROWS = sums(24)


def add(place: int) -> Any:
    """A model that is wrong on a third of the sums, each model on another third."""

    def answer(request: Any) -> dict[str, str]:
        prompt = scripted.prompt_of(request)
        text = next(line for line in prompt.splitlines() if " + " in line).strip()
        if "`[[ ## restated ## ]]`" in prompt:
            return {"restated": text}
        first, second = (int(part) for part in text.split(" + "))
        return {"answer": str(first + second + (7 + place if first % 3 == place else 0))}

    return answer


def lm(name: str, place: int) -> Any:
    return scripted.ScriptedLM(add(place), name=f"scripted/{name}")


@pytest.fixture
def lms() -> Any:
    made = [lm("a", 0), lm("b", 1), lm("c", 2)]
    with dspy.context(lm=made[0], adapter=dspy.ChatAdapter()):
        yield made


def look(program: dspy.Module, metric: Any, tmp_path: Path, examples: Any = ROWS, **options: Any) -> Any:
    options = {"tracking": False, "progress": False, "out": tmp_path / "look", **options}
    return diagnose(program, examples, metric, **options)


def test_models_that_err_apart_are_found_worth_a_vote(lms: Any, tmp_path: Path) -> None:
    result = look(TwoSteps(), right, tmp_path, lms=lms, n=3)
    text = str(result)
    assert result.advice.strategy == "vote"
    assert "Recommended: vote with N = 3" in text
    assert "scripted/a" in text
    assert f"this look at {len(ROWS)} questions" in text
    frame = result.to_pandas()
    best = frame[(frame.way == "oracle") & (frame.n == 3)].iloc[0]
    assert best.score == 1.0
    assert frame[frame.way == "vote"].iloc[-1].gain > 0
    page = result.save_report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Recommended: vote with N = 3" in page
    assert "<script" not in page
    numbers = json.loads((result.folder / "diagnosis.json").read_text())
    assert numbers["recommended"]["strategy"] == "vote"


def test_the_same_call_goes_on_and_another_one_is_refused(lms: Any, tmp_path: Path) -> None:
    look(TwoSteps(), right, tmp_path, lms=lms, n=3)
    asked = [len(one.requests) for one in lms]
    again = look(TwoSteps(), right, tmp_path, lms=lms, n=3)
    assert [len(one.requests) for one in lms] == asked
    assert again.advice.strategy == "vote"
    with pytest.raises(RecordError, match=r"holds another run \(.*n: 3 -> 2"):
        look(TwoSteps(), right, tmp_path, lms=lms, n=2)


def test_what_was_drawn_is_replayed_by_a_comparison_of_the_fused_program(lms: Any, tmp_path: Path) -> None:
    solve, bank = dspy.Predict("question -> answer"), f"sqlite:///{tmp_path / 'shared.db'}"
    fused = Fusion(solve, n=3, lms=lms, fusor_lm=lm("fusor", 3))
    result = look(fused, right, tmp_path, ROWS[:6], bank=bank)
    assert [candidate.source for candidate in result.questions[0].candidates] == [str(one.model) for one in lms]
    assert len(CandidateBank(bank)) == 18
    asked = [len(one.requests) for one in lms]
    compare({"fused": fused}, ROWS[:6], right, out=tmp_path / "run", bank=bank, tracking=False, progress=False)
    assert [len(one.requests) for one in lms] == asked


@pytest.mark.parametrize(
    "metric",
    [
        lambda gold, pred, trace, pred_name, pred_trace: dspy.Prediction(score=right(gold, pred), feedback="."),
        "exact",
        "number",
    ],
)
def test_metrics_with_feedback_and_by_name(lms: Any, tmp_path: Path, metric: Any) -> None:
    result = look(dspy.Predict("question -> answer"), metric, tmp_path, output="answer", n=2)
    assert result.diagnosis.prospects.single.mean == pytest.approx(16 / 24)
    assert result.advice.n == 1  # two answers of a model that says the same twice


def test_more_examples_than_are_looked_at_are_sampled(lms: Any, tmp_path: Path) -> None:
    result = look(dspy.Predict("question -> answer"), right, tmp_path, count=8, n=2)
    places = [int(question.id) for question in result.questions]
    assert len(places) == 8
    assert places == sorted(places) != list(range(8))


def test_an_example_that_cannot_be_graded_is_left_out_and_said(lms: Any, tmp_path: Path) -> None:
    def fussy(example: dspy.Example, prediction: dspy.Prediction) -> float:
        return float(1 / (int(example.answer) - 3) is not None)

    result = look(dspy.Predict("question -> answer"), fussy, tmp_path, n=2)
    assert result.diagnosis.measured.pool.shape[0] == 23
    assert "1 questions have answers of unknown correctness" in str(result)


@pytest.mark.parametrize(
    ("program", "examples", "metric", "options", "said"),
    [
        (TwoSteps(), ROWS, lambda e, p: "good", {}, "the metric returned 'good', a str"),
        (TwoSteps(), [dspy.Example(question="1", answer="2")], right, {}, r"example 0 does not say .*with_inputs"),
        (TwoSteps, ROWS, right, {}, "an instance, not a class"),
        (TwoSteps(), ROWS, right, {"count": 1}, "examples must be at least 2, but got examples=1"),
        (TwoSteps(), ROWS, right, {"n": 0}, "n must be at least 1, but got n=0"),
        (TwoSteps(), ROWS[:1], right, {}, "it is known for fewer than 2 of 1 questions"),
        (TwoSteps(), ROWS, "module_that_is_not:there", {}, "module_that_is_not cannot be imported"),
    ],
)
def test_bad_input_is_one_clear_line(
    lms: Any, tmp_path: Path, program: Any, examples: Any, metric: Any, options: Any, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        look(program, metric, tmp_path, examples, **options)
    assert "\n" not in str(raised.value)


def test_models_that_all_fail_are_an_error_with_the_cause(tmp_path: Path) -> None:
    def fail(request: Any) -> str:
        raise TimeoutError("too slow")

    broken = scripted.ScriptedLM(fail, name="scripted/broken")
    with dspy.context(lm=broken), pytest.raises(QuorumNotMet, match="too slow"):
        look(dspy.Predict("question -> answer"), right, tmp_path, ROWS[:3], n=2)


def test_mlflow_has_the_numbers_of_a_diagnosis(lms: Any, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = look(TwoSteps(), right, tmp_path, ROWS[:6], lms=lms, n=3, tracking=True, tracking_uri=uri)
    assert result.tracking_uri == uri
    client = MlflowClient(uri)
    (experiment,) = [item for item in client.search_experiments() if item.name == "dspy-fusion diagnose own"]
    (run,) = client.search_runs([experiment.experiment_id], "metrics.oracle > 0.5 and params.n = '3'")
    assert {"single", "vote", "oracle", "beta", "n_recommended", "cost_usd"} <= run.data.metrics.keys()
    assert run.data.tags["recommended"] == result.advice.strategy
    table = json.loads(Path(client.download_artifacts(run.info.run_id, "candidates.json")).read_text())
    assert len(table["data"]) == 18
