"""What recorded generations show, and how fast: ``python -m benchmarks.evidence --data FOLDER``.

Imports every recorded pool of the folder into a new bank, prints what choosing among the answers reaches, checks that
no way of choosing is better than the best candidate, and times the N-curves of the largest pool.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from dspy_fusion.experiments.pools.ceiling import check_ceiling
from dspy_fusion.experiments.pools.evaluation import beta_of, curves_with_intervals, evaluate
from dspy_fusion.experiments.pools.overview import Measured, overview_of
from dspy_fusion.experiments.pools.overview_tables import curve_table, way_table
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.importing import import_file
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.experiments.rows.sources import data_folder
from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.errors import ConfigurationError

FILES = (
    "gsm8k_pool/pool",
    "m_ifeval_pool/en",
    "m_ifeval_pool/es",
    "m_ifeval_pool/fr",
    "m_ifeval_pool/ja",
    "arena_bench_v1/pool",
    "mt_bench/answers_31_models",
    "fusion_translation_wmt24pp/et",
    "fusion_translation_wmt24pp/ro",
    "fusion_translation_wmt24pp/tr",
    "fusion_translation_wmt24pp/uk",
    "mmlu/test_first25_per_subject",
    "refine_chains/mmlu_college_physics",
    "refine_chains/mmlu_machine_learning",
)
"""Files of a data folder that hold recorded candidates."""
LARGEST = "gsm8k_pool"
MIDDLE = (
    "text-davinci-003/cot-re2",
    "gpt-3.5-turbo/cot-base",
    "tora-70b-v1.0",
    "tora-code-34b-v1.0",
    "Mixtral-8x7B-Instruct-v0.1",
)
"""One way of asking each of the five models of the largest pool that are neither weak nor strong."""
_SIZES = (5, 10, 20)


def main() -> None:
    """Prints the imports, the numbers of the largest pool, the check on every pool, and the times."""
    options = _options()
    folder = data_folder(options.data)
    if folder is None:
        raise ConfigurationError("name the folder of recorded generations with --data or DSPY_FUSION_DATA")
    console = Console(width=150)
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before the run")
    with tempfile.TemporaryDirectory() as scratch:
        store = RecordedStore(CandidateBank(f"sqlite:///{scratch}/bank.db"))
        _import(store, folder)
        _show_largest(store, options, console)
        _check_all(store, options)
        _time(store, options)
        store.bank.close()
    print(f"peak memory of the whole run: {_peak_megabytes():.0f} MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of recorded generations (default: DSPY_FUSION_DATA)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the intervals (default: 1000)")
    parser.add_argument(
        "--subsets", type=int, default=200, help="subsets of each size that votes are averaged over (default: 200)"
    )
    return parser.parse_args()


def _import(store: RecordedStore, folder: Path) -> None:
    started, candidates = time.perf_counter(), 0
    for stem in FILES:
        file = folder / f"{stem}.jsonl.gz"
        if not file.is_file():
            print(f"{file} is not there and is left out")
            continue
        report = import_file(str(file), store)
        candidates += report.added.candidates
        flags = (
            f", {report.conflicts} flags against the text ({report.uneven} by comparing equal answers)"
            if report.conflicts
            else ""
        )
        print(
            f"{stem}: {report.rows} rows, {report.added.candidates} candidates, {len(report.set_aside)} rows set"
            f" aside{flags}"
        )
    seconds = time.perf_counter() - started
    print(f"imported {candidates} candidates in {seconds:.1f} s; importing a file again adds", end=" ")
    print(import_file(str(folder / f"{FILES[0]}.jsonl.gz"), store).added.candidates)


def _show_largest(store: RecordedStore, options: argparse.Namespace, console: Console) -> None:
    questions = store.questions(LARGEST)
    settings = {"subsets": options.subsets, "resamples": options.resamples}
    for columns in ((), MIDDLE):
        measured = overview_of(LARGEST, questions, columns=columns, **settings).measured
        if measured is not None:
            print(_facts(measured))
            console.print(way_table(measured).rich())
            console.print(curve_table(measured).rich())


def _facts(measured: Measured) -> str:
    end = {name: 100 * curve[-1].mean for name, curve in measured.curves.items()}
    best = measured.best_source
    return (
        f"\n{LARGEST}, {measured.pool.shape[0]} questions x {measured.pool.shape[1]} candidates: vote {end['vote']:.1f}"
        f" %, best source {100 * best.score.mean:.1f} % ({best.column}), oracle {end['oracle']:.1f} %, beta"
        f" {measured.beta.share:.4f} (at most {measured.beta.upper:.4f})"
    )


def _check_all(store: RecordedStore, options: argparse.Namespace) -> None:
    """Every way on every set, by group too; a way above the best candidate would raise."""
    checked = closest = 0
    for recorded in store.sets:
        pool = (
            RecordedPool.of(recorded.name, store.questions(recorded.name), derived=True).graded()
            if recorded.questions
            else None
        )
        if pool is None or pool.shape[0] < 2:
            continue
        for name, part in {"": pool, **_by_group(pool)}.items():
            ways, beta = evaluate(part, subsets=options.subsets), beta_of(part)
            right = [_share_right(part, way.curve[:, -1]) for way in ways if way.kind == "select"]
            check_ceiling(f"{recorded.name} {name}", np.array(max(right)), np.array(1 - beta.share))
            checked, closest = checked + len(right), closest + (max(right) == 1 - beta.share)
    print(
        f"no way of choosing is above 1 - beta: {checked} ways checked on all sets and groups, {closest} groups in"
        " which one reaches it"
    )


def _by_group(pool: RecordedPool) -> dict[str, RecordedPool]:
    groups = np.array([question.group for question in pool.questions])
    names, sizes = np.unique(groups, return_counts=True)
    return {
        str(name): pool.rows(np.flatnonzero(groups == name))
        for name, size in zip(names, sizes, strict=True)
        if size > 1 < len(names)
    }


def _share_right(pool: RecordedPool, quality: np.ndarray) -> float:
    """The mean where answers are right or wrong.

    Where they are right by degrees, how often the answer is right in full.
    """
    return float(quality.mean() if pool.is_binary else np.floor(quality + 1e-9).mean())


def _time(store: RecordedStore, options: argparse.Namespace) -> None:
    questions = store.questions(LARGEST)
    print(
        f"\nN-curves of every way with {options.resamples} bootstrap resamples and {options.subsets} subsets of each"
        " size:"
    )
    for size in _SIZES:
        pool = RecordedPool.of(LARGEST, questions).take(range(size))
        started, busy = time.perf_counter(), time.process_time()
        ways = evaluate(pool, subsets=options.subsets)
        curves = curves_with_intervals(pool, ways, resamples=options.resamples)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        print(
            f"  {pool.shape[0]} questions x {size:2d} candidates x {len(ways)} ways: {seconds:.2f} s ({busy:.2f} s of"
            f" CPU, {1000 * busy / size:.0f} ms a candidate), {sum(map(len, curves.values()))} points with intervals"
        )


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
