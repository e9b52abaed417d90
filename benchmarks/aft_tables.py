"""The tables of the AFT papers in miniature, from the scores that were kept.

Intervals resample seeds and, within them, sheets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .aft_arms import ARMS, FIRST, scores_path
from .aft_data import TEACHERS

Array = NDArray[np.float64]  # (seeds, sheets)
_RESAMPLES = 4000
_MEASURES = (
    "alone at 0.7",
    "aggregating at 0.7",
    "alone at 0.0",
    "aggregating at 0.0",
    "aggregating the teachers at 0",
)


def print_tables(folder: Path, seeds: int, names: Sequence[str] = tuple(ARMS)) -> None:
    """Prints the arms, the claims about them and, where they were measured, the grid and the pools."""
    arms = {name: _read([scores_path(folder, seed, name) for seed in range(seeds)]) for name in names}
    measures = [name for name in _MEASURES if name in next(iter(arms.values()))]
    first = next(iter(arms.values()))[measures[0]]
    print(f"\nshare of parts right, {first.shape[0]} seeds x {first.shape[1]} sheets, [95 %] over seeds and sheets")
    base = _read([folder / "scores-base.json"])
    for measure in measures:
        print(f"\n{measure}")
        for name, scores in {"the base": base, **arms}.items():
            print(f"  {name:20}{_interval(scores[measure])}   seeds {_seeds(scores[measure])}")
    print("\ndifferences, in points")
    for text, one, other in _claims(arms):
        print(f"  {text:76}{_points(one - other)}")
    if not (folder / "grid-0.json").exists():
        return
    _print_grid(_read([folder / f"grid-{seed}.json" for seed in range(seeds)]))
    _print_pools(_read([folder / f"pools-{seed}.json" for seed in range(seeds)]))


def _claims(arms: dict[str, dict[str, Array]]) -> list[tuple[str, Array, Array]]:
    """The claims of which both arms were measured in full."""
    alone, together, greedy, teachers = (_MEASURES[place] for place in (0, 1, 2, 4))
    sft, off, on, fused, pseudo = "sft", "aft off-policy", "aft on-policy", "no proposals", "pseudo-aggregation"
    wanted = [
        ("(a) sft gains from aggregating its own proposals", sft, together, sft, alone),
        ("(a) aft off-policy gains", off, together, off, alone),
        ("(a) aft on-policy gains", on, together, on, alone),
        ("(a) sft, the teachers' proposals at 0, over itself alone", sft, teachers, sft, greedy),
        ("(a) aft off-policy, the teachers' proposals at 0, over itself alone", off, teachers, off, greedy),
        ("(a) aft on-policy, the teachers' proposals at 0, over itself alone", on, teachers, on, greedy),
        ("(b) aft off-policy aggregating, over sft alone", off, together, sft, alone),
        ("(b) aft on-policy aggregating, over sft alone", on, together, sft, alone),
        ("(b) aft off-policy alone, over sft alone", off, alone, sft, alone),
        ("(b) aft on-policy alone, over sft alone", on, alone, sft, alone),
        ("(c) without proposals, aggregating, over aft off-policy aggregating", fused, together, off, together),
        ("(c) without proposals, alone, over aft off-policy alone", fused, alone, off, alone),
        ("(c) pseudo-aggregation, aggregating, over aft off-policy aggregating", pseudo, together, off, together),
        ("(c) pseudo-aggregation, alone, over aft off-policy alone", pseudo, alone, off, alone),
        ("(e) student of fused data over student of best-of-five data, both alone", fused, alone, sft, alone),
    ]
    claims = [
        (text, arms[one][what], arms[other][that])
        for text, one, what, other, that in wanted
        if what in arms.get(one, {}) and that in arms.get(other, {})
    ]
    return [*claims, *_further(arms)]


def _further(arms: dict[str, dict[str, Array]]) -> list[tuple[str, Array, Array]]:
    """What going on from the first arm adds, by whatever is learned."""
    names = [name for name in arms if ARMS[name].further]
    first = arms.get(FIRST, {})
    measures = [name for name in (_MEASURES[1], _MEASURES[4], _MEASURES[0], _MEASURES[2]) if name in first]
    return [
        (f"(g) {name} over {FIRST}, {measure}", arms[name][measure], first[measure])
        for measure in measures
        for name in names
    ]


def _print_grid(found: dict[str, Array]) -> None:
    print(f"\n(d) width and depth, aft on-policy, temperature 0.7, {next(iter(found.values())).shape[1]} sheets")
    for name, scores in found.items():
        print(f"  {name:20}{_interval(scores)}   over one answer {_points(scores - found['width 1, depth 0'])}")


def _print_pools(found: dict[str, Array]) -> None:
    print("\n(f) five answers of one teacher, and of three")
    for name in (*TEACHERS, "three teachers"):
        fused, best, mean = (found[f"{name}: {what}"] for what in ("fused", "best by judge", "mean"))
        print(f"  {name:16}mean {mean.mean():.3f}  best by judge {best.mean():.3f}  fused {fused.mean():.3f}", end="")
        print(f"  over the best {_points(fused - best)}  over the fusor alone {_points(fused - found['fusor alone'])}")
    for other, text in (("{}: best by judge", "the best by the judge"), ("fusor alone", "the fusor alone")):
        edges = {name: found[f"{name}: fused"] - found[other.format(name)] for name in (*TEACHERS, "three teachers")}
        one = np.mean([edges[name] for name in TEACHERS], axis=0)
        print(f"  edge over {text} with three teachers, less that with one: {_points(edges['three teachers'] - one)}")


def _read(paths: Sequence[Path]) -> dict[str, Array]:
    kept = [json.loads(path.read_text()) for path in paths]
    return {measure: np.array([row[measure] for row in kept]) for measure in kept[0]}


def _resampled(scores: Array) -> Array:
    """Means of resamples, (resamples,)."""
    rng = np.random.default_rng(0)
    seeds, sheets = scores.shape
    means = np.empty(_RESAMPLES)
    for place in range(_RESAMPLES):
        which = rng.integers(0, seeds, seeds)
        means[place] = scores[which][:, rng.integers(0, sheets, sheets)].mean()
    return means


def _interval(scores: Array) -> str:
    low, high = np.quantile(_resampled(scores), [0.025, 0.975])
    return f"{scores.mean():.3f} [{low:.3f}, {high:.3f}]"


def _points(difference: Array) -> str:
    low, high = 100 * np.quantile(_resampled(difference), [0.025, 0.975])
    return f"{100 * difference.mean():+6.1f} [{low:+.1f}, {high:+.1f}]"


def _seeds(scores: Array) -> str:
    return ", ".join(f"{mean:.3f}" for mean in _means(scores))


def _means(scores: Array) -> Sequence[float]:
    return [float(mean) for mean in scores.mean(axis=1)]
