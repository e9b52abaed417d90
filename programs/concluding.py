"""What every program says about its answer at no further call.

How much of the pool agrees, how sure that makes it, and whether that is sure enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import dspy

from .calls.drawing import Steps
from .errors import Abstained, ConfigurationError
from .pools.agreement import agreement_with
from .pools.candidates import Pool, PooledPrediction
from .pools.clusters import clusters
from .pools.confidence import Calibration
from .pools.selection import is_exact, votable_fields
from .tasks.adapter_names import ADAPTER, adapter_choice
from .tasks.hyperparameters import Hyperparameter, with_later_parts
from .tasks.reasoning_room import ROOM, ReasoningRoom


class Concluding:
    """A program that knows how sure its answers are; a part of :class:`SamplingProgram`.

    Attributes:
        signature: the task's.
        loose: whether answers may have other fields than the signature's.
        abstain_below: the least confidence of an answer, or None.
        on_abstain: what happens below it.
    """

    signature: type[dspy.Signature]
    loose: bool
    abstain_below: Hyperparameter | None
    on_abstain: Literal["raise", "mark"]

    def load_state(self, state: Any, **options: Any) -> None:
        """Loads a state; one from before programs had an adapter or a room for reasoning leaves them as they were."""
        parts = {ADAPTER: adapter_choice(None).dump_state(), ROOM: ReasoningRoom(None).dump_state()}
        later = with_later_parts(cast("dspy.Module", self), parts)
        cast("Any", super()).load_state({**later, **state}, **options)

    def set_abstention(self, abstain_below: float | None, on_abstain: Literal["raise", "mark"]) -> None:
        """Takes over the options; raises ``ConfigurationError`` where they are none."""
        if on_abstain not in ("raise", "mark"):
            raise ConfigurationError(f"on_abstain must be 'raise' or 'mark', but got on_abstain={on_abstain!r}")
        self.abstain_below, self.on_abstain = None, on_abstain
        if abstain_below is not None:
            self.abstain_below = Hyperparameter("abstain_below", abstain_below, low=0.0, high=1.0, step=0.05)

    def concluded(self, steps: Steps[dspy.Prediction]) -> Steps[dspy.Prediction]:
        """The same steps; the pool of what they return says how sure the answer is.

        Raises:
            Abstained: less than ``abstain_below``, and the program is to raise then.
        """
        prediction = yield from steps
        if not isinstance(prediction, PooledPrediction) or prediction.pool is None:
            return prediction
        pool, low = self.regarded(prediction, prediction.pool), self.abstain_below
        sure = 0.0 if pool.confidence is None else pool.confidence
        if low is not None and sure < low.value:
            pool = replace(pool, abstained=f"confidence {sure:.3f} is below abstain_below={low.value:g}")
        object.__setattr__(prediction, "pool", pool)
        if pool.abstained is not None and self.on_abstain == "raise":
            text = f"{pool.abstained}; on_abstain='mark' would return the answer with this reason"
            raise Abstained(text, prediction, sure)
        return prediction

    def regarded(self, prediction: dspy.Prediction, pool: Pool) -> Pool:
        """The pool with its agreement and its confidence in an answer, by what the program was calibrated with."""
        answer: dict[str, Any] = {name: prediction[name] for name in prediction.keys()}
        calibration = self.calibration
        agreement = agreement_with(
            answer,
            pool.candidates,
            groups=self.equal_values,
            together=self.voted_fields(list(answer)),
            weights=None if calibration is None else calibration.weights(pool.good),
            partly=self.has_parts,
        )
        sure = agreement.whole if calibration is None else calibration.confidence(agreement.whole)
        return replace(pool, agreement=agreement.by_field, confidence=sure)

    @property
    def counter(self) -> Hyperparameter | None:
        """How many candidates are drawn at most, where that is a number that can be tuned."""
        counts = (vars(self).get(name) for name in ("n", "width"))
        return next((count for count in counts if isinstance(count, Hyperparameter)), None)

    @property
    def calibration(self) -> Calibration | None:
        """What :func:`calibrate` learned, or None.

        It is saved beside the count, so that programs that were saved before there were calibrations load as ever,
        however deep they are nested.
        """
        state = None if self.counter is None else self.counter.kept.get("calibration")
        return None if state is None else Calibration.of_state(state)

    @calibration.setter
    def calibration(self, calibration: Calibration | None) -> None:
        if self.counter is None:
            raise ConfigurationError(f"{type(self).__name__} has no count to keep a calibration beside")
        self.counter.kept = {} if calibration is None else {"calibration": calibration.dump_state()}

    def voted_fields(self, names: Sequence[str]) -> list[str]:
        """Of an answer's fields those that candidates can agree in."""
        return list(names)[-1:] if self.loose else votable_fields(self.signature)

    def equal_values(self, name: str, values: Sequence[Any]) -> list[list[int]]:
        """Groups of equal values of a field, as places."""
        field = self.signature.output_fields.get(name)
        return clusters(values, None if field is None else field.annotation)

    def has_parts(self, name: str) -> bool:
        """Whether a candidate can say part of what an answer says in a field: where its type is open, as text is."""
        field = self.signature.output_fields.get(name)
        return field is None or not is_exact(field.annotation)

    def reconsidered(self, inputs: Mapping[str, Any], prediction: PooledPrediction) -> PooledPrediction:
        """The answer that the program as it is now gives to a pool that was drawn before."""
        return prediction


def noting_left_out(steps: Steps[dspy.Prediction]) -> Steps[dspy.Prediction]:
    """The same steps; the pool of what they return also says what was not sent to whom in any of them."""
    models: dict[str, dict[str, None]] = {}
    try:
        batch = next(steps)
        while True:
            candidates = yield batch
            for candidate in candidates:
                for option, model in candidate.left_out.items():
                    models.setdefault(option, {})[model] = None
            batch = steps.send(candidates)
    except StopIteration as finished:
        prediction = finished.value
    if models and isinstance(prediction, PooledPrediction) and prediction.pool is not None:
        left_out = {option: tuple(names) for option, names in models.items()}
        object.__setattr__(prediction, "pool", replace(prediction.pool, left_out=left_out))
    return prediction
