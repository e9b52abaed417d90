"""How fast the embedded models answer: ``python -m benchmarks.embedded``; on one core and on all: ``--side-by-side``.

Side by side, two processes take turns at the same requests, one of them held to a single core; their best turns count,
since other work on the machine can only make a turn slower, and their texts are compared. The processor time of an
answer, where other work counts less, says what two cores of which nothing else had a share would have made of it.

Requests go through ``dspy.LM`` from as many threads as are to run at once, as programs send them. The figures are those
of this machine at this moment: the load average beside them says how much of it was free.
"""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # before dspy is imported: no price list is fetched
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import dspy
from dspy.lm15 import Config, Message, Request, Response

from dspy_fusion.programs.tasks.instructions import FUSE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, draw_worksheet, question_text
from dspy_fusion.serving.embedded.dispatcher import dispatcher

CANDIDATES = 8
TEACHERS = ("plus", "minus", "times")
Call = tuple[dspy.LM, Request]


@dataclass(frozen=True)
class Load:
    """A kind of load: candidates of some models, so many of them under way at once."""

    what: str
    models: tuple[str, ...]
    threads: int


LOADS = (
    Load("candidates of one model", ("plus",), 64),
    Load("candidates of one model", ("plus",), 24),
    Load("candidates of three models", TEACHERS, 64),
)


def main() -> None:
    """Prints one line for each kind of load."""
    options = _options()
    if options.side_by_side:
        side_by_side(options.sheets, options.turns)
        return
    if options.core_limit is not None:
        take_turns(options.sheets, options.core_limit)
        return
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
    parser.add_argument("--side-by-side", action="store_true", help="one core against all of them")
    parser.add_argument("--turns", type=int, default=5, help="of each side, side by side")
    parser.add_argument("--core-limit", type=int, help=argparse.SUPPRESS)
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
    worksheets = [draw_worksheet(rng) for _ in range(2 * sheets)]
    pools = [
        [answer_text(parts, [part.result + rng.randrange(2) for part in parts]) for _ in range(CANDIDATES - 3)]
        for parts in worksheets
    ]
    return [
        (lm, _request(lm, system_text(FUSE, pool), question_text(parts), 0))
        for parts, pool in zip(worksheets, pools, strict=True)
    ]


def side_by_side(sheets: int, turns: int) -> None:
    """Prints candidates a second on one core and on all, for each kind of load, and whether the texts were the same."""
    cores = len(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "benchmarks.embedded", "--sheets", str(sheets), "--core-limit"]
    sides = [
        subprocess.Popen([*command, str(limit)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for limit in (1, cores)
    ]
    print(
        f"load average {os.getloadavg()[0]:.2f} before; best and median of {turns} turns each, one side after the other"
    )
    for place, load in enumerate(LOADS):
        results = [[_turn(side, place) for side in sides] for _ in range(turns)]
        one, all_of_them = ([turn[side]["rate"] for turn in results] for side in (0, 1))
        work = [1000 * median(turn[side]["processor_seconds"] for turn in results) for side in (0, 1)]
        texts = {turn["texts"] for pair in results for turn in pair}
        print(
            f"{load.what}, {load.threads} at once: {max(one):.0f} a second on 1 core (median {median(one):.0f}),"
            f" {max(all_of_them):.0f} on {cores} (median {median(all_of_them):.0f}): {max(all_of_them) / max(one):.2f}"
            f" times as many; {'the same texts' if len(texts) == 1 else 'TEXTS DIFFER'}; {work[0]:.1f} and"
            f" {work[1]:.1f} ms of processor time each, so at best {cores * work[0] / work[1]:.2f} times as many",
            flush=True,
        )
    for side in sides:
        side.communicate()
    print(f"load average {os.getloadavg()[0]:.2f} after")


def take_turns(sheets: int, core_limit: int) -> None:
    """One of the sides: reads the number of a load from each line of its input, and writes what came of it."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:core_limit])
    models = ModelCatalogue.builtin()
    warmed = set()
    for line in sys.stdin:
        load = LOADS[int(line)]
        calls = _candidates([models.lm(name) for name in load.models], sheets)
        if load not in warmed:
            _answers(calls, load.threads)  # processes are started, and models loaded
            warmed.add(load)
        started, worked = time.perf_counter(), _processor_seconds()
        responses = _answers(calls, load.threads)
        seconds, worked = time.perf_counter() - started, _processor_seconds() - worked
        texts = hashlib.sha256(json.dumps([response.message.text for response in responses]).encode()).hexdigest()
        turn = {"rate": len(calls) / seconds, "texts": texts, "processor_seconds": worked / len(calls)}
        print(json.dumps(turn), flush=True)


def _processor_seconds() -> float:
    """Of this process and of those that work for it."""
    ticks = 0
    for process in dispatcher.process_ids:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _turn(side: subprocess.Popen[str], load: int) -> dict[str, Any]:
    if side.stdin is None or side.stdout is None:
        raise ValueError("a side has pipes")
    print(load, file=side.stdin, flush=True)
    return json.loads(side.stdout.readline())


def _answers(calls: Sequence[Call], threads: int) -> list[Response]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda call: call[0](call[1]), calls))


def _request(lm: dspy.LM, system: str, question: str, seed: int) -> Request:
    config = Config(temperature=1.0, seed=seed, max_tokens=150)
    return Request(model=lm.model, system=system, messages=(Message.user(question),), config=config)


def _measure(calls: Sequence[Call], threads: int, what: str) -> None:
    started = time.perf_counter()
    responses = _answers(calls, threads)
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
