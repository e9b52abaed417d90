"""What MLflow holds of a comparison: costs, traces, programs that can be loaded, scorers of its own as metrics."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import dspy
import pytest
from mlflow.dspy import load_model

from dspy_fusion import ConfigurationError, Fusion, LMJudge, Vote, compare, embedded_lm, genai_scorer
from dspy_fusion.experiments.own_tasks.own_metrics import graded
from dspy_fusion.experiments.runs.logged_models import save_models
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter

scripted = importlib.import_module("conftest")
ROWS = [dspy.Example(question=f"{n} + 1", answer=str(n + 1)).with_inputs("question") for n in range(4)]
SECRET = "sk-secret-0123456789abcdef0123456789"


def add(request: Any) -> dict[str, str]:
    text = next(line for line in scripted.prompt_of(request).splitlines() if " + " in line).strip()
    return {"answer": str(sum(int(part) for part in text.split(" + ")))}


def right(example: dspy.Example, prediction: dspy.Prediction) -> bool:
    return prediction.answer == example.answer


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client, and the runs of a comparison by name."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("tracked")
    lm = scripted.ScriptedLM(add, name="openai/gpt-4o-mini")
    solve, uri = dspy.Predict("question -> answer"), f"sqlite:///{folder / 'mlflow.db'}"
    task: Any = dspy.Signature("question -> answer", "Work it out.")
    sheets = dspy.Predict(task)
    plus = embedded_lm("plus")
    with dspy.context(lm=lm):
        programs = {
            "one": solve,
            "vote": Vote(solve, n=2),
            "fused": Fusion(solve, n=2, lms=[lm], fusor_lm=lm),
            "embedded": Fusion(sheets, n=2, lms=[plus], fusor_lm=plus),
        }
        compare(programs, ROWS, right, out=folder / "run", tracking_uri=uri, progress=False)
        compare(programs, ROWS, right, out=folder / "run", tracking_uri=uri, progress=False)  # told again
    client = MlflowClient(uri)
    (experiment,) = [item for item in client.search_experiments() if item.name == "dspy-fusion own"]
    runs = {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}
    return client, experiment.experiment_id, runs, folder


def test_tokens_have_the_list_price(tracked: Any) -> None:
    _, _, runs, _ = tracked
    metrics = runs["one"].data.metrics
    price = (metrics["tokens_in"] * 0.15 + metrics["tokens_out"] * 0.6) / 1e6
    assert metrics["cost_usd"] == pytest.approx(price)
    assert runs["embedded"].data.metrics["cost_usd"] == 0
    assert {"score", "score_low", "score_high", "tokens_in", "tokens_out", "calls", "depth", "seconds"} <= set(metrics)
    wanted = {"program", "n", "depth", "temperature", "fusor", "instruction_digest"}
    assert wanted <= set(runs["fused"].data.params)


def test_searches_find_a_strategy_by_its_numbers(tracked: Any) -> None:
    client, experiment, _, _ = tracked
    runs = client.search_runs([experiment], "metrics.score > .9 and params.n = '2'")
    assert {run.info.run_name for run in runs} == {"vote", "fused"}


def test_each_answer_is_a_trace_of_its_strategys_run_once(tracked: Any) -> None:
    client, experiment, runs, _ = tracked
    traces = client.search_traces(locations=[experiment])
    own = [t for t in traces if t.info.trace_metadata["mlflow.sourceRun"] == runs["fused"].info.run_id]
    assert len(own) == len(ROWS)
    spans = own[0].data.spans
    assert [span.name for span in spans] == ["fused", "candidate 0", "candidate 1", "fusor"]
    assert spans[0].inputs["question"].endswith(" + 1")
    assert own[0].info.assessments[0].value == 1.0


def test_a_saved_program_holds_no_key(tmp_path: Path) -> None:
    lm = dspy.LM("openai/gpt-4o-mini", api_key=SECRET, temperature=0.3)
    program = Fusion(dspy.Predict("question -> answer"), n=2, lms=[lm], fusor_lm=lm)
    said: list[str] = []
    with dspy.context(lm=lm):
        saved = save_models(tmp_path, {"fused": program}, said.append)
    assert (saved, said) == ({"fused": "models/fused"}, [])
    files = [path for path in (tmp_path / "models").rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    assert lm.kwargs["api_key"] == SECRET
    with dspy.context():
        made: Any = load_model(str(tmp_path / "models" / "fused"))
    assert made.lms[0].kwargs["temperature"] == 0.3


def test_programs_are_loaded_as_they_were(tracked: Any) -> None:
    import mlflow

    client, _, runs, folder = tracked
    mlflow.set_tracking_uri(client.tracking_uri)
    (output,) = runs["embedded"].outputs.model_outputs
    with dspy.context():
        program: Any = load_model(f"models:/{output.model_id}")
    assert isinstance(program, Fusion)
    assert program.n.value == 2
    with dspy.context(adapter=PlainAdapter()):
        assert program(question="(a) 2 + 2").answer
    weights = sum(path.stat().st_size for path in (folder / "run" / "models" / "embedded").rglob("*") if path.is_file())
    assert weights < 100_000  # by name, not by weight


def test_scorers_of_mlflow_are_metrics(tmp_path: Path) -> None:
    from mlflow.entities import Feedback
    from mlflow.genai.scorers import scorer

    @scorer
    def exact(outputs: Any, expectations: Any) -> bool:
        return outputs == expectations["answer"] == expectations["expected_response"]

    @scorer
    def said(inputs: Any, outputs: Any) -> Feedback:
        return Feedback(value="yes" if inputs["question"].startswith("1") else "no")

    @scorer
    def several(outputs: Any) -> list[Feedback]:
        return [Feedback(name="a", value=1), Feedback(name="b", value=0)]

    answer = dspy.Prediction(answer="2")
    assert [graded(exact)(row, answer) for row in ROWS] == [0, 1, 0, 0]
    assert [graded(said)(row, answer) for row in ROWS] == [0, 1, 0, 0]
    with pytest.raises(ConfigurationError, match="'several' gave 2 feedbacks; a metric is one number"):
        graded(several)(ROWS[0], answer)
    lm = scripted.ScriptedLM(add, name="scripted/adder")
    with dspy.context(lm=lm):
        options = {"out": tmp_path / "run", "tracking": False, "progress": False}
        result = compare({"one": dspy.Predict("question -> answer")}, ROWS, exact, **options)
    assert result.summary.rows[0].score.mean == 1.0


def test_our_judges_are_scorers_of_mlflow() -> None:
    judge = scripted.ScriptedLM(
        lambda request: {"reasoning": "good", "verdict": "4/5", "score": "4/5"}, name="scripted/j"
    )
    made = genai_scorer(LMJudge(judge), "question -> answer", name="quality")
    feedback: Any = made.run(inputs={"question": "1 + 1"}, outputs="2")
    assert (made.name, 0 < feedback.value <= 1) == ("quality", True)
    function = genai_scorer(lambda inputs, prediction: prediction.answer == "2", "question -> answer")
    other: Any = function.run(inputs={"question": "1 + 1"}, outputs={"answer": "2"})
    assert other.value == 1.0
