"""What is measured of a trained arm, by the real programs on sheets that no training saw.

A result is a list of scores, one a sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs import BestOfN, CandidateBank, LMJudge, QuorumNotMet
from dspy_fusion.programs.tasks.instructions import AGGREGATE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.embedded.arithmetic import question_text
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling

from .aft_arms import ANSWER_TOKENS, worksheet_program
from .aft_data import POOL, TEACHERS, Sheet, pools, share_right

Scores = dict[str, list[float]]
GRID = ((1, 0), (1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2), (5, 3))
"""Width and depth of the programs whose scaling is measured."""
_THREADS = 16


def measure_arm(
    model: str | Path,
    asked: Sequence[Sheet],
    drawn: Sequence[Sequence[str]],
    bank: CandidateBank,
    seed: int,
    *,
    quick: bool = False,
) -> Scores:
    """An arm alone and aggregating its own five proposals, as in the paper at 0.7 and at 0.

    It also aggregates the teachers' (``drawn``). With ``quick``, alone and aggregating the teachers', at 0.
    """
    lm = _lm(model)
    scores = {}
    if quick:
        alone = worksheet_program(width=1, depth=0, temperature=0.0, lms=[lm], bank=bank, seed=100 * seed)
        return {
            "alone at 0.0": _scores(alone, asked),
            "aggregating the teachers at 0": _shares(asked, _fused(model, asked, drawn)),
        }
    for temperature in (0.7, 0.0):
        options: dict[str, Any] = {"lms": [lm], "bank": bank, "seed": 100 * seed}
        scores[f"alone at {temperature}"] = _scores(
            worksheet_program(width=1, depth=0, temperature=temperature, **options), asked
        )
        aggregating = worksheet_program(width=POOL, depth=1, fusor_lm=lm, fusor_temperature=temperature, **options)
        scores[f"aggregating at {temperature}"] = _scores(aggregating, asked)
    scores["aggregating the teachers at 0"] = _shares(asked, _fused(model, asked, drawn))
    return scores


def measure_grid(model: Path, asked: Sequence[Sheet], bank: CandidateBank, seed: int) -> Scores:
    """Every width and depth of ``GRID`` at temperature 0.7 throughout; depth 0 is one answer alone."""
    lm = _lm(model)
    options: dict[str, Any] = {"lms": [lm], "fusor_lm": lm, "fusor_temperature": 0.7, "bank": bank, "seed": 100 * seed}
    return {
        f"width {width}, depth {depth}": _scores(worksheet_program(width=width, depth=depth, **options), asked)
        for width, depth in GRID
    }


def measure_pools(asked: Sequence[Sheet], *, fusor: str, seed: int) -> Scores:
    """Pools of five from each teacher alone and from all three: fused, the best by a judge, and the mean of the pool.

    Beside them, the fusor without candidates: what it owes to its own solving is no edge of the pool's.
    """
    alone = worksheet_program(width=1, depth=0, lms=[embedded_lm(fusor, max_tokens=ANSWER_TOKENS)], temperature=0.0)
    scores = {"fusor alone": _scores(alone, asked)}
    for teachers in (*((teacher,) for teacher in TEACHERS), TEACHERS):
        name = "three teachers" if len(teachers) > 1 else teachers[0]
        answers = pools(asked, teachers, seed=70_000_000 + 1000 * seed)
        scores[f"{name}: fused"] = _shares(asked, _fused(fusor, asked, answers))
        scores[f"{name}: mean"] = [
            _mean([_share(sheet, text) for text in pool]) for sheet, pool in zip(asked, answers, strict=True)
        ]
        scores[f"{name}: best by judge"] = _judged(asked, teachers, seed=70_000_000 + 1000 * seed)
    return scores


def _judged(asked: Sequence[Sheet], teachers: Sequence[str], *, seed: int) -> list[float]:
    """Candidate i has seed ``seed + i`` here as in :func:`pools`, so these are the same pools."""
    solve = worksheet_program().program
    lms = [embedded_lm(teacher, max_tokens=ANSWER_TOKENS) for teacher in teachers]
    best = BestOfN(
        solve, n=POOL, scorer=LMJudge(embedded_lm("judge", max_tokens=200)), lms=lms, temperature=1.0, seed=seed
    )
    return _scores(best, asked)


def _lm(model: str | Path) -> dspy.LM:
    return embedded_lm(str(model), top_p=0.95, max_tokens=ANSWER_TOKENS)


def _scores(program: dspy.Module, asked: Sequence[Sheet]) -> list[float]:
    with ThreadPoolExecutor(_THREADS) as pool:
        jobs = [pool.submit(copy_context().run, partial(_score, program, question_text(sheet))) for sheet in asked]
        return [job.result() for job in jobs]


def _score(program: dspy.Module, question: str) -> float:
    """The share of parts right; nothing for a sheet that no answer came to an end on."""
    try:
        return share_right({"worksheet": question}, program(worksheet=question))
    except QuorumNotMet:
        return 0.0


def _fused(model: str | Path, asked: Sequence[Sheet], drawn: Sequence[Sequence[str]]) -> list[str]:
    fusor = load_model(model)
    jobs = [
        fusor.submit(
            fusor.tokenizer.prompt(system_text(AGGREGATE, pool), question_text(sheet)),
            Sampling(ANSWER_TOKENS, temperature=0.0),
        )
        for sheet, pool in zip(asked, drawn, strict=True)
    ]
    return [job.answer.result().text for job in jobs]


def _shares(asked: Sequence[Sheet], answers: Sequence[str]) -> list[float]:
    return [_share(sheet, answer) for sheet, answer in zip(asked, answers, strict=True)]


def _share(sheet: Sheet, answer: str) -> float:
    return share_right({"worksheet": question_text(sheet)}, dspy.Prediction(answers=answer))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
