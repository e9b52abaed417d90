"""What ``dspy-fusion sync`` does: MLflow is told what it missed of a run, whichever command made it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from dspy_fusion.optimizers import TuningReport
from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.json_text import read_json

from ..records.outbox import as_told
from ..reports.tracked_run import tracked, tracked_strategies
from ..reports.views import write_views
from ..runs.run_file import writing
from ..runs.run_folder import RunFolder, read_run
from ..runs.run_writer import MlflowWriter, Place
from ..runs.tracking import reason, without_password
from ..runs.tuning_folder import TuningFolder, read_study
from .study_tracking import study_told
from .tuning_workflow import study_place


def sync(path: Path, *, tracking_uri: str | None, console: Console) -> int:
    """Writes to MLflow what of a run is missing there; returns the exit code.

    Raises:
        RecordError: the folder holds no run, or the store cannot be reached.
    """
    place = _place(path, tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "")
    with writing(path):
        _end(place)
    writer = MlflowWriter(place)
    try:
        run_id = writer.write(closing=True)
    except Exception as error:
        raise RecordError(
            f"cannot write to MLflow at {without_password(place.uri)}: {reason(error)}; what is missing stays in the"
            " folder"
        ) from error
    told = f"{writer.children} trials" if TuningFolder(path).about.exists() else f"{writer.written} entries"
    console.print(
        f"{told} written to {without_password(place.uri)}, run {run_id}", highlight=False, soft_wrap=True, markup=False
    )
    return 0


def _place(path: Path, uri: str) -> Place:
    if TuningFolder(path).about.exists():
        return study_place(TuningFolder(path), uri or read_study(TuningFolder(path))["tracking_uri"])
    file = RunFolder(path).tracking
    try:
        known = read_json(file.read_text(encoding="utf-8"))
        return Place(uri or known["uri"], known["experiment"], path, known.get("key", ""))
    except OSError as error:
        raise RecordError(
            f"{path} holds no run that MLflow can be told of: {file.name}: {error.strerror}; give the folder of a"
            " comparison, a study, a fine-tuning or a synthesis, or run its command again"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{file} cannot be read ({error}); run the run's command again, which mends it") from error


def _end(place: Place) -> None:
    """Tells of what is there where a run was killed before it told its end, or is from before there were outboxes."""
    if any(message.status and not message.run for message in map(as_told, place.outbox.messages())):
        return
    folder, study = RunFolder(place.folder), TuningFolder(place.folder)
    if folder.records.exists():
        run = read_run(place.folder)
        if run.records:
            views = write_views(run)
            for told in (*tracked_strategies(run, views), tracked(run, views)):
                place.outbox.put(asdict(told))
    elif study.report.exists():
        for told in study_told(TuningReport.load(study.report), study):
            place.outbox.put(asdict(told))
