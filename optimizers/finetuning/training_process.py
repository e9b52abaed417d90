"""Training in several processes, each on a GPU of its own: ``accelerate launch`` runs this file in each of them.

The process that started them hears of every point of the curve, and of what went wrong, in lines of JSON. They end when
it does, however that happens.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError, FusionError, RecordError

from .aggregation_preferences import Preferences
from .objectives import Method
from .settings import Lora, Training
from .training_steps import Log

_SAID = "dspy-fusion: "
_JOB = "job.json"
_ERRORS: dict[str, type[FusionError]] = {"ConfigurationError": ConfigurationError, "RecordError": RecordError}


def train_in_processes(
    count: int,
    base: str,
    rows: Path,
    folder: Path,
    training: Training,
    log: Log,
    method: Method,
    preferences: Preferences | None,
    *,
    on_cpu: bool,
) -> int:
    """As :func:`~.training.train`, in several processes that share each step's rows.

    Raises:
        ConfigurationError: as there; or the processes ended without a word of their own.
        RecordError: as there.
    """
    beta = None if preferences is None else preferences.beta
    job = {
        "owner": os.getpid(),
        "base": base,
        "rows": str(rows),
        "folder": str(folder),
        "training": asdict(training),
        "method": method,
        "beta": beta,
    }
    (folder / _JOB).write_text(json.dumps(job), encoding="utf-8")
    kind = ["--cpu"] if on_cpu else ["--multi_gpu"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *kind, "--num_processes", str(count)]
    command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", __spec__.name if __spec__ else __name__, str(folder / _JOB)]
    return _followed(command, count, log)


def _followed(command: list[str], count: int, log: Log) -> int:
    """What the processes came to; their points are passed on."""
    said: dict[str, Any] = {}
    others: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        assert run.stdout is not None  # noqa: S101 (it is a pipe)
        try:
            for line in run.stdout:
                if not line.startswith(_SAID):
                    others = [*others[-20:], line.strip()]
                    continue
                told = json.loads(line.removeprefix(_SAID))
                if "values" in told:
                    log(told["step"], told["steps"], told["values"])
                else:
                    said = said or told
        except BaseException:
            run.terminate()
            raise
    if "error" in said:
        raise _ERRORS.get(said["error"], ConfigurationError)(said["text"])
    if run.returncode or "steps" not in said:
        last = next((line for line in reversed(others) if "rror" in line), others[-1] if others else "it said nothing")
        raise ConfigurationError(
            f"training in {count} processes ended with code {run.returncode}: {last[:300]}; finished checkpoints are"
            " kept"
        )
    return int(said["steps"])


def main() -> None:
    """One of the processes."""
    from .base_model import load_base
    from .rewards import HowToLearn
    from .training import train

    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with, args=(job["owner"],), daemon=True).start()
    settings = job["training"]
    lora = settings.pop("lora")
    targets = lora and lora["targets"]
    if lora is not None:
        lora = Lora(**{**lora, "targets": targets if isinstance(targets, str) else tuple(targets)})
    training = Training(**settings, lora=lora)
    preferences = None if job["beta"] is None else Preferences(_no_score, beta=job["beta"])
    how = HowToLearn(job["method"], preferences)
    is_first = os.environ.get("RANK", "0") == "0"

    def log(step: int, steps: int, values: Mapping[str, float]) -> None:
        _say({"step": step, "steps": steps, "values": dict(values)})

    try:
        steps = train(load_base(job["base"], training), Path(job["rows"]), Path(job["folder"]), training, log, how)
    except FusionError as error:
        _say({"error": type(error).__name__, "text": str(error)})
        sys.exit(1)
    if is_first:
        _say({"steps": steps})


def _no_score(args: dict[str, Any], prediction: Any) -> float:
    return 0.0  # what was compared is in the rows


def _say(told: Mapping[str, Any]) -> None:
    sys.stdout.write(f"{_SAID}{json.dumps(told)}\n")
    sys.stdout.flush()


def _end_with(owner: int) -> None:
    """Ends this process once its owner is gone."""
    while True:
        time.sleep(1)
        try:
            os.kill(owner, 0)
        except ProcessLookupError:
            os._exit(1)


if __name__ == "__main__":
    try:
        main()
    finally:
        gc.freeze()  # or all that was loaded is looked through before the process ends, which takes seconds
