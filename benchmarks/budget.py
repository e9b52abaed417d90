"""What spreading calls over questions gains: ``python -m benchmarks.budget --data FOLDER``.

On recorded answers of 20 models to 648 GSM8K questions: a vote of n candidates for every question against the same
number of candidates in all, spread by ``BudgetedEvaluate``, for 20 models in a random order and for one source (draws
with replacement from the same answers). Nothing is learned from labels. Printed are both accuracies and their
difference, paired by question, with a bootstrap interval over questions (each the mean over the orders).
"""

from __future__ import annotations

import argparse

import dspy

from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import BudgetedEvaluate, Vote

from .recorded_answers import LookedUp, RecordedAnswers, answered, compared, mean, recorded_from


def main() -> None:
    """Prints a line per source and number."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=3, help="random orders or draws that are averaged (default: 3)")
    recorded, options = recorded_from(parser)
    count = len(recorded.examples)
    print(f"{count} questions, {options.orders} orders each; accuracy at n candidates a question, and spread")
    for mixed in (True, False):
        for n in (3, 4, 5, 6, 8):
            pairs = [measured(recorded, n, mixed=mixed, seed=seed) for seed in range(options.orders)]
            uniform, spread = (
                [mean(column) for column in zip(*side, strict=True)] for side in zip(*pairs, strict=True)
            )
            gain = of_mean([after - before for before, after in zip(uniform, spread, strict=True)])
            print(
                f"  {'20 models' if mixed else 'one source':10s} n={n}: {100 * mean(uniform):.1f} %, spread"
                f" {100 * mean(spread):.1f} %, {100 * gain.mean:+.1f} points"
                f" [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]",
                flush=True,
            )


def measured(recorded: RecordedAnswers, n: int, *, mixed: bool, seed: int) -> tuple[list[float], list[float]]:
    """Per question, whether a vote of n is right, and whether the spread one is."""
    lms = recorded.lms(seed) if mixed else [dspy.LM("recorded/one")]
    vote = Vote(LookedUp(recorded, mixed=mixed), n=n, lms=lms, normalize=compared, seed=1000 * seed)
    rights, _ = answered(vote, recorded.examples, recorded)
    evaluate = BudgetedEvaluate(
        devset=recorded.examples, metric=recorded.metric, calls=n * len(rights), num_threads=1, most=20
    )
    result = evaluate(vote)
    if result["calls"] > n * len(rights):
        raise RuntimeError(f"{result['calls']} calls were spent of {n * len(rights)}")
    return rights, [score for *_, score in result.results]


if __name__ == "__main__":
    main()
