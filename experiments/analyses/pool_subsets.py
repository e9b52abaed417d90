"""What proposals are worth.

Subsets of one pool, their mean quality and their diversity against the quality of what is fused of them.

AFT, arXiv 2501.11877, section 6.2 and figure 7. What is found for a question is kept on disk as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy
import numpy as np

from dspy_fusion.optimizers.finetuning.files.collected import Collected, Failures
from dspy_fusion.programs.errors import QuorumNotMet
from dspy_fusion.programs.pools.candidates import Candidate

from ..pools.diversity import vendi_scores
from ..pools.recorded_pool import RecordedPool
from ..pools.similarity import similarities
from ..recordings.recording import RecordedCandidate, RecordedQuestion
from ..tasks import Task
from .subset_fusions import SubsetFusions


@dataclass(frozen=True)
class SubsetRecord:
    """One subset of a question's pool."""

    example: str
    """Name of the question."""
    members: tuple[int, ...]
    """Places in the pool."""
    quality: float
    """Mean score of the members, in [0, 1]."""
    diversity: float
    """Vendi score of the members' texts, from 1 to their number."""
    fused: float
    """Score of the answer that was fused of them, in [0, 1]; 0 where the fusor failed."""
    oracle: float
    """Score of the best member."""


def fuse_subsets(
    task: Task,
    program: SubsetFusions,
    examples: Sequence[dspy.Example],
    path: Path,
    *,
    about: dict[str, Any],
    threads: int,
    on_example: Callable[[int], None],
) -> tuple[SubsetRecord, ...]:
    """Draws and fuses what is missing, and returns the records of all questions.

    Args:
        task: grades candidates and fused answers.
        program: draws and fuses.
        examples: of the task.
        path: where the questions are kept.
        about: what they depend on; another run in the same place is refused.
        threads: questions at once.
        on_example: told how many questions are there, after each.

    Raises:
        ConfigurationError: the place holds another run.
        QuorumNotMet: candidates failed; what was finished is kept.
        RecordError: the place cannot be written.
    """
    records = Collected(path, about)
    by_id = {str(example.id): example for example in examples}
    with dspy.context(adapter=task.adapter(), disable_history=True):
        failures = Failures("questions", 0, QuorumNotMet)
        records.fill(
            by_id,
            lambda key: _question(task, program, by_id[key]),
            threads=threads,
            failures=failures,
            on_kept=on_example,
        )
    return tuple(record for key in by_id for record in _records(key, records[key]))


def _question(task: Task, program: SubsetFusions, example: dspy.Example) -> dict[str, Any]:
    inputs = example.inputs().toDict()
    pool = program(**inputs).pool
    return {
        "texts": [task.answer_text(_prediction(candidate).toDict()) for candidate in pool.candidates],
        "scores": [_score(task, example, candidate) for candidate in pool.candidates],
        "subsets": program.subsets(inputs),
        "fused": [_score(task, example, candidate) for candidate in pool.layers[0]],
        "failed": sum(not candidate.ok for candidate in pool.layers[0]),
    }


def _records(example: str, found: dict[str, Any]) -> list[SubsetRecord]:
    members = np.array(found["subsets"])  # (subsets, size)
    alike = _alike(found["texts"])
    similarity = alike[members[:, :, None], members[:, None, :]]  # (subsets, size, size)
    diversity = vendi_scores(similarity, np.ones(members.shape, dtype=bool))
    scores = np.array(found["scores"])[members]  # (subsets, size)
    return [
        SubsetRecord(
            example,
            tuple(members[i].tolist()),
            float(scores[i].mean()),
            float(diversity[i]),
            fused,
            float(scores[i].max()),
        )
        for i, fused in enumerate(found["fused"])
    ]


def _alike(texts: Sequence[str]) -> np.ndarray:
    """(candidates, candidates): how alike the texts are, in [0, 1]."""
    candidates = tuple(RecordedCandidate(f"{place:03d}", text) for place, text in enumerate(texts))
    pool = RecordedPool.of("pool", [RecordedQuestion("pool", "", candidates)])
    return similarities(pool)[0].astype(float)


def _score(task: Task, example: dspy.Example, candidate: Candidate) -> float:
    return task.metric(example, candidate.prediction) if candidate.prediction is not None else 0.0


def _prediction(candidate: Candidate) -> dspy.Prediction:
    return candidate.prediction or dspy.Prediction()
