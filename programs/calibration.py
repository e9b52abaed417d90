"""calibrate: what an agreement is worth, learned from labelled examples."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import dspy

from .errors import ConfigurationError
from .extras import needs
from .pools.candidates import Candidate, PooledPrediction
from .pools.confidence import Calibration, Method
from .redaction import redacting
from .sampling_program import SamplingProgram

Program = TypeVar("Program", bound=SamplingProgram)
Row = tuple[dspy.Example, PooledPrediction]
logger = redacting(logging.getLogger(__name__))
_POINTS = 101  # of a Beta curve


def calibrate(
    program: Program,
    examples: Sequence[dspy.Example],
    metric: Callable[..., Any],
    *,
    method: Method = "isotonic",
    strongest_first: bool = False,
    num_threads: int | None = None,
) -> Program:
    """A copy of a program whose ``pool.confidence`` is the chance of being right, as these examples show it.

    The program answers every example once (through its bank, if it has one, at no call for what was drawn before). How
    often each model's candidates are right weighs their votes, in agreement, in :class:`Vote` and in the stopping rule
    ``"sources"``; then a curve is fitted from the agreement of an answer to its being right. What was learned is plain
    data in the program's state: ``save`` and ``load`` take it along, and reading it needs no further library.

    Fitting needs scikit-learn. A hundred examples are few, a thousand plenty; those that the program was tuned on make
    it look surer than it is.

    Args:
        program: one of this library's. It is left as it is.
        examples: with their inputs marked and what the metric compares with; at least 2, and of both outcomes.
        metric: ``(example, prediction) -> score`` in [0, 1], also called for each candidate.
        method: ``"isotonic"`` (a rising staircase, assumes nothing) or ``"beta"`` (Beta calibration: three numbers, for
            few examples).
        strongest_first: let the models of the copy take turns from the most reliable one on, so that with ``n="auto"``
            the first rounds hold the best.
        num_threads: how many examples at once; None for DSPy's own number.

    Raises:
        ConfigurationError: no examples, or all answers are equally right, or the program is not one of this library's.
        MissingExtra: scikit-learn is not installed.

    Example:
        >>> sure = calibrate(Vote(program, n=5), trainset, metric)
        >>> sure(question="...").pool.confidence
        0.83
    """
    _check(program, examples, method)
    copied = program.deepcopy()
    copied.abstain_below, copied.calibration = None, None
    rows = _answered(copied, examples, metric, num_threads)
    reliabilities = _reliabilities(rows, metric)
    blank = Calibration(method, (0.0, 1.0), (0.0, 1.0), reliabilities, len(rows), strongest_first)
    copied.calibration = blank
    shares, rights = [], []
    for example, prediction in rows:
        answer = copied.reconsidered(dict(example.inputs().items()), prediction)
        if answer.pool is None:
            continue
        shares.append(copied.regarded(answer, answer.pool).confidence or 0.0)
        rights.append(_score(metric, example, answer))
    if max(rights) - min(rights) < 1e-9:
        raise ConfigurationError(
            f"all {len(rights)} answers score {rights[0]:g}, so what agreement says cannot be learned from them; give"
            " examples of which some are answered right and some are not"
        )
    points, chances = (_isotonic if method == "isotonic" else _beta)(shares, rights)
    copied.calibration = Calibration(method, points, chances, reliabilities, len(rows), strongest_first)
    copied.abstain_below = None if program.abstain_below is None else program.deepcopy().abstain_below
    return copied


def _check(program: Any, examples: Sequence[dspy.Example], method: str) -> None:
    if not isinstance(program, SamplingProgram):
        raise ConfigurationError(
            f"calibrate needs a program of this library, such as Vote or Fusion, but got {type(program).__name__}"
        )
    if len(examples) < 2:
        raise ConfigurationError(f"calibrate needs at least 2 labelled examples, but got {len(examples)}")
    if method not in ("isotonic", "beta"):
        raise ConfigurationError(f"method must be 'isotonic' or 'beta', but got method={method!r}")


def _answered(
    program: SamplingProgram, examples: Sequence[dspy.Example], metric: Callable[..., Any], threads: int | None
) -> list[Row]:
    evaluate = dspy.Evaluate(
        devset=list(examples),
        metric=metric,
        num_threads=threads,
        display_progress=False,
        max_errors=len(examples) + 1,
        provide_traceback=False,
    )
    results = evaluate(program).results
    rows = [(example, answer) for example, answer, _ in results if isinstance(answer, PooledPrediction) and answer.pool]
    if len(rows) < 2:
        raise ConfigurationError(f"{len(rows)} of {len(examples)} examples were answered; calibrate needs at least 2")
    if len(rows) < len(examples):
        logger.warning("calibrate: %d of %d examples were not answered and do not count", *_missing(rows, examples))
    return rows


def _missing(rows: Sequence[Any], examples: Sequence[Any]) -> tuple[int, int]:
    return len(examples) - len(rows), len(examples)


def _reliabilities(rows: Sequence[Row], metric: Callable[..., Any]) -> dict[str, float]:
    """Per model, how often its candidates are right, drawn towards a half by two made-up answers (Laplace)."""
    by_model: dict[str, list[float]] = {}
    for example, prediction in rows:
        candidates: Sequence[Candidate] = prediction.pool.good if prediction.pool else ()
        for candidate in candidates:
            by_model.setdefault(candidate.lm, []).append(_score(metric, example, candidate.prediction))
    if len(by_model) < 2:
        return {}
    return {name: (math.fsum(scores) + 1) / (len(scores) + 2) for name, scores in sorted(by_model.items())}


def _score(metric: Callable[..., Any], example: dspy.Example, prediction: Any) -> float:
    """What the metric says, in [0, 1]; a candidate that it cannot read is not right."""
    try:
        return min(1.0, max(0.0, float(metric(example, prediction))))
    except Exception as error:  # noqa: BLE001 (the user's own function, on one candidate)
        logger.warning("calibrate: the metric raised %s: %s", type(error).__name__, error)
        return 0.0


def _isotonic(shares: Sequence[float], rights: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    with needs("calibrate", "calibration"):
        from sklearn.isotonic import IsotonicRegression
    edge = 1 / (len(shares) + 2)  # nothing is certain after so many examples
    fitted = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(list(shares), list(rights))
    return tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_))


def _beta(shares: Sequence[float], rights: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Beta calibration (Kull, Silva Filho and Flach, 2017): a logistic regression on ln(s) and -ln(1 - s).

    Where one of the two would fall with agreement it is left out, as there.
    """
    with needs("calibrate", "calibration"):
        from sklearn.linear_model import LogisticRegression
    edge = 1 / (len(shares) + 2)

    def features(share: float, sides: Sequence[int]) -> list[float]:
        share = min(max(share, edge), 1 - edge)
        return [(math.log(share), -math.log(1 - share))[side] for side in sides]

    sides = [0, 1]
    while True:
        rows = [features(share, sides) for share in shares for _ in (0, 1)]
        classes, weights = [1, 0] * len(shares), [w + 1e-9 for right in rights for w in (right, 1 - right)]
        fitted = LogisticRegression(C=1e3, max_iter=1000).fit(rows, classes, sample_weight=weights)
        falling = [side for side, slope in zip(sides, fitted.coef_[0], strict=True) if slope < 0]
        if not falling or len(sides) == 1:
            break
        sides = [side for side in sides if side not in falling] or [1]
    points = [place / (_POINTS - 1) for place in range(_POINTS)]
    chances = fitted.predict_proba([features(point, sides) for point in points])[:, 1]
    return tuple(points), tuple(map(float, chances))
