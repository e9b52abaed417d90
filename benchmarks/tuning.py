"""What a study saves and finds, on the embedded models: ``python -m benchmarks.tuning``.

Per seed: one study; its trials again with nothing but DSPy's request cache; random search, and MIPROv2 on instructions
alone, each with as many requests; and tuning with one candidate, then widening the pool. With ``--width 1`` the program
begins with one candidate, so that there is room. Requests are counted at the engine, which remembers its answers (one
seed, one text), so no arm waits for another's work and every arm counts all of its own.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import io
import logging
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import optuna

from dspy_fusion.experiments.tasks.worksheets import WORKSHEETS, examples
from dspy_fusion.optimizers import Budget, Interval, OptunaTuner, SearchSpace, TrialReport
from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import ProposeAggregate

from .counted import CountedModels, library_writer
from .tuner_overhead import tuner_milliseconds
from .tuning_floor import floor

TUNED = ("width", "depth", "temperature", "aggregation_temperature")
FIXED = ("fusor_temperature", "shuffle")
_ARMS = ("cache", "random", "mipro", "scale")
_WIDTHS = (1, 3, 5, 8)


@dataclass(frozen=True)
class SeedResult:
    """What one seed gave: requests by arm, and held-out scores by arm."""

    requests: dict[str, int]
    scores: dict[str, float]


def main() -> None:
    """Prints one line per seed, then the ratios and scores over seeds with their intervals,
    then the tuner's own time.
    """
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("dspy").setLevel(logging.ERROR)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before the run")
    results = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        results.append(_seed(options, seed))
        print(
            f"seed {seed}: requests {results[-1].requests}, held-out scores {_rounded(results[-1].scores)}", flush=True
        )
    _show(results)
    ours, floor = tuner_milliseconds(options.trials, options.examples)
    print(
        f"bookkeeping on sqlite: {ours:.1f} ms a trial, of which Optuna's own ask, suggest and tell take {floor:.1f} ms"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--examples", type=int, default=100, help="that trials are scored on")
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["plus", "minus", "times"], help="the pool")
    parser.add_argument("--fusor", default="aft")
    parser.add_argument("--width", type=int, default=3, help="of the program as it is")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--tolerance", type=float, default=0.02, help="see OptunaTuner; 100 examples tell means apart to about 0.024"
    )
    parser.add_argument("--threads", type=int, default=24)
    parser.add_argument("--arms", nargs="*", choices=_ARMS, default=_ARMS, help="beside the study (default: all)")
    return parser.parse_args()


def _seed(options: argparse.Namespace, seed: int) -> SeedResult:
    models = CountedModels()
    with tempfile.TemporaryDirectory() as folder, dspy.context(adapter=WORKSHEETS.adapter(), disable_history=True):
        arms = Arms(options, seed, models, Path(folder))
        used, scores, joint = {}, {"as it was": arms.held_out_score(arms.program())}, arms.study("joint")
        used["study"], report = joint.tuning_report.spent.calls, joint.tuning_report
        used["afresh"] = sum(_calls(trial) for trial in report.trials) * options.examples
        used["floor"] = floor(report.trials, options.examples)
        scores["study"] = arms.held_out_score(joint)
        if "cache" in options.arms:
            used["cache alone"] = arms.cached(report.trials)
        if "random" in options.arms:
            budget = Budget(calls=report.spent.calls)
            random = arms.study(
                "random", sampler=optuna.samplers.RandomSampler(seed=seed), racing_error=0, budget=budget, trials=1000
            )
            used["random search"], scores["random search"] = (
                random.tuning_report.spent.calls,
                arms.held_out_score(random),
            )
        if "scale" in options.arms:
            used["at one, then wider"], scores["at one, then wider"] = arms.widened()
        if "mipro" in options.arms:
            alone = arms.study("instructions", exclude=(*FIXED, *TUNED), trials=8)
            used["study of instructions"], scores["study of instructions"] = (
                alone.tuning_report.spent.calls,
                arms.held_out_score(alone),
            )
            compiled = arms.mipro()
            used["MIPROv2"], scores["MIPROv2"] = models.take_count(), arms.held_out_score(compiled)
    return SeedResult(used, scores)


class Arms:
    """The arms of one seed, over the same examples and models."""

    def __init__(self, options: argparse.Namespace, seed: int, models: CountedModels, folder: Path) -> None:
        self.options, self.seed, self.models, self.folder = options, seed, models, folder
        rows = examples("validation", (seed + 1) * options.examples)
        self.scored_on, self.held_out = rows[seed * options.examples :], examples("test", options.held_out)

    def program(self, *, cache: bool = False) -> ProposeAggregate:
        """The program as it is: depth 1."""
        lms = [self.models.lm(name, cache=cache) for name in self.options.models]
        task, fusor = WORKSHEETS.program(WORKSHEETS.instructions), self.models.lm(self.options.fusor, cache=cache)
        return ProposeAggregate(task, width=self.options.width, depth=1, lms=lms, fusor_lm=fusor, temperature=1.0)

    def study(self, name: str, student: dspy.Module | None = None, **changes: Any) -> Any:
        """The program that a study on this seed's examples returns."""
        url = f"sqlite:///{self.folder / name}.db"
        arguments = {
            "trials": self.options.trials,
            "exclude": FIXED,
            "seed": self.seed,
            "num_threads": self.options.threads,
        }
        arguments |= {"tolerance": self.options.tolerance, **changes}
        return OptunaTuner(WORKSHEETS.metric, storage=url, **arguments).compile(
            student or self.program(), valset=self.scored_on, testset=[]
        )

    def held_out_score(self, program: dspy.Module) -> float:
        """A program's score on the held-out examples, which counts as no arm's requests."""
        score = self._evaluate(program, self.held_out)
        self.models.take_count()
        return score

    def cached(self, trials: Sequence[TrialReport]) -> int:
        """The requests of the same trials, all examples each, with DSPy's request cache in memory and nothing else."""
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
        program = self.program(cache=True)
        space = SearchSpace.of(program, exclude=FIXED)
        for trial in trials:
            self._evaluate(space.apply(program, trial.setting), self.scored_on)
        return self.models.take_count()

    def widened(self) -> tuple[int, float]:
        """Tunes everything with one candidate, and then takes the width that does best on the same examples.

        Returns the requests, and the score held out.
        """
        narrow = self.program()
        narrow.width.value = 1
        tuned = self.study("narrow", exclude=(*FIXED, "width"), student=narrow)
        self.models.take_count()
        programs = {}
        for width in _WIDTHS:
            wider = tuned.deepcopy()
            wider.width.value = width
            programs[self._evaluate(wider, self.scored_on), -width] = wider
        used = tuned.tuning_report.spent.calls + self.models.take_count()
        return used, self.held_out_score(programs[max(programs)])

    def mipro(self) -> dspy.Module:
        """MIPROv2 over the library's instructions, which is all that its proposing model knows."""
        dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
        model = self.models.lm(self.options.fusor, cache=True)
        optimizer = dspy.MIPROv2(
            metric=_metric,
            auto=None,
            num_candidates=8,
            prompt_model=library_writer(),
            task_model=model,
            max_bootstrapped_demos=0,
            max_labeled_demos=0,
            num_threads=self.options.threads,
            seed=self.seed,
        )
        plain = dict.fromkeys(
            ("program_aware_proposer", "data_aware_proposer", "tip_aware_proposer", "fewshot_aware_proposer"), False
        )
        sets = {"trainset": self.scored_on, "valset": self.scored_on, "num_trials": 8, "minibatch": False}
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return optimizer.compile(self.program(cache=True), **sets, **plain)

    def _evaluate(self, program: dspy.Module, on: list[dspy.Example]) -> float:
        evaluation = dspy.Evaluate(
            devset=on, metric=WORKSHEETS.metric, num_threads=self.options.threads, display_progress=False
        )(program)
        return sum(float(score) for _, _, score in evaluation.results) / len(on)


def _metric(example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
    return WORKSHEETS.metric(example, prediction)


def _calls(trial: TrialReport) -> int:
    return trial.setting["width"] * trial.setting["depth"] + 1


def _show(results: list[SeedResult]) -> None:
    for one, other in (("study", "afresh"), ("floor", "afresh"), ("study", "cache alone"), ("cache alone", "afresh")):
        if one not in results[0].requests or other not in results[0].requests:
            continue
        ratios = of_mean([100 * result.requests[one] / result.requests[other] for result in results])
        print(f"requests of the {one} relative to {other}: {_interval(ratios)} %")
    for ours, other in (
        ("study", "as it was"),
        ("study", "random search"),
        ("study", "at one, then wider"),
        ("study of instructions", "MIPROv2"),
    ):
        if ours not in results[0].scores or other not in results[0].scores:
            continue
        gain = of_mean([100 * (result.scores[ours] - result.scores[other]) for result in results])
        print(f"held-out score of the {ours} over {other}: {_interval(gain)} points")


def _interval(found: Interval) -> str:
    return f"{found.mean:.1f} [{found.low:.1f}, {found.high:.1f}]" if found.n > 1 else f"{found.mean:.1f} (one seed)"


def _rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(100 * score, 1) for name, score in scores.items()}


if __name__ == "__main__":
    main()
