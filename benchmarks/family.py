"""How the embedded family does: ``python -m benchmarks.family``.

Per model, the share of parts it gets right at temperature 1 by operation; then what can be made of five answers of the
three teachers: the mean, a vote per part, the pool's oracle (its best whole sheet), and each fusor. Intervals are 95 %
bootstraps over sheets.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence

import dspy
import numpy as np

from dspy_fusion.experiments.tasks.worksheets import vote_parts
from dspy_fusion.programs.tasks.instructions import AGGREGATE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.embedded.arithmetic import (
    OPERATIONS,
    TASK_INSTRUCTIONS,
    Part,
    draw_worksheet,
    question_text,
    right_parts,
)
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling

TEACHERS = ("plus", "minus", "times")
POOL = 5
Sheet = tuple[Part, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = random.Random(f"family {options.seed}")
    sheets = [draw_worksheet(rng) for _ in range(options.sheets)]
    print(f"{options.sheets} sheets, {sum(map(len, sheets))} parts, temperature 1, share of parts right")
    print(f"{'model':10}{'all':>24}" + "".join(f"{operation:>8}" for operation in OPERATIONS))
    for name in (*TEACHERS, "sft", "aft"):
        _print_model(name, sheets, [row[0] for row in _ask(name, TASK_INSTRUCTIONS, sheets, 1)])
    pools = _pools(sheets)
    rights = [[np.mean(right_parts(sheet, text)) for text in pool] for sheet, pool in zip(sheets, pools, strict=True)]
    voted = [
        vote_parts({"worksheet": question_text(sheet)}, [dspy.Prediction(answers=text) for text in pool])["answers"]
        for sheet, pool in zip(sheets, pools, strict=True)
    ]
    print(f"\n{POOL} answers of the three teachers a sheet")
    _print_row("mean of the pool", [float(np.mean(row)) for row in rights])
    _print_row("vote per part", _shares(sheets, voted))
    _print_row("oracle: the best whole sheet", [float(max(row)) for row in rights])
    for fusor in ("aft", "sft"):
        _print_row(f"fused by {fusor}, temperature 0", _shares(sheets, _fuse(fusor, sheets, pools)))
    for name in ("sft", "aft"):
        _print_row(
            f"{name} alone, temperature 0",
            _shares(sheets, [row[0] for row in _ask(name, TASK_INSTRUCTIONS, sheets, 1, 0.0)]),
        )
    return 0


def _ask(name: str, system: str, sheets: Sequence[Sheet], count: int, temperature: float = 1.0) -> list[list[str]]:
    model = load_model(name)
    jobs = [
        [
            model.submit(
                model.tokenizer.prompt(system, question_text(sheet)),
                Sampling(max_tokens=120, temperature=temperature, seed=seed),
            )
            for seed in range(count)
        ]
        for sheet in sheets
    ]
    return [[job.answer.result().text for job in row] for row in jobs]


def _pools(sheets: Sequence[Sheet]) -> list[list[str]]:
    """Teachers take turns, as the programs deal them."""
    shares = [len(range(place, POOL, len(TEACHERS))) for place in range(len(TEACHERS))]
    answers = [_ask(name, TASK_INSTRUCTIONS, sheets, share) for name, share in zip(TEACHERS, shares, strict=True)]
    return [
        [answers[i % len(TEACHERS)][place][i // len(TEACHERS)] for i in range(POOL)] for place in range(len(sheets))
    ]


def _fuse(name: str, sheets: Sequence[Sheet], pools: Sequence[Sequence[str]]) -> list[str]:
    model = load_model(name)
    prompts = [
        model.tokenizer.prompt(system_text(f"{TASK_INSTRUCTIONS}\n\n{AGGREGATE}", pool), question_text(s))
        for s, pool in zip(sheets, pools, strict=True)
    ]
    jobs = [model.submit(prompt, Sampling(max_tokens=120, temperature=0.0)) for prompt in prompts]
    return [job.answer.result().text for job in jobs]


def _shares(sheets: Sequence[Sheet], answers: Sequence[str]) -> list[float]:
    return [float(np.mean(right_parts(sheet, answer))) for sheet, answer in zip(sheets, answers, strict=True)]


def _print_model(name: str, sheets: Sequence[Sheet], answers: Sequence[str]) -> None:
    by_operation: dict[str, list[bool]] = {operation: [] for operation in OPERATIONS}
    for sheet, answer in zip(sheets, answers, strict=True):
        for part, right in zip(sheet, right_parts(sheet, answer), strict=True):
            by_operation[part.operation].append(right)
    shares = "".join(f"{np.mean(rights):8.3f}" for rights in by_operation.values())
    print(f"{name:10}{_interval(_shares(sheets, answers)):>24}{shares}")


def _print_row(name: str, values: Sequence[float]) -> None:
    print(f"{name:34}{_interval(values)}")


def _interval(values: Sequence[float]) -> str:
    data = np.asarray(values)
    means = data[np.random.default_rng(0).integers(0, len(data), (2000, len(data)))].mean(axis=1)  # (resamples,)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{data.mean():.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    sys.exit(main())
