"""A large comparison: its memory, its rate beside the bare server's, and how long its table takes.

``python -m benchmarks.scale`` compares a vote of eight on 1,000 and on 10,000 examples, each in a process of its own
against one loopback server that answers at once. It prints the peak memory of both and their ratio, the calls a second
and the processor time a call, both beside those of bare predictors in as many threads (half of them asked before the
comparison and half after it, since other work on the machine comes and goes), and the seconds from the last record to
the table.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dspy

from .loopback import loopback_server

_N = 8
_BARE = 2_000  # calls


def main() -> None:
    """Runs both sizes and the bare calls, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--one", nargs=2, metavar=("ADDRESS", "EXAMPLES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_one(arguments.one[0], int(arguments.one[1]), arguments.threads)))
        return
    peaks = []
    with loopback_server(0.0) as address:
        for count in (arguments.small, arguments.examples):
            one = _apart(address, count, arguments.threads)
            peaks.append(one["megabytes"])
            print(
                f"{count:6,} examples x {_N}: {one['rate']:.0f} calls/s ({one['rate'] / one['bare_rate']:.2f} of"
                f" {one['bare_rate']:.0f} bare), {1000 * one['processor']:.2f} ms of processor time a call"
                f" ({one['bare_processor'] / one['processor']:.2f} as fast as {1000 * one['bare_processor']:.2f} bare),"
                f" peak memory {one['megabytes']:.0f} MB, table in {one['table_seconds']:.1f} s",
                flush=True,
            )
    print(f"memory: {peaks[1] / peaks[0]:.2f} times that of the small one")


def _apart(address: str, count: int, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.scale", "--threads", str(threads), "--one", address, str(count)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def _one(address: str, count: int, threads: int) -> dict[str, float]:
    from dspy_fusion import Vote, compare
    from dspy_fusion.experiments.reports.views import write_views
    from dspy_fusion.experiments.runs.run_folder import read_run

    logging.disable(logging.WARNING)
    rows = [{"question": f"question {number}", "answer": "answer"} for number in range(count)]
    with tempfile.TemporaryDirectory() as folder, dspy.context(lm=_lm(address)):
        programs = {"vote": Vote(dspy.Predict("question -> answer"), n=_N)}
        options: dict[str, Any] = {"inputs": ["question"], "output": "answer", "out": f"{folder}/run"}
        options |= {"tracking": False, "progress": False, "max_concurrency": threads}
        bare = [_timed(lambda: _ask_bare(address, _BARE // 2, threads))]
        seconds, processor = _timed(lambda: compare(programs, rows, "exact", **options))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        bare.append(_timed(lambda: _ask_bare(address, _BARE // 2, threads)))
        table, of_table = _timed(lambda: write_views(read_run(Path(folder) / "run")))
    return {
        "rate": count * _N / (seconds - table),
        "processor": (processor - of_table) / (count * _N),
        "bare_rate": _BARE / sum(one for one, _ in bare),
        "bare_processor": sum(one for _, one in bare) / _BARE,
        "megabytes": peak,
        "table_seconds": table,
    }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """The seconds that something takes, and those of the processor."""
    started, begun = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - begun


def bare_rate(address: str, calls: int, threads: int) -> float:
    """Calls a second of a bare predictor in as many threads."""
    return calls / _timed(lambda: _ask_bare(address, calls, threads))[0]


def _ask_bare(address: str, calls: int, threads: int) -> None:
    predictor = dspy.Predict("question -> answer")

    def ask(place: int) -> None:
        predictor(question=f"question {place}", config={"temperature": 0.7, "seed": place, "rollout_id": place})

    with dspy.context(lm=_lm(address), disable_history=True, trace=None), ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(copy_context().run, ask, place) for place in range(calls)]
        for future in futures:
            future.result()


def _lm(address: str) -> dspy.LM:
    return dspy.LM("openai/loopback", api_base=address, api_key="none", cache=False, engine="lm15")


if __name__ == "__main__":
    main()
