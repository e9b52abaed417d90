"""How the tuner's own time and memory grow with examples and trials: ``python -m benchmarks.tuning_scale``.

Each size is a study of its own in a process of its own, of a program that answers at once, so all that is measured is
the tuner: asking, racing, keeping scores, telling, the report.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import dspy

from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.programs import ProposeAggregate

_LIMIT = 2.0  # times linear


@dataclass(frozen=True)
class Size:
    """A study's size, what it took, and how many scores it made."""

    examples: int
    trials: int
    scores: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0

    @property
    def micros(self) -> float:
        """Microseconds a score."""
        return 1e6 * self.seconds / max(1, self.scores)


class Instant(ProposeAggregate):
    """Answers without a model, the better the wider it is."""

    def forward(self, **inputs: Any) -> Any:
        wide = self.width.value / 8 - 0.2 * abs(self.depth.value - 1)
        return dspy.Prediction(answer=wide + random.Random(f"{inputs} {self.width.value}").random())


def study(examples: int, trials: int, racing_error: float) -> Size:
    """Runs a study of this size in this process."""
    data = [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(examples)]
    scores = 0

    def metric(example: dspy.Example, prediction: dspy.Prediction) -> float:
        nonlocal scores
        scores += 1
        return float(prediction.answer > 0.9)

    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        tuner = OptunaTuner(
            metric,
            trials=trials,
            storage=f"sqlite:///{folder}/t.db",
            racing_error=racing_error,
            num_threads=1,
            holdout=0.1,
        )
        tuner.compile(Instant(dspy.Predict("question -> answer")), valset=data)
        seconds = time.process_time() - began
    return Size(examples, trials, scores, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Prints a line a size, and how far the last one is from linear in the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--trials", type=int, nargs="+", default=[50, 500])
    parser.add_argument("--racing-error", type=float, default=0.05)
    options = parser.parse_args()
    sizes = []
    for examples, trials in zip(options.examples, options.trials, strict=True):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            sizes.append(pool.submit(study, examples, trials, options.racing_error).result())
        size = sizes[-1]
        print(
            f"{size.examples:,} examples, {size.trials} trials: {size.scores:,} scores, {size.seconds:.1f} s of the"
            f" processor, {size.micros:.0f} microseconds a score, {1000 * size.seconds / size.trials:.0f} ms a trial,"
            f" {size.megabytes:,.0f} MB",
            flush=True,
        )
    ratio = sizes[-1].micros / sizes[0].micros
    print(f"{ratio:.2f} times linear in scores (goal: at most {_LIMIT:g})")


if __name__ == "__main__":
    main()
