"""What was tried for one input: candidates with their answers or errors, what they cost, and the pool they form.

All frozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import dspy


@dataclass(frozen=True)
class Usage:
    """What calls cost: how many were made (failed ones count), their prompt tokens and their completion tokens.

    Tokens are what the model's server reported; a server that reports none leaves them at 0.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.calls + other.calls, self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)

    @classmethod
    def total(cls, usages: Iterable[Usage]) -> Usage:
        """The sum of any number of usages."""
        return sum(usages, cls())


NOTHING_USED = Usage()


@dataclass(frozen=True)
class Candidate:
    """What one attempt left behind: an answer or an error, never both.

    Attributes:
        index: place in its layer, from 0; also the rollout id it was drawn with.
        prediction: the answer, typed as the signature types it; None when the attempt failed.
        error: why it failed, as ``ErrorType: message``; None when it did not.
        lm: name of the model that answered, or an empty string where the program chose its own.
        layer: 0 for proposals, 1 and up for aggregations.
        usage: what the attempt cost, failed or not.
        seconds: wall time of the attempt.
        logprob: mean log-probability of the answer's tokens where the model reported it.
        score: higher is better, where a scorer was asked; in [0, 1] for all scorers of this library but a reward model,
            any finite number for that and for a function.
        score_error: why it has no score, where a scorer was asked and failed on this candidate.
        judged: what each judge of a panel gave it, in the panel's order (None: that judge failed); empty where no panel
            was asked.
        by_model: the same per model, where it succeeded.
        replayed: whether it came from a bank; its usage is then that of the original call.
        trace: DSPy trace rows of the attempt: ``(predictor, inputs, prediction)``.
        reasoning: what the model thought before its answers, where it said so; no part of the answer.
        left_out: options that were not sent because a model refuses them, each with the model's name.
        exception: what failed, where it failed in this process; the text of it is ``error`` or ``score_error``.
    """

    index: int
    prediction: dspy.Prediction | None = None
    error: str | None = None
    lm: str = ""
    layer: int = 0
    usage: Usage = NOTHING_USED
    seconds: float = 0.0
    logprob: float | None = None
    score: float | None = None
    score_error: str | None = None
    judged: tuple[float | None, ...] = ()
    by_model: Mapping[str, Usage] = field(default_factory=dict, repr=False, compare=False)
    replayed: bool = False
    trace: tuple[tuple[Any, dict[str, Any], dspy.Prediction], ...] = field(default=(), repr=False, compare=False)
    reasoning: str | None = field(default=None, repr=False, compare=False)
    left_out: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    exception: Exception | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether the attempt produced an answer."""
        return self.prediction is not None


@dataclass(frozen=True)
class Pool:
    """All that was done for one input.

    Attributes:
        candidates: the proposals (layer 0) in index order, failed ones included.
        chosen: index of the candidate that was returned unchanged, or None when the answer was written anew.
        layers: aggregations of the middle layers, one tuple a layer, in index order.
        shown: indexes of the candidates that the last fusor saw, in the order in which it saw them.
        usage: cost by role; the roles are ``candidates``, ``aggregations``, ``fusor`` and ``scorer``.
        depth: how many calls followed one another on the longest path.
        fallback: why the answer is not the fusor's, or None when it is.
        left_out: options that were not sent because a model refuses them, each with the names of those models.
        comparison: how the fusor that wrote the answer compared the candidates, where it was asked to.
        agreement: per output field of the answer, the share of the candidates that say the same in it, in [0, 1];
            weighted by the reliability of their models once that was learned.
        confidence: the chance that the answer is right, in [0, 1]: the share of the candidates that agree with it in
            all fields that can be voted on, and after :func:`~dspy_fusion.programs.calibrate` what that share means by
            the examples. None where nothing was answered from this pool.
        leaves: per leaf of an answer that was put together field by field (``items[2].price``), the share of the
            candidates behind it, in [0, 1].
        gated: why the fusor, or further layers, were not asked, or None when they were.
        stopped: why no more candidates were drawn, or None when all were.
        saved: calls that were not made because of the two.
        shortened: how candidates were shortened to be shown to a fusor, or None when they were shown whole.
        abstained: why the answer should not be used, or None; see ``abstain_below``.
        notes: what else is worth knowing, one line each.
    """

    candidates: tuple[Candidate, ...]
    chosen: int | None = None
    layers: tuple[tuple[Candidate, ...], ...] = ()
    shown: tuple[int, ...] = ()
    usage: Mapping[str, Usage] = field(default_factory=dict)
    depth: int = 1
    fallback: str | None = None
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    comparison: str | None = None
    agreement: Mapping[str, float] = field(default_factory=dict)
    confidence: float | None = None
    leaves: Mapping[str, float] = field(default_factory=dict)
    gated: str | None = None
    stopped: str | None = None
    saved: int = 0
    shortened: str | None = None
    abstained: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """A table of the candidates, and below it what was decided and what it cost."""
        from .pool_text import pool_text  # the only user of what it imports

        return pool_text(self)

    @property
    def good(self) -> tuple[Candidate, ...]:
        """The proposals that succeeded, in index order."""
        return tuple(candidate for candidate in self.candidates if candidate.ok)

    @property
    def total(self) -> Usage:
        """The usage of all roles together."""
        return Usage.total(self.usage.values())


class PooledPrediction(dspy.Prediction):
    """A prediction with exactly the task's output fields, and the pool it was made from as the attribute ``pool``.

    The pool is no field: it is not in ``toDict()``, ``keys()`` or ``==``.
    """

    pool: ClassVar[Pool | None] = None

    @classmethod
    def of(cls, outputs: Mapping[str, Any], pool: Pool) -> PooledPrediction:
        """Makes a prediction of ``outputs`` that carries ``pool``."""
        made = cls(**outputs)
        object.__setattr__(made, "pool", pool)
        return made


def usage_of(candidates: Iterable[Candidate]) -> Usage:
    """What candidates cost together."""
    return Usage.total(candidate.usage for candidate in candidates)
