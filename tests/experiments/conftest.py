"""Models that really read worksheets (by rule, with seeded mistakes), and hand-made records."""

from __future__ import annotations

import importlib
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import CandidateRecord, PartRecord, Record
from dspy_fusion.programs import Usage
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.embedded.arithmetic import LABELS, parse_question

scripted = importlib.import_module(
    "conftest"
)  # the one a folder up; a checker would take `import conftest` for this very file

SKILLS = {
    "plus": {"+": 0.95, "-": 0.5, "x": 0.5},
    "minus": {"+": 0.5, "-": 0.95, "x": 0.5},
    "fusor": {"+": 0.7, "-": 0.7, "x": 0.7},
}


def solve(name: str) -> Callable[[Any], str]:
    """Answers a sheet as well as its skills allow; shown candidates, it takes each part from one that has it right."""

    def answer(request: Any) -> str:
        question, system = scripted.prompt_of(request), scripted.system_of(request)
        rng = random.Random(f"{name}{question}{request.config.seed}")
        lines = []
        for label, part in zip(LABELS, parse_question(question), strict=False):
            seen = re.findall(rf"^\({label}\) .* = (\d+)$", system, re.MULTILINE)
            right = str(part.result) in seen if seen else rng.random() < SKILLS[name][part.operation]
            lines.append(f"({label}) {part} = {part.result if right else part.result + 1}")
        return "\n".join(lines)

    return answer


class Lab:
    """Makes models by name, each once, and counts what they were asked."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}

    def lm(self, name: str) -> Any:
        return self.models[name] if name in self.models else self.add(name, solve(name))

    def add(self, name: str, answer: Callable[[Any], str]) -> Any:
        """A model that answers by a function, instead of the one of that name."""
        self.models[name] = scripted.ScriptedLM(answer, name=f"scripted/{name}")
        return self.models[name]

    def price(self, name: str) -> Price:
        return Price(input=1.0, output=2.0) if name == "fusor" else Price()

    @property
    def calls(self) -> int:
        return sum(len(model.requests) for model in self.models.values())


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def config() -> CompareConfig:
    return CompareConfig(
        task="worksheets",
        examples=4,
        n=3,
        max_concurrency=2,
        pools={"both": ("plus", "minus")},
        strategies=(
            StrategyConfig("single", "single", "plus"),
            StrategyConfig("vote", "vote", "both", every_n=True),
            StrategyConfig("vote per part", "vote_parts", "both"),
            StrategyConfig("oracle", "oracle", "both"),
            StrategyConfig("fusion", "fusion", "both", fusor="fusor"),
        ),
    )


@pytest.fixture
def record() -> Callable[..., Record]:
    """Makes a record of one strategy; ``pool`` are the candidates' scores, whose texts differ from the answer."""

    def make(
        strategy: str, example: int, score: float, pool: tuple[float, ...] = (0.5, 0.25), seed: int = 0, **rest: Any
    ) -> Record:
        candidates = tuple(CandidateRecord(f"(a) 1 + 1 = {3 + i}", f"model{i}", value) for i, value in enumerate(pool))
        given = {
            "answer": "(a) 1 + 1 = 2",
            "expected": "(a) 1 + 1 = 2",
            "candidates": candidates,
            "inputs": {"worksheet": "(a) 1 + 1"},
            "parts": (PartRecord("a", "+", True, score == 1, (0,)),),
            "usage": {"candidates": Usage(2, 100, 20), "fusor": Usage(1, 50, 10)},
            "depth": 2,
            "seconds": 0.5,
        }
        return Record("worksheets", f"test-{example}", strategy, seed, score, **{**given, **rest})

    return make
