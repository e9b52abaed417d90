"""What the tuner refuses or ends with an error: each is named, and nothing that was completed is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import optuna
import pytest
from conftest import ScriptedLM
from tuning_problem import EXAMPLES, REST, answer, exact, program, tuner

from dspy_fusion.optimizers import Budget, BudgetSpent, MetricError
from dspy_fusion.programs import ConfigurationError, RecordError

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(autouse=True)
def lm() -> ScriptedLM:
    lm = ScriptedLM(answer)
    dspy.configure(lm=lm)
    return lm


def test_an_example_in_both_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"6 example\(s\) of the testset are in the valset too"):
        tuner(tmp_path).compile(program(), valset=EXAMPLES[:16], testset=EXAMPLES[10:])


def test_a_budget_too_small_for_the_program_as_it_is_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        BudgetSpent, match=r"10 calls is used up .* before the program as it is was scored on all 24 examples"
    ):
        tuner(tmp_path, budget=Budget(calls=10)).compile(program(), valset=EXAMPLES)


def test_a_budget_too_small_for_a_single_trial_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent, match=r"60 calls is used up .* before a single trial was done; give more of it"):
        tuner(tmp_path, budget=Budget(calls=60)).compile(program(), valset=EXAMPLES)
    assert len(tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES).tuning_report.trials) == 2


def test_a_program_that_always_fails_is_an_error_and_not_remembered(tmp_path: Path) -> None:
    def down(request: Any) -> dict[str, str]:
        raise ConnectionError("the server is down")

    with (
        dspy.context(lm=ScriptedLM(down)),
        pytest.raises(ConfigurationError, match=r"failed on 24 of 24 .*the server is down; mend that"),
    ):
        tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES)
    report = tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES).tuning_report
    assert (
        report.baseline
        == tuner(f"sqlite:///{tmp_path}/o.db", trials=2).compile(program(), valset=EXAMPLES).tuning_report.baseline
    )
    assert report.spent.calls >= 24 * 2 + 24  # the failed ones too


@pytest.mark.parametrize(
    ("price", "message"),
    [
        (lambda spend: float("nan"), "the price returned nan; return a finite number"),
        (lambda spend: None, "the price returned None"),
        (lambda spend: 1 / 0, "the price raised ZeroDivisionError"),
    ],
)
def test_a_price_that_fails_is_an_error(tmp_path: Path, price: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path, price=price).compile(program(), valset=EXAMPLES)


def test_a_study_that_something_else_began_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tuning.db"
    foreign = optuna.create_study(study_name="s", storage=url, directions=["maximize", "minimize"])
    asked = foreign.ask()
    foreign.tell(asked, [asked.suggest_int("n", 1, 6), 0])
    with pytest.raises(
        ConfigurationError, match="'s' has trials that this library did not make; give study= a new name"
    ):
        tuner(tmp_path, study="s").compile(program(), valset=EXAMPLES)
    optuna.create_study(study_name="t", storage=url, directions=["minimize", "minimize"])
    with pytest.raises(ConfigurationError, match=r"'t' is to \['minimize', 'minimize'\] its objectives"):
        tuner(tmp_path, study="t").compile(program(), valset=EXAMPLES)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([{"question": "q1"}] * 9, "number 0 is a dict"),
        ([*EXAMPLES, dspy.Example(question="q")], r"number 24 .* call its with_inputs"),
    ],
)
def test_examples_of_another_kind_are_named(tmp_path: Path, examples: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path).compile(program(), valset=examples)


def test_only_modules_are_tuned(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tunes a dspy\.Module, but got a function"):
        tuner(tmp_path).compile(answer, valset=EXAMPLES)


def test_an_empty_valset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 2 examples, but got 0; give a larger valset"):
        tuner(tmp_path).compile(program(), valset=[])


def test_a_metric_that_fails_on_the_program_as_it_is_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="the metric returned None"):
        tuner(tmp_path, lambda example, prediction: None).compile(program(), valset=EXAMPLES)


def test_a_metric_that_fails_later_fails_its_trial_with_the_cause(tmp_path: Path) -> None:
    def metric(example: dspy.Example, prediction: Any) -> float:
        if len(prediction.pool.candidates) > 3:
            raise ValueError("too many")
        return exact(example, prediction)

    report = tuner(tmp_path, metric, trials=8).compile(program(), valset=EXAMPLES).tuning_report
    failed = [trial for trial in report.trials if trial.state == "failed"]
    assert failed
    assert all("too many" in trial.cause and trial.setting["n"] > 3 for trial in failed)
    assert len(report.trials) == 8


def test_a_study_of_another_space_is_refused_with_the_differences(tmp_path: Path) -> None:
    tuner(tmp_path, study="s", trials=1).compile(program(), valset=EXAMPLES)
    with pytest.raises(
        ConfigurationError, match=r"begun with another space: shuffle is only in the program; give study= a new name"
    ):
        tuner(tmp_path, study="s", exclude=REST[:2]).compile(program(), valset=EXAMPLES)


def test_a_study_of_other_examples_or_another_program_is_refused(tmp_path: Path) -> None:
    tuner(tmp_path, study="s", trials=1, holdout=0).compile(program(), valset=EXAMPLES)
    with pytest.raises(ConfigurationError, match=r"begun with other examples \(24 then, 20 now, 20 in both\)"):
        tuner(tmp_path, study="s", holdout=0).compile(program(), valset=EXAMPLES[:20])
    with pytest.raises(
        ConfigurationError, match="begun with other instructions, demos or values in the program itself"
    ):
        tuner(tmp_path, study="s", holdout=0).compile(program(n=3), valset=EXAMPLES)


def test_a_study_of_other_objectives_is_refused(tmp_path: Path) -> None:
    tuner(tmp_path, study="s", trials=1).compile(program(), valset=EXAMPLES)
    with pytest.raises(ConfigurationError, match="has 2 objectives, but 1 are wanted"):
        tuner(tmp_path, study="s", objectives=("quality",)).compile(program(), valset=EXAMPLES)


def test_a_torn_storage_is_an_error(tmp_path: Path) -> None:
    tuner(tmp_path, trials=1).compile(program(), valset=EXAMPLES)
    for path in tmp_path.glob("tuning.db-*"):
        path.unlink()
    torn = (tmp_path / "tuning.db").read_bytes()
    (tmp_path / "tuning.db").write_bytes(torn[:5000] + b"x" * (len(torn) - 5000))
    with pytest.raises((ConfigurationError, RecordError), match=r"tuning\.db"):
        tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES)


def test_a_full_disk_is_an_error_and_the_study_goes_on_when_there_is_room(tmp_path: Path) -> None:
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1])\nfrom tuning_problem import"
        " *\ndspy.configure(lm=ScriptedLM(answer))\ntuner(sys.argv[2], trials=1).compile(program(),"
        " valset=EXAMPLES)\nresource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\ntuner(sys.argv[2],"
        " trials=20).compile(program(), valset=EXAMPLES)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent.parent), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "what was" in ended.stderr.splitlines()[-1], ended.stderr
    assert "safe" in ended.stderr.splitlines()[-1]
    assert len(tuner(tmp_path, trials=3).compile(program(), valset=EXAMPLES).tuning_report.trials) >= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "trials must be at least 1"),
        ({"objectives": ("cost",)}, "objectives must be"),
        ({"tolerance": -0.1}, "tolerance must be at least 0"),
        ({"racing_error": 1.0}, "racing_error and holdout must be in"),
        ({"num_threads": 0}, "num_threads must be at least 1"),
        ({"sampler": optuna.samplers.TPESampler}, "sampler must be an Optuna sampler"),
        ({"demos": {"fuser": [[]]}}, "demos names 'fuser'"),
        ({"storage": "nonsense"}, "cannot open the storage 'nonsense'"),
        ({"storage": "sqlite:///:memory:"}, "lies in memory, where no other connection finds it; give a path"),
        ({"storage": "sqlite://"}, "lies in memory"),
        (
            {"storage": "mysql://u:secret@host/d"},
            r"must be SQLite or PostgreSQL, but got storage='mysql://(?!.*secret)",
        ),
        ({"storage": optuna.storages.InMemoryStorage()}, "must be a path or the URL .* but got a InMemoryStorage"),
        ({"constraints": ["quality > .8"]}, r'must be of the form "quality >= 0.8" or "cost <= 500", but got'),
        ({"constraints": "quality beats 5"}, r'must be of the form "quality >= 0.8" or "cost <= 500", but got'),
        ({"max_errors": 1.0}, r"max_errors must be a share in \[0, 1\)"),
        ({"instructions": [5]}, "instructions, number 0, must be a text, but got 5"),
        ({"instructions": "one text"}, "instructions must be a list of texts, but got 'one text'"),
        ({"instructions": {"fusor": ["fine", "\ud800 torn"]}}, "number 1, holds a lone surrogate, .* at character 0"),
        ({"sampler": optuna.samplers.GridSampler({"n": [1, 2]})}, "GridSampler cannot search this space"),
        ({"sampler": optuna.samplers.CmaEsSampler()}, r"CmaEsSampler cannot search this space with 2 objective\(s\)"),
    ],
)
def test_wrong_arguments_are_named_before_a_model_is_asked(
    tmp_path: Path, lm: ScriptedLM, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as refusal:
        tuner(tmp_path, **options).compile(program(), valset=EXAMPLES)
    assert "\n" not in str(refusal.value)
    assert not lm.requests


def test_a_path_is_the_sqlite_file_there(tmp_path: Path) -> None:
    tuner(tmp_path, storage=tmp_path / "here.db", trials=1).compile(program(), valset=EXAMPLES)
    tuner(tmp_path, storage=str(tmp_path / "there.db"), trials=1).compile(program(), valset=EXAMPLES)
    assert (tmp_path / "here.db").exists()
    assert (tmp_path / "there.db").exists()


def test_a_metric_that_raises_now_and_then_does_not_end_a_study(tmp_path: Path) -> None:
    asked: list[str] = []

    def metric(example: dspy.Example, prediction: Any) -> float:
        asked.append(example.question)
        if len(asked) == 9:  # among the program as it is
            raise ConnectionError("429, too many requests")
        return exact(example, prediction)

    report = tuner(tmp_path, metric, trials=3, max_errors=0.1).compile(program(), valset=EXAMPLES).tuning_report
    assert len(report.trials) == 3
    assert any("failed on 1 of 24 examples" in note and "too many requests" in note for note in report.notes)
    asked.clear()
    with pytest.raises(MetricError, match="too many requests"):
        tuner(tmp_path, metric, study="strict", max_errors=0).compile(program(), valset=EXAMPLES)
