"""What serving costs and gains: ``python -m benchmarks.serving``."""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
from collections.abc import Sequence

from .endpoint_overhead import N, measure_endpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every measurement with its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--concurrency", type=int, default=32, help="requests at a time (default: 32)")
    parser.add_argument(
        "--delay", type=float, default=1.0, help="seconds the loopback server waits before each answer (default: 1)"
    )
    parser.add_argument(
        "--rounds", type=int, default=1, help="requests of each client, in each of six turns (default: 1)"
    )
    options = parser.parse_args(arguments)
    print(
        f"endpoint, Fusion(n={N}) over a server that takes {options.delay:g} s a call, {options.concurrency} requests"
        " at a time:"
    )
    overhead = measure_endpoint(concurrency=options.concurrency, delay_seconds=options.delay, rounds=options.rounds)
    for line in overhead.lines():
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
