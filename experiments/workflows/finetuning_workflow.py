"""What ``dspy-fusion finetune`` does.

A model is trained to aggregate, and where it runs in this process measured before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.optimizers.bootstrap import Interval
from dspy_fusion.optimizers.finetuning import FineTuningProgress, FineTuningReport, TrainingRow, read_training_rows
from dspy_fusion.optimizers.finetuning.aggregation_rows import fusing_program
from dspy_fusion.optimizers.finetuning.training_folder import REPORT, ROWS
from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.endpoint.saved_program import save_program

from ..presentation.progress import Stages
from ..presentation.text_table import TextTable, percent, points, slug
from ..records.outbox import Told, parameters_of
from ..runs.finetuning import FineTuning, prepare_finetuning
from ..runs.finetuning_arms import Side, as_metrics, as_plain, compared, measured
from ..runs.finetuning_config import FineTuningConfig
from ..runs.run_file import write_whole, writing
from ..runs.run_folder import RunFolder
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri, without_password
from ..statistics.intervals import Scores
from ..synthesis.export import exported_rows
from ..synthesis.folder import read_folder
from ..synthesis.training_rows import Shape
from .comparison_workflow import warner

_FILES = ("report.json", "about.json", "curve.jsonl", "run.json")


def finetune(config: FineTuningConfig, *, console: Console, log: Console) -> int:
    """Runs or continues a fine-tuning and shows its result; returns the exit code.

    Args:
        config: what is trained.
        console: for the result.
        log: for progress and warnings.
    """
    folder = Path(config.out or f"runs/finetune-{slug(config.task)}-{config.objective}")
    models = load_models(config.models or None)
    rows = finished_rows(Path(config.rows), config.from_format, config.from_answer) if config.rows else []
    tuning = prepare_finetuning(config, models, folder, rows)
    for note in tuning.notes:
        log.print(note, style="yellow", markup=False, highlight=False, soft_wrap=True)
    uri = config.tracking_uri or default_uri(RunFolder(folder))
    tracker = _tracker(config, folder, uri, log)
    tuning.optimizer.on_progress = _teller(log, tracker)
    with dspy.context(adapter=tuning.task.adapter(), disable_history=True):
        before = _before(tuning, folder, log)
        trained: Any = tuning.optimizer.compile(tuning.program, trainset=tuning.examples)
        result = compared({**before, **_measured(tuning, "trained", trained, folder, log)}) if before else {}
    if tuning.server is not None:
        tuning.server.close()
    report = _finished(trained.finetuning_report, tuning, result, folder)
    _save(trained, tuning, folder, log)
    _show(report, result, config.title or folder.name, console)
    metrics = {**as_metrics(result), "rows": report.rows, "steps": report.steps}
    with writing(folder):
        run_id = tracker.finish(Told(metrics=metrics, files=_FILES, status="FINISHED"))
    _show_files(report, folder, without_password(uri) if run_id else "", console)
    return 0


def finished_rows(path: Path, wanted: str = "sft", answer: str = "auto") -> list[TrainingRow]:
    """The rows of a synthesis, of a fine-tuning's folder, or of a file.

    Args:
        path: of the folder or the file.
        wanted: the format of rows that are made of a synthesis.
        answer: which answer of a synthesis ``sft`` teaches.

    Raises:
        ConfigurationError: there are none, or they cannot be read.
    """
    rows = list(_rows_of(path, wanted, answer))
    if not rows:
        raise ConfigurationError(f"there are no rows in {path} to be learned; give a folder or a file with some")
    return rows


def _rows_of(path: Path, wanted: str, answer: str) -> Iterable[TrainingRow]:
    if not path.is_dir():
        return read_training_rows(path)
    if (path / ROWS).is_file():
        return read_training_rows(path / ROWS)
    try:
        system = read_folder(path).about["system"]
        return list(exported_rows(path, Shape(wanted, answer, system=system)))
    except RecordError as error:
        raise ConfigurationError(f"{path} is the folder of no synthesis and no fine-tuning: {error}") from error


PROGRAM = "program.json"
Result = Mapping[str, Mapping[str, Interval]]


def _before(tuning: FineTuning, folder: Path, log: Console) -> dict[str, Scores]:
    """What the base scores, measured while it is served: before what is trained takes its place."""
    if not tuning.held_out or tuning.base is None:
        return {}
    tuning.optimizer.check(tuning.program, tuning.examples)  # nothing is paid for that could not be used
    before = tuning.program.deepcopy()
    fusing_program(before).fusor_lm = tuning.base
    return _measured(tuning, "base", before, folder, log)


def _measured(tuning: FineTuning, side: Side, program: dspy.Module, folder: Path, log: Console) -> dict[str, Scores]:
    said: set[int] = set()

    def tell(done: int, total: int) -> None:
        if (done == total or done % 200 == 0) and done not in said:
            said.add(done)
            log.print(f"measured, {side}: {done} of {total}", highlight=False)

    return measured(tuning, side, program, folder, tell)


def _save(trained: dspy.Module, tuning: FineTuning, folder: Path, log: Console) -> None:
    """Leaves the program as ``dspy-fusion serve`` takes it."""
    try:
        with writing(folder):
            save_program(trained, folder / PROGRAM, name=folder.name, adapter=tuning.task.adapter())
    except ConfigurationError as error:
        log.print(f"the program is not kept as a file: {error}", style="yellow", markup=False, highlight=False)


def _finished(report: FineTuningReport, tuning: FineTuning, result: Result, folder: Path) -> FineTuningReport:
    """The report with what was measured and what was left out, as it is in the folder from now on."""
    notes = tuple(dict.fromkeys((*report.notes, *tuning.notes)))
    said = replace(report, notes=notes, measured=as_plain(result, tuning.config.seeds) if result else report.measured)
    if said != report:
        said.save(folder / REPORT)
    return said


def _show(report: FineTuningReport, result: Result, title: str, console: Console) -> None:
    console.print(f"{title}: {report.rows} rows, {report.steps} steps, loss {report.loss:.4f}", markup=False)
    for note in report.notes:
        console.print(f"  {note}", markup=False, highlight=False, soft_wrap=True)
    if result:
        console.print(_table(result).rich())


def _table(result: Result) -> TextTable:
    arms = [(name, percent(estimate)) for name, estimate in result["arms"].items()]
    differences = [(name, points(estimate)) for name, estimate in result["differences"].items()]
    count = next(iter(result["arms"].values())).n
    return TextTable(f"{count} held-out examples", ("", "score %, or points"), (*arms, *differences))


def _tracker(config: FineTuningConfig, folder: Path, uri: str, log: Console) -> Tracker:
    with writing(folder):
        place = Place(uri, f"dspy-fusion finetune {config.task}", folder)
        tracker = Tracker(place, warner(log), connected=config.tracking)
        write_whole(RunFolder(folder).about, {"kind": "finetune", "config": config.kept})
        tracker.tell(Told(parameters=parameters_of(config.kept)))
    return tracker


def _teller(log: Console, tracker: Tracker) -> Callable[[FineTuningProgress], None]:
    stages = Stages(log)

    def tell(progress: FineTuningProgress) -> None:
        loss = f"loss {progress.values['loss']:.4f}" if progress.stage == "training" else ""
        stages.advance(progress.stage, progress.done, progress.total, loss)
        if progress.stage == "training":
            tracker.tell(Told(metrics=progress.values, step=progress.done))

    return tell


def _show_files(report: FineTuningReport, folder: Path, uri: str, console: Console) -> None:
    console.print("\nOpen next:", style="bold")
    for text, path in (("the model, adapters merged", report.model), ("the adapters", report.adapter)):
        if path:
            console.print(f"  {path}   {text}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"  dspy-fusion serve {folder}   the program", markup=False, highlight=False, soft_wrap=True)
    if uri:
        console.print(
            f"  mlflow ui --backend-store-uri {uri}   the curve", markup=False, highlight=False, soft_wrap=True
        )
