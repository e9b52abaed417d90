"""What ``dspy-fusion finetune`` does: a model is trained to aggregate,
and where it runs in this process measured before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dspy
from rich.console import Console

from dspy_fusion.optimizers.finetuning import FineTuningProgress, FineTuningReport
from dspy_fusion.serving.catalogue.models import load_models

from ..presentation.text_table import TextTable, percent, points
from ..records.outbox import Told, parameters_of
from ..runs.finetuning import FineTuning, prepare_finetuning
from ..runs.finetuning_config import FineTuningConfig
from ..runs.run_folder import RunFolder, write_whole, writing
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri, without_password
from ..statistics.intervals import mean_interval, paired_difference
from .comparison_workflow import warner

_FILES = ("report.json", "about.json", "curve.jsonl", "run.json")


def finetune(config: FineTuningConfig, *, console: Console, log: Console) -> int:
    """Runs or continues a fine-tuning and shows its result; returns the exit code.

    Args:
        config: what is trained.
        console: for the result.
        log: for progress and warnings.
    """
    folder = Path(config.out or f"runs/finetune-{config.task}-{config.objective}")
    tuning = prepare_finetuning(config, load_models(config.models or None), folder)
    uri = config.tracking_uri or default_uri(RunFolder(folder))
    tracker = _tracker(config, folder, uri, log)
    tuning.optimizer.on_progress = _teller(log, tracker)
    with dspy.context(adapter=tuning.task.adapter(), disable_history=True):
        trained: Any = tuning.optimizer.compile(tuning.program, trainset=tuning.examples)
        measured = _measured(tuning, trained) if tuning.held_out else {}
    report: FineTuningReport = trained.finetuning_report
    console.print(
        f"{config.title or folder.name}: {report.rows} rows, {report.steps} steps, loss {report.loss:.4f}", markup=False
    )
    if measured:
        console.print(_table(measured).rich())
    means = {name: sum(scores.values()) / len(scores) for name, scores in measured.items()}
    metrics = {name.replace(",", ""): mean for name, mean in means.items()}
    with writing(folder):
        run_id = tracker.finish(
            Told(metrics={**metrics, "rows": report.rows, "steps": report.steps}, files=_FILES, status="FINISHED")
        )
    _show_files(report, without_password(uri) if run_id else "", console)
    return 0


def _measured(tuning: FineTuning, trained: Any) -> dict[str, dict[tuple[str, int], float]]:
    """Scores on the held-out examples: the base as fusor, the trained model as fusor on the same candidates,
    and it alone.
    """
    base = load_models(tuning.config.models or None).lm(tuning.config.base)
    before, alone = tuning.program.deepcopy(), tuning.task.program(tuning.task.instructions)
    before.fusor_lm = base
    alone.set_lm(trained.fusor_lm.copy(temperature=0.0))
    programs = {"fused by the base": before, "fused by the trained model": trained, "the trained model alone": alone}
    return {name: _scores(tuning, program) for name, program in programs.items()}


def _scores(tuning: FineTuning, program: dspy.Module) -> dict[tuple[str, int], float]:
    def score(example: dspy.Example) -> float:
        return tuning.task.metric(example, program(**example.inputs().toDict()))

    with ThreadPoolExecutor(tuning.config.max_concurrency) as pool:
        jobs = [pool.submit(copy_context().run, score, example) for example in tuning.held_out]
        return {(example.id, 0): job.result() for example, job in zip(tuning.held_out, jobs, strict=True)}


def _table(measured: dict[str, dict[tuple[str, int], float]]) -> TextTable:
    first = next(iter(measured.values()))
    rows = tuple(
        (name, percent(mean_interval(scores)), "" if scores is first else points(paired_difference(scores, first)))
        for name, scores in measured.items()
    )
    return TextTable(f"{len(first)} held-out examples", ("", "score %", "against the base"), rows)


def _tracker(config: FineTuningConfig, folder: Path, uri: str, log: Console) -> Tracker:
    with writing(folder):
        place = Place(uri, f"dspy-fusion finetune {config.task}", folder)
        tracker = Tracker(place, warner(log), connected=config.tracking)
        write_whole(RunFolder(folder).about, {"kind": "finetune", "config": config.kept})
        tracker.tell(Told(parameters=parameters_of(config.kept)))
    return tracker


def _teller(log: Console, tracker: Tracker) -> Callable[[FineTuningProgress], None]:
    def tell(progress: FineTuningProgress) -> None:
        if progress.stage == "training":
            log.print(f"step {progress.done} of {progress.total}, loss {progress.values['loss']:.4f}", highlight=False)
            tracker.tell(Told(metrics=progress.values, step=progress.done))
        elif progress.done == progress.total or progress.done % 200 == 0:
            log.print(f"{progress.stage}: {progress.done} of {progress.total}", highlight=False)

    return tell


def _show_files(report: FineTuningReport, uri: str, console: Console) -> None:
    console.print("\nOpen next:", style="bold")
    for text, path in (("the model, adapters merged", report.model), ("the adapters", report.adapter)):
        if path:
            console.print(f"  {path}   {text}", markup=False, highlight=False, soft_wrap=True)
    if uri:
        console.print(
            f"  mlflow ui --backend-store-uri {uri}   the curve", markup=False, highlight=False, soft_wrap=True
        )
