"""PairwiseJudge: which of two answers is better, asked in both orders, where a disagreement of the orders is a tie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import dspy

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps, arun, run
from ..errors import ConfigurationError, UnreadableVerdict
from ..pools.candidates import NOTHING_USED, Candidate, Usage
from ..tasks.instructions import COMPARE, PREFER
from ..tasks.own_fields import free_name
from ..tasks.own_predict import OwnPredict
from ..tasks.signatures import candidate_text, judge_signature, signature_of
from ..visible_options import VisibleOptions
from .tournament import RATINGS
from .verdicts import Preference, read_preference, read_ratings

if TYPE_CHECKING:
    from ..banks.bank import CandidateBank

_SWAPPED: dict[Preference, Preference] = {"A": "B", "B": "A", "tie": "tie"}
_PREFERENCE = "a short reason, then [[A]], [[B]] or [[tie]]"


@dataclass(frozen=True)
class PairVerdict:
    """What a judge says about two answers, A and B.

    Attributes:
        winner: the better one in every order that was asked; ``"tie"`` where the orders disagree, None where a verdict
            is missing.
        orders: what each order said: first A shown before B, then B before A. None where that verdict could not be
            read.
        error: why there is no winner, or None.
        usage: what asking cost.
    """

    winner: Preference | None
    orders: tuple[Preference | None, ...]
    error: str | None = None
    usage: Usage = NOTHING_USED

    @property
    def favours(self) -> Literal["first", "second"] | None:
        """The place that won in both orders, whoever stood there; None where the verdict does not hang on the place."""
        if self.orders == ("A", "B"):
            return "first"
        return "second" if self.orders == ("B", "A") else None


class PairwiseJudge(VisibleOptions, dspy.Module):
    """Has a model say which of two answers is better. Two calls, side by side.

    A wins only where it wins in both orders (MT-bench, arXiv 2306.05685, section 3.4), so that a preference for a place
    can make a tie but never a winner. A verdict that cannot be read is an error of the pair, and not a tie.

    Args:
        task: the signature of the task that is answered, such as ``"question -> answer"``; the judge is shown its
            instructions.
        lm: the judging model; None takes the one in ``dspy.settings``.
        form: what the judge writes: ``"letter"`` ([[A]], [[B]] or [[tie]]) or ``"ratings"`` (two numbers from 1 to 10,
            the higher one wins), which is what :class:`PairwiseTournament` and the embedded judge use.
        both_orders: whether each pair is asked in both orders; without, only with A first.
        instructions: what the judge is told; None takes the library's text for the form.
        temperature: of the judge, in [0, 2], or None for the model's own.
        seed: base of the judge's seeds, where the temperature is not 0.
        bank: where verdicts are kept and replayed from.

    Raises:
        ConfigurationError: an unknown form.

    Example:
        >>> judge = PairwiseJudge("question -> answer")
        >>> judge(inputs={"question": "2 + 2?"}, a="4", b="5").winner
    """

    def __init__(
        self,
        task: str | type[dspy.Signature],
        lm: dspy.BaseLM | None = None,
        *,
        form: Literal["letter", "ratings"] = "letter",
        both_orders: bool = True,
        instructions: str | None = None,
        temperature: float | None = 0.0,
        seed: int | None = 0,
        bank: CandidateBank | None = None,
    ) -> None:
        super().__init__()
        if form not in ("letter", "ratings"):
            raise ConfigurationError(f"form must be 'letter' or 'ratings', but got form={form!r}")
        told = instructions or (PREFER if form == "letter" else COMPARE)
        self.task = cast("type[dspy.Signature]", dspy.ensure_signature(task))
        self.judge = OwnPredict(judge_signature(self.task, told, _PREFERENCE if form == "letter" else RATINGS))
        self.lm, self.form, self.both_orders, self.temperature, self.seed, self.bank = (
            lm,
            form,
            both_orders,
            temperature,
            seed,
            bank,
        )

    def forward(
        self, *, inputs: Mapping[str, Any], a: dspy.Prediction | str, b: dspy.Prediction | str
    ) -> dspy.Prediction:
        """Compares two answers; the prediction has the fields of :class:`PairVerdict`."""
        return _prediction(run(self.steps(inputs, a, b)))

    async def aforward(
        self, *, inputs: Mapping[str, Any], a: dspy.Prediction | str, b: dspy.Prediction | str
    ) -> dspy.Prediction:
        """As :meth:`forward`, in the running event loop."""
        return _prediction(await arun(self.steps(inputs, a, b)))

    def steps(
        self, inputs: Mapping[str, Any], a: dspy.Prediction | str, b: dspy.Prediction | str
    ) -> Steps[PairVerdict]:
        """Asks in both orders; answers may be predictions, or texts where the task has one output."""
        first, second = self._text(a), self._text(b)
        shown = [(first, second), (second, first)] if self.both_orders else [(first, second)]
        attempts = [self._attempt(inputs, pair, place) for place, pair in enumerate(shown)]
        verdicts = yield Batch(attempts, bank=self.bank)
        orders: list[Preference | None] = []
        errors = []
        for place, verdict in enumerate(verdicts):
            try:
                said = self._read(verdict)
                orders.append(_SWAPPED[said] if place else said)
            except UnreadableVerdict as error:
                orders.append(None)
                errors.append(f"{'with B first' if place else 'with A first'}: {error}")
        usage = Usage.total(verdict.usage for verdict in verdicts)
        if errors:
            return PairVerdict(None, tuple(orders), "; ".join(errors), usage)
        return PairVerdict(orders[0] if len(set(orders)) == 1 else "tie", tuple(orders), None, usage)

    def _text(self, answer: dspy.Prediction | str) -> str:
        if isinstance(answer, dspy.Prediction):
            return candidate_text(self.task, answer)
        if len(self.task.output_fields) != 1:
            outputs = list(self.task.output_fields)
            raise ConfigurationError(
                f"the task has the outputs {outputs}; give answers as dspy.Prediction, not {answer!r}"
            )
        return candidate_text(self.task, dspy.Prediction(**{next(iter(self.task.output_fields)): answer}))

    def _attempt(self, inputs: Mapping[str, Any], pair: tuple[str, str], place: int) -> Attempt:
        texts = (
            [f"[{name}] {text}" for name, text in zip("AB", pair, strict=True)] if self.form == "letter" else list(pair)
        )
        fields = {name: inputs[name] for name in self.task.input_fields if name in inputs}
        told = {free_name(self.task, "task"): self.task.instructions}
        asked = {**told, **fields, free_name(self.task, "candidates"): texts}
        signature = signature_of(self.judge)
        attempt = Attempt(self.judge, asked, signature, place, lm=self.lm, temperature=self.temperature, seed=self.seed)
        if self.bank is None:
            return attempt
        from ..banks.bank_keys import keyed  # SQLAlchemy is loaded only where a bank is used

        return keyed([attempt])[0]

    def _read(self, verdict: Candidate) -> Preference:
        """Which of the two shown was preferred, as if the first were A."""
        if verdict.prediction is None:
            raise UnreadableVerdict(verdict.error)
        said = verdict.prediction[free_name(self.task, "verdict")]
        if self.form == "letter":
            return read_preference(said)
        first, second = read_ratings(said)
        return "tie" if first == second else "A" if first > second else "B"


def _prediction(verdict: PairVerdict) -> dspy.Prediction:
    return dspy.Prediction(winner=verdict.winner, orders=list(verdict.orders), error=verdict.error, usage=verdict.usage)
