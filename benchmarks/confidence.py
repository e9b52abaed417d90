"""How far confidence can be trusted: ``python -m benchmarks.confidence --data FOLDER``.

On recorded answers of 20 models to 648 GSM8K questions: calibrates a vote on one random half, and prints for the other,
which nothing was fitted on, the calibration error, the reliability table and the accuracy at each coverage; then the
share of false certificates in simulated stops.
"""

from __future__ import annotations

import argparse
import random

import dspy

from dspy_fusion.programs import Vote, calibrate
from dspy_fusion.programs.pools.certificate import certified_after

from .recorded_answers import LookedUp, answered, compared, mean, recorded_from

_BINS = 10


def main() -> None:
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=100_000, help="simulated stops per alpha (default: 100000)")
    recorded, options = recorded_from(parser)
    for mixed in (True, False):
        pairs, plain = [], []
        for seed in range(options.halves):
            train, held = recorded.halves(seed)
            source = recorded.lms(seed) if mixed else [dspy.LM("recorded/one")]
            vote = Vote(LookedUp(recorded, mixed=mixed), n=20, lms=source, normalize=compared)
            sure = calibrate(vote, train, recorded.metric, num_threads=1)
            for program, rows in ((sure, pairs), (vote, plain)):
                rights, pools = answered(program, held, recorded)
                rows.extend(zip([pool.confidence for pool in pools], rights, strict=True))
        kind = "20 models" if mixed else "one source (20 draws with replacement)"
        print(f"\n{kind}, {options.halves} held-out halves, {len(pairs)} answers")
        for name, rows in (("agreement as it is", plain), ("calibrated", pairs)):
            print(
                f"  {name}: ECE {error(rows):.4f}, AUROC {auroc(rows):.3f},"
                f" right {100 * mean([r for _, r in rows]):.1f} %,"
                + ",".join(f" {100 * at_coverage(rows, c):.1f} % at {c:.0%} coverage" for c in (0.95, 0.9, 0.8))
            )
        print_reliability(pairs)
    print_certificates(options.stops)


def error(rows: list[tuple[float, float]]) -> float:
    """The expected calibration error over ten bins of equal width."""
    bins: dict[int, list[tuple[float, float]]] = {}
    for confidence, right in rows:
        bins.setdefault(min(_BINS - 1, int(confidence * _BINS)), []).append((confidence, right))
    gaps = [len(part) * abs(mean([c for c, _ in part]) - mean([r for _, r in part])) for part in bins.values()]
    return sum(gaps) / len(rows)


def auroc(rows: list[tuple[float, float]]) -> float:
    """The chance that a right answer has more confidence than a wrong one."""
    right, wrong = [c for c, r in rows if r], [c for c, r in rows if not r]
    wins = sum((a > b) + 0.5 * (a == b) for a in right for b in wrong)
    return wins / (len(right) * len(wrong)) if right and wrong else float("nan")


def at_coverage(rows: list[tuple[float, float]], coverage: float) -> float:
    """How many are right among the surest; equal confidences count with their mean."""
    most = round(coverage * len(rows))
    least = sorted((c for c, _ in rows), reverse=True)[most - 1]
    above, tied = [r for c, r in rows if c > least], [r for c, r in rows if c == least]
    return (sum(above) + (most - len(above)) * mean(tied)) / most


def print_reliability(rows: list[tuple[float, float]]) -> None:
    """What was said, and what came of it."""
    for low in range(_BINS):
        part = [(c, r) for c, r in rows if min(_BINS - 1, int(c * _BINS)) == low]
        if part:
            said, came = mean([c for c, _ in part]), mean([r for _, r in part])
            span = f"{low / _BINS:.1f}-{(low + 1) / _BINS:.1f}"
            print(f"    {span}: {len(part):4d} answers, said {said:.3f}, right {came:.3f}")


def print_certificates(stops: int) -> None:
    """How often a certificate names an answer that is not the mode, where modes are narrow."""
    print(f"\ncertificates, {stops} simulated stops each (three answers, the first two nearly as frequent, 60 draws):")
    for alpha in (0.2, 0.1, 0.05, 0.01):
        rng, false, named = random.Random(0), 0, 0
        for _ in range(stops):
            draws = rng.choices("abc", (0.41, 0.39, 0.2), k=60)
            stop = certified_after(draws, alpha)
            named += stop is not None
            false += stop is not None and stop[0] != "a"
        print(f"  alpha {alpha:.2f}: {named / stops:.4f} certified, {false / stops:.5f} falsely")


if __name__ == "__main__":
    main()
