"""Dimensions: what an optimizer moves, one at a time, and which of their values the program's models take at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import dspy

from dspy_fusion.programs import ConfigurationError, Hyperparameter
from dspy_fusion.programs.calls.refused_options import refuses
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.adapter_names import ADAPTER, is_askable, name_in_force
from dspy_fusion.programs.tasks.reasoning_room import ROOM, Room, has_room_for_field

Kind = Literal["int", "float", "choice", "instruction", "demos"]


class Suggests(Protocol):
    """What an Optuna trial offers to a space."""

    def suggest_int(self, name: str, low: int, high: int) -> int: ...
    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None) -> float: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True)
class Dimension:
    """One thing that is tuned.

    Attributes:
        name: a hyperparameter's path in the program, or ``instruction:`` or ``demos:`` and a predictor's path.
        kind: what it is.
        low: lowest value of a number.
        high: highest value of a number.
        step: grid of a float, or None.
        choices: the values of a choice.
    """

    name: str
    kind: Kind
    low: float = 0
    high: float = 0
    step: float | None = None
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, path: str, part: Hyperparameter) -> Dimension:
        """The dimension of a hyperparameter; raises ``ConfigurationError`` where it has no bounds."""
        if part.choices is not None:
            return cls(path, "choice", choices=part.choices)
        low, high = part.search or (part.low, part.high)
        if low is None or high is None:
            raise ConfigurationError(
                f"{path} has no bounds to search in; give its Hyperparameter search=(low, high) or exclude it"
            )
        return cls(path, "int" if part.integer else "float", low, high, part.step)

    def suggest(self, trial: Suggests, length: int) -> Any:
        """Has a trial choose a value; ``length`` is the present length of an instruction or demo list."""
        if self.kind == "int":
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        if self.kind == "float":
            return round(trial.suggest_float(self.name, self.low, self.high, step=self.step), 6)
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.choices)
        return trial.suggest_int(self.name, 0, length - 1)

    def nearest(self, value: Any) -> Any:
        """The searched value that is nearest to another."""
        if self.kind == "choice":
            return value if value in self.choices else self.choices[0]
        bounded = min(max(value, self.low), self.high)
        if self.kind == "float" and self.step:
            bounded = min(self.high, self.low + round((bounded - self.low) / self.step) * self.step)
        return round(bounded, 6) if self.kind == "float" else int(bounded)

    @property
    def grid(self) -> list[float]:
        """The values of a number from the lowest to the highest, of a float without a step 21 of them."""
        step = self.step or ((self.high - self.low) / 20 if self.kind == "float" else 1)
        return [round(self.low + place * step, 6) for place in range(int((self.high - self.low) / step + 1e-6) + 1)]


def adapter_dimensions(
    program: dspy.Module, paths: Iterable[str], names: Sequence[str]
) -> tuple[list[Dimension], list[str]]:
    """The adapters that each program in a program may be asked by, and why some are not searched.

    Args:
        program: what is tuned.
        paths: of adapters that are free to be tuned.
        names: of the adapters to choose from, beside the one in force, which comes first.
    """
    dimensions, left_out = [], []
    for path, part in _with_path(program, ADAPTER, paths):
        called = [part.program, *([part.fusor] if isinstance(part, FusingProgram) else [])]
        fitting = [name for name in names if all(is_askable(module, name) for module in called)]
        choices = tuple(dict.fromkeys((part.adapter.value or name_in_force(), *fitting)))
        left_out += [f"{path}={name} was not searched: a predictor has several output fields, which plain text cannot"
                     " hold" for name in names if name not in choices]  # fmt: skip
        dimensions += [Dimension(path, "choice", choices=choices)] if len(choices) > 1 else []
    return dimensions, left_out


def room_dimensions(
    program: dspy.Module, paths: Iterable[str], rooms: Sequence[str]
) -> tuple[list[Dimension], list[str]]:
    """The rooms that the reasoning of each program in a program may get, and why some are not searched.

    Args:
        program: what is tuned.
        paths: of rooms that are free to be tuned.
        rooms: to choose from, beside the one in force, which comes first.
    """
    dimensions, left_out = [], []
    for path, part in _with_path(program, ROOM, paths):
        lms = _models(part, "temperature")
        reasons = {name: _no_room(part, Room.of(name), lms) for name in rooms}
        fitting = [name for name in rooms if not reasons[name]]
        choices = tuple(dict.fromkeys((part.reasoning.value, *fitting)))
        left_out += [f"{path}={name} was not searched: {why}" for name, why in reasons.items() if why]
        dimensions += [Dimension(path, "choice", choices=choices)] if len(choices) > 1 else []
    return dimensions, left_out


def _with_path(program: dspy.Module, name: str, paths: Iterable[str]) -> Iterator[tuple[str, SamplingProgram]]:
    """The programs in a program whose option of this name is free, with the option's path."""
    for prefix, part in program.named_sub_modules(SamplingProgram):
        path = ".".join(text for text in (prefix.removeprefix("self").lstrip("."), name) if text)
        if path in paths and isinstance(part, SamplingProgram):
            yield path, part


def _no_room(part: SamplingProgram, room: Room, lms: Sequence[dspy.BaseLM]) -> str:
    """Why a room would change nothing, or an empty text."""
    if room.has_field and not has_room_for_field(part.program):
        return "the program has such a field"
    if room.effort and lms and all(refuses(lm, "reasoning_effort", room.effort) for lm in lms):
        return "no model of the program takes reasoning_effort"
    return ""


def taken(program: dspy.Module, dimensions: Iterable[Dimension]) -> list[Dimension]:
    """The dimensions with only those temperatures that the program's models are known to take.

    A model that takes one value at most leaves nothing to search: where that is so of all models that a temperature is
    for, the dimension is left out. Models that take more than one decide on the range.
    """
    models = dict(_models_by_path(program))
    fitting = [_within(dimension, models.get(dimension.name, [])) for dimension in dimensions]
    return [dimension for dimension in fitting if dimension is not None]


def _within(dimension: Dimension, lms: Sequence[dspy.BaseLM]) -> Dimension | None:
    taken_by = [[value for value in dimension.grid if not refuses(lm, "temperature", value)] for lm in lms]
    ranges = [(values[0], values[-1]) for values in taken_by if len(values) > 1]
    if not lms:
        return dimension
    if not ranges:
        return None
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    return replace(dimension, low=low, high=high) if low < high else None


def _models_by_path(program: dspy.Module) -> Iterable[tuple[str, list[dspy.BaseLM]]]:
    """The models that each temperature of a program is for, by the temperature's path."""
    paths = {id(part): path for path, part in program.named_parameters()}
    for _, part in program.named_sub_modules(SamplingProgram):
        for name, value in vars(part).items():
            if isinstance(value, Hyperparameter) and name.endswith("temperature") and id(value) in paths:
                yield paths[id(value)], _models(part, name)


def _models(part: Any, name: str) -> list[dspy.BaseLM]:
    if name != "temperature" and isinstance(part, FusingProgram):
        lms, called = [part.fusor_lm] if part.fusor_lm else [], part.fusor
    else:
        lms, called = list(part.proposers()[0] or ()), part.program
    lms = lms or [getattr(predictor, "lm", None) or dspy.settings.lm for predictor in called.predictors()]
    distinct: Mapping[int, dspy.BaseLM] = {id(lm): lm for lm in lms if lm is not None}
    return list(distinct.values())
