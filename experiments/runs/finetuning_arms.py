"""What a training is measured by: four arms, the base and the trained model, each alone and fusing.

A difference is one between arms of one kind, so that a better solver is not taken for a better aggregator. Scores are
on disk as soon as they are there: a second run measures nothing again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import dspy

from dspy_fusion.optimizers.bootstrap import Interval
from dspy_fusion.optimizers.finetuning.aggregation_rows import fusing_program
from dspy_fusion.optimizers.finetuning.files.collected import Collected, Failures
from dspy_fusion.optimizers.finetuning.files.identities import content_identity, lm_identity, program_digest
from dspy_fusion.optimizers.tuning.scores.objective import example_digest
from dspy_fusion.programs.banks.bank import ANSWER_ERRORS
from dspy_fusion.programs.errors import FusionError, FusorFailed, QuorumNotMet

from ..statistics.intervals import Scores, mean_interval, paired_difference
from .finetuning import FineTuning

BASE_ALONE, BASE_FUSING, TRAINED_ALONE, TRAINED_FUSING = ARMS = (
    "base alone",
    "base fusing",
    "trained alone",
    "trained fusing",
)
DIFFERENCES = (
    (TRAINED_ALONE, BASE_ALONE),
    (TRAINED_FUSING, BASE_FUSING),
    (BASE_FUSING, BASE_ALONE),
    (TRAINED_FUSING, TRAINED_ALONE),
)
"""What training does to each kind of answer, then what fusing does for each model."""
_NO_ANSWER = (*ANSWER_ERRORS, "ContextLengthError", "ContextWindowExceededError", "Abstained")
"""How errors begin that say something of a model, and nothing of its server."""
_CANDIDATE = re.compile(r"candidate \d+: ")
_APART = 1000  # seeds of one measurement from those of the next


Side = Literal["base", "trained"]
_OF_SIDE: dict[Side, tuple[str, str]] = {
    "base": (BASE_ALONE, BASE_FUSING),
    "trained": (TRAINED_ALONE, TRAINED_FUSING),
}


def measured(
    tuning: FineTuning, side: Side, program: dspy.Module, folder: Path, tell: Callable[[int, int], None]
) -> dict[str, Scores]:
    """Scores of the two arms of a model, before or after its training, on the held-out examples, by example and seed.

    Alone, a model answers at temperature 0, so all seeds have the same answer; fusing, it writes from other candidates
    for each seed, which are the same for the base and the trained model: they come out of the run's bank. An answer
    that is none, or cannot be read, scores 0; a model that is not there ends the measurement, which goes on with the
    same call.

    Args:
        tuning: what is trained, with its held-out examples.
        side: whether the model is the base or the trained one.
        program: with that model behind its fusor.
        folder: where scores are kept.
        tell: called with how many scores there are, and of how many.

    Raises:
        RecordError: the folder cannot be written.
    """
    programs = _programs(tuning, side, program)
    keys = {
        f"{arm}\t{example.id}\t{seed}": (arm, example, seed)
        for arm in _OF_SIDE[side]
        for seed in range(tuning.config.seeds)
        for example in tuning.held_out
        if seed == 0 or "alone" not in arm
    }
    about = _about(tuning, program)
    name = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:10]
    kept = Collected(folder / f"measured-{side}-{name}.jsonl", about)

    def score(key: str) -> float:
        arm, example, seed = keys[key]
        answer = _answered(programs[arm, seed], example)
        return 0.0 if answer is None else float(tuning.task.metric(example, answer))

    failures = Failures("measurements", 0, FusionError)
    threads = tuning.config.max_concurrency
    kept.fill(keys, score, threads=threads, failures=failures, on_kept=lambda done: tell(done, len(keys)))
    return {arm: _scores(arm, kept, tuning) for arm in _OF_SIDE[side]}


def compared(scores: Mapping[str, Scores]) -> dict[str, dict[str, Interval]]:
    """The arms' means and their differences, with intervals over examples and seeds."""
    return {
        "arms": {arm: mean_interval(own) for arm, own in scores.items()},
        "differences": {
            f"{one} - {other}": paired_difference(scores[one], scores[other]) for one, other in DIFFERENCES
        },
    }


def as_plain(result: Mapping[str, Mapping[str, Interval]], seeds: int) -> dict[str, Any]:
    """The same as JSON data; None where one example gives no interval."""
    tables = {
        table: {name: {key: _finite(value) for key, value in asdict(one).items()} for name, one in estimates.items()}
        for table, estimates in result.items()
    }
    return {"seeds": seeds, **tables}


def as_metrics(result: Mapping[str, Mapping[str, Interval]]) -> dict[str, float]:
    """The same under the names that a tracking server allows: a mean and the ends of its interval."""
    metrics = {}
    for estimates in result.values():
        for name, one in estimates.items():
            plain = name.replace(" - ", " minus ").replace(" ", "_")
            ends = {plain: one.mean, f"{plain}_low": one.low, f"{plain}_high": one.high}
            metrics |= {key: value for key, value in ends.items() if math.isfinite(value)}
    return metrics


def _programs(tuning: FineTuning, side: Side, program: dspy.Module) -> dict[tuple[str, int], dspy.Module]:
    alone, fusing = _OF_SIDE[side]
    programs = {(alone, 0): _alone(tuning, _lm(program))}
    for seed in range(tuning.config.seeds):
        programs[fusing, seed] = _seeded(program, seed)
    return programs


def _answered(program: dspy.Module, example: dspy.Example) -> Any:
    """A program's answer; None where what a model wrote is none.

    Raises:
        FusorFailed: the fusor could not be asked, so the answer is a candidate.
        Exception: what else kept the program from answering.
    """
    try:
        answer = program(**example.inputs().toDict())
    except Exception as error:
        causes = error.causes if isinstance(error, QuorumNotMet) else [f"{type(error).__name__}: "]
        if all(_CANDIDATE.sub("", cause).startswith(_NO_ANSWER) for cause in causes):
            return None
        raise
    fallback = getattr(getattr(answer, "pool", None), "fallback", None)
    if fallback and not fallback.removeprefix("the fusor failed: ").startswith(_NO_ANSWER):
        raise FusorFailed(fallback)
    return answer


def _lm(program: dspy.Module) -> dspy.BaseLM:
    lm = fusing_program(program).fusor_lm
    assert lm is not None  # noqa: S101 (a base or a trained model was put there)
    return lm


def _alone(tuning: FineTuning, lm: dspy.BaseLM) -> dspy.Module:
    program = tuning.task.program(tuning.task.instructions)
    program.set_lm(lm.copy(temperature=0.0))
    return program


def _seeded(program: dspy.Module, seed: int) -> dspy.Module:
    seeded = program.deepcopy()
    fusing = fusing_program(seeded)
    fusing.seed = (fusing.seed or 0) + _APART * seed
    return seeded


def _about(tuning: FineTuning, program: dspy.Module) -> dict[str, Any]:
    """What the scores depend on beside the example and the seed."""
    pool = [lm_identity(lm) for lm in fusing_program(program).lms or ()]
    digest = hashlib.sha256(json.dumps([example_digest(one) for one in tuning.held_out]).encode()).hexdigest()[:16]
    asked = {"program": program_digest(tuning.program), "task": tuning.task.name, "held_out": digest}
    asked["metric"] = content_identity(tuning.task.metric)
    return {"model": lm_identity(_lm(program)), "pool": pool, **asked}


def _scores(arm: str, kept: Collected, tuning: FineTuning) -> Scores:
    return {
        (str(example.id), seed): kept[f"{arm}\t{example.id}\t{0 if 'alone' in arm else seed}"]
        for example in tuning.held_out
        for seed in range(tuning.config.seeds)
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
