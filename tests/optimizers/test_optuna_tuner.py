from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import optuna
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of
from tuning_problem import CAREFUL, EXAMPLES, REST, answer, exact, program, tuner

from dspy_fusion.optimizers import Budget, BudgetSpent, MetricError, TuningReport
from dspy_fusion.programs import CandidateBank, ConfigurationError, Fusion, RecordError

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(autouse=True)
def lm() -> ScriptedLM:
    lm = ScriptedLM(answer)
    dspy.configure(lm=lm)
    return lm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study of twelve trials."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Any:
    with dspy.context(lm=ScriptedLM(answer)):
        return tuner(folder, trials=12).compile(program(), valset=EXAMPLES)


def test_the_planted_instruction_and_pool_size_are_found(tuned: Any) -> None:
    report = tuned.tuning_report
    assert tuned.fusor.signature.instructions == CAREFUL
    assert tuned.n.value > 1
    assert report.gain.low > 0
    assert "better on unseen examples" in report.verdict


def test_the_student_stays_as_it_is(tmp_path: Path) -> None:
    student = program()
    before = student.dump_state()
    tuner(tmp_path, trials=2).compile(student, valset=EXAMPLES)
    assert student.dump_state() == before


def test_where_nothing_beats_the_baseline_it_is_returned(tmp_path: Path) -> None:
    student = program(n=6)
    student.fusor.signature = student.fusor.signature.with_instructions(CAREFUL)
    tuned = tuner(tmp_path, instructions=["Say no."], exclude=(*REST, "n")).compile(student, valset=EXAMPLES)
    assert tuned.tuning_report.chosen is None
    assert "nothing beat the baseline" in tuned.tuning_report.verdict
    assert tuned.dump_state() == student.dump_state()


def test_a_gain_that_does_not_hold_on_unseen_examples_is_not_taken(tmp_path: Path) -> None:
    easy, unseen = EXAMPLES[:12], [dspy.Example(**{**example, "answer": "no"}).with_inputs("question") for example in EXAMPLES[12:]]
    tuned = tuner(tmp_path).compile(program(), valset=easy, testset=unseen)
    assert tuned.tuning_report.chosen is None
    assert "did not hold on unseen examples" in tuned.tuning_report.verdict


def test_trials_never_see_a_held_out_example(tmp_path: Path) -> None:
    seen: list[str] = []
    report = tuner(tmp_path, lambda example, prediction: seen.append(example.question) or exact(example, prediction)).compile(
        program(), valset=EXAMPLES[:16], testset=EXAMPLES[16:]
    )
    often = {question: seen.count(question) for question in set(seen)}
    assert all(often.get(example.question, 0) <= 2 for example in EXAMPLES[16:])  # before and after
    assert report.tuning_report.before.n == 8
    assert max(trial.scored for trial in report.tuning_report.trials) == 16


def test_an_example_in_both_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"6 example\(s\) of the testset are in the valset too"):
        tuner(tmp_path).compile(program(), valset=EXAMPLES[:16], testset=EXAMPLES[10:])


def test_without_unseen_examples_the_report_says_so(tmp_path: Path) -> None:
    report = tuner(tmp_path, holdout=0).compile(program(), valset=EXAMPLES).tuning_report
    assert (report.before, report.after, report.gain) == (None, None, None)
    assert any("no examples were held out" in note for note in report.notes)


def test_trials_share_candidates(tuned: Any) -> None:
    report = tuned.tuning_report
    drawn = 24 * 6 + sum(trial.scored for trial in report.trials) + 2 * 24  # candidates, fusions of trials, and of the final comparison
    assert report.spent.calls < drawn < report.spent.calls + report.replayed.calls


def test_the_same_call_again_makes_no_calls(tmp_path: Path, lm: ScriptedLM) -> None:
    first = tuner(tmp_path).compile(program(), valset=EXAMPLES).tuning_report
    made = len(lm.requests)
    assert tuner(tmp_path).compile(program(), valset=EXAMPLES).tuning_report == first
    assert len(lm.requests) == made


def test_more_trials_go_on_with_the_study(tmp_path: Path) -> None:
    first = tuner(tmp_path, trials=3).compile(program(), valset=EXAMPLES).tuning_report
    more = tuner(tmp_path, trials=5).compile(program(), valset=EXAMPLES).tuning_report
    assert more.trials[:3] == first.trials
    assert len(more.trials) == 5


def test_bad_trials_are_dropped_early_and_never_chosen(tmp_path: Path) -> None:
    student = program(n=6)
    student.fusor.signature = student.fusor.signature.with_instructions(CAREFUL)
    report = tuner(tmp_path, instructions=["Say no."], objectives=("quality",), trials=8).compile(student, valset=EXAMPLES).tuning_report
    dropped = [trial for trial in report.trials if trial.state == "dropped"]
    assert dropped
    assert all(trial.scored < 16 and trial.number not in report.pareto for trial in dropped)


def test_the_tuned_program_saves_and_loads_and_works_inside_another(tuned: Any, tmp_path: Path) -> None:
    tuned.save(tmp_path / "tuned.json")
    fresh = program()
    fresh.load(tmp_path / "tuned.json")
    assert (fresh.n.value, fresh.fusor.signature.instructions) == (tuned.n.value, CAREFUL)

    class Larger(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = fresh

        def forward(self, question: str) -> Any:
            return self.inner(question=question)

    larger = Larger()
    assert all(larger(**example.inputs()).answer == tuned(**example.inputs()).answer for example in EXAMPLES)


def test_a_nested_program_is_tuned_in_its_place(tmp_path: Path) -> None:
    class Larger(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = program()

        def forward(self, question: str) -> Any:
            return self.inner(question=question)

    tuned = tuner(tmp_path, trials=10, exclude=[f"inner.{name}" for name in REST]).compile(Larger(), valset=EXAMPLES)
    assert tuned.inner.fusor.signature.instructions == CAREFUL


def test_the_cheapest_within_the_tolerance_is_taken(tuned: Any, folder: Path) -> None:
    cheap = tuner(folder, trials=12, tolerance=0.3).compile(program(), valset=EXAMPLES)
    assert cheap.tuning_report.trials == tuned.tuning_report.trials
    assert cheap.n.value < tuned.n.value


def test_no_trial_beats_those_on_the_pareto_front(tuned: Any) -> None:
    report = tuned.tuning_report
    whole = [trial for trial in report.trials if trial.state == "whole"]
    front = [trial for trial in whole if trial.number in report.pareto]
    assert len(front) > 1
    for one in front:
        assert not any(other.quality.mean >= one.quality.mean and other.cost < one.cost for other in whole)


def test_a_budget_is_kept_to_and_what_is_done_is_kept(tmp_path: Path, lm: ScriptedLM) -> None:
    report = tuner(tmp_path, trials=50, budget=Budget(calls=180)).compile(program(), valset=EXAMPLES).tuning_report
    assert report.spent.calls == len(lm.requests) <= 180 + 7  # one example at n=6
    assert 1 < len(report.trials) < 50
    assert any("the budget of 180 calls is used up" in note for note in report.notes)
    more = tuner(tmp_path, trials=50, budget=Budget(calls=300)).compile(program(), valset=EXAMPLES).tuning_report
    assert more.trials[: len(report.trials)] == report.trials


def test_a_budget_too_small_for_the_program_as_it_is_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent, match=r"10 calls is used up .* before the program as it is was scored on all 24 examples"):
        tuner(tmp_path, budget=Budget(calls=10)).compile(program(), valset=EXAMPLES)


def test_a_budget_too_small_for_a_single_trial_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BudgetSpent, match=r"60 calls is used up .* before a single trial was done; give more of it"):
        tuner(tmp_path, budget=Budget(calls=60)).compile(program(), valset=EXAMPLES)
    assert len(tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES).tuning_report.trials) == 2


def test_a_program_that_always_fails_is_an_error_and_not_remembered(tmp_path: Path) -> None:
    def down(request: Any) -> dict[str, str]:
        raise ConnectionError("the server is down")

    with dspy.context(lm=ScriptedLM(down)), pytest.raises(ConfigurationError, match=r"failed on 24 of 24 .*the server is down; mend that"):
        tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES)
    report = tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES).tuning_report
    assert report.baseline == tuner(f"sqlite:///{tmp_path}/o.db", trials=2).compile(program(), valset=EXAMPLES).tuning_report.baseline
    assert report.spent.calls >= 24 * 2 + 24  # the failed ones too


def test_a_program_that_fails_now_and_then_is_tuned_and_the_report_says_so(tmp_path: Path) -> None:
    def shaky(request: Any) -> dict[str, str]:
        if "q3 " in f"{prompt_of(request)} ".replace("\n", " "):
            raise ValueError("no answer to q3")
        return answer(request)

    with dspy.context(lm=ScriptedLM(shaky)):
        notes = tuner(tmp_path).compile(program(), valset=EXAMPLES).tuning_report.notes
    assert any("failed on 1 of 24 examples" in note and "no answer to q3" in note for note in notes)


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
    with pytest.raises(ConfigurationError, match="'s' has trials that this library did not make; give study= a new name"):
        tuner(tmp_path, study="s").compile(program(), valset=EXAMPLES)
    optuna.create_study(study_name="t", storage=url, directions=["minimize", "minimize"])
    with pytest.raises(ConfigurationError, match=r"'t' is to \['minimize', 'minimize'\] its objectives"):
        tuner(tmp_path, study="t").compile(program(), valset=EXAMPLES)


def test_trials_that_something_else_adds_are_left_alone(tmp_path: Path) -> None:
    first = tuner(tmp_path, study="s", trials=2).compile(program(), valset=EXAMPLES).tuning_report
    optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/tuning.db").add_trial(optuna.trial.create_trial(values=[1.0, 0.0]))
    report = tuner(tmp_path, study="s", trials=4).compile(program(), valset=EXAMPLES).tuning_report
    assert report.trials[:2] == first.trials
    assert [trial.number for trial in report.trials] == [0, 1, 3, 4]


@pytest.mark.parametrize(
    ("examples", "message"),
    [([{"question": "q1"}] * 9, "number 0 is a dict"), ([*EXAMPLES, dspy.Example(question="q")], r"number 24 .* call its with_inputs")],
)
def test_examples_of_another_kind_are_named(tmp_path: Path, examples: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path).compile(program(), valset=examples)


def test_only_modules_are_tuned(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tunes a dspy\.Module, but got a function"):
        tuner(tmp_path).compile(answer, valset=EXAMPLES)


def test_a_trial_that_another_worker_took_for_dead_does_not_end_the_study(tmp_path: Path) -> None:
    scored: list[int] = []

    def metric(example: dspy.Example, prediction: Any) -> float:
        scored.append(1)
        if len(scored) == 30:  # in the first trial that differs from the baseline
            study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/tuning.db")
            (mine,) = study.get_trials(states=(optuna.trial.TrialState.RUNNING,))
            study.tell(mine.number, state=optuna.trial.TrialState.FAIL)
        return exact(example, prediction)

    report = tuner(tmp_path, metric, study="s").compile(program(), valset=EXAMPLES).tuning_report
    assert len(report.trials) == 6
    assert any("another worker took it up" in note for note in report.notes)


def test_a_sampler_that_has_tried_all_points_ends_the_study(tmp_path: Path) -> None:
    sampler = optuna.samplers.GridSampler({"n": [1, 2], "instruction:fusor": [0, 1]}, seed=1)
    report = tuner(tmp_path, sampler=sampler, trials=30).compile(program(), valset=EXAMPLES).tuning_report
    assert len({(trial.setting["n"], trial.setting["instruction:fusor"]) for trial in report.trials}) == 4
    assert len(report.trials) < 7
    assert any("nothing left to try" in note for note in report.notes)


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
    with pytest.raises(ConfigurationError, match=r"begun with another space: shuffle is only in the program; give study= a new name"):
        tuner(tmp_path, study="s", exclude=REST[:2]).compile(program(), valset=EXAMPLES)


def test_a_study_of_other_examples_or_another_program_is_refused(tmp_path: Path) -> None:
    tuner(tmp_path, study="s", trials=1, holdout=0).compile(program(), valset=EXAMPLES)
    with pytest.raises(ConfigurationError, match=r"begun with other examples \(24 then, 20 now, 20 in both\)"):
        tuner(tmp_path, study="s", holdout=0).compile(program(), valset=EXAMPLES[:20])
    with pytest.raises(ConfigurationError, match="begun with other instructions, demos or values in the program itself"):
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
        "import resource, sys; sys.path.insert(0, sys.argv[1])\nfrom tuning_problem import *\ndspy.configure(lm=ScriptedLM(answer))\n"
        "tuner(sys.argv[2], trials=1).compile(program(), valset=EXAMPLES)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "tuner(sys.argv[2], trials=20).compile(program(), valset=EXAMPLES)"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent.parent), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "what was" in ended.stderr.splitlines()[-1], ended.stderr
    assert "safe" in ended.stderr.splitlines()[-1]
    assert len(tuner(tmp_path, trials=3).compile(program(), valset=EXAMPLES).tuning_report.trials) >= 3


@pytest.mark.parametrize(
    "sampler",
    [optuna.samplers.RandomSampler(seed=1), optuna.samplers.QMCSampler(seed=1), optuna.samplers.NSGAIISampler(seed=1, population_size=4)],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_sampler_is_taken(tmp_path: Path, sampler: optuna.samplers.BaseSampler) -> None:
    report = tuner(tmp_path, sampler=sampler).compile(program(), valset=EXAMPLES).tuning_report
    assert len(report.trials) == 6
    assert len({str(trial.setting) for trial in report.trials}) > 2


def test_a_bank_that_the_program_brings_is_used(tmp_path: Path) -> None:
    bank = CandidateBank(f"sqlite:///{tmp_path / 'own.db'}")
    student = Fusion(dspy.Predict("question -> answer"), n=1, bank=bank)
    tuner(tmp_path, trials=2).compile(student, valset=EXAMPLES)
    assert len(bank) > 24


def test_progress_is_told_after_each_trial(tmp_path: Path) -> None:
    told: list[Any] = []
    tuner(tmp_path, trials=3, on_progress=told.append, budget=Budget(calls=5000)).compile(program(), valset=EXAMPLES)
    assert [progress.finished for progress in told] == [1, 2, 3]
    assert "calls" in told[-1].budget_left


def test_the_report_comes_back_from_its_file(tmp_path: Path) -> None:
    report = tuner(tmp_path).compile(program(), valset=EXAMPLES).tuning_report
    report.save(tmp_path / "report.json")
    assert TuningReport.load(tmp_path / "report.json") == report
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(RecordError, match="is no tuning report"):
        TuningReport.load(tmp_path / "report.json")


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
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path, **options).compile(program(), valset=EXAMPLES)


def test_dspys_cache_of_fusor_calls_is_not_needed(tmp_path: Path, lm: ScriptedLM) -> None:
    tuner(tmp_path).compile(program(), valset=EXAMPLES)
    asked = [(request.config.seed, system_of(request), request.messages[-1].text) for request in lm.requests]
    assert len(asked) == len(set(asked))
    assert any(is_fusor(request) for request in lm.requests)
