"""Running a synthesis for a person: tables go to standard output, progress and warnings to standard error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.serving.catalogue.models import load_models

from ..presentation.progress import ProgressView
from ..presentation.quiet import only_errors_logged
from ..records.outbox import Told, parameters_of
from ..runs.run_file import writing
from ..runs.run_folder import RunFolder
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri
from ..synthesis.synthesis import Synthesis, prepare
from ..synthesis.synthesis_config import SynthesisConfig
from ..synthesis.synthesized_rows import Row
from ..synthesis.totals import Totals
from ..synthesis.totals_table import cost_table, row_table, teacher_table
from .comparison_workflow import warner

INTERRUPTED = 130


def synthesize(
    config: SynthesisConfig, *, engine: str = "local", retry_failed: bool = False, console: Console, log: Console
) -> int:
    """Runs or continues a synthesis and shows what came of it; returns the exit code."""
    path = Path(config.out) if config.out else None
    synthesis = prepare(config, load_models(config.models or None), path, engine=engine, retry_failed=retry_failed)
    folder = synthesis.folder.path
    uri = config.tracking_uri or default_uri(RunFolder(folder))
    name = config.prompts.task or Path(config.prompts.name).name
    try:
        with writing(folder):
            tracker = Tracker(
                Place(uri, f"dspy-fusion synthesize {name}", folder), warner(log), connected=config.tracking
            )
            tracker.tell(Told(parameters=parameters_of(_stable(config))))
        code, totals = _make(synthesis, engine, console, log)
        with writing(folder):
            tracker.finish(synthesis_told(totals, finished=not code))
        return code
    finally:
        synthesis.close()


def synthesis_told(totals: Totals, *, finished: bool) -> Told:
    """What MLflow is told of a synthesis when it ends, or is interrupted."""
    counts = {
        name: float(value) for name, value in parameters_of(totals.plain()).items() if type(value) in (int, float)
    }
    status = "FINISHED" if finished else "KILLED"
    return Told(metrics=counts, step=totals.rows, files=("run.json", "summary.json"), status=status)


def _stable(config: SynthesisConfig) -> dict[str, Any]:
    """What does not change when a synthesis goes on."""
    return {name: value for name, value in config.kept.items() if name != "rows"}


class _RowProgress(ProgressView):
    """Counts rows as they come in."""

    def __init__(self, console: Console, *, total: int | None, done: int) -> None:
        super().__init__(console, "rows", total=total, done=done)
        self.calls = self.made = 0

    def add(self, row: Row) -> None:
        """Counts one more row; the first failure is shown at once."""
        self.made += 1
        self.calls += sum(usage.calls for usage in row.usage.values())
        if row.failures:
            self.fail(f"{row.where}: {row.failures[0]}")
        failed = f", {self.failures} with a failure" if self.failures else ""
        self.advance(f"{self.made / self.seconds:.1f} rows/s, {self.calls / self.seconds:.1f} calls/s{failed}")


def _make(synthesis: Synthesis, engine: str, console: Console, log: Console) -> tuple[int, Totals]:
    shards, path = synthesis.shards, synthesis.folder.path
    log.print(f"{path}: {shards.count} of {synthesis.total or '?'} rows are there", highlight=False, soft_wrap=True)
    quiet = only_errors_logged("dspy_fusion", "dspy", "LiteLLM")  # failures are on the rows
    with quiet, _RowProgress(log, total=synthesis.total, done=shards.count) as progress:
        finished = synthesis.go_on(
            progress.add,
            engine=engine,
            on_interrupt=lambda: log.print("stopping when the rows in flight are done; Ctrl-C again stops at once"),
        )
    totals = synthesis.count()
    for table in (teacher_table(totals), row_table(totals), cost_table(totals)):
        console.print(table)
    console.print(f"{totals.cost_usd:.4f} USD by the catalogue's prices", highlight=False)
    if not finished:
        log.print(
            f"interrupted at {totals.rows} of {synthesis.total or '?'} rows; the same command goes on from there",
            highlight=False,
        )
        return INTERRUPTED, totals
    console.print(
        f"next: dspy-fusion synthesize export {path} --format sft --to jsonl", highlight=False, soft_wrap=True
    )
    return 0, totals
