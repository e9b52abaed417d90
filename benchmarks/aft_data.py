"""Sheets and pools for the AFT papers in miniature.

The teachers' answers (off-policy proposals) and how an answer is scored.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.serving.embedded.arithmetic import (
    TASK_INSTRUCTIONS,
    Part,
    answer_text,
    draw_worksheet,
    parse_question,
    question_text,
    right_parts,
)
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling

TEACHERS = ("plus", "minus", "times")
POOL = 5
Sheet = tuple[Part, ...]


def sheets(purpose: str, seed: int, count: int) -> list[Sheet]:
    """Fresh sheets; another purpose or seed gives others."""
    rng = random.Random(f"aft in miniature: {purpose} {seed}")
    return [draw_worksheet(rng) for _ in range(count)]


def share_right(arguments: Mapping[str, Any], prediction: dspy.Prediction) -> float:
    """The share of parts that an answer gets right.

    A reward model that is never wrong, which the papers did not have.
    """
    right = right_parts(parse_question(arguments["worksheet"]), str(prediction.answers))
    return sum(right) / len(right)


def pools(asked: Sequence[Sheet], teachers: Sequence[str], *, seed: int) -> list[list[str]]:
    """``POOL`` answers a sheet at temperature 1; teachers take turns, as programs deal them."""
    answers: list[list[str]] = [[] for _ in asked]
    for place in range(POOL):
        model = load_model(teachers[place % len(teachers)])
        sampling = Sampling(max_tokens=120, temperature=1.0, seed=seed + place)
        jobs = [
            model.submit(model.tokenizer.prompt(TASK_INSTRUCTIONS, question_text(sheet)), sampling) for sheet in asked
        ]
        for pool, job in zip(answers, jobs, strict=True):
            pool.append(job.answer.result().text)
    return answers


def solved(count: int) -> list[dspy.Example]:
    """Sheets with their right answers, for the base."""
    asked = sheets("base", 0, count)
    return [
        dspy.Example(worksheet=question_text(sheet), answers=answer_text(sheet)).with_inputs("worksheet")
        for sheet in asked
    ]


def training_set(folder: Path, count: int, purpose: str = "training") -> list[dspy.Example]:
    """Sheets with five answers of the three teachers and their scores; drawn once and kept in the folder."""
    path = folder / f"{purpose}-{count}.json"
    if not path.exists():
        asked = sheets(purpose, 0, count)
        answers = pools(asked, TEACHERS, seed=10_000)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".partial")
        beside.write_text(json.dumps([_example(*pair) for pair in zip(asked, answers, strict=True)]))
        beside.rename(path)
    return [dspy.Example(**fields).with_inputs("worksheet") for fields in json.loads(path.read_text())]


def _example(sheet: Sheet, pool: list[str]) -> dict[str, Any]:
    question = question_text(sheet)
    scores = [share_right({"worksheet": question}, dspy.Prediction(answers=text)) for text in pool]
    kept = [(text, score) for text, score in zip(pool, scores, strict=True) if text.strip()]
    return {
        "worksheet": question,
        "answers": answer_text(sheet),
        "proposals": [text for text, _ in kept],
        "scores": [score for _, score in kept],
    }
