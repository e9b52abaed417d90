from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig
from dspy_fusion.programs import ConfigurationError

STRATEGY: dict[str, Any] = {"name": "vote", "program": "vote", "pool": "m"}
TABLE: dict[str, Any] = {"task": "worksheets", "strategy": [STRATEGY]}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE | {"exmaples": 3}, "unknown key 'exmaples'; allowed are task, strategy"),
        (
            TABLE | {"strategy": [STRATEGY | {"widht": 3}]},
            "strategy 'vote': unknown key 'widht'; allowed are name, program",
        ),
        (TABLE | {"examples": "many"}, "examples must be of type int, but got 'many'"),
        (TABLE | {"examples": True}, "examples must be of type int, but got True"),
        (TABLE | {"n": 0}, "n must be at least 1, but got n=0"),
        (TABLE | {"seeds": 0}, "seeds must be at least 1, but got seeds=0"),
        (TABLE | {"temperature": -1}, "temperature must be at least 0"),
        (TABLE | {"strategy": [STRATEGY | {"n": 0}]}, "strategy 'vote': n must be at least 1, but got n=0"),
        (TABLE | {"strategy": [STRATEGY, STRATEGY]}, "two strategies are called 'vote'"),
        (TABLE | {"strategy": []}, "no strategies"),
        (TABLE | {"reference": "voet"}, "reference 'voet' is no strategy; there are vote"),
        (TABLE | {"pools": {"p": []}}, "at least one model name"),
        ({"strategy": [STRATEGY]}, "the key 'task' is missing"),
    ],
)
def test_wrong_tables_are_refused_by_name(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CompareConfig.parse(table)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the configuration .*absent\.toml"):
        CompareConfig.read(tmp_path / "absent.toml")


def test_broken_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("task = ")
    with pytest.raises(ConfigurationError, match=r"c\.toml is no TOML"):
        CompareConfig.read(tmp_path / "c.toml")


def test_digest_follows_what_changes_records(config: CompareConfig) -> None:
    assert replace(config, max_concurrency=9, title="other").digest == config.digest
    assert replace(config, temperature=0.5).digest != config.digest


def test_demo_configuration_is_valid() -> None:
    import dspy_fusion.experiments.plans.comparison_config as module

    demo = CompareConfig.read(Path(module.__file__).parents[1] / "configs" / "demo.toml")
    assert demo.task == "worksheets"


def test_every_configuration_that_is_shipped_can_be_read() -> None:
    from pathlib import Path

    from dspy_fusion.experiments.plans.typed_config import read_toml
    from dspy_fusion.experiments.runs.finetuning_config import FineTuningConfig
    from dspy_fusion.experiments.runs.tuning_config import TuningConfig
    from dspy_fusion.experiments.synthesis.synthesis_config import SynthesisConfig
    from dspy_fusion.serving.catalogue.models import load_models

    folder = Path(__file__).parents[3] / "experiments" / "configs"
    for path in folder.glob("*.toml"):
        table = read_toml(path)
        if path.stem.endswith("_models"):
            load_models(path)
            continue
        if "strategy" in table:
            CompareConfig.parse(table)
        elif "teachers" in table:
            SynthesisConfig.parse(table)
        elif "base" in table:
            FineTuningConfig.parse(table)
        else:
            TuningConfig.parse(table)
