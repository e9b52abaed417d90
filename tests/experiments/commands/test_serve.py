"""The real command ``dspy-fusion serve``: what it loads, what it answers, how it stops, and its errors in one line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dspy
import httpx
import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.runs.served import program_of_run, served_models, served_program, with_models
from dspy_fusion.experiments.runs.tracking import connect
from dspy_fusion.experiments.runs.tuning import prepare_tuning
from dspy_fusion.experiments.runs.tuning_config import TuningConfig
from dspy_fusion.programs import ConfigurationError, Fusion, PlainAdapter, RecordError, Vote
from dspy_fusion.serving import ModelCatalogue, embedded_lm
from dspy_fusion.serving.endpoint.saved_program import save_program

MODELS = ModelCatalogue.builtin()
SHEET = "(a) 12 + 30"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    program = Vote(dspy.Predict("worksheet -> answers"), n=2, lms=[embedded_lm("aft")], fields=["answers"])
    save_program(program, tmp_path / "saved.json", name="mine")
    return tmp_path / "saved.json"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study, as ``dspy-fusion tune`` leaves it."""
    table = {
        "task": "worksheets",
        "program": {"program": "fusion", "pool": "plus", "fusor": "aft"},
        "examples": 2,
        "held_out": 1,
    }
    config = TuningConfig.parse(table)
    tuned = prepare_tuning(config, MODELS).program
    tuned.n.value, tuned.temperature.value = 3, 0.4
    folder = tmp_path / "tune-worksheets"
    folder.mkdir()
    with dspy.context(adapter=PlainAdapter()):
        tuned.save(folder / "program.json")
    (folder / "tuning.json").write_text(
        json.dumps({"config": asdict(config), "study": "s", "experiment": "e", "tracking_uri": ""})
    )
    return folder


def test_a_study_is_served_from_its_folder(study: Path) -> None:
    for path in (study, study / "program.json"):
        served = served_program(path, MODELS)
        assert (served.name, served.program.n.value, served.program.temperature.value) == ("tune-worksheets", 3, 0.4)
        assert type(served.adapter).__name__ == "PlainAdapter"


def test_a_folder_from_before_programs_described_themselves_is_served(study: Path) -> None:
    state = json.loads((study / "program.json").read_text())
    del state["dspy_fusion"]
    (study / "program.json").write_text(json.dumps(state))
    served = served_program(study, MODELS)
    assert (served.name, served.program.n.value, type(served.adapter).__name__) == (
        "tune-worksheets",
        3,
        "PlainAdapter",
    )
    (study / "tuning.json").write_text("[" * 100_000)
    with pytest.raises(RecordError, match="nested too deeply"):
        served_program(study, MODELS)


def test_a_program_is_served_from_an_mlflow_run(study: Path, saved: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = connect(uri)
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment).info.run_id
    with pytest.raises(RecordError, match=rf"the run {run_id} holds no program\.json; it holds nothing"):
        program_of_run(run_id, uri, MODELS)
    for file in ("program.json", "tuning.json"):
        client.log_artifact(run_id, str(study / file))
    assert program_of_run(run_id, uri, MODELS).program.n.value == 3
    with pytest.raises(RecordError, match="cannot read the run nothing at sqlite"):
        program_of_run("nothing", uri, MODELS)


def test_a_state_alone_needs_a_factory(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = json.loads(saved.read_text())
    del state["dspy_fusion"]
    (tmp_path / "state.json").write_text(json.dumps(state))
    (tmp_path / "my_factory.py").write_text(
        'import dspy\nfrom dspy_fusion.programs import Vote\nmake = lambda: Vote(dspy.Predict("worksheet -> answers"),'
        " n=5)\nnothing = list"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=r"but not how to build it.*--factory"):
        served_program(tmp_path / "state.json", MODELS)
    assert served_program(tmp_path / "state.json", MODELS, factory="my_factory:make").program.n.value == 2
    wrong = {"my_factory": "as module:function", "absent:make": "No module", "my_factory:nothing": "it is a list"}
    for factory, message in wrong.items():
        with pytest.raises(ConfigurationError, match=message):
            served_program(tmp_path / "state.json", MODELS, factory=factory)


def test_only_embedded_models_are_served_bare() -> None:
    assert [model.name for model in served_models(["embedded/aft", "judge"], MODELS)] == ["aft", "judge"]
    with pytest.raises(ConfigurationError, match="'openai/gpt' is no model of this machine"):
        served_models(["openai/gpt"], MODELS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve"], "there is nothing to serve"),
        (["serve", "absent.json"], "cannot read the program absent.json"),
        (["serve", "--models", "afft"], "no model is called 'afft'; did you mean 'aft'?"),
        (["serve", "--models", "absent.toml"], "cannot read the model catalogue absent.toml"),
        (["serve", "--models", "aft", "--host", "0.0.0.0"], "set DSPY_FUSION_API_KEY"),
        (["serve", "--models", "aft", "--host", "203.0.113.1"], "set DSPY_FUSION_API_KEY"),
        (["serve", "--models", "aft,aft"], "two models are called 'aft'"),
        (
            ["serve", "--models", "aft", "--max-running", "0"],
            "the limit running must be a whole number from 1, but got running=0",
        ),
        (["serve", "--models", "aft", "--port", "99999"], "cannot listen at 127.0.0.1:99999"),
        (["serve", "--run", "r"], "--run needs --tracking-uri"),
        (["serve", "p.json", "--run", "r"], "give a program's file or --run, not both"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DSPY_FUSION_API_KEY", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_the_command_serves_until_it_is_told_to_stop(saved: Path) -> None:
    command = [sys.executable, "-m", "dspy_fusion.experiments", "serve", str(saved), "--models", "aft", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "DSPY_FUSION_API_KEY": "k"}
    ) as process:
        assert process.stdout
        said = process.stdout.readline()
        url, key = said.split(" at ")[1].strip(), {"Authorization": "Bearer k"}
        body: dict[str, Any] = {"model": "mine", "messages": [{"role": "user", "content": SHEET}]}
        refused, listed = httpx.get(f"{url}/models", timeout=120), httpx.get(f"{url}/models", headers=key, timeout=120)
        answered = httpx.post(f"{url}/chat/completions", json=body, headers=key, timeout=120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
    assert said.startswith("serving mine, aft at http://127.0.0.1:")
    assert refused.status_code == 401
    assert [model["id"] for model in listed.json()["data"]] == ["mine", "aft"]
    assert answered.status_code in (
        200,
        502,
    )  # the model speaks plain text, so its answers may lack the chat protocol's fields


def test_a_program_without_models_is_given_them(tmp_path: Path) -> None:
    save_program(Fusion(dspy.Predict("worksheet -> answers"), n=2), tmp_path / "bare.json")
    served = served_program(tmp_path / "bare.json", MODELS)
    with pytest.raises(ConfigurationError, match="the program 'bare' has no models of its own; name one with --lm"):
        with_models(served, MODELS)
    program = with_models(served, MODELS, lm="plus", fusor_lm="aft").program
    assert isinstance(program, Fusion)
    assert program.lms
    assert program.fusor_lm
    assert ["plus" in program.lms[0].model, "aft" in program.fusor_lm.model] == [True, True]
    save_program(Vote(dspy.Predict("worksheet -> answers")), tmp_path / "vote.json")
    with pytest.raises(ConfigurationError, match="--fusor-lm aft: the program is a Vote, without a fusor"):
        with_models(served_program(tmp_path / "vote.json", MODELS), MODELS, lm="plus", fusor_lm="aft")
