"""What the sources answer at temperature 1, part by part: the raw material of the lessons on looking up and judging."""

from __future__ import annotations

import json
import random
from pathlib import Path

from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, Part, draw_worksheet, question_text, read_results
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling

from .pools import AnsweredPart

WORKSHEETS = 4000
SAMPLES = 2


def draw_answers(sources: dict[str, str | Path], path: Path, *, seed: int, samples: int = SAMPLES) -> None:
    """Lets every source, a model's name or file, answer the same sheets ``samples`` times and writes one JSON line per
    part.
    """
    rng = random.Random(f"answers {seed}")
    sheets = [draw_worksheet(rng) for _ in range(WORKSHEETS)]
    by_source = {name: _answers_of(checkpoint, sheets, seed, samples) for name, checkpoint in sources.items()}
    with path.open("w") as file:
        for sheet, parts in enumerate(sheets):
            for place, part in enumerate(parts):
                results = {name: [sample[place] for sample in answers[sheet]] for name, answers in by_source.items()}
                file.write(json.dumps({"part": [part.left, part.operation, part.right], "results": results}) + "\n")


def load_answers(path: Path) -> list[AnsweredPart]:
    """Reads what :func:`draw_answers` wrote."""
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [
        AnsweredPart(Part(*row["part"]), {name: tuple(results) for name, results in row["results"].items()})
        for row in rows
    ]


def _answers_of(
    checkpoint: str | Path, sheets: list[tuple[Part, ...]], seed: int, samples: int
) -> list[list[list[int | None]]]:
    """Per sheet, per sample, per part: the result that one source gave."""
    model = load_model(checkpoint)
    jobs = [
        [
            model.submit(
                model.tokenizer.prompt(TASK_INSTRUCTIONS, question_text(parts)),
                Sampling(max_tokens=120, temperature=1.0, seed=seed + samples * sheet + sample),
            )
            for sample in range(samples)
        ]
        for sheet, parts in enumerate(sheets)
    ]
    return [
        [read_results(parts, job.answer.result().text) for job in row] for parts, row in zip(sheets, jobs, strict=True)
    ]
