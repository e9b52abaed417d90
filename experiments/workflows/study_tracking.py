"""What MLflow is told of a study, whether a command or a call in Python ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from dspy_fusion.optimizers import TuningReport

from ..records.outbox import Outbox, Told, as_told, trial_told
from ..runs.tuning_folder import TuningFolder


def study_told(
    report: TuningReport, folder: TuningFolder, data: Mapping[str, str] | None = None, model: str = ""
) -> tuple[Told, ...]:
    """What MLflow is told of a study when it ends: of the trial that was chosen, and of the study itself.

    Args:
        report: of the study.
        folder: with its files.
        data: the examples as a data set, or None.
        model: folder, in the study's folder, of the tuned program as an MLflow model, or an empty text.
    """
    values = {"cost_before": report.cost_before, "cost_after": report.cost_after, "spent_cost": report.spent_cost}
    values |= {
        "calls_spent": float(report.spent.calls),
        "calls_replayed": float(report.replayed.calls),
        "trials": float(len(report.trials)),
    }
    for name in ("baseline", "before", "after", "gain"):
        interval = getattr(report, name)
        if interval is not None:
            values |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    chosen = f"trial {report.chosen}" if report.chosen is not None else "the program as it was"
    whole = Told(
        metrics=values,
        step=len(report.trials),
        tags={"verdict": report.verdict, "chosen": chosen},
        files=[path.name for path in (folder.report, folder.program, folder.about, folder.plots)],
        prompts=report.chosen_instructions,
        data=dict(data or {}),
        model=model,
        status="FINISHED",
    )
    return (*([_chosen_told(chosen)] if report.chosen is not None else []), whole)


def _chosen_told(run: str) -> Told:
    return Told(run=run, renews=True, tags={"chosen": "true"}, status="FINISHED")


def complete(outbox: Outbox, report: TuningReport) -> None:
    """Adds trials that ended but were not told of, because their worker was killed in between."""
    told = {as_told(message).run for message in outbox.messages()}
    for trial in report.trials:
        if f"trial {trial.number}" not in told:
            places = {path: int(trial.setting.get(f"instruction:{path}", 0)) for path in report.instructions}
            texts = {path: report.instructions[path][at][0] for path, at in places.items()}
            outbox.put(asdict(trial_told(asdict(trial), texts)))
