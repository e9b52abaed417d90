"""The AFT papers in miniature: ``python -m benchmarks.aft --seeds 3``.

One embedded model is trained five ways on the same sheets, and one of them further in four (see ``aft_arms``); seeds
differ in the rows' order, in which of them show no proposals, and in what is sampled when the programs are measured,
on sheets that are the same for all.
Everything is kept in ``--out``: the same command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import dspy

from dspy_fusion.programs import CandidateBank, PlainAdapter

from .aft_arms import ARMS, FIRST, Recipe, scores_path, train_arm
from .aft_data import TEACHERS, Sheet, pools, sheets, training_set
from .aft_measure import Scores, measure_arm, measure_grid, measure_pools
from .aft_tables import print_tables

GRID_ARM = "aft on-policy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains and measures what is missing, then prints the tables."""
    options = _options(arguments)
    if options.tables:
        print_tables(options.out, options.seeds, _arms(options))
        return 0
    started = time.monotonic()
    logging.getLogger("dspy").setLevel(logging.ERROR)  # it warns of every answer that rambles on

    def log(line: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {line}", flush=True)

    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        for seed in range(options.seeds):
            run_seed(options, seed, log)
    print_tables(options.out, options.seeds, _arms(options))
    return 0


def _arms(options: argparse.Namespace) -> list[str]:
    wanted = [name.strip() for name in options.arms.split(",")]
    if unknown := [name for name in wanted if name not in ARMS]:
        raise SystemExit(f"there is no arm {unknown[0]!r}; there are {', '.join(ARMS)}")
    return [name for name in ARMS if name in wanted or (name == FIRST and any(ARMS[one].further for one in wanted))]


def run_seed(options: argparse.Namespace, seed: int, log: Callable[[str], None]) -> None:
    """Trains the arms of a seed and measures them; what is there is left as it is."""
    out: Path = options.out
    recipe = Recipe(rate=options.rate, plain_share=options.plain_share)
    asked = sheets("test", 0, options.sheets)
    answers = pools(asked, TEACHERS, seed=90_000_000)
    examples = training_set(out, options.rows)
    later = training_set(out, options.further_rows, "further")
    few = asked[: options.grid_sheets]
    measure = partial(_measure, asked=asked, drawn=answers, out=out, quick=options.quick)
    _keep(out / "scores-base.json", lambda: measure(recipe.base, seed=0), log)
    for name in _arms(options):
        began = time.process_time()
        rows = later if ARMS[name].further else examples
        model = train_arm(name, out, recipe, rows, seed=seed, log=lambda line: log(f"seed {seed}, {line}"))
        log(f"seed {seed}, {name}: trained, {time.process_time() - began:.0f} s of CPU now")
        _keep(scores_path(out, seed, name), partial(measure, model, seed=seed), log)
        if name == GRID_ARM:
            _keep(out / f"grid-{seed}.json", partial(measure_grid, model, few, _bank(out, seed), seed), log)
    if GRID_ARM not in _arms(options):
        return
    mine = sheets("pools", seed, options.grid_sheets)
    _keep(out / f"pools-{seed}.json", lambda: measure_pools(mine, fusor=recipe.stronger, seed=seed), log)


def _measure(
    model: str | Path, *, asked: Sequence[Sheet], drawn: Sequence[Sequence[str]], out: Path, seed: int, quick: bool
) -> Scores:
    return measure_arm(model, asked, drawn, _bank(out, seed), seed, quick=quick)


def _bank(out: Path, seed: int) -> CandidateBank:
    return CandidateBank(f"sqlite:///{out / f'bank-{seed}.db'}")


def _keep(path: Path, measure: Callable[[], Scores], log: Callable[[str], None]) -> None:
    if path.exists():
        return
    scores = measure()
    beside = path.with_suffix(".partial")
    beside.write_text(json.dumps(scores))
    beside.rename(path)
    log(path.stem + ": " + ", ".join(f"{name} {sum(found) / len(found):.3f}" for name, found in scores.items()))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=2000, help="training rows of every arm")
    parser.add_argument("--sheets", type=int, default=200, help="test sheets")
    parser.add_argument("--grid-sheets", type=int, default=100, help="sheets for width and depth, and for pools")
    parser.add_argument("--further-rows", type=int, default=400, help="training rows of the arms that go on from one")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument(
        "--plain-share", type=float, default=0.3, help="rows without proposals in the arms that show proposals"
    )
    parser.add_argument("--arms", default=",".join(ARMS), help="which, separated by commas (default: all)")
    parser.add_argument("--quick", action="store_true", help="measure alone and with the teachers' proposals, at 0")
    parser.add_argument("--tables", action="store_true", help="only print the tables of what is in --out")
    parser.add_argument("--out", type=Path, default=Path("runs/aft-miniature"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
