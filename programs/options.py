"""The options that programs share.

An option stands here, where type checkers and ``help`` find it, and as a parameter with its default on the program that
reads it: ``SamplingProgram`` or ``FusingProgram``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

import dspy

from .tasks.adapter_names import AdapterName

if TYPE_CHECKING:
    from .banks.bank import CandidateBank


class SamplingOptions(TypedDict, total=False):
    """How candidates are drawn: what every program takes.

    Attributes:
        lms: models that take turns, candidate 0 from the first; None (the default) leaves the choice to the program and
            to ``dspy.settings``.
        temperature: sampling temperature of the candidates, in [0, 2], laid over the model's own; 0.7 by default, None
            leaves the model's own as it is. A temperature that a predictor of the program sets for itself goes before.
        seed: candidate i is drawn with seed ``seed + i``; 0 by default, None sends no seed.
        quorum: how many candidates must succeed, at least 1 (the default).
        deadline_seconds: wall time for each round of calls, above 0; what is late is left behind and counts as failed.
            None (the default) waits.
        max_concurrency: how many calls of one input run at once, at least 1; None (the default) for all.
        signature: the task's signature; None (the default) for the program's own, or for what its ``forward`` takes and
            its first answer holds.
        bank: where every answer of a model (candidates, aggregations, fusions, verdicts) is kept and replayed from;
            None (the default) keeps nothing.
        abstain_below: the least ``pool.confidence`` that an answer must have, in [0, 1]; None (the default) answers
            always.
        on_abstain: what happens below it: ``"raise"`` (the default) raises ``Abstained``, which carries the answer;
            ``"mark"`` returns the answer with the reason in ``pool.abstained``.
        adapter: how candidates and the fusor are asked: ``"chat"``, ``"json"``, ``"xml"`` or ``"plain"``, which is
            saved with the program and can be tuned; None (the default) leaves it to ``dspy.settings``. A fusor that was
            trained is asked as it was trained.
        reasoning: the room that candidates' reasoning gets before the answer, which is saved with the program and can
            be tuned: ``"field"`` (an output field for it before the others, as ``dspy.ChainOfThought`` has it; in plain
            text the answer is then what follows ``Answer:``), an effort that is sent as ``reasoning_effort``
            (``"none"`` to ``"xhigh"``), a limit such as ``"1024 tokens"`` for reasoning and answer together, or several
            of them: ``"field + 512 tokens"``. None (the default) leaves it to the program and the model. A fusor's room
            is its comparison (``compare``).
    """

    lms: Sequence[dspy.BaseLM] | None
    temperature: float | None
    seed: int | None
    quorum: int
    deadline_seconds: float | None
    max_concurrency: int | None
    signature: str | type[dspy.Signature] | None
    bank: CandidateBank | None
    abstain_below: float | None
    on_abstain: Literal["raise", "mark"]
    adapter: AdapterName | None
    reasoning: str | None


class FusingOptions(SamplingOptions, total=False):
    """How the answer is written from the candidates: what every program with a fusor takes, beside how they are drawn.

    Attributes:
        fusor: a ``dspy.Module`` with the task's inputs and ``candidates: list[str]`` as inputs and the task's outputs;
            by default one ``dspy.Predict``.
        fusor_lm: the fusor's model; None (the default) leaves it to the fusor and to ``dspy.settings``.
        fusor_temperature: of the step that writes the answer, in [0, 2]; 0 by default, None for the model's own.
        shuffle: show the candidates in a seeded order instead of their own, so that no place is always the same
            model's; True by default.
        on_fusor_failure: ``"best"`` (the default) answers with the best candidate (by score, else by vote, else the
            first) and says so in ``pool.fallback`` and in the log; ``"raise"`` raises ``FusorFailed``.
        gate: the share of the candidates, in [0, 1], that must say the same for the fusor not to be asked: one of them
            is then the answer and ``pool.gated`` says why. One share for all fields that can be voted on, or one per
            output field, as ``{"label": 0.8}``. 1.0 asks for unanimity; a single candidate agrees with nobody. None
            (the default) always asks the fusor, as the papers do.
        on_overflow: what happens when the candidates do not fit the fusor's context: ``"shorten"`` (the default) cuts
            each in the middle, to half its length as often as needed; ``"tree"`` has subsets of half the candidates
            fused first, then their fusions; ``"fail"`` lets the fusor fail. ``pool.shortened`` says what was done.
    """

    fusor: dspy.Module | None
    fusor_lm: dspy.BaseLM | None
    fusor_temperature: float | None
    shuffle: bool
    on_fusor_failure: Literal["best", "raise"]
    gate: float | Mapping[str, float] | None
    on_overflow: Literal["shorten", "tree", "fail"]
