"""Recorded answers behind this library's programs: twenty sources of a data folder, each a model that answers at once.

The task program looks the answer up under the model that DSPy has put in its settings, so candidates, votes, stopping
rules and calibration are the library's own, and nothing is asked of any server.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.rows.sources import data_folder
from dspy_fusion.programs.errors import ConfigurationError

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


class Source(dspy.BaseLM):
    """A model that is never asked; its name says whose recorded answers are meant."""

    def __init__(self, name: str) -> None:
        super().__init__(model=name)

    def forward(self, *args: Any, **options: Any) -> Any:
        """Refuses: recorded answers are looked up."""
        raise ConfigurationError(f"{self.model} has only recorded answers")


@dataclass(frozen=True)
class RecordedAnswers:
    """Questions with the answers of all sources and which of them are right.

    Attributes:
        examples: in the file's order.
        answers: per question, from a source to its answer.
        right: per question, the answers that are right, as they are compared.
        sources: in alphabetical order.
    """

    examples: tuple[dspy.Example, ...]
    answers: dict[str, dict[str, str]]
    right: dict[str, set[Any]]
    sources: tuple[str, ...]

    def metric(self, example: dspy.Example, prediction: dspy.Prediction, trace: Any = None) -> float:
        """Whether an answer is one of the right ones."""
        return float(compared(prediction.answer) in self.right[example.question])

    def halves(self, seed: int) -> tuple[list[dspy.Example], list[dspy.Example]]:
        """A random half of the questions, and the other one."""
        order = list(self.examples)
        random.Random(seed).shuffle(order)
        return order[: len(order) // 2], order[len(order) // 2 :]

    def lms(self, seed: int) -> list[Source]:
        """All sources in a random order."""
        names = list(self.sources)
        random.Random(f"order {seed}").shuffle(names)
        return [Source(name) for name in names]


class LookedUp(dspy.Module):
    """The task: a question's recorded answer.

    Args:
        recorded: the answers.
        mixed: whether the model in DSPy's settings says whose answer it is; otherwise candidate i is a random one of
            all, drawn with replacement: one source that answers as differently as all of them together.
    """

    def __init__(self, recorded: RecordedAnswers, *, mixed: bool) -> None:
        super().__init__()
        self.signature = make_signature("question -> answer")
        self.recorded, self.mixed = recorded, mixed

    def __deepcopy__(self, memo: dict[int, Any]) -> LookedUp:
        return self

    def forward(self, question: str) -> dspy.Prediction:
        """Looks the answer up; a source that has none fails."""
        answers = self.recorded.answers[question]
        if self.mixed:
            return dspy.Prediction(answer=answers[dspy.settings.lm.model])
        seed = dspy.settings.lm.kwargs.get("seed")
        return dspy.Prediction(answer=random.Random(f"{seed} {question}").choice(sorted(answers.values())))


def compared(answer: str) -> Any:
    """The last number of an answer, or the text where it has none."""
    numbers = _NUMBER.findall(str(answer))
    return float(numbers[-1].replace(",", "")) if numbers else str(answer).strip().lower()


def read_gsm8k(folder: Path) -> RecordedAnswers:
    """The pool of 20 sources on GSM8K."""
    with gzip.open(folder / "gsm8k_pool/pool.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    answers = {row["question"]: {c["src"]: str(c["pred"]) for c in row["candidates"] if c["pred"]} for row in rows}
    right = {
        row["question"]: {compared(row["gold"])} | {compared(c["pred"]) for c in row["candidates"] if c["correct"]}
        for row in rows
    }
    examples = tuple(dspy.Example(question=row["question"]).with_inputs("question") for row in rows)
    return RecordedAnswers(examples, answers, right, tuple(sorted({s for a in answers.values() for s in a})))


def read_chains(folder: Path) -> RecordedAnswers:
    """Five answers each to 203 questions of MMLU, each refining the one before, so hardly independent; the letters."""
    rows = []
    for path in sorted((folder / "refine_chains").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    answers = {}
    for row in rows:
        letters = [re.findall(r"Answer:\W*([A-D])\b", str(text)) for text in row["predictions"]]
        answers[row["prompt"]] = {f"step {n}": options[-1] for n, options in enumerate(letters) if options}
    answers = {prompt: said for prompt, said in answers.items() if said}
    right = {row["prompt"]: {row["answer"].strip().lower()} for row in rows}
    examples = tuple(dspy.Example(question=prompt).with_inputs("question") for prompt in answers)
    return RecordedAnswers(examples, answers, right, tuple(f"step {n}" for n in range(5)))


def recorded_from(parser: argparse.ArgumentParser) -> tuple[RecordedAnswers, argparse.Namespace]:
    """The answers of the folder that the command line or DSPY_FUSION_DATA names."""
    parser.add_argument("--data", type=Path, help="the folder of recorded generations (default: DSPY_FUSION_DATA)")
    parser.add_argument("--halves", type=int, default=2, help="random halves that are averaged over (default: 2)")
    options = parser.parse_args()
    folder = data_folder(options.data)
    if folder is None:
        raise ConfigurationError("name the folder of recorded generations with --data or DSPY_FUSION_DATA")
    options.data = folder
    return read_gsm8k(folder), options


def answered(
    program: dspy.Module, examples: Sequence[dspy.Example], recorded: RecordedAnswers
) -> tuple[list[float], list[Any]]:
    """Per example, whether a program answers it rightly, and the pool it answered from."""
    rights, pools = [], []
    for example in examples:
        prediction = program(question=example.question)
        rights.append(recorded.metric(example, prediction))
        pools.append(prediction.pool)
    return rights, pools


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
