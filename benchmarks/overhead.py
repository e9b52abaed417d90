"""What our programs cost on top of the calls they make: ``python -m benchmarks.overhead``.

Everything is measured side by side in one run against a loopback server with a fixed delay; only ratios mean something.
The reference makes the same calls in the same pattern with bare ``dspy.Predict`` and a thread pool, and nothing else.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import dspy

from dspy_fusion.programs import BestOfN, Fusion

from .loopback import HANGING_SEED, loopback_server

N = 8
TASK = "question -> answer"


class SameCallsBare(dspy.Module):
    """The reference: ``N`` bare calls side by side, then one more."""

    def __init__(self) -> None:
        super().__init__()
        self.predict = dspy.Predict(TASK)

    def forward(self, question: str) -> dspy.Prediction:
        """Makes the calls and returns the last answer."""
        with ThreadPoolExecutor(N) as threads:
            calls = [
                threads.submit(
                    copy_context().run, lambda i=i: self.predict(question=question, config={"rollout_id": i, "seed": i})
                )
                for i in range(N)
            ]
            texts = [call.result().answer for call in calls]
        return self.predict(question=question + "".join(texts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every measurement with its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds the server waits before each answer")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(arguments)
    with loopback_server(options.delay) as address:
        lm = dspy.LM("openai/loopback", api_base=address, api_key="none", cache=False, num_retries=0)
        with dspy.context(lm=lm, disable_history=True):
            _one_input(options.repeats)
            _many_inputs(max(2, options.repeats // 3))
            _hanging(options.repeats)
    _imports(options.repeats)
    return 0


def _one_input(repeats: int) -> None:
    question = {"question": "q"}
    chains = dspy.ChainOfThought(TASK)
    comparison = dspy.MultiChainComparison(TASK, M=N)

    def compare_chains() -> Any:
        attempts = chains(question="q", config={"n": N, "temperature": 1.0}).completions
        return comparison([attempts[i] for i in range(N)] if attempts else [], question="q")

    rows: dict[str, Callable[[], Any]] = {
        "the same calls, bare": lambda: SameCallsBare()(**question),
        f"Fusion(n={N})": lambda: Fusion(dspy.Predict(TASK), n=N)(**question),
        f"BestOfN(n={N})": lambda: BestOfN(dspy.Predict(TASK), n=N, scorer=lambda args, pred: 0.5)(**question),
        f"dspy.BestOfN(N={N})": lambda: dspy.BestOfN(
            module=dspy.Predict(TASK), N=N, reward_fn=lambda args, pred: 0.5, threshold=1.0
        )(**question),
        f"dspy.MultiChainComparison(M={N})": compare_chains,
    }
    print(f"one input, median of {repeats}:")
    seconds = _side_by_side(rows, repeats)
    reference = seconds["the same calls, bare"]
    for name, value in seconds.items():
        print(f"  {name:32} {value:6.3f} s   {value / reference:5.2f} x bare")
    print(
        f"  Fusion / (slowest proposal + fusion) = {seconds[f'Fusion(n={N})'] / reference:.3f}   target: at most 1.10"
    )


def _many_inputs(repeats: int) -> None:
    devset = [dspy.Example(question=f"q{i}", answer="answer").with_inputs("question") for i in range(64)]
    evaluate = dspy.Evaluate(devset=devset, metric=lambda e, p, trace=None: 1.0, num_threads=16, display_progress=False)
    rows = {
        "bare": lambda: evaluate(SameCallsBare()),
        "Fusion": lambda: evaluate(Fusion(dspy.Predict(TASK), n=N)),
    }
    seconds = _side_by_side(rows, repeats)
    calls = 64 * (N + 1)
    print(f"64 inputs under Evaluate with 16 threads, median of {repeats}:")
    for name, value in seconds.items():
        print(f"  {name:32} {calls / value:6.0f} calls/s")
    print(f"  Fusion / bare = {seconds['bare'] / seconds['Fusion']:.3f}   target: at least 0.90")


def _hanging(repeats: int) -> None:
    fusion = Fusion(dspy.Predict(TASK), n=N, quorum=5, deadline_seconds=1.0, seed=HANGING_SEED - 3)
    row = {"hanging": lambda: fusion(question="q")}
    seconds = _side_by_side(row, repeats)["hanging"]
    good = len(fusion(question="q").pool.good)
    print(
        f"one of {N} hangs, quorum 5, deadline 1 s: pool of {good}, whole answer after {seconds:.3f} s, fusion"
        " included;"
    )
    best = BestOfN(
        dspy.Predict(TASK), n=N, scorer=lambda a, p: 0.5, quorum=5, deadline_seconds=1.0, seed=HANGING_SEED - 3
    )
    seconds = _side_by_side({"best": lambda: best(question="q")}, repeats)["best"]
    print(f"  BestOfN returns after {seconds:.3f} s   target: within 1.2 s")


def _imports(repeats: int) -> None:
    def importing(names: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {names}"], check=True)

    rows = {"dspy": importing("dspy"), "both": importing("dspy, dspy_fusion.programs")}
    seconds = _side_by_side(rows, repeats)
    print(
        f"import dspy {seconds['dspy']:.3f} s; with dspy_fusion.programs +{seconds['both'] - seconds['dspy']:.3f} s  "
        " target: under 0.15 s"
    )


def _side_by_side(rows: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each row; rows take turns, so a busy moment of the machine hits all of them.

    The first turn does not count.
    """
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(repeats + 1):
        for name, call in rows.items():
            started = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
