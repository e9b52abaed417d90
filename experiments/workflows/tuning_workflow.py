"""What ``dspy-fusion tune`` does: a study with its workers, its report, its figures and its MLflow runs."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.optimizers import Progress, TuningReport
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.serving.catalogue.models import load_models

from ..presentation.progress import ProgressView
from ..presentation.text_table import slug
from ..records.outbox import Outbox, Told, parameters_of
from ..reports.importance import importances
from ..reports.tuning_tables import UNITS, show_report
from ..runs.logged_models import save_models
from ..runs.run_file import writing
from ..runs.run_folder import RunFolder
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri, without_password
from ..runs.tuning import Tuning, prepare_tuning
from ..runs.tuning_config import TuningConfig
from ..runs.tuning_folder import TuningFolder, open_tuning_folder, read_study
from .comparison_workflow import warner
from .study_tracking import complete, study_told
from .study_workers import further_workers, run_study


def tune(
    config: TuningConfig,
    *,
    workers: int = 1,
    console: Console,
    log: Console,
) -> int:
    """Runs or continues a study and shows its result; returns the exit code.

    Args:
        config: what is tuned.
        workers: how many processes work on the study, this one included.
        console: for the result.
        log: for progress and warnings.
    """
    tuning = prepare_tuning(config, load_models(config.models or None))
    name = _name(tuning)
    path = Path(config.out or f"runs/{name}")
    uri = config.tracking_uri or default_uri(RunFolder(path))
    about = {"study": name, "experiment": f"dspy-fusion tune {config.task}", "tracking_uri": without_password(uri)}
    folder = open_tuning_folder(path, config, about)
    log.print(f"{folder.path}: {config.trials} trials on {len(tuning.examples)} examples", highlight=False)
    tracker = Tracker(study_place(folder, uri), warner(log), connected=config.tracking)
    tracker.tell(Told(parameters={"study": name, **_stable(config)}))
    with (
        writing(path),
        further_workers(folder, config, workers - 1, log),
        _TuningProgress(log, config.trials) as progress,
    ):
        tuned = run_study(tuning, folder, name, progress.add, tracker)
    report: TuningReport = tuned.tuning_report
    from ..reports.tuning_plots import draw_tuning_plots  # matplotlib is loaded only where figures are drawn

    with writing(path), dspy.context(adapter=tuning.task.adapter()):
        complete(Outbox(folder.outbox), report)
        report.save(folder.report)
        tuned.save(folder.program)
        adapter = tuning.task.adapter()
        saved = save_models(path, {"tuned": tuned}, warner(log), adapter=adapter) if tracker.is_connected else {}
        plots = draw_tuning_plots(
            report, importances(_storage(config, folder), name, report.trials), folder.plots, unit=UNITS[config.price]
        )
    show_report(report, tuning.program, tuned, console, unit=UNITS[config.price])
    with writing(path):
        for told in study_told(report, TuningFolder(path), model=saved.get("tuned", "")):
            tracker.tell(told)
        run_id = tracker.finish()
    _show_files(folder, [plot.png for plot in plots], without_password(uri) if run_id else "", console)
    return 0


class _TuningProgress(ProgressView):
    """Tells where a study stands.

    Trials, the best score, trials raced out, requests that the bank saved, the budget left.
    """

    def __init__(self, console: Console, trials: int) -> None:
        super().__init__(console, "trials", total=trials, every_seconds=0.0)
        self.show("scoring the program as it is")

    def add(self, progress: Progress) -> None:
        """Shows where the study stands after a trial; a failed trial is named with its cause."""
        if progress.trial.state == "failed":
            self.show(f"trial {progress.trial.number} failed: {progress.trial.cause}", style="yellow")
        best = "-" if math.isnan(progress.best) else f"{100 * progress.best:.1f} %"
        saved = progress.replayed.calls / max(1, progress.replayed.calls + progress.spent.calls)
        self.advance(
            f"best {best}, {progress.dropped} raced out, {progress.spent.calls} requests made,"
            f" {progress.replayed.calls} saved by the bank ({100 * saved:.0f} %),"
            f" budget left: {progress.budget_left}",
            done=progress.finished,
        )


def study_place(folder: TuningFolder, uri: str) -> Place:
    """Where a study is tracked: the same MLflow run from every machine that works on it."""
    about = read_study(folder)
    key = f"{about['study']} in {without_password(_storage(_config(about), folder))}"
    return Place(uri, about["experiment"], folder.path, hashlib.sha256(key.encode()).hexdigest()[:16])


def _stable(config: TuningConfig) -> dict[str, Any]:
    """The parameters that do not change when a study goes on."""
    flat = parameters_of(config.kept)
    return {name: value for name, value in flat.items() if name.partition(".")[0] not in ("trials", "budget")}


def _config(about: dict[str, Any]) -> TuningConfig:
    return TuningConfig.parse(about["config"], where="tuning.json")


def _storage(config: TuningConfig, folder: TuningFolder) -> str:
    return config.storage or folder.storage


def _name(tuning: Tuning) -> str:
    models = [lm_fingerprint(lm) for lm in tuning.lms]
    text = json.dumps([replace(tuning.config, storage="").digest, models], sort_keys=True)
    named = f"{slug(tuning.config.task)}-{slug(tuning.config.program.program)}"
    return f"tune-{named}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _show_files(folder: TuningFolder, plots: list[Path], uri: str, console: Console) -> None:
    lines = [f"  {folder.report}   the report", f"  {folder.program}   the program, for load()"]
    lines += [f"  {plot}" for plot in plots]
    if uri:
        lines.append(
            f"  mlflow ui --backend-store-uri {uri}   the MLflow runs (the page of MLflow needs: pip install mlflow)"
        )
    console.print("\nOpen next:", style="bold")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
