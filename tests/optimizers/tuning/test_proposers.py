from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of
from tuning_problem import CAREFUL, EXAMPLES, answer, exact, program, tuner

from dspy_fusion.optimizers import GEPAProposer, InstructionProposer, MIPROProposer
from dspy_fusion.programs import ConfigurationError

TRAIN = [dspy.Example(question=f"q{i}", answer="yes").with_inputs("question") for i in range(100, 124)]


@pytest.fixture(autouse=True)
def lm() -> ScriptedLM:
    lm = ScriptedLM(answer)
    dspy.configure(lm=lm)
    return lm


def writer(request: Any) -> Any:
    """Answers whatever a proposer asks for with the planted instruction."""
    system = system_of(request)
    names = ("instruction", "improved", "proposed_instruction", "new_instruction", "observations", "summary")
    if chat := {name: CAREFUL for name in names if f"[[ ## {name} ## ]]" in system}:
        return chat
    return json.dumps({name: CAREFUL for name in names if f'"{name}"' in system or name in system})


def test_a_reflection_sees_which_candidates_were_right_and_lost(tmp_path: Path) -> None:
    reflector = ScriptedLM(writer, name="scripted/writer")
    options: dict[str, Any] = {"proposer": reflector, "proposals": 0, "reflect_every": 2, "instructions": ["Say it."]}
    report = tuner(tmp_path, trials=6, **options).compile(program(n=4), valset=EXAMPLES).tuning_report
    prompts = [prompt_of(request) for request in reflector.requests]
    assert any("(by itself it scores 1.00)" in text and "a better candidate was there" in text for text in prompts)
    assert any(origin.startswith("reflected") for _, origin in report.instructions["fusor"])


def test_a_rewrite_is_raced_at_the_incumbents_numbers(tmp_path: Path) -> None:
    options: dict[str, Any] = {"proposer": ScriptedLM(writer), "proposals": 0, "reflect_every": 3, "instructions": []}
    report = tuner(tmp_path, trials=8, **options).compile(program(n=4), valset=EXAMPLES).tuning_report
    first = next(trial for trial in report.trials if trial.setting["instruction:fusor"] == 1)
    before = [trial.setting for trial in report.trials if trial.number < first.number]
    assert any({**first.setting, "instruction:fusor": 0} == {**s, "instruction:fusor": 0} for s in before)
    assert CAREFUL in [text for text, _ in report.instructions["fusor"]]


def test_a_proposer_of_gepas_protocol_writes_the_rewrites(tmp_path: Path) -> None:
    asked: list[Any] = []

    def propose(candidate: Any, reflective_dataset: Any, components_to_update: Any) -> dict[str, str]:
        asked.append((candidate, reflective_dataset))
        return {name: CAREFUL for name in components_to_update}

    options: dict[str, Any] = {"proposer": GEPAProposer(propose), "proposals": 0, "reflect_every": 2}
    tuned = tuner(tmp_path, trials=8, **{**options, "instructions": []}).compile(program(n=4), valset=EXAMPLES)
    assert CAREFUL in [text for text, _ in tuned.tuning_report.instructions["fusor"]]
    (rows,) = asked[0][1].values()
    assert set(rows[0]) == {"Inputs", "Generated Outputs", "Feedback"}
    assert "candidate 4" in rows[0]["Inputs"]
    assert "by themselves the candidates score" in rows[0]["Feedback"]


def test_gepas_own_proposer_is_the_default(tmp_path: Path) -> None:
    reflector = ScriptedLM(writer, name="scripted/writer")
    options: dict[str, Any] = {"proposer": GEPAProposer(lm=reflector), "proposals": 0, "reflect_every": 2}
    report = tuner(tmp_path, trials=5, **{**options, "instructions": []}).compile(program(n=4), valset=EXAMPLES)
    assert CAREFUL in [text for text, _ in report.tuning_report.instructions["fusor"]], report.tuning_report.notes


def test_mipros_proposer_writes_the_first_instructions(tmp_path: Path) -> None:
    model = ScriptedLM(writer, name="scripted/writer")
    options: dict[str, Any] = {"proposer": MIPROProposer(model), "proposals": 2, "reflect_every": 0}
    report = tuner(tmp_path, trials=3, **{**options, "instructions": []}).compile(program(n=4), valset=EXAMPLES)
    origins = dict(report.tuning_report.instructions["fusor"])
    assert origins.get(CAREFUL) == "grounded", report.tuning_report.notes


@pytest.mark.parametrize("fails", [ValueError("no"), None])
def test_a_proposer_that_fails_ends_no_study(tmp_path: Path, fails: Exception | None) -> None:
    def propose(**_: Any) -> dict[str, str]:
        if fails:
            raise fails
        return {"fusor": "x"}

    options: dict[str, Any] = {"proposer": GEPAProposer(propose), "proposals": 0, "reflect_every": 2}
    report = tuner(tmp_path, trials=4, **options).compile(program(), valset=EXAMPLES).tuning_report
    assert len(report.trials) == 4
    assert any("could not be proposed" in note for note in report.notes)


def test_demos_are_made_of_pools_whose_fused_answer_was_right(tmp_path: Path) -> None:
    student = program(n=4)
    student.fusor.signature = student.fusor.signature.with_instructions(CAREFUL)
    options: dict[str, Any] = {"demo_sets": 2, "exclude": ("n", "compare", "temperature", "fusor_temperature")}
    study = tuner(tmp_path, trials=5, instructions=[], **options)
    study.compile(student, valset=EXAMPLES, trainset=TRAIN)
    space = {name for trial in study_settings(tmp_path) for name in trial}
    assert "demos:fusor" in space


def study_settings(folder: Path) -> list[dict[str, Any]]:
    import optuna

    url = f"sqlite:///{folder}/tuning.db"
    (name,) = optuna.get_all_study_names(url)
    return [trial.params for trial in optuna.load_study(study_name=name, storage=url).trials]


@pytest.mark.parametrize(
    ("train", "message"), [([], "demo_sets are made of a trainset"), (EXAMPLES[:3], "3 example.s. of the trainset")]
)
def test_demos_need_examples_of_their_own(tmp_path: Path, train: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tuner(tmp_path, demo_sets=1).compile(program(), valset=EXAMPLES, trainset=train)


def test_each_trial_is_a_line_of_the_log_and_a_step_of_the_bar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, "dspy_fusion.optimizers.tuning"):
        tuner(tmp_path, exact, trials=4, display_progress=True).compile(program(), valset=EXAMPLES)
    lines = [record.getMessage() for record in caplog.records if record.name == "dspy_fusion.optimizers.tuning"]
    assert [line.split(" (")[0] for line in lines] == [f"trial {n}" for n in range(4)]
    shown = capfd.readouterr().err
    assert "4/4" in shown
    assert "A new study created" not in shown


def test_a_proposer_hears_which_predictor_it_writes_for(tmp_path: Path) -> None:
    class Listening(InstructionProposer):
        def grounded(self, *args: Any, **options: Any) -> list[str]:
            heard.append((self.path, type(self.program).__name__))
            return []

    heard: list[Any] = []
    tuner(tmp_path, trials=1, proposer=Listening(), proposals=1).compile(program(), valset=EXAMPLES)
    assert heard == [("fusor", "Fusion")]
