from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dspy
import optuna
import pytest
from conftest import ScriptedLM, is_fusor, prompt_of, system_of
from tuning_problem import CAREFUL, EXAMPLES, REST, answer, exact, program, tuner

from dspy_fusion.optimizers import Budget, Interval, TuningReport
from dspy_fusion.optimizers.tuning.report_text import enough_examples
from dspy_fusion.programs import CandidateBank, Fusion, RecordError

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
    easy, unseen = (
        EXAMPLES[:12],
        [dspy.Example(**{**example, "answer": "no"}).with_inputs("question") for example in EXAMPLES[12:]],
    )
    tuned = tuner(tmp_path).compile(program(), valset=easy, testset=unseen)
    assert tuned.tuning_report.chosen is None
    assert "did not hold on unseen examples" in tuned.tuning_report.verdict


def test_trials_never_see_a_held_out_example(tmp_path: Path) -> None:
    seen: list[str] = []
    report = tuner(
        tmp_path, lambda example, prediction: seen.append(example.question) or exact(example, prediction)
    ).compile(program(), valset=EXAMPLES[:16], testset=EXAMPLES[16:])
    often = {question: seen.count(question) for question in set(seen)}
    assert all(often.get(example.question, 0) <= 2 for example in EXAMPLES[16:])  # before and after
    assert report.tuning_report.before.n == 8
    assert max(trial.scored for trial in report.tuning_report.trials) == 16


def test_without_unseen_examples_the_report_says_so(tmp_path: Path) -> None:
    report = tuner(tmp_path, holdout=0).compile(program(), valset=EXAMPLES).tuning_report
    assert (report.before, report.after, report.gain) == (None, None, None)
    assert any("no examples were held out" in note for note in report.notes)


def test_trials_share_candidates(tuned: Any) -> None:
    report = tuned.tuning_report
    drawn = (
        24 * 6 + sum(trial.scored for trial in report.trials) + 2 * 24
    )  # candidates, fusions of trials, and of the final comparison
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
    report = (
        tuner(tmp_path, instructions=["Say no."], objectives=("quality",), trials=8)
        .compile(student, valset=EXAMPLES)
        .tuning_report
    )
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


def test_the_cheapest_within_the_tolerance_is_taken(tmp_path: Path) -> None:
    report = tuner(tmp_path, trials=12, tolerance=0.3).compile(program(), valset=EXAMPLES).tuning_report
    whole = [trial for trial in report.trials if trial.state == "whole"]
    near = [trial for trial in whole if trial.worth >= max(other.worth for other in whole) - 0.3]
    assert len({trial.cost for trial in near}) > 1
    assert report.cost_after == min(trial.cost for trial in near)


def test_the_report_prints_before_after_what_changed_and_why(tuned: Any) -> None:
    report, text = tuned.tuning_report, str(tuned.tuning_report)
    assert f"before, 8 held-out examples  {report.before.mean:.3f}" in text
    assert f"gain                         {report.gain.mean:.3f}  [{report.gain.low:.3f}" in text
    assert f"changed: n 1 -> {tuned.n.value}" in text
    assert f"+ {CAREFUL}" in text
    assert "is returned if on held-out examples it is better" in text
    assert f"verdict: {report.verdict}" in text


def test_too_few_held_out_examples_are_said_to_be_too_few() -> None:
    assert enough_examples(Interval(0.1, -0.1, 0.3, 10)) == 40
    assert enough_examples(Interval(0.1, 0.05, 0.3, 10)) is None


def test_a_trial_that_costs_less_and_is_not_told_apart_is_named(tmp_path: Path) -> None:
    def metric(example: dspy.Example, prediction: Any) -> float:
        return 0.9 if example.question == "q0" and len(prediction.pool.candidates) < 3 else 1.0

    report = tuner(tmp_path, metric, holdout=0, racing_error=0).compile(program(), valset=EXAMPLES).tuning_report
    by_number = {trial.number: trial for trial in report.trials}
    assert report.chosen != report.alike
    assert by_number[report.chosen].setting["n"] >= 3
    assert by_number[report.alike].setting["n"] < 3
    assert f"cheapest trial not told apart from the best: trial {report.alike}" in str(report)


def test_what_is_returned_meets_the_constraints(tuned: Any, tmp_path: Path) -> None:
    dear = next(t for t in tuned.tuning_report.trials if t.number == tuned.tuning_report.chosen)
    limit = f"cost <= {dear.cost - 1}"
    cheap = tuner(tmp_path, trials=12, constraints=[limit]).compile(program(), valset=EXAMPLES).tuning_report
    chosen = [trial for trial in cheap.trials if trial.number == cheap.chosen]
    assert all(trial.cost <= dear.cost - 1 for trial in chosen)


def test_constraints_that_nothing_meets_return_the_program_as_it_was(tmp_path: Path) -> None:
    student = program()
    wanted = ["quality >= 0.1", "cost <= -1"]
    made = tuner(tmp_path, trials=3, constraints=wanted).compile(student, valset=EXAMPLES)
    assert made.dump_state() == student.dump_state()
    assert made.tuning_report.chosen is None
    assert "nothing meets the constraints" in made.tuning_report.verdict
    assert re.search(r"cost <= -1 missed by [\d.]+ \((trial \d|the program as it was)\)", made.tuning_report.verdict)


def test_optunas_own_log_stays_quiet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    try:
        tuner(tmp_path, trials=2).compile(program(), valset=EXAMPLES)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
    finally:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert "A new study" not in capsys.readouterr().err


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


def test_a_program_that_fails_now_and_then_is_tuned_and_the_report_says_so(tmp_path: Path) -> None:
    def shaky(request: Any) -> dict[str, str]:
        if "q3 " in f"{prompt_of(request)} ".replace("\n", " "):
            raise ValueError("no answer to q3")
        return answer(request)

    with dspy.context(lm=ScriptedLM(shaky)):
        notes = tuner(tmp_path).compile(program(), valset=EXAMPLES).tuning_report.notes
    assert any("failed on 1 of 24 examples" in note and "no answer to q3" in note for note in notes)


def test_trials_that_something_else_adds_are_left_alone(tmp_path: Path) -> None:
    first = tuner(tmp_path, study="s", trials=2).compile(program(), valset=EXAMPLES).tuning_report
    optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/tuning.db").add_trial(
        optuna.trial.create_trial(values=[1.0, 0.0])
    )
    report = tuner(tmp_path, study="s", trials=4).compile(program(), valset=EXAMPLES).tuning_report
    assert report.trials[:2] == first.trials
    assert [trial.number for trial in report.trials] == [0, 1, 3, 4]


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
    sampler = optuna.samplers.GridSampler({"n": [1, 2], "instruction:fusor": [0, 1], "compare": [False]}, seed=1)
    report = tuner(tmp_path, sampler=sampler, trials=30).compile(program(), valset=EXAMPLES).tuning_report
    assert len({(trial.setting["n"], trial.setting["instruction:fusor"]) for trial in report.trials}) == 4
    assert len(report.trials) < 7
    assert any("nothing left to try" in note for note in report.notes)


@pytest.mark.parametrize(
    "sampler",
    [
        optuna.samplers.RandomSampler(seed=1),
        optuna.samplers.QMCSampler(seed=1),
        optuna.samplers.NSGAIISampler(seed=1, population_size=4),
    ],
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


def test_dspys_cache_of_fusor_calls_is_not_needed(tmp_path: Path, lm: ScriptedLM) -> None:
    tuner(tmp_path).compile(program(), valset=EXAMPLES)
    asked = [(request.config.seed, system_of(request), request.messages[-1].text) for request in lm.requests]
    assert len(asked) == len(set(asked))
    assert any(is_fusor(request) for request in lm.requests)
