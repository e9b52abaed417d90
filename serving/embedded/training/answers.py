"""What the sources answer at temperature 1, part by part: the raw material of the aggregation and judging lessons."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dspy_fusion.programs.plain_adapter import system_text

from ..worksheets import Part, draw_worksheet, question_text, read_results
from .corpora import TASK_INSTRUCTIONS, AnsweredPart

WORKSHEETS = 6000
SAMPLES = 2


def draw_answers(sources: dict[str, Path], path: Path, *, seed: int) -> None:
    """Lets every source answer the same sheets ``SAMPLES`` times and writes one JSON line per part."""
    from ..batching import load_batcher

    rng = random.Random(f"answers {seed}")
    sheets = [draw_worksheet(rng) for _ in range(WORKSHEETS)]
    given: list[dict[str, list[list[int | None]]]] = [{} for _ in sheets]
    for name, checkpoint in sources.items():
        batcher = load_batcher(checkpoint)

        def answer(task: tuple[int, int], batcher=batcher) -> list[int | None]:  # noqa: ANN001
            sheet, sample = task
            text = batcher.complete(
                system_text(TASK_INSTRUCTIONS), question_text(sheets[sheet]), temperature=1.0, seed=seed + 2 * sheet + sample
            )
            return read_results(sheets[sheet], text)

        tasks = [(sheet, sample) for sheet in range(WORKSHEETS) for sample in range(SAMPLES)]
        with ThreadPoolExecutor(64) as threads:
            for (sheet, _), results in zip(tasks, threads.map(answer, tasks), strict=True):
                given[sheet].setdefault(name, []).append(results)
        print(f"answers: {name} done", flush=True)
    _write(path, sheets, given)


def load_answers(path: Path) -> list[AnsweredPart]:
    """Reads what :func:`draw_answers` wrote."""
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [AnsweredPart(Part(*row["part"]), {name: tuple(r) for name, r in row["results"].items()}) for row in rows]


def _write(path: Path, sheets: list[tuple[Part, ...]], given: list[dict[str, list[list[int | None]]]]) -> None:
    with path.open("w") as file:
        for parts, by_source in zip(sheets, given, strict=True):
            for i, part in enumerate(parts):
                results = {name: [sample[i] for sample in samples] for name, samples in by_source.items()}
                file.write(json.dumps({"part": [part.left, part.operation, part.right], "results": results}) + "\n")
