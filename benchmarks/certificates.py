"""How often a certificate is false: ``python -m benchmarks.certificates``.

``is_certified`` is asked after every draw from sources whose two most frequent answers are nearly, or exactly, as
frequent; a source is certified falsely where an answer that is not its only mode is certified at any draw. By CITE's
promise (arXiv 2605.05873) that happens with a chance of at most alpha. Simulated with numpy for all stops at once; the
first two hundred are held against the library's own function, draw by draw.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np

from dspy_fusion.programs.pools import certificate
from dspy_fusion.programs.pools.certificate import certified_after

ALPHAS = (0.2, 0.1, 0.05, 0.01)
SOURCES: dict[str, tuple[tuple[float, ...], int]] = {
    "two answers, equally frequent": ((0.5, 0.5), 200),
    "three, the first two nearly so": ((0.41, 0.39, 0.2), 200),
    "three, two equal modes": ((0.4, 0.4, 0.2), 200),
    "ten, the first two equal": ((0.2, 0.2, *(0.075,) * 8), 200),
    "one clear mode": ((0.7, 0.2, 0.1), 60),
}
_CHECKED = 200


def main() -> None:
    """Prints the shares certified and falsely certified, and raises where they differ from the library's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stops", type=int, default=100_000, help="simulated stops per source (default: 100000)")
    stops = parser.parse_args().stops
    for name, (chances, most) in SOURCES.items():
        print(f"{name} ({stops} stops of up to {most} draws)")
        draws = np.random.default_rng(0).choice(len(chances), size=(stops, most), p=chances).astype(np.int8)
        modes = [answer for answer, chance in enumerate(chances) if chance == max(chances)]
        for alpha, (answers, after) in certified(draws, len(chances), ALPHAS).items():
            check(draws, answers, after, alpha)
            named = answers >= 0
            false = named & ((answers != modes[0]) if len(modes) == 1 else True)
            mean = f", after {after[named].mean():.1f} draws" if named.any() else ""
            print(f"  alpha {alpha:.2f}: certified {named.mean():.4f}, falsely {false.mean():.5f}{mean}", flush=True)
            if false.mean() > alpha:
                raise RuntimeError(f"more than alpha={alpha} are false")


def certified(draws: np.ndarray, kinds: int, alphas: Sequence[float]) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Per alpha, the answer that is certified first in each row (-1 for none), and after how many draws."""
    stops, most = draws.shape
    counts = np.zeros((stops, kinds), np.int16)
    first = np.full((stops, kinds), most, np.int16)  # when each answer appeared: of equal ones the earlier leads
    made = {alpha: (np.full(stops, -1, np.int16), np.zeros(stops, np.int16)) for alpha in alphas}
    rows = np.arange(stops)
    wealth = log_wealth(most)
    for count in range(most):
        answer = draws[:, count]
        counts[rows, answer] += 1
        first[rows, answer] = np.minimum(first[rows, answer], count)
        leader = (counts.astype(np.int64) * (most + 1) - first).argmax(axis=1)
        lead = counts[rows, leader]
        others = counts.copy()
        others[rows, leader] = 0
        seen = (counts > 0).sum(axis=1)
        held = wealth[lead, others.max(axis=1)] - np.log(seen * (seen + 1))
        for alpha, (answers, after) in made.items():
            new = (answers < 0) & (held >= -math.log(alpha))
            answers[new], after[new] = leader[new], count + 1
    return made


def log_wealth(most: int) -> np.ndarray:
    """The library's wealth by the leader's and the rival's counts."""
    return np.array([[certificate.log_wealth(a, b) for b in range(most + 1)] for a in range(most + 1)])


def check(draws: np.ndarray, answers: np.ndarray, after: np.ndarray, alpha: float) -> None:
    """Raises where the library says something else of the first rows."""
    for row in range(min(_CHECKED, len(draws))):
        said = certified_after(draws[row].tolist(), alpha)
        here = (int(answers[row]), int(after[row])) if answers[row] >= 0 else None
        if said != here:
            raise RuntimeError(f"row {row} at alpha={alpha}: {here} here, {said} by the library")


if __name__ == "__main__":
    main()
