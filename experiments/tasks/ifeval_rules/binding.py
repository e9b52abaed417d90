"""From an instruction's id and arguments, as a data set gives them,
to something that can be asked whether a text follows it.

An argument that is missing, unknown or of another type is an error. IFEval's own code draws a missing one at random,
and no score should rest on that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from .arguments import Parameter, parameters_of
from .instruction_types import INSTRUCTIONS


@dataclass(frozen=True)
class Instruction:
    """One thing that a response is asked to do."""

    id: str
    """As in ``INSTRUCTIONS``."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the check takes, in its own types."""

    @property
    def category(self) -> str:
        """The group it belongs to, such as ``keywords``."""
        return self.id.split(":")[-2]

    def followed_by(self, text: str) -> bool:
        """Whether the text does it; a blank text does nothing that it is asked."""
        return bool(text.strip()) and INSTRUCTIONS[self.id](text, **self.arguments)


def bind(instruction_id: str, arguments: Mapping[str, Any] | None, *, where: str) -> Instruction:
    """The instruction with its arguments in the types that its check takes; arguments that are None count as not given.

    Args:
        instruction_id: one of ``INSTRUCTIONS``.
        arguments: by name, as read from a data set.
        where: the example, as an error should name it.

    Raises:
        ConfigurationError: there is no such instruction, or an argument is missing, unknown or of another type.
    """
    if instruction_id not in INSTRUCTIONS:
        raise ConfigurationError(
            f"{where}: there is no instruction {instruction_id!r}; mend its id, or leave the example out"
        )
    if not isinstance(arguments, Mapping | None):
        raise ConfigurationError(
            f"{where}: the arguments of {instruction_id!r} are {arguments!r}; they should be by name"
        )
    named = {name: value for name, value in (arguments or {}).items() if value is not None}
    parameters = _parameters(instruction_id)
    faults = [f"lacks {name!r}" for name, parameter in parameters.items() if parameter.required and name not in named]
    faults += [f"takes no {name!r}" for name in named if name not in parameters]
    if faults:
        takes = ", ".join(parameters) or "nothing"
        raise ConfigurationError(
            f"{where}: the instruction {instruction_id!r} {' and '.join(faults)}; it takes: {takes}"
        )
    values = {
        name: _read(parameters[name], value, f"{where}: the instruction {instruction_id!r}")
        for name, value in named.items()
    }
    return Instruction(instruction_id, values)


def bind_all(
    ids: Sequence[str], arguments: Sequence[Mapping[str, Any] | None], *, where: str
) -> tuple[Instruction, ...]:
    """The instructions of one prompt.

    Raises:
        ConfigurationError: there are none, there are more or fewer arguments than ids, or one of them cannot be bound.
    """
    if not ids:
        raise ConfigurationError(f"{where}: the prompt has no instruction; leave the example out")
    if len(ids) != len(arguments):
        raise ConfigurationError(
            f"{where}: {len(ids)} instructions have {len(arguments)} sets of arguments; give one for each"
        )
    return tuple(bind(name, values, where=where) for name, values in zip(ids, arguments, strict=True))


@cache
def _parameters(instruction_id: str) -> dict[str, Parameter]:
    return parameters_of(INSTRUCTIONS[instruction_id])


def _read(parameter: Parameter, value: Any, where: str) -> Any:
    try:
        return parameter.read(value)
    except ValueError as error:
        raise ConfigurationError(f"{where} has {parameter.name} = {value!r}; {error}") from error
