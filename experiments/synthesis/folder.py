"""The folder of a synthesis: one process at a time, one configuration, one set of models and prompts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.held_file import held

from ..plans.typed_config import differences
from ..runs.run_file import opening, read_about, refuse_other, write_first
from ..runs.run_folder import RunFolder
from .synthesis_config import SynthesisConfig

_BUSY = "another process is at work in {}; wait for it, or choose another folder with --out"
_KEYS = ("digest", "config", "models", "prompts")


@dataclass(frozen=True)
class SynthesisFolder(RunFolder):
    """Where the files of a synthesis lie."""

    lock: IO[str] | None = field(default=None, repr=False, compare=False)

    @property
    def duplicates(self) -> Path:
        """What near duplicates are found by; it is made again from the rows where it is missing."""
        return self.path / "duplicates.db"

    @property
    def summary(self) -> Path:
        """The counts."""
        return self.path / "summary.json"

    @property
    def exports(self) -> Path:
        """The data sets that were cut from the rows."""
        return self.path / "exports"

    def close(self) -> None:
        """Lets other processes at the folder."""
        if self.lock is not None:
            self.lock.close()


def default_folder(config: SynthesisConfig, about: Mapping[str, Any]) -> Path:
    """The folder of a synthesis that was given none: the same one for the same configuration, models and prompts."""
    digest = hashlib.sha256(json.dumps([config.digest, about], sort_keys=True).encode()).hexdigest()
    return Path("runs") / f"synthesis-{Path(config.prompts.name).name.split('.')[0]}-{digest[:10]}"


def open_folder(path: Path, config: SynthesisConfig, about: Mapping[str, Any]) -> SynthesisFolder:
    """Begins a synthesis in a folder, or goes on with the one that is there.

    Args:
        path: the folder; it is made where it does not exist.
        config: what is to be made.
        about: ``models``, ``prompts`` and whatever else must be the same for rows to belong together.

    Raises:
        ConfigurationError: the folder cannot be written, or another process works in it.
        RecordError: it holds another synthesis.
    """
    with opening(path):
        folder = SynthesisFolder(path, held(path / "lock", _BUSY.format(path)))
        now = {"digest": config.digest, "config": config.kept, **about}
        if folder.about.exists():
            _check_same(folder, config, now)
        else:
            write_first(folder.about, now)
    return folder


@dataclass(frozen=True)
class StoredSynthesis:
    """A synthesis read back from its folder."""

    folder: SynthesisFolder
    config: SynthesisConfig
    about: Mapping[str, Any]


def read_folder(path: Path) -> StoredSynthesis:
    """Reads what a folder holds, finished or not, without changing it.

    Raises:
        RecordError: the folder holds no synthesis, or one that cannot be read.
    """
    folder = SynthesisFolder(path)
    about = read_about(folder.about, _KEYS, "synthesis")
    try:
        return StoredSynthesis(folder, SynthesisConfig.parse(about["config"], where=str(folder.about)), about)
    except ConfigurationError as error:
        raise RecordError(f"{error}; the rows were made by another version") from error


def _check_same(folder: SynthesisFolder, config: SynthesisConfig, now: Mapping[str, Any]) -> None:
    before = read_about(folder.about, _KEYS, "synthesis")
    now = json.loads(json.dumps(now))
    names = [name for name in now if name not in ("digest", "config")]
    if before["digest"] == now["digest"] and all(before.get(name) == now[name] for name in names):
        return
    relevant = {key: before["config"].get(key) for key in config.relevant}
    old, new = (
        relevant | {name: before.get(name) for name in names},
        config.relevant | {name: now[name] for name in names},
    )
    changed = differences(old, new)
    refuse_other(folder.path, changed, "synthesis")
