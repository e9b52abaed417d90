"""Tuning from Python with everything that the command leaves behind: files, figures and MLflow runs."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.optimizers import OptunaTuner, Progress, TuningReport
from dspy_fusion.optimizers.tuning.scores.objective import example_digest
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import redacting

from ..records.outbox import Outbox, Told, parameters_of, trial_told
from ..reports.importance import importances
from ..runs.logged_models import save_models
from ..runs.run_file import opening, writing
from ..runs.run_folder import RunFolder
from ..runs.run_tracker import Tracker
from ..runs.run_writer import MlflowWriter, Place
from ..runs.tracking import active, default_uri, reason, without_password
from ..runs.tuning_folder import TuningFolder
from .study_tracking import complete, study_told

logger = redacting(logging.getLogger(__name__))


def tune(
    program: dspy.Module,
    tuner: OptunaTuner,
    *,
    valset: Sequence[dspy.Example],
    testset: Sequence[dspy.Example] | None = None,
    name: str = "",
    out: str | Path | None = None,
    tracking: bool = True,
    tracking_uri: str = "",
) -> Any:
    """Has a tuner compile a program, and leaves a report, figures, the program and MLflow runs.

    In MLflow the study is a run and each trial one below it: its numbers, its instructions with the versions they have
    in the registry of prompts, and its scores, which for a trial that was raced out are called ``partial_...``. The
    chosen trial has the tag ``chosen``, the examples are the run's data sets, and the tuned program is a logged model
    that ``mlflow.dspy.load_model`` gives back, without keys. The run is the active one while the tuner works, so what
    ``mlflow.dspy.autolog()`` records belongs to it. A store that fails costs a warning and nothing else:
    ``dspy-fusion sync`` tells it later.

    Args:
        program: any module that contains programs of this library; it stays as it is.
        tuner: with its metric and options; a storage of its own goes on being its storage.
        valset: the examples that trials are scored on.
        testset: examples that no trial sees; by default a share of the valset is kept back.
        name: of the study in MLflow; empty takes the program's class.
        out: folder for files; None takes one under ``runs/`` that is the same for the same program and examples.
        tracking: whether MLflow is told now; ``dspy-fusion sync`` tells it later.
        tracking_uri: MLflow store; empty takes ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside the folder.

    Returns:
        The tuned program with its ``tuning_report``, as the tuner's own ``compile`` does.

    Raises:
        ConfigurationError: an argument is wrong, or the folder cannot be written.

    Example:
        >>> tuned = tune(Fusion(answer, n=3), OptunaTuner(metric, trials=40), valset=examples)
    """
    if not isinstance(tuner, OptunaTuner):
        raise ConfigurationError(f"tuner must be an OptunaTuner, but got a {type(tuner).__name__}")
    name = name or type(program).__name__
    key = hashlib.sha256(json.dumps([name, sorted(map(example_digest, valset))]).encode()).hexdigest()[:16]
    folder = TuningFolder(Path(out or f"runs/tune-{re.sub(r'[^a-zA-Z0-9_.-]', '-', name)}-{key[:8]}"))
    uri = tracking_uri or default_uri(RunFolder(folder.path))
    with opening(folder.path, folder.plots):
        pass
    place = Place(uri, f"dspy-fusion tune {name}", folder.path, key)
    run_id = _begun(place) if tracking else ""
    tracker = Tracker(place, _warn, connected=bool(run_id))
    tracker.tell(Told(parameters=_parameters(program, tuner)))
    with writing(folder.path), _told(tuner, tracker), active(uri, run_id) if run_id else nullcontext():
        tuned: Any = tuner.compile(program, valset=list(valset), testset=None if testset is None else list(testset))
    report: TuningReport = tuned.tuning_report
    with writing(folder.path):
        _keep(folder, tuner, tuned, report)
        saved = save_models(folder.path, {"tuned": tuned}, _warn) if run_id else {}
        for told in study_told(report, folder, _data(name, valset, testset), saved.get("tuned", "")):
            tracker.tell(told)
        tracker.finish()
    return tuned


@contextmanager
def _told(tuner: OptunaTuner, tracker: Tracker) -> Iterator[None]:
    """A block in which the tracker hears of every trial, beside whoever else does."""
    before: Callable[[Progress], None] = tuner.on_progress

    def tell(progress: Progress) -> None:
        tracker.tell(trial_told(asdict(progress.trial), dict(progress.instructions)))
        before(progress)

    tuner.on_progress = tell
    try:
        yield
    finally:
        tuner.on_progress = before


def _begun(place: Place) -> str:
    """The id of the MLflow run, or an empty text where the store fails."""
    try:
        return MlflowWriter(place).write()
    except Exception as error:  # noqa: BLE001 (whatever a store does, the study goes on)
        _warn(f"not tracked in MLflow ({without_password(place.uri)}): {reason(error)}")
        return ""


def _keep(folder: TuningFolder, tuner: OptunaTuner, tuned: dspy.Module, report: TuningReport) -> None:
    from ..reports.tuning_plots import draw_tuning_plots  # matplotlib is loaded only where figures are drawn

    complete(Outbox(folder.outbox), report)
    report.save(folder.report)
    tuned.save(folder.program)
    draw_tuning_plots(report, importances(tuner.storage, report.study, report.trials), folder.plots)


def _parameters(program: dspy.Module, tuner: OptunaTuner) -> dict[str, Any]:
    names = ("trials", "objectives", "tolerance", "racing_error", "proposals", "reflect_every", "adapters")
    told = parameters_of({name: getattr(tuner, name) for name in (*names, "reasoning", "seed")})
    return {"program": type(program).__name__, **told, "constraints": ", ".join(map(str, tuner.constraints))}


def _data(name: str, valset: Sequence[dspy.Example], testset: Sequence[dspy.Example] | None) -> dict[str, str]:
    digests = sorted(example_digest(example) for example in [*valset, *(testset or ())])
    fields = sorted({field for example in valset for field in example.keys()})
    return {
        "name": name[:500],
        "digest": hashlib.sha256("".join(digests).encode()).hexdigest()[:36],
        "source_type": "dspy-fusion",
        "source": json.dumps({"valset": len(valset), "testset": len(testset or ())}),
        "profile": json.dumps({"num_rows": len(digests), "fields": fields}),
    }


def _warn(text: str) -> None:
    logger.warning("%s", text)
