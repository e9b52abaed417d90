"""A large comparison: its memory, its rate beside the bare server's, and how long its table takes.

``python -m benchmarks.scale`` compares a vote of eight on 1,000 and on 10,000 examples, each in a process of its own
against one loopback server that answers at once, and prints the peak memory of both and their ratio, the calls a second
beside those of bare ``dspy.LM`` objects in as many threads, and the seconds from the last record to the table.
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
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dspy

from .loopback import loopback_server

_N = 8


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
    with loopback_server(0.0) as address:
        bare = _bare(address, 2_000, arguments.threads)
        small, large = (_apart(address, count, arguments.threads) for count in (arguments.small, arguments.examples))
    for count, measured in ((arguments.small, small), (arguments.examples, large)):
        rate = measured["rate"]
        print(
            f"{count:6,} examples x {_N}: {rate:.0f} calls/s ({rate / bare:.2f} of {bare:.0f} bare),"
            f" peak memory {measured['megabytes']:.0f} MB, table in {measured['table_seconds']:.1f} s"
        )
    print(f"memory: {large['megabytes'] / small['megabytes']:.2f} times that of the small one")


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
        started = time.perf_counter()
        compare(programs, rows, "exact", **options)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        started = time.perf_counter()
        write_views(read_run(Path(folder) / "run"))
        table = time.perf_counter() - started
    return {"rate": count * _N / (seconds - table), "megabytes": peak, "table_seconds": table}


def _bare(address: str, calls: int, threads: int) -> float:
    """Calls a second of a bare predictor in as many threads."""
    predictor = dspy.Predict("question -> answer")

    def ask(place: int) -> None:
        predictor(question=f"question {place}", config={"temperature": 0.7, "seed": place, "rollout_id": place})

    with dspy.context(lm=_lm(address), disable_history=True, trace=None), ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        futures = [pool.submit(copy_context().run, ask, place) for place in range(calls)]
        for future in futures:
            future.result()
    return calls / (time.perf_counter() - started)


def _lm(address: str) -> dspy.LM:
    return dspy.LM("openai/loopback", api_base=address, api_key="none", cache=False, engine="lm15")


if __name__ == "__main__":
    main()
