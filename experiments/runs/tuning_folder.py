"""The folder of a study: its configuration, storage, outbox, report, tuned program and figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .run_file import opening, read_about, write_whole
from .run_folder import RunFolder
from .tuning_config import TuningConfig

_KEYS = ("config", "study", "experiment", "tracking_uri")


@dataclass(frozen=True)
class TuningFolder(RunFolder):
    """Where the files of a study lie."""

    @property
    def about(self) -> Path:
        """The configuration and where the study is kept."""
        return self.path / "tuning.json"

    @property
    def storage(self) -> str:
        """The study and what it knows of every example."""
        return f"sqlite:///{(self.path / 'tuning.db').resolve()}"

    @property
    def report(self) -> Path:
        """The tuning report."""
        return self.path / "tuning_report.json"

    @property
    def program(self) -> Path:
        """The state of the program that the study returned."""
        return self.path / "program.json"


def open_tuning_folder(path: Path, config: TuningConfig, about: Mapping[str, Any]) -> TuningFolder:
    """Makes the folder of a study, or goes on with the one that is there.

    Raises:
        ConfigurationError: the folder cannot be made or written.
    """
    folder = TuningFolder(path)
    with opening(path, folder.plots):
        write_whole(folder.about, {"config": config.kept, **about})
    return folder


def read_study(folder: TuningFolder) -> dict[str, Any]:
    """What :func:`open_tuning_folder` wrote; raises ``RecordError`` where the folder holds no study."""
    return read_about(folder.about, _KEYS, "study")
