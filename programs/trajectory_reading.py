"""What a fusor sees of the steps behind its candidates, and the look-ups by which it reads on where they are long.

After AggAgent (arXiv 2604.11753), whose aggregating agent gets tools over trajectories instead of their full text.
Unlike there, an overview of the steps within a budget of tokens is shown from the start, look-ups are asked for in one
typed field (several at once, so that rounds are few), and after the last round the fusor writes in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dspy
from dspy.signatures.signature import make_signature
from pydantic import BaseModel, Field

from .calls.attempts import Attempt
from .calls.drawing import Steps
from .errors import ConfigurationError
from .pools.candidates import NOTHING_USED, Candidate, Usage
from .pools.trajectories import CHARACTERS, fitted, matches, segment, steps_of
from .tasks.hyperparameters import Hyperparameter
from .tasks.own_fields import free_name, with_input, with_output
from .tasks.own_predict import OwnPredict
from .tasks.signatures import inert, signature_of

if TYPE_CHECKING:
    from .fusing_program import FusingProgram

TOLD = (
    "Each candidate ends with the steps by which it came to its answer. What a tool returned is evidence; what an"
    " answer says beyond its evidence is not. Prefer what the steps of several candidates support, and use what one of"
    " them came to know and the others did not."
)
LOOK = (
    "Several agents did the same task. Their answers are given, each with an overview of its steps in which long ones"
    " are cut. Before one answer is written, name the steps that must be read in full to decide where the answers"
    " differ: by their numbers, or by words that they hold. Name few; an empty list says that nothing more is needed."
)
_MOST_AT_ONCE = 8  # look-ups of a round
_MOST_TOKENS = 1_000_000


class LookUp(BaseModel):
    """Steps of one candidate that are to be read in full."""

    candidate: int = Field(description="which candidate, counted from 1 in the order shown")
    first: int = Field(default=0, description="the first step by its number, or 0 where words are given")
    last: int = Field(default=0, description="the last step, or 0 for the first alone")
    words: str = Field(default="", description="words to find a step by, instead of its number")


@dataclass(frozen=True)
class Read:
    """What is shown of the steps, by the candidate's index; what reading cost, and what there is to say of it."""

    texts: Mapping[int, str] = field(default_factory=dict)
    told: str = ""
    usage: Usage = NOTHING_USED
    rounds: int = 0
    shortened: str | None = None
    notes: tuple[str, ...] = ()


class TrajectoryReading(dspy.Module):
    """How much of the candidates' steps a fusor sees. Its two numbers are hyperparameters.

    Args:
        task: the task's signature.
        tokens: of all candidates' steps together, at about four characters each, up to a million; 0 shows answers
            alone.
        look_ups: rounds in which the fusor may ask for steps in full, where they do not fit; each is one call.
    """

    def __init__(self, task: type[dspy.Signature], tokens: int, look_ups: int) -> None:
        super().__init__()
        self.tokens = Hyperparameter("trajectories", tokens, low=0, high=_MOST_TOKENS, search=(0, 8000))
        self.look_ups = Hyperparameter("look_ups", look_ups, low=0, search=(0, 3))
        self.reader = OwnPredict(_reader_signature(task, LOOK))

    def steps(
        self, program: FusingProgram, inputs: Mapping[str, Any], shown: Sequence[Candidate], task: type[dspy.Signature]
    ) -> Steps[Read]:
        """The steps of the candidates as the fusor is to see them, in the order in which it sees these."""
        if not self.tokens.value:
            return Read()
        trajectories = [steps_of(candidate) for candidate in shown]
        lacking = sum(not steps for steps in trajectories)
        notes = (f"{lacking} of {len(shown)} candidates have no steps to show",) if lacking else ()
        if lacking == len(shown):
            return Read(notes=notes)
        texts, is_cut = fitted(trajectories, self.tokens.value)
        parts = [f"\n\nSteps:\n{text}" if text else "" for text in texts]
        usage, rounds = NOTHING_USED, 0
        while is_cut and rounds < self.look_ups.value:
            (asked,) = yield program.side_by_side([self._attempt(program, inputs, shown, parts, task, rounds)])
            usage, rounds = usage + asked.usage, rounds + 1
            if asked.prediction is None:
                notes = (*notes, f"a look-up failed: {asked.error}")
                break
            if not (wanted := asked.prediction[free_name(task, "look_ups")][:_MOST_AT_ONCE]):
                break
            room = self.tokens.value * CHARACTERS // self.look_ups.value // len(wanted)
            for one in wanted:
                _add(parts, trajectories, one, room)
        by_index = {c.index: inert(task, part) for c, part in zip(shown, parts, strict=True)}
        cut = f"candidates' steps were shortened to about {self.tokens.value} tokens; {rounds} rounds of look-ups"
        return Read(by_index, TOLD, usage, rounds, cut if is_cut else None, notes)

    def _attempt(
        self,
        program: FusingProgram,
        inputs: Mapping[str, Any],
        shown: Sequence[Candidate],
        parts: Sequence[str],
        task: type[dspy.Signature],
        number: int,
    ) -> Attempt:
        beside = {c.index: inert(task, part) for c, part in zip(shown, parts, strict=True)}
        asked = program.fusor_inputs(inputs, shown, task, beside=beside)
        own = signature_of(self.reader)
        reading = own if task is program.signature else _reader_signature(task, own.instructions)
        return Attempt(
            self.reader,
            asked,
            make_signature({free_name(task, "look_ups"): (list[LookUp], dspy.OutputField())}),
            number + 1,
            layer=1,
            lm=program.fusor_lm,
            temperature=0.0,
            seed=program.seed,
            asked=None if reading is own else reading,
            adapter=program.trained.adapter,
        )


def checked_reading(task: type[dspy.Signature], tokens: int | None, look_ups: int) -> TrajectoryReading | None:
    """What ``trajectories`` and ``look_ups`` mean.

    Raises:
        ConfigurationError: there are look-ups without trajectories, or a number is out of bounds.
    """
    if tokens is None:
        if look_ups:
            raise ConfigurationError(
                f"look_ups needs trajectories, such as trajectories=2000, but got look_ups={look_ups!r} alone"
            )
        return None
    return TrajectoryReading(task, tokens, look_ups)


def _reader_signature(task: type[dspy.Signature], instructions: str) -> type[dspy.Signature]:
    reading = with_input(with_input(task, task, "candidates"), task, "task", first=True)
    for name in task.output_fields:
        reading = reading.delete(name)
    return with_output(reading, task, "look_ups", kind=list[LookUp]).with_instructions(instructions)


def _add(parts: list[str], trajectories: Sequence[Sequence[str]], wanted: LookUp, room: int) -> None:
    """Adds what a look-up asks for to its candidate's part; one that names nothing adds nothing."""
    place = wanted.candidate - 1
    if not 0 <= place < len(parts):
        return
    steps = trajectories[place]
    if wanted.words.strip():
        text, what = matches(steps, wanted.words, room), f"steps with {wanted.words.strip()!r}"
    else:
        last = max(wanted.first, wanted.last)
        text, what = segment(steps, wanted.first, last, room), f"steps {wanted.first} to {last}"
    if text:
        parts[place] += f"\n\nIn full, {what}:\n{text}"
