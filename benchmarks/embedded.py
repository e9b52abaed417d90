"""How fast the embedded models answer: ``python -m benchmarks.embedded``.

Requests go through ``dspy.LM`` from as many threads as are to run at once, as programs send them. The figures are those
of this machine at this moment: the load average beside them says how much of it was free.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import dspy
from dspy.lm15 import Config, Message, Request

from dspy_fusion.programs.tasks.instructions import FUSE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, draw_worksheet, question_text

CANDIDATES = 8
TEACHERS = ("plus", "minus", "times")
Call = tuple[dspy.LM, Request]


def main() -> None:
    """Prints one line for each kind of load."""
    options = _options()
    models = ModelCatalogue.builtin()
    one, three = [models.lm(options.models[0])], [models.lm(name) for name in options.models]
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f} before the run: other work on the machine makes"
        " all of this slower"
    )
    _measure(_candidates(one, 1), 1, "warming up")
    for threads in (1, CANDIDATES, 32, 64):
        _measure(_candidates(one, options.sheets), threads, "candidates of one model")
    _measure(_candidates(three, options.sheets), 64, f"candidates of {len(three)} models at once")
    for threads in (1, CANDIDATES, 32):
        _measure(_fusions(models.lm(options.fusor), options.sheets), threads, f"fusions of {CANDIDATES - 3} candidates")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=int, default=20, help="worksheets, each with eight candidates a model")
    parser.add_argument(
        "--models", nargs="+", default=TEACHERS, help="names, or paths of weights; the first one is measured alone"
    )
    parser.add_argument("--fusor", default="aft", help="name, or path of weights")
    return parser.parse_args()


def _candidates(lms: Sequence[dspy.LM], sheets: int) -> list[Call]:
    rng = random.Random(0)
    questions = [question_text(draw_worksheet(rng)) for _ in range(sheets)]
    return [
        (lm, _request(lm, TASK_INSTRUCTIONS, question, i))
        for question in questions
        for lm in lms
        for i in range(CANDIDATES)
    ]


def _fusions(lm: dspy.LM, sheets: int) -> list[Call]:
    rng = random.Random(1)
    drawn = [draw_worksheet(rng) for _ in range(2 * sheets)]
    pools = [
        [answer_text(parts, [part.result + rng.randrange(2) for part in parts]) for _ in range(CANDIDATES - 3)]
        for parts in drawn
    ]
    return [
        (lm, _request(lm, system_text(FUSE, pool), question_text(parts), 0))
        for parts, pool in zip(drawn, pools, strict=True)
    ]


def _request(lm: dspy.LM, system: str, question: str, seed: int) -> Request:
    config = Config(temperature=1.0, seed=seed, max_tokens=150)
    return Request(model=lm.model, system=system, messages=(Message.user(question),), config=config)


def _measure(calls: Sequence[Call], threads: int, what: str) -> None:
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        responses = list(pool.map(lambda call: call[0](call[1]), calls))
        seconds = time.perf_counter() - started
    tokens_in, tokens_out = (
        sum(getattr(response.usage, name) or 0 for response in responses) / len(calls)
        for name in ("input_tokens", "output_tokens")
    )
    print(
        f"{what}, {threads} at once: {len(calls) / seconds:.0f} a second ({tokens_in:.0f} tokens in, {tokens_out:.0f}"
        " out)",
        flush=True,
    )


if __name__ == "__main__":
    main()
