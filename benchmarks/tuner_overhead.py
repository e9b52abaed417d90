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
    call_seconds = 0.0

    def __call__(self, *args: Any, **inputs: Any) -> Any:
        started = time.process_time()
        try:
            return super().__call__(*args, **inputs)
        finally:
            _Instant.seconds += time.process_time() - started

    def forward(self, **inputs: Any) -> Any:
        rng = random.Random(f"{inputs} {self.width.value} {self.depth.value}")
        time.sleep(
            self.call_seconds * (self.depth.value + 1)
        )  # the layers wait for one another, a layer's calls do not
        return dspy.Prediction(answer=rng.random())


def tuner_milliseconds(trials: int, examples: int) -> tuple[float, float]:
    """Milliseconds of the processor a trial on sqlite.

    Of our tuner, every trial scored on all examples one after another, and of Optuna alone.

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
            on_progress=lambda progress: seen.append(time.process_time()),
        )
        tuner.compile(_Instant(dspy.Predict("question -> answer")), valset=data)
        floor = _optuna_seconds(Path(folder) / "o.db", trials)
    return 1000 * (seen[-1] - seen[0] - _Instant.seconds) / max(1, trials - 1), 1000 * floor / trials


def wall_share(call_seconds: float, *, trials: int = 12, examples: int = 24) -> tuple[float, float]:
    """The share of a study's wall time in which no call was under way, and the wall time in seconds.

    Its calls take so long, eight examples at a time, and trials are raced.
    """
    _Instant.call_seconds = call_seconds
    data = [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(examples)]
    waited: list[tuple[float, float]] = []

    class Timed(_Instant):
        def forward(self, **inputs: Any) -> Any:
            started = time.perf_counter()
            answer = super().forward(**inputs)
            waited.append((started, time.perf_counter()))
            return answer

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tuner = OptunaTuner(
            lambda example, prediction: prediction.answer,
            trials=trials,
            storage=f"sqlite:///{folder}/t.db",
            exclude=_FIXED,
            num_threads=8,
            holdout=0,
        )
        tuner.compile(Timed(dspy.Predict("question -> answer")), valset=data)
    whole = time.perf_counter() - started
    _Instant.call_seconds = 0.0
    return 1 - _covered(waited) / whole, whole


def _covered(spans: list[tuple[float, float]]) -> float:
    """How long at least one of the spans lasted."""
    covered, until = 0.0, 0.0
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered


def main() -> None:
    """Prints what a trial takes beside Optuna alone, and what that is of a study on models that take their time."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ours, floor = tuner_milliseconds(40, 20)
    print(f"our tuner {ours:.0f} ms of the processor a trial, Optuna alone {floor:.0f} ms")
    for seconds in (0.5, 1.0):
        share, whole = wall_share(seconds)
        print(f"calls of {seconds:g} s: {share:.1%} of a study of {whole:.0f} s passes without a call under way")


def _optuna_seconds(path: Path, trials: int) -> float:
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    listen(storage.engine)
    study = optuna.create_study(study_name="floor", storage=storage, directions=["maximize", "minimize"])
    started = time.process_time()
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
    return time.process_time() - started


if __name__ == "__main__":
    main()
