"""What compare, tune, finetune and synthesize share: the same keys with the same meaning, wherever they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
from dspy_fusion.experiments.runs.tracking import connect
from dspy_fusion.experiments.runs.tuning_config import TuningConfig
from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.embedded import embedded_model

WEIGHTS = Path(embedded_model.__file__).with_name("weights")
PROGRAM = {"program": "fusion", "pool": "embedded/plus"}
SHARED: dict[str, Any] = {
    "title": "t",
    "data": "folder",
    "languages": ["de", "sw"],
    "adapter": "chat",
    "metric_judge": "a judge",
    "judge_may_answer": True,
    "pools": {"ours": ["plus", "minus"]},
    "models": "models.toml",
    "bank": "sqlite:///bank.db",
    "seed": 7,
    "max_concurrency": 3,
    "tracking": False,
    "tracking_uri": "sqlite:///mlflow.db",
    "out": "runs/mine",
}
FLAGS = [
    "--task", "--title", "--data", "--languages", "--adapter", "--metric-judge", "--judge-may-answer", "--pools",
    "--models-file", "--bank", "--seed", "--max-concurrency", "--concurrency", "--no-tracking",
    "--tracking-uri", "--out",
]  # fmt: skip


class Kind(NamedTuple):
    """One of the four commands."""

    parse: Callable[..., Any]
    table: dict[str, Any]
    """What it cannot do without, apart from the task."""


KINDS = {
    "compare": Kind(CompareConfig.parse, {"strategy": [{"name": "vote", "program": "vote", "pool": "embedded/plus"}]}),
    "tune": Kind(TuningConfig.parse, {"program": PROGRAM}),
    "finetune": Kind(FineTuningConfig.parse, {"program": PROGRAM, "base": "embedded/aft"}),
    "synthesize": Kind(SynthesisConfig.parse, {"teachers": ["plus"], "rows": 2}),
}
needs_weights = pytest.mark.skipif(
    not (WEIGHTS / "aft.safetensors").exists(), reason=f"the embedded weights are not in {WEIGHTS}"
)
every_command = pytest.mark.parametrize("name", KINDS)


def table_of(name: str, **keys: Any) -> dict[str, Any]:
    return {"task": "worksheets", **KINDS[name].table, **keys}


def toml(table: dict[str, Any]) -> str:
    """A table as TOML; inline tables do for the nested ones."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {text(item)}" for key, item in value.items()) + " }"
        return f"[{', '.join(map(text, value))}]" if isinstance(value, list) else json.dumps(value)

    return "".join(f"{key} = {text(value)}\n" for key, value in table.items())


def refused(folder: Path, name: str, capsys: pytest.CaptureFixture[str], *options: str, **keys: Any) -> str:
    """The one line that the command says to a file it refuses."""
    path = folder / f"{name}.toml"
    path.write_text(toml(table_of(name, **keys)))
    assert main([name, str(path), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@every_command
def test_every_shared_key_is_taken_and_means_the_same(name: str) -> None:
    config = KINDS[name].parse(table_of(name, **SHARED))
    kept = {key: getattr(config, key) for key in SHARED}
    assert json.loads(json.dumps(kept)) == SHARED
    assert config.task == "worksheets"


@every_command
def test_other_names_of_a_key_are_the_same_key(name: str) -> None:
    config = KINDS[name].parse(table_of(name, models_file="m.toml", concurrency=5))
    assert (config.models, config.max_concurrency) == ("m.toml", 5)
    with pytest.raises(ConfigurationError, match="concurrency and max_concurrency are one key; leave out one of them"):
        KINDS[name].parse(table_of(name, concurrency=5, max_concurrency=5))


@every_command
@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("langauges", ["de"], "unknown key 'langauges'; allowed are .*; did you mean 'languages'?"),
        ("metrics_judge", "j", "did you mean 'metric_judge'?"),
        ("seed", "one", "seed must be of type int, but got 'one'"),
        ("seed", 1.5, "seed must be of type int, but got 1.5"),
        ("seed", True, "seed must be of type int, but got True"),
        ("languages", "de", "languages must be a list of texts, but got 'de'"),
        ("languages", [3], r"\[languages\]|languages"),
        ("pools", {"p": []}, "p must hold at least one model name"),
        ("pools", "plus", r"pools is written as a \[pools\] table, but got 'plus'"),
        ("max_concurrency", 0, "max_concurrency must be at least 1, but got max_concurrency=0"),
        ("judge_may_answer", "yes", "judge_may_answer must be of type bool, but got 'yes'"),
    ],
)
def test_a_wrong_key_or_value_is_named(name: str, key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        KINDS[name].parse(table_of(name, **{key: value}))


@every_command
def test_a_mistake_in_a_file_is_one_line_with_file_key_and_value(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{name}.toml: seed must be of type int, but got 'x'" in refused(tmp_path, name, capsys, seed="x")
    line = refused(tmp_path, name, capsys, seeed=3)
    assert f"{name}.toml: unknown key 'seeed'" in line
    assert "did you mean 'seed'?" in line
    line = refused(tmp_path, name, capsys, "--max-concurrency", "0")
    assert "command line: max_concurrency must be at least 1, but got max_concurrency=0" in line
    assert not (tmp_path / "runs").exists()


@every_command
def test_help_lists_every_shared_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    said = capsys.readouterr().out
    assert [flag for flag in FLAGS if flag not in said] == []


@every_command
def test_where_a_run_goes_is_nothing_of_what_it_is(name: str) -> None:
    first, other = (
        KINDS[name].parse(table_of(name, **change))
        for change in ({}, {"out": "x", "tracking": False, "tracking_uri": "http://u:secret@h", "title": "t"})
    )
    assert {key: value for key, value in other.kept.items() if key != "title"} == {
        key: value for key, value in first.kept.items() if key != "title"
    }
    assert "secret" not in json.dumps(other.kept)
    if hasattr(first, "digest"):
        assert first.digest == other.digest


TINY = {
    "compare": {"examples": 2, "seeds": 1},
    "tune": {"trials": 1, "examples": 2, "held_out": 0, "exclude": ["temperature", "fusor_temperature"]},
    "finetune": {
        "examples": 4,
        "draws": 1,
        "keep": 1,
        "training": {
            "lora": False,
            "batch_size": 4,
            "micro_batch": 4,
            "log_every": 1,
            "threads": 1,
            "device": "cpu",
            "warmup": 0,
        },
    },
    "synthesize": {"shard_rows": 2},
}


@needs_weights
@every_command
def test_without_tracking_nothing_is_lost_and_sync_tells_it_later(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "finetune":
        pytest.importorskip("trl", reason="trl is not installed: pip install 'dspy-fusion[finetune]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("run.toml").write_text(toml(table_of(name, **TINY[name])))
    assert main([name, "run.toml", "--no-tracking", "--out", "run", "--title", "tiny", "--seed", "3"]) == 0
    assert not Path("mlflow.db").exists()
    capsys.readouterr()
    assert main(["sync", "run", "--tracking-uri", "sqlite:///later.db"]) == 0
    said = capsys.readouterr().out
    assert "written to sqlite:///later.db, run " in said
    run = connect("sqlite:///later.db").get_run(said.split()[-1])
    assert (run.info.status, run.data.params["task"]) == ("FINISHED", "worksheets")
    assert run.data.metrics
    assert main(["sync", "run", "--tracking-uri", "sqlite:///later.db"]) == 0
    assert capsys.readouterr().out.startswith("0 ")
