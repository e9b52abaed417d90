"""Running a comparison for a person: results go to standard output, progress and warnings to standard error."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rich.console import Console

from dspy_fusion.programs.held_file import held
from dspy_fusion.serving.catalogue.models import load_models

from ..plans.comparison_config import CompareConfig
from ..presentation.quiet import only_errors_logged
from ..records.record import Record
from ..reports.tables import cost_table, notes, pool_table, quality_table
from ..reports.tracked_run import tracked, tracked_strategies
from ..reports.views import Views, write_views
from ..runs.comparison import Comparison, prepare
from ..runs.comparison_on_ray import run_on_ray
from ..runs.finished_rows import FinishedRows
from ..runs.logged_models import save_models
from ..runs.ray_work import Engine
from ..runs.record_progress import RunProgress
from ..runs.run_file import writing
from ..runs.run_folder import Run, read_run
from ..runs.run_tracker import Tracker
from ..runs.run_writer import Place
from ..runs.tracking import default_uri, without_password

INTERRUPTED = 130
_WIDE = 140  # characters from which the cost table also shows the roles


def compare(
    config: CompareConfig, *, engine: Engine = "local", retry_failed: bool = False, console: Console, log: Console
) -> int:
    """Runs or continues a comparison and shows it; returns the exit code."""
    catalogue = load_models(config.models or None)
    comparison = prepare(config, catalogue, Path(config.out) if config.out else None, retry_failed=retry_failed)
    outcome = carried_out(comparison, log, engine=engine)
    if outcome.views is None:
        return INTERRUPTED
    show(outcome.views, console)
    _show_files(outcome.views, outcome.uri, console)
    if outcome.interrupted:
        summary = outcome.views.summary
        log.print(f"interrupted at {summary.found} of {summary.expected} records; the same command goes on from there")
    return INTERRUPTED if outcome.interrupted else 0


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison.

    Attributes:
        run: with its records.
        views: what was made of them; None where there are none.
        uri: of the MLflow store that was told; empty where none was.
        interrupted: whether it was ended before it was finished.
    """

    run: Run
    views: Views | None
    uri: str
    interrupted: bool


def carried_out(comparison: Comparison, log: Console, *, engine: Engine = "local") -> Outcome:
    """Runs or continues a comparison that is ready, in this process or on a Ray cluster, writes its views and tells
    MLflow.

    Raises:
        ConfigurationError: another process is at work in its folder.
    """
    path = comparison.folder.path
    with writing(path):
        lock = held(path / "lock", f"another process is at work in {path}; wait for it, or choose another folder")
    with lock:
        return _carried_out(comparison, log, engine)


def _carried_out(comparison: Comparison, log: Console, engine: Engine) -> Outcome:
    config, folder = comparison.config, comparison.folder
    log.print(f"{folder.path}: {len(comparison.done)} of {comparison.total} records are there", highlight=False)
    uri = config.tracking_uri or default_uri(folder)
    place = Place(uri, f"dspy-fusion {config.task}", folder.path)
    tracker = Tracker(place, warner(log), connected=config.tracking)
    interrupted = _run(comparison, log, engine)
    run = read_run(folder.path)
    if not run.records:
        return Outcome(run, None, "", interrupted)
    with writing(folder.path):
        views = write_views(run)
        for told in tracked_strategies(run, views, _saved(comparison, tracker, log)):
            tracker.tell(told)
        tracking_id = tracker.finish(tracked(run, views))
    return Outcome(run, views, without_password(uri) if tracking_id else "", interrupted)


def _saved(comparison: Comparison, tracker: Tracker, log: Console) -> dict[str, str]:
    """The strategies' programs as MLflow models, where MLflow is told at all."""
    if not tracker.is_connected:
        return {}
    programs = comparison.programs()
    return save_models(comparison.folder.path, programs, warner(log), adapter=comparison.task.adapter())


def report(path: Path, *, console: Console) -> int:
    """Makes a run's tables, figures and page again from its records; returns the exit code."""
    run = read_run(path)
    with writing(path):
        views = write_views(run)
    show(views, console)
    _show_files(views, "", console)
    return 0


def show(views: Views, console: Console) -> None:
    """Prints the tables, the notes and the verdict."""
    wide = console.width >= _WIDE
    for table in (quality_table(views.summary), cost_table(views.summary, by_role=wide), pool_table(views.summary)):
        if table.rows:
            console.print(table.rich())
            console.print()
    for note in notes(views.summary):
        console.print(note, style="yellow", markup=False)
    console.print(str(views.verdict), style="bold", markup=False, highlight=False)


def _show_files(views: Views, uri: str, console: Console) -> None:
    console.print("\nOpen next:", style="bold")
    console.print(
        f"  {views.page}   the page with tables, figures and examples", markup=False, highlight=False, soft_wrap=True
    )
    console.print(f"  {views.tables[0]}, {views.tables[1]}   the tables", markup=False, highlight=False, soft_wrap=True)
    if uri:
        text = f"  mlflow ui --backend-store-uri {uri}   the MLflow run (the page of MLflow needs: pip install mlflow)"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _run(comparison: Comparison, log: Console, engine: Engine) -> bool:
    """Runs what is left; returns whether it was interrupted."""
    done = len(comparison.done)
    try:
        quiet = only_errors_logged("dspy_fusion")  # fallbacks and failures are counted in the records
        with _second_interrupt_kills(log), quiet, RunProgress(log, total=comparison.total, done=done) as progress:
            rows = FinishedRows(
                comparison.plan, comparison.total // len(comparison.plan), progress.show, _kept(comparison)
            )

            def tell(record: Record) -> None:
                progress.add(record)
                rows.add(record)

            if engine == "ray":
                run_on_ray(comparison, tell)
            else:
                comparison.run(tell)
    except KeyboardInterrupt:
        return True
    finally:
        comparison.records.close()
    return False


def _kept(comparison: Comparison) -> list[Record]:
    """What need not be run again."""
    done = comparison.done
    return [record for record in comparison.records.records if (record.example, record.strategy, record.seed) in done]


@contextmanager
def _second_interrupt_kills(log: Console) -> Iterator[None]:
    """The first Ctrl-C lets the calls in flight finish.

    The second ends the process, which costs no record that was written.
    """

    def stop(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        log.print("stopping when the calls in flight are done; Ctrl-C again stops at once")
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of Ctrl-C
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def warner(log: Console) -> Callable[[str], None]:
    """Prints warnings."""
    return lambda text: log.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)
