"""New instructions: proposed from the task, rewritten after failures, accounted for, and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dspy
import optuna
import pytest
from conftest import ScriptedLM, prompt_of, system_of
from tuning_problem import CAREFUL, EXAMPLES, answer, exact, program, tuner

from dspy_fusion.optimizers import Budget, InstructionProposer
from dspy_fusion.programs import ConfigurationError

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(autouse=True)
def lm() -> ScriptedLM:
    lm = ScriptedLM(answer)
    dspy.configure(lm=lm)
    return lm


def writer(proposal: str = "Take the longest one.", rewrite: str = "Take the shortest one.") -> ScriptedLM:
    """A model that proposes one text and rewrites to another."""

    def write(request: Any) -> dict[str, str]:
        asked = "improved" if "`improved`" in system_of(request) else "instruction"
        return {asked: rewrite if asked == "improved" else proposal}

    return ScriptedLM(write, name="scripted/writer")


def origins(report: Any) -> dict[str, str]:
    return dict(report.instructions["fusor"])


def test_a_grounded_proposal_is_tried_and_taken(tmp_path: Path) -> None:
    tuned = tuner(tmp_path, instructions=[], proposer=writer(proposal=CAREFUL), proposals=1, trials=8).compile(
        program(), valset=EXAMPLES
    )
    assert origins(tuned.tuning_report)[CAREFUL] == "grounded"
    assert tuned.fusor.signature.instructions == CAREFUL


def test_the_proposer_sees_the_task_examples_and_the_pool(tmp_path: Path) -> None:
    student = program(n=2)
    student.program.signature = student.program.signature.with_instructions("Say whether it is so.")
    proposer = writer()
    tuner(tmp_path, proposer=proposer, proposals=1, trials=1).compile(student, valset=EXAMPLES)
    asked = prompt_of(proposer.requests[0])
    for part in ("Say whether it is so.", "answer: yes", "2.0 candidates per task", CAREFUL):
        assert part in asked


def test_a_rewrite_after_failures_is_tried_next(tmp_path: Path) -> None:
    proposer = writer(rewrite=CAREFUL)
    report = tuner(tmp_path, instructions=[], proposer=proposer, proposals=0, reflect_every=2, trials=4).compile(
        program(), valset=EXAMPLES
    )
    shown = prompt_of(proposer.requests[0])
    assert "candidate 1" in shown
    assert "score 0.00" in shown
    assert origins(report.tuning_report)[CAREFUL] == "reflected, round 1"
    assert report.tuning_report.trials[2].setting["instruction:fusor"] == 1


def test_a_kill_after_a_rewrite_was_kept_costs_no_second_one(tmp_path: Path) -> None:
    proposer = writer(rewrite=CAREFUL)
    options = {"instructions": [], "proposer": proposer, "proposals": 0, "reflect_every": 2}
    tuner(tmp_path, trials=3, **options).compile(program(), valset=EXAMPLES)
    storage = f"sqlite:///{tmp_path}/tuning.db"
    (name,) = optuna.get_all_study_names(storage)
    optuna.load_study(study_name=name, storage=storage).set_user_attr(
        "reflections", 0
    )  # as if it had not come to that any more
    tuned = tuner(tmp_path, trials=4, **options).compile(program(), valset=EXAMPLES)
    assert len(proposer.requests) == 1
    assert CAREFUL in origins(tuned.tuning_report)


def test_the_tasks_own_instruction_is_proposed_and_rewritten_on_request(tmp_path: Path) -> None:
    def task(request: Any) -> dict[str, str]:
        return {"reasoning": "so", "answer": "yes" if "be kind" in system_of(request) else "no"}

    proposer = writer(proposal="Say what is so.", rewrite="Always be kind and say yes.")
    options = {
        "tune_task": True,
        "instructions": None,
        "exclude": (),
        "proposer": proposer,
        "proposals": 1,
        "reflect_every": 2,
    }
    with dspy.context(lm=ScriptedLM(task)):
        tuned = tuner(tmp_path, **options).compile(dspy.ChainOfThought("question -> answer"), valset=EXAMPLES)
    found = dict(tuned.tuning_report.instructions["predict"])
    assert (found["Say what is so."], found["Always be kind and say yes."]) == ("grounded", "reflected, round 1")
    assert tuned.predict.signature.instructions == "Always be kind and say yes."
    assert not any("candidate" in system_of(request) for request in proposer.requests)


def test_a_fused_task_is_tuned_with_its_fusor_on_request(tmp_path: Path) -> None:
    report = (
        tuner(tmp_path, tune_task=True, proposer=writer(), proposals=1)
        .compile(program(), valset=EXAMPLES)
        .tuning_report
    )
    assert set(report.instructions) == {"program", "fusor"}
    assert {trial.setting["instruction:program"] for trial in report.trials} == {0, 1}


def test_tuning_the_task_takes_texts_or_a_proposer(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"tune_task has nothing to choose from; .* for one of \['program'\], or a proposer"
    ):
        tuner(tmp_path, tune_task=True).compile(program(), valset=EXAMPLES)


def test_the_metrics_feedback_is_shown(tmp_path: Path) -> None:
    def metric(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> dspy.Prediction:
        return dspy.Prediction(score=float(exact(gold, pred)), feedback="look closer")

    proposer = writer()
    tuner(tmp_path, metric, proposer=proposer, proposals=0, reflect_every=1, trials=2).compile(
        program(), valset=EXAMPLES
    )
    assert "look closer" in prompt_of(proposer.requests[0])


def test_held_out_examples_are_not_shown(tmp_path: Path) -> None:
    unseen = [dspy.Example(question=f"q{i} (unseen)", answer="yes").with_inputs("question") for i in range(90, 94)]
    proposer = writer()
    tuner(tmp_path, proposer=proposer, reflect_every=1, trials=3).compile(
        program(), valset=EXAMPLES[:16], testset=unseen
    )
    assert proposer.requests
    assert not any("unseen" in prompt_of(request) for request in proposer.requests)


def test_what_writing_takes_counts(tmp_path: Path, lm: ScriptedLM) -> None:
    proposer = writer()
    report = (
        tuner(tmp_path, proposer=proposer, proposals=2, reflect_every=2, trials=4)
        .compile(program(), valset=EXAMPLES)
        .tuning_report
    )
    assert report.spent.calls == len(lm.requests) + len(proposer.requests)


def test_a_proposer_that_fails_is_reported_and_the_search_goes_on(tmp_path: Path) -> None:
    def broken(request: Any) -> Any:
        raise ValueError("out of service")

    report = (
        tuner(tmp_path, proposer=ScriptedLM(broken), proposals=2, trials=3)
        .compile(program(), valset=EXAMPLES)
        .tuning_report
    )
    assert len(report.trials) == 3
    assert any("2 instruction(s) could not be proposed" in note and "out of service" in note for note in report.notes)


def test_a_proposal_that_ran_on_is_not_taken(tmp_path: Path) -> None:
    report = (
        tuner(tmp_path, proposer=writer("word " * 2000), proposals=1, trials=1)
        .compile(program(), valset=EXAMPLES)
        .tuning_report
    )
    assert len(report.instructions["fusor"]) == 2
    assert any("a proposal of 9999 characters was not taken" in note for note in report.notes)


def test_without_a_proposer_the_report_says_so(tmp_path: Path) -> None:
    report = tuner(tmp_path, trials=1).compile(program(), valset=EXAMPLES).tuning_report
    assert any("no proposing model was given" in note for note in report.notes)


def test_nothing_is_proposed_twice_when_a_study_goes_on(tmp_path: Path) -> None:
    proposer = writer()
    for trials in (2, 4):
        tuner(tmp_path, proposer=InstructionProposer(proposer), proposals=1, reflect_every=2, trials=trials).compile(
            program(), valset=EXAMPLES, testset=[]
        )
    assert len(proposer.requests) == 2  # one proposal, one rewrite after two trials


def test_a_spent_budget_stops_the_writing_too(tmp_path: Path) -> None:
    proposer = writer()
    options: dict[str, Any] = {"proposer": proposer, "proposals": 0, "reflect_every": 1, "trials": 50}
    tuner(tmp_path, **options, budget=Budget(calls=120)).compile(program(), valset=EXAMPLES)
    made = len(proposer.requests)
    tuner(tmp_path, **options, budget=Budget(calls=120)).compile(program(), valset=EXAMPLES)
    assert len(proposer.requests) == made
