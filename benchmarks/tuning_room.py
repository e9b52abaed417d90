"""What tuning all together gains where there is room, on embedded models: ``python -m benchmarks.tuning_room``.

The program takes the best of n answers of three teachers, each of which has practised another operation, by a judge. As
it is, it draws one answer at temperature 1. Per seed, on other sheets: one study over n and both temperatures together;
and what is done by hand, the temperature tuned with one answer, then n chosen. All are scored on the same held-out
sheets. Requests are counted at the engine, which remembers its answers, so no arm waits for another's work and every
arm counts all of its own; what every trial would take if nothing were kept is computed.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import optuna

from dspy_fusion.experiments.tasks.worksheets import WORKSHEETS, examples
from dspy_fusion.optimizers import Interval, OptunaTuner
from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import BestOfN, LMJudge

from .counted import CountedModels

_TEACHERS, _WIDTHS = ("plus", "minus", "times"), (1, 2, 3, 5, 8)


def main() -> None:
    """Prints a line a seed, then gains over seeds and held-out sheets with their intervals, and requests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--examples", type=int, default=30, help="sheets that trials are scored on, others each seed")
    parser.add_argument("--held-out", type=int, default=60)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("dspy").setLevel(logging.ERROR)
    seeds, models = [], CountedModels()
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder, dspy.context(adapter=WORKSHEETS.adapter(), disable_history=True):
            seeds.append(_seed(options, seed, models, Path(folder)))
        print(f"seed {seed}: {seeds[-1]['text']}", flush=True)
    for other in ("as it was", "one answer, then n"):
        rows = np.array([100 * (row["together"] - row[other]) for row in seeds])  # (seeds, sheets)
        print(f"tuned together over {other}: {_shown(of_mean(rows.mean(axis=0)))} points over sheets,"
              f" {_shown(of_mean(rows.mean(axis=1)))} over seeds")  # fmt: skip
    shares = of_mean([100 * row["requests"] / row["afresh"] for row in seeds])
    print(f"requests relative to drawing every trial afresh: {_shown(shares)} %")


def _seed(options: argparse.Namespace, seed: int, models: CountedModels, folder: Path) -> dict[str, Any]:
    drawn = examples("validation", (seed + 1) * options.examples)[seed * options.examples :]
    held_out = examples("test", options.held_out)

    def program(n: int) -> BestOfN:
        lms = [models.lm(name, cache=False) for name in _TEACHERS]
        judge = LMJudge(models.lm("judge", cache=False))
        made = BestOfN(WORKSHEETS.program(WORKSHEETS.instructions), n=n, lms=lms, temperature=1.0, scorer=judge)
        made.n.search = (1, max(_WIDTHS))
        return made

    def study(name: str, student: BestOfN, exclude: tuple[str, ...] = ()) -> Any:
        tuner = OptunaTuner(WORKSHEETS.metric, storage=folder / f"{name}.db", trials=options.trials, exclude=exclude,
                            objectives=("quality",), seed=seed, num_threads=24)  # fmt: skip
        return tuner.compile(student, valset=drawn, testset=[])

    def scores(made: BestOfN, on: list[dspy.Example]) -> np.ndarray:
        evaluate = dspy.Evaluate(devset=on, metric=WORKSHEETS.metric, num_threads=24, display_progress=False)
        return np.array([float(score) for *_, score in evaluate(made).results])

    models.take_count()
    together = study("together", program(1))
    requests = models.take_count()
    alone = study("alone", program(1), exclude=("n",))
    wider = []
    for n in _WIDTHS:
        wider.append(alone.deepcopy())
        wider[-1].n.value = n
    by_hand = max(wider, key=lambda made: (round(float(scores(made, drawn).mean()), 9), -made.n.value))
    arms = {"as it was": program(1), "together": together, "one answer, then n": by_hand}
    held = {name: scores(made, held_out) for name, made in arms.items()}
    afresh = sum(2 * trial.setting["n"] for trial in together.tuning_report.trials) * options.examples
    text = ", ".join(
        f"{name} {100 * held[name].mean():.1f} (n {made.n.value}, temperature {made.temperature.value:g})"
        for name, made in arms.items()
        if made.temperature is not None
    )
    return {**held, "requests": requests, "afresh": afresh, "text": f"{text}; requests {requests:,} of {afresh:,}"}


def _shown(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]" if interval.n > 1 else "one seed"


if __name__ == "__main__":
    main()
