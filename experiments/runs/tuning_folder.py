"""The folder of a study: its configuration, storage, outbox, report, tuned program and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError, RecordError

from .tuning_config import TuningConfig


@dataclass(frozen=True)
class TuningFolder:
    """Where the files of a study lie."""

    path: Path

    @property
    def about(self) -> Path:
        """The configuration and where the study is kept."""
        return self.path / "tuning.json"

    @property
    def storage(self) -> str:
        """The study and what it knows of every example."""
        return f"sqlite:///{(self.path / 'tuning.db').resolve()}"

    @property
    def outbox(self) -> Path:
        """One line for each trial that is to be tracked."""
        return self.path / "outbox.jsonl"

    @property
    def report(self) -> Path:
        """The tuning report."""
        return self.path / "tuning_report.json"

    @property
    def program(self) -> Path:
        """The state of the program that the study returned."""
        return self.path / "program.json"

    @property
    def plots(self) -> Path:
        """The figures, each with its data beside it."""
        return self.path / "plots"


def open_tuning_folder(path: Path, config: TuningConfig, about: Mapping[str, Any]) -> TuningFolder:
    """Makes the folder of a study, or goes on with the one that is there.

    Raises:
        ConfigurationError: the folder cannot be made or written.
    """
    folder = TuningFolder(path)
    try:
        folder.plots.mkdir(parents=True, exist_ok=True)
        partial = folder.about.with_suffix(".partial")
        partial.write_text(json.dumps({"config": config.kept, **about}, indent=1, ensure_ascii=False), encoding="utf-8")
        partial.replace(folder.about)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {path}: {error.strerror}; choose another with --out"
        ) from error
    return folder


def read_about(folder: TuningFolder) -> dict[str, Any]:
    """What :func:`open_tuning_folder` wrote; raises ``RecordError`` where the folder holds no study."""
    try:
        about = json.loads(folder.about.read_text(encoding="utf-8"))
        if not {"config", "study", "experiment", "tracking_uri"} <= about.keys():
            raise ValueError("it lacks the configuration")
        return about
    except OSError as error:
        raise RecordError(f"{folder.path} holds no study: {folder.about.name}: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise RecordError(f"{folder.about} cannot be read: {error}") from error
