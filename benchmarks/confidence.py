"""How far confidence can be trusted: ``python -m benchmarks.confidence --data FOLDER``.

On recorded answers of 20 models to 648 GSM8K questions: calibrates a vote on one random half, and prints for the other,
which nothing was fitted on, the calibration error, the reliability table and the accuracy at each coverage; then what a
curve is worth on a pool of another task and other models.
"""

from __future__ import annotations

import argparse

import dspy

from dspy_fusion.programs import Vote, calibrate

from .recorded_answers import (
    LookedUp,
    RecordedAnswers,
    Source,
    answered,
    compared,
    mean,
    read_chains,
    recorded_from,
)

_BINS = 10


def main() -> None:
    """Prints the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    print_transfer(recorded, read_chains(options.data))


def print_transfer(recorded: RecordedAnswers, chains: RecordedAnswers) -> None:
    """A curve that was fitted on one pool, on another one of another task and other models."""
    names = list(chains.sources)
    task, own = LookedUp(chains, mixed=True), [Source(name) for name in names]
    vote = Vote(task, n=len(names), lms=own, normalize=compared)
    source = [dspy.LM("recorded/one")]
    five = Vote(LookedUp(recorded, mixed=False), n=5, lms=source, normalize=compared)
    elsewhere = calibrate(five, list(recorded.examples), recorded.metric, num_threads=1)
    train, held = chains.halves(0)
    here = calibrate(vote, train, chains.metric, num_threads=1)
    print(f"\nfive refinements of one answer (MMLU), {len(held)} held-out questions")
    for name, learned in (
        ("agreement as it is", None),
        ("fitted on GSM8K", elsewhere),
        ("fitted on its other half", here),
    ):
        program = vote.deepcopy()
        program.calibration = None if learned is None else learned.calibration
        rights, pools = answered(program, held, chains)
        rows = list(zip([pool.confidence for pool in pools], rights, strict=True))
        print(
            f"  {name}: ECE {error(rows):.4f}, AUROC {auroc(rows):.3f},"
            f" {100 * at_coverage(rows, 0.9):.1f} % at 90% coverage"
        )


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


if __name__ == "__main__":
    main()
