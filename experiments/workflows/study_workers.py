"""The processes that work on one study: the command's own and the further ones that it starts, on the same storage."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from dspy_fusion.optimizers import Progress
from dspy_fusion.serving.catalogue.models import load_models

from ..records.outbox import Outbox, trial_told
from ..runs.run_tracker import Tracker
from ..runs.tuning import Tuning, prepare_tuning
from ..runs.tuning_config import TuningConfig
from ..runs.tuning_folder import TuningFolder, read_study

_LAST_SECONDS = 3.0  # in which another process of the study comes to its end


def run_study(
    tuning: Tuning, folder: TuningFolder, study: str, show: Callable[[Progress], None], tracker: Tracker | None
) -> Any:
    """Works on a study until it ends, and returns the tuned program.

    Args:
        tuning: what is tuned.
        folder: of the study.
        study: its name in the storage.
        show: is called after each trial of this process.
        tracker: tells MLflow; None in a further process, whose trials the first one tells.
    """
    outbox = Outbox(folder.outbox)

    def tell(progress: Progress) -> None:
        """Passes a trial on to the tracker, or to the process that has it."""
        trial = trial_told(asdict(progress.trial), dict(progress.instructions))
        if tracker:
            tracker.tell(trial)
        else:
            outbox.put(asdict(trial))
        show(progress)

    return tuning.run(tuning.config.storage or folder.storage, study, tell)


def work(path: Path) -> int:
    """Works on the study of a folder, as one process of several; returns the exit code.

    The configuration comes through standard input, since the folder's is without passwords.
    """
    folder = TuningFolder(path)
    config = TuningConfig.parse(json.load(sys.stdin), where="standard input")
    tuning = prepare_tuning(config, load_models(config.models or None))
    run_study(tuning, folder, read_study(folder)["study"], lambda progress: None, None)
    return 0


@contextmanager
def further_workers(folder: TuningFolder, config: TuningConfig, count: int, log: Console) -> Iterator[None]:
    """Has further processes work at the same study; one that fails is named, and the study goes on without it."""
    processes: list[subprocess.Popen[str]] = []
    try:
        for place in range(count):
            processes.append(_started(folder, config, folder.path / f"worker-{place + 1}.log"))
        yield
        for place, process in enumerate(processes):
            if process.wait():
                name = folder.path / f"worker-{place + 1}.log"
                text = f"worker {place + 1} failed with code {process.returncode}; see {name}"
                log.print(text, style="yellow", highlight=False)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            _wait_or_kill(process)


def _started(folder: TuningFolder, config: TuningConfig, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dspy_fusion.experiments", "tune", "--worker", str(folder.path)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True)
    if process.stdin is not None:
        with process.stdin as pipe:
            json.dump(config.kept, pipe)
    # A killed process that nobody waits for would look alive.
    threading.Thread(target=process.wait, daemon=True).start()
    return process


def _wait_or_kill(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_LAST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # nothing is lost but the example in flight
        process.wait()
