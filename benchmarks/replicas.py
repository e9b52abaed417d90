"""What replicas bring: ``python -m benchmarks.replicas``.

Loopback servers with the capacity of real ones (so many answers at a time, each taking so long), each in a process of
its own. The same questions, several candidates each, go to one of them and to three of them as one model.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_fusion.programs import BestOfN
from dspy_fusion.serving.catalogue.model_entry import ModelEntry

from .inference_server import InferenceServer, inference_server

N = 8
REPLICAS = 3


class Sent(BaseCallback):
    """Notes how many requests with each prompt went to each address."""

    def __init__(self) -> None:
        super().__init__()
        self.by_prompt: dict[str, Counter[str]] = defaultdict(Counter)
        self._lock = threading.Lock()

    def on_lm_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Notes one request, which is made now."""
        with self._lock:
            self.by_prompt[str(inputs["prompt"])][instance.kwargs["api_base"]] += 1

    @property
    def affinity(self) -> float:
        """The share of requests that went where most requests of their prompt went."""
        return sum(max(sent.values()) for sent in self.by_prompt.values()) / sum(self.by_address.values())

    @property
    def by_address(self) -> Counter[str]:
        """Requests per address."""
        return sum(self.by_prompt.values(), Counter())


class Ask(dspy.Module):
    """Sends the question as it is."""

    def forward(self, question: str) -> dspy.Prediction:
        """One call."""
        return dspy.Prediction(answer=dspy.settings.lm(question)[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every measurement with its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--slots", type=int, default=4, help="answers that a server works on at once")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that each answer takes")
    parser.add_argument("--threads", type=int, default=16, help="questions at once")
    options = parser.parse_args(arguments)
    with ExitStack() as running:
        servers = [running.enter_context(inference_server(options.slots, options.delay)) for _ in range(REPLICAS)]
        print(
            f"{options.questions} questions of {N} candidates, {options.slots} answers at a time a server,"
            f" {options.delay:g} s each"
        )
        one = _throughput("1 server", servers[:1], options, None)
        most = 2 * options.slots  # the answers that a server works on and as many that it has waiting
        for name, limit in (("", None), (f", max_concurrency = {most}", most)):
            three = _throughput(f"{REPLICAS} servers{name}", servers, options, limit)
            print(f"  throughput {three / one:.2f} x   target: at least 2.7")
    return 0


def _throughput(name: str, servers: list[InferenceServer], options: argparse.Namespace, limit: int | None) -> float:
    """Answers a second, by the servers' own clocks; prints what was sent where."""
    addresses = tuple(server.address for server in servers)
    sent = Sent()
    lm = ModelEntry("openai/m", addresses=addresses, engine="native", max_concurrency=limit).lm()
    lm.callbacks.append(sent)
    program = BestOfN(Ask(), n=N, scorer=lambda args, prediction: 0.5, signature="question -> answer")
    for server in servers:
        server.count(reset=True)
    with dspy.context(lm=lm, disable_history=True), ThreadPoolExecutor(options.threads) as threads:
        questions = [f"{name}: what is {i} + {i}?" for i in range(options.questions)]
        jobs = [threads.submit(copy_context().run, lambda asked=asked: program(question=asked)) for asked in questions]
        for job in jobs:
            job.result()
    counts = [server.count() for server in servers]
    rate = sum(count.requests for count in counts) / max(count.seconds for count in counts)
    even = sum(count.requests for count in counts) / len(servers)
    loads = ", ".join(f"{count.requests / even - 1:+.0%}" for count in counts)
    print(f"{name}: {rate:.1f} answers/s; loads against even: {loads}   target: within 20 %")
    print(f"  a question's candidates on one replica: {sent.affinity:.1%}   target: at least 90 %")
    return rate


if __name__ == "__main__":
    sys.exit(main())
