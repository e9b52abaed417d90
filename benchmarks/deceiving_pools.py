"""What leads alone and loses in a pool, on recorded answers of real models: ``python -m benchmarks.deceiving_pools``.

On GSM8K's recorded solutions (`gsm8k_pool`, 20 sources) every way of asking is a group of sources that take turns: its
first candidate alone, or a vote over all of its candidates. Two ways are chosen on one half of the questions, such that
the first leads with one candidate and loses with all; the other half, which chose nothing, says whether that holds.
Whoever tunes with one candidate and widens the pool afterwards would take the first.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np

from dspy_fusion.optimizers.bootstrap import Interval, of_difference

_WIDTH = 4  # sources of a way
_TRIED = 400  # ways that are compared


def main() -> None:
    """Prints the two ways, with one candidate and with all, on the half that chose nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DSPY_FUSION_DATA", "data")))
    parser.add_argument("--splits", type=int, default=20, help="halves that choose, each drawn anew")
    options = parser.parse_args()
    sources, answers, golds = read(options.data / "gsm8k_pool")
    held = [contest(answers, golds, seed) for seed in range(options.splits)]
    alone, together = np.mean([a.mean for a, _ in held]), np.mean([t.mean for _, t in held])
    print(f"{len(golds)} questions, {len(sources)} sources, ways of {_WIDTH} sources, {options.splits} halves")
    print(f"on the halves that chose nothing, the way that leads alone is ahead by {100 * alone:+.1f} points with one")
    print(f"candidate and by {100 * together:+.1f} with {_WIDTH} candidates and a vote")
    turned = [a.mean > 0 > t.mean for a, t in held]
    print(f"it leads alone and loses in the pool in {sum(turned)} of {len(turned)}")
    first = held[0]
    print(f"the first of them: alone {_points(first[0])}, in the pool {_points(first[1])}")


def read(folder: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Sources, their answers as (questions, sources) texts, and the right ones."""
    (path,) = sorted(folder.glob("*.jsonl.gz"))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    sources = sorted({candidate["src"] for row in rows for candidate in row["candidates"]})
    table = np.full((len(rows), len(sources)), "", dtype=object)
    for place, row in enumerate(rows):
        for candidate in row["candidates"]:
            table[place, sources.index(candidate["src"])] = _number(candidate["pred"])
    return sources, table, np.array([_number(row["gold"]) for row in rows], dtype=object)


def _number(text: object) -> str:
    """An answer as all sources would write it; an empty text where there is none."""
    bare = re.sub(r"[,$%\s]", "", "" if text is None else str(text)).rstrip(".")
    try:
        return f"{float(bare):.10g}"
    except ValueError:
        return bare


def contest(answers: np.ndarray, golds: np.ndarray, seed: int) -> tuple[Interval, Interval]:
    """Of the two ways that one half chooses, the first minus the second on the other: alone, and in the pool."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(golds))
    choosing, judging = order[: len(golds) // 2], order[len(golds) // 2 :]
    every = list(itertools.combinations(range(answers.shape[1]), _WIDTH))
    ways = [every[int(i)] for i in rng.choice(len(every), min(_TRIED, len(every)), replace=False)]
    right = answers == golds[:, None]
    voted = {way: np.array([_vote(row) for row in answers[:, way]], dtype=object) == golds for way in ways}
    alone = {way: right[:, way].mean(axis=1) for way in ways}  # a candidate of any of its sources
    one = {way: alone[way][choosing].mean() for way in ways}
    all_of = {way: voted[way][choosing].mean() for way in ways}
    pairs = ((a, b) for a in ways for b in ways if one[a] > one[b] and all_of[a] < all_of[b])
    first, second = max(pairs, key=lambda ab: min(one[ab[0]] - one[ab[1]], all_of[ab[1]] - all_of[ab[0]]))
    return (
        of_difference(list(alone[first][judging]), list(alone[second][judging])),
        of_difference(list(voted[first][judging].astype(float)), list(voted[second][judging].astype(float))),
    )


def _vote(row: np.ndarray) -> str:
    said = [answer for answer in row if answer]  # who says nothing does not vote
    counts = Counter(said)
    return max(counts, key=lambda answer: (counts[answer], -said.index(answer)), default="")


def _points(interval: Interval) -> str:
    return f"{100 * interval.mean:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


if __name__ == "__main__":
    main()
