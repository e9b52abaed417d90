"""What tuning together gains where the prompt matters: ``python -m benchmarks.tuning_instructions --weights FOLDER``.

Three teachers, each of which has practised another operation, draw n candidates, and a fusor that does what it is told
writes the answer (see ``benchmarks.instructed_weights``; trained into the folder where it is not there yet). Per seed,
on sheets of its own: one study over instruction, n and temperature together; the same with as many requests by random
search; and what is done by hand with as many requests, instruction and temperature with one candidate, then n. All are
scored on the same held-out sheets, which no study sees. Requests are counted at the engine, which remembers its
answers, so no arm waits for another's work and every arm counts all of its own; what every trial would take if nothing
were kept is computed. With ``--out`` seeds that are done are kept, and the same command goes on.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import optuna

from dspy_fusion.experiments.tasks.worksheets import WORKSHEETS, examples
from dspy_fusion.optimizers import Budget, Interval, OptunaTuner
from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import Fusion

from .counted import CountedModels
from .instructed_weights import INSTRUCTIONS, MOST, TEACHERS, make_weights

_FIXED = ("fusor_temperature", "shuffle", "compare")
_TOGETHER, _BY_HAND, _RANDOM, _BEFORE = "together", "one candidate, then n", "random search", "as it was"


def main() -> None:
    """Prints a line a seed and arm, then gains over seeds and held-out sheets with their intervals, and requests."""
    options = _options()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("dspy").setLevel(logging.ERROR)
    models, seeds = CountedModels(), []
    fusor = str(make_weights(options.weights))
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        kept = options.out / f"seed{seed}.json" if options.out else None
        if kept and kept.exists():
            result = json.loads(kept.read_text())
        else:
            with tempfile.TemporaryDirectory() as folder, dspy.context(adapter=WORKSHEETS.adapter()):
                result = Arms(options, seed, models, fusor, Path(folder)).result()
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(result))
        for line in result["told"]:
            print(f"seed {seed}: {line}", flush=True)
        seeds.append(result)
    for line in summary(seeds):
        print(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the fusor, trained once")
    parser.add_argument("--out", type=Path, help="folder where finished seeds are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--examples", type=int, default=80, help="sheets that trials are scored on, others each seed")
    parser.add_argument("--held-out", type=int, default=80, help="others each seed")
    parser.add_argument("--n", type=int, default=3, help="candidates of the program as it is")
    parser.add_argument("--threads", type=int, default=24)
    return parser.parse_args()


@dataclass
class Arms:
    """The arms of one seed, over the same sheets and models."""

    options: argparse.Namespace
    seed: int
    models: CountedModels
    fusor: str
    folder: Path

    def result(self) -> dict[str, Any]:
        """Held-out scores by arm, requests, and a line for each arm."""
        self.models.take_count()
        together = self._study(_TOGETHER, self._program(self.options.n))
        requests, trials = self.models.take_count(), together.tuning_report.trials
        afresh = sum(trial.setting["n"] + 1 for trial in trials) * self.options.examples
        by_hand, spent = self._by_hand(requests)
        random = self._study(_RANDOM, self._program(self.options.n), trials=1000, budget=Budget(calls=requests),
                             sampler=optuna.samplers.RandomSampler(seed=self.seed))  # fmt: skip
        arms = {_BEFORE: self._program(self.options.n), _TOGETHER: together, _BY_HAND: by_hand, _RANDOM: random}
        used = {_BEFORE: 0, _TOGETHER: requests, _BY_HAND: spent, _RANDOM: self.models.take_count()}
        scores = {name: self._held_out(made) for name, made in arms.items()}
        told = [
            f"{name}: {100 * float(np.mean(scores[name])):.1f} ({_setting(made)}), {used[name]:,} requests"
            for name, made in arms.items()
        ]
        told.append(f"drawing all {len(trials)} trials afresh: {afresh:,} requests")
        return {"scores": scores, "requests": requests, "afresh": afresh, "told": told}

    def _by_hand(self, requests: int) -> tuple[Fusion, int]:
        """Tuned with one candidate, then over n alone, with what is left of as many requests.

        The second study needs at most this much: the candidates of the widest pool, and a fusion of each n.
        """
        kept = self.options.examples * 2 * MOST
        alone = self._study("alone", self._program(1), exclude=("n",), budget=Budget(calls=requests - kept))
        spent = self.models.take_count()
        wider = self._study("wider", alone, exclude=("temperature", "fusor"), trials=MOST,
                            budget=Budget(calls=requests - spent))  # fmt: skip
        return wider, spent + self.models.take_count()

    def _program(self, n: int) -> Fusion:
        """The program as it is: so many candidates at temperature 1, the first of the instructions."""
        lms = [self.models.lm(name, cache=False) for name in TEACHERS]
        made = Fusion(
            WORKSHEETS.program(WORKSHEETS.instructions),
            n=n,
            lms=lms,
            temperature=1.0,
            instructions=INSTRUCTIONS[0],
            compare=False,
            fusor_lm=self.models.lm(self.fusor, cache=False),
        )
        made.n.search = (1, MOST)
        return made

    def _study(self, name: str, student: Fusion, *, exclude: Sequence[str] = (), **changes: Any) -> Any:
        settings = {"trials": self.options.trials, "budget": Budget(), "seed": self.seed, **changes}
        tuner = OptunaTuner(WORKSHEETS.metric, storage=self.folder / f"{name}.db", instructions=INSTRUCTIONS,
                            exclude=(*_FIXED, *exclude), objectives=("quality",), num_threads=self.options.threads,
                            **settings)  # fmt: skip
        return tuner.compile(student, valset=self._sheets("validation", self.options.examples), testset=[])

    def _held_out(self, program: dspy.Module) -> list[float]:
        sheets = self._sheets("test", self.options.held_out)
        evaluate = dspy.Evaluate(
            devset=sheets, metric=WORKSHEETS.metric, num_threads=self.options.threads, display_progress=False
        )
        scores = [float(score) for *_, score in evaluate(program).results]
        self.models.take_count()
        return scores

    def _sheets(self, split: str, count: int) -> list[dspy.Example]:
        return examples(split, (self.seed + 1) * count)[self.seed * count :]


def summary(seeds: Sequence[dict[str, Any]]) -> list[str]:
    """Gains of tuning together over each other arm, over all held-out sheets and over seeds, and its requests."""
    lines = []
    for other in (_BEFORE, _BY_HAND, _RANDOM):
        gains = [100 * (np.array(row["scores"][_TOGETHER]) - row["scores"][other]) for row in seeds]
        over_seeds = of_mean([gain.mean() for gain in gains])
        lines.append(
            f"tuned together over {other}: {_shown(of_mean(np.concatenate(gains)))} points over sheets,"
            f" {_shown(over_seeds)} over seeds"
        )
    shares = of_mean([100 * row["requests"] / row["afresh"] for row in seeds])
    return [*lines, f"requests relative to drawing every trial afresh: {_shown(shares)} %"]


def _setting(made: Any) -> str:
    told = made.fusor.predictors()[0].signature.instructions
    first = told if len(told) < 40 else f"{told[:37]}..."
    return f"{first!r}, n {made.n.value}, temperature {made.temperature.value:g}"


def _shown(interval: Interval) -> str:
    return f"{interval.mean:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]" if interval.n > 1 else "one seed"


if __name__ == "__main__":
    main()
