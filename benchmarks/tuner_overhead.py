"""The tuner's own time: a study of a program that answers at once, beside the same trials in plain Optuna."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import dspy
import optuna

from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.programs import ProposeAggregate
from dspy_fusion.programs.banks.databases import listen

_FIXED = ("fusor_temperature", "shuffle")


class _Instant(ProposeAggregate):
    """Answers without a model, and notes how long its calls took, DSPy's own part in a call included."""

    seconds = 0.0

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        started = time.perf_counter()
        try:
            return super().__call__(*args, **inputs)
        finally:
            _Instant.seconds += time.perf_counter() - started

    def forward(self, **inputs: Any) -> Any:
        rng = random.Random(f"{inputs} {self.width.value} {self.depth.value}")
        return dspy.Prediction(answer=rng.random())


def tuner_milliseconds(trials: int, examples: int) -> tuple[float, float]:
    """Milliseconds a trial on sqlite: of our tuner, every trial scored on all examples one after another,
    and of Optuna alone.

    The calls of the program are not counted; everything else is: asking and telling, races, threads, scores kept, the
    report of each trial.
    """
    _Instant.seconds = 0.0
    data = [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(examples)]
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        tuner = OptunaTuner(
            lambda example, prediction: prediction.answer,
            trials=trials,
            storage=f"sqlite:///{folder}/t.db",
            exclude=_FIXED,
            racing_error=0,
            num_threads=1,
            holdout=0,
            on_progress=lambda progress: seen.append(time.perf_counter()),
        )
        tuner.compile(_Instant(dspy.Predict("question -> answer")), valset=data)
        floor = _optuna_seconds(Path(folder) / "o.db", trials)
    return 1000 * (seen[-1] - seen[0] - _Instant.seconds) / max(1, trials - 1), 1000 * floor / trials


def _optuna_seconds(path: Path, trials: int) -> float:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    listen(storage.engine)
    study = optuna.create_study(study_name="floor", storage=storage, directions=["maximize", "minimize"])
    started = time.perf_counter()
    for number in range(trials):
        study.sampler = optuna.samplers.TPESampler(
            seed=number, n_startup_trials=8, multivariate=True, constant_liar=True
        )
        trial = study.ask()
        width, depth = trial.suggest_int("width", 1, 8), trial.suggest_int("depth", 0, 3)
        for name in ("temperature", "aggregation_temperature"):
            trial.suggest_float(name, 0.1, 1.3, step=0.3)
        trial.suggest_int("instruction", 0, 7)
        study.tell(trial, [1 / width, depth])
    return time.perf_counter() - started
