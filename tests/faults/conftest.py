"""The programs under faults: what is called, how, and what of it may be left afterwards."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import BestOfN, Fusion, FusionError, ProposeAggregate, Vote

from .faulty_server import Asked, FaultyServer, Log, Plan, faulty_server

TASK = "question -> thought, count: int, answer"
PROGRAMS: dict[str, Callable[..., dspy.Module]] = {
    "BestOfN": lambda program, **o: BestOfN(
        program, n=3, scorer=lambda args, pred: float(pred.answer.startswith("right")), **o
    ),
    "Vote": lambda program, **o: Vote(program, n=3, **o),
    "Fusion": lambda program, **o: Fusion(program, n=3, **o),
    "ProposeAggregate": lambda program, **o: ProposeAggregate(program, width=3, depth=2, **o),
}
FAULTS = (
    "error_500",
    "rate_limit_429",
    "reset",
    "cut_short",
    "invalid_json",
    "html",
    "no_choices",
    "empty",
    "length",
    "no_usage",
    "n_ignored",
    "n_refused",
    "same_text",
    "unparsable",
    "wrong_type",
    "markers",
    "huge",
    "unicode",
)
SLOW_FAULTS = ("hang", "drip")
PLACES: dict[str, Callable[[Asked], bool]] = {
    "one candidate": lambda asked: asked.seed == 1 and not asked.is_fusor,
    "all candidates": lambda asked: not asked.is_fusor,
    "the fusor": lambda asked: asked.is_fusor,
    "everything": lambda asked: True,
}


@dataclass(frozen=True)
class Outcome:
    """What a call came to: an answer or a typed error, what it cost as it was counted,
    and what the server had billed by then.
    """

    prediction: dspy.Prediction | None
    error: FusionError | None
    seconds: float
    tokens: tuple[int, int]
    billed: Log

    @property
    def pool(self) -> Any:
        return self.prediction.pool if self.prediction else None


def lm_at(server: FaultyServer, engine: str, **options: Any) -> dspy.LM:
    settings: dict[str, Any] = {"cache": False, "num_retries": 0, **options}
    return dspy.LM("openai/m", api_base=server.address, api_key="none", engine=engine, **settings)


def call(
    server: FaultyServer,
    program: dspy.Module,
    lm: dspy.LM,
    number: int,
    *,
    plan: Plan | None = None,
    awaited: bool = False,
) -> Outcome:
    """Asks the program one question while the server follows a plan; any error but a typed one goes through."""
    server.plan, server.log = plan or (lambda asked: ""), Log()
    started, prediction, error = time.monotonic(), None, None
    with dspy.context(lm=lm), dspy.track_usage() as tracker:
        try:
            question = f"what is {number}"
            prediction = asyncio.run(program.acall(question=question)) if awaited else program(question=question)
        except FusionError as failure:
            error = failure
        seconds, used = time.monotonic() - started, tracker.get_total_tokens().values()
        tokens = tuple(sum(usage.get(kind) or 0 for usage in used) for kind in ("prompt_tokens", "completion_tokens"))
    return Outcome(prediction, error, seconds, (tokens[0], tokens[1]), Log(**vars(server.log)))


def workers() -> int:
    """How many threads work on attempts."""
    return sum(thread.name == "dspy-fusion" for thread in threading.enumerate())


@pytest.fixture(scope="session")
def server() -> Iterator[FaultyServer]:
    with faulty_server() as running:
        yield running
