"""The folder of a run: where its files lie, how a comparison's is begun or continued, and how it is read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import dspy

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.redaction import without_secrets

from ..plans.comparison_config import CompareConfig, relevant_part
from ..plans.typed_config import differences
from ..presentation.text_table import slug
from ..records.record import Record
from ..records.record_file import read_records
from .run_file import opening, read_about, refuse_other, write_first, writing

_KEYS = ("digest", "config", "models")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run lie."""

    path: Path

    @property
    def about(self) -> Path:
        """The configuration, its digest, the models and the environment."""
        return self.path / "run.json"

    @property
    def records(self) -> Path:
        """The records."""
        return self.path / "records.jsonl"

    @property
    def bank_url(self) -> str:
        """The candidate bank."""
        return f"sqlite:///{self.path / 'bank.db'}"

    @property
    def tracking(self) -> Path:
        """Which MLflow run this is."""
        return self.path / "mlflow.json"

    @property
    def outbox(self) -> Path:
        """What MLflow is to be told, one line each."""
        return self.path / "outbox.jsonl"

    @property
    def plots(self) -> Path:
        """The figures, each with its data beside it."""
        return self.path / "plots"

    @property
    def programs(self) -> Path:
        """The state of each strategy's program, one JSON file each."""
        return self.path / "programs"

    @property
    def page(self) -> Path:
        """The report."""
        return self.path / "report.html"


@dataclass(frozen=True)
class Run:
    """A run read back from its folder."""

    folder: RunFolder
    config: CompareConfig
    records: tuple[Record, ...]
    about: Mapping[str, Any]

    @property
    def examples(self) -> int:
        """How many examples the run has: as many as were asked for, or fewer where the task has no more."""
        return int((self.about.get("examples") or {}).get("count", self.config.examples))

    @property
    def set_aside(self) -> int:
        """How many of the task's rows were not asked, because their right answer cannot be read."""
        return int((self.about.get("examples") or {}).get("set_aside", 0))


class Configured(Protocol):
    """What the folder of a run must know of its configuration."""

    @property
    def task(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def kept(self) -> dict[str, Any]: ...
    @property
    def relevant(self) -> dict[str, Any]: ...


def default_folder(config: Configured, models: Mapping[str, Any], *, prefix: str = "") -> Path:
    """The folder of a run that was given none: the same one for the same configuration and the same models."""
    digest = hashlib.sha256(json.dumps([config.digest, models], sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"{prefix}{slug(config.task)}-{digest[:10]}"


def open_run(
    path: Path, config: Configured, models: Mapping[str, Any], *, examples: Mapping[str, Any] | None = None
) -> RunFolder:
    """Begins a run in a folder, or goes on with the one that is there.

    Args:
        path: the folder; it is made where it does not exist.
        config: what is to be run.
        models: what each model's name stands for; another address under the same name is another run.
        examples: what is known of the task's examples; with another ``digest`` it is another run.

    Raises:
        ConfigurationError: the folder cannot be made or written.
        RecordError: the folder holds a run of another configuration.
    """
    folder = RunFolder(path)
    now = {"digest": config.digest, "config": config.kept, "models": models, "examples": dict(examples or {})}
    with opening(path, folder.plots, folder.programs):
        if folder.about.exists():
            _check_same(folder, now | {"relevant": config.relevant})
        else:
            write_first(folder.about, now)
    return folder


def read_run(path: Path) -> Run:
    """Reads a run, finished or not, without changing it.

    Raises:
        RecordError: the folder holds no run, or one that cannot be read.
    """
    folder = RunFolder(path)
    about = read_about(folder.about, _KEYS)
    table = {key: value for key, value in about["config"].items() if key != "strategies"}
    try:
        config = CompareConfig.parse({**table, "strategy": about["config"]["strategies"]}, where=str(folder.about))
    except ConfigurationError as error:
        raise RecordError(f"{error}; the run was made by another version") from error
    return Run(folder, config, read_records(folder.records) if folder.records.exists() else (), about)


def _check_same(folder: RunFolder, now: Mapping[str, Any]) -> None:
    before = read_about(folder.about, _KEYS)
    models = json.loads(json.dumps(now["models"]))
    asked = {"examples": before.get("examples", {}).get("digest")}, {"examples": now["examples"].get("digest")}
    other_examples = differences(*asked) if all(part["examples"] for part in asked) else []
    if before["digest"] == now["digest"] and before["models"] == models and not other_examples:
        return
    relevant = relevant_part(before["config"], now["relevant"])
    changed = differences(relevant | {"models": before["models"]}, now["relevant"] | {"models": models})
    refuse_other(folder.path, changed + other_examples)


def keep_states(folder: RunFolder, programs: Mapping[str, dspy.Module]) -> None:
    """Writes the state of each strategy's program, by the strategies' names."""
    for place, (name, program) in enumerate(programs.items()):
        state: dict[str, Any] = {"strategy": name, "program": type(program).__name__, "state": program.dump_state()}
        with writing(folder.path):
            (folder.programs / f"{place:02d}_{slug(name)}.json").write_text(
                without_secrets(json.dumps(state, indent=1, default=str)), encoding="utf-8"
            )
