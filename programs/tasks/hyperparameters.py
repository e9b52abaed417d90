"""Hyperparameter: a number or choice of a program that DSPy saves, copies and finds, and that an optimizer may tune.

It is a ``dspy.Parameter``, so it travels in ``dump_state`` and is listed by ``named_parameters()`` however deep a
program is nested.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy.predict.parameter import Parameter

from ..errors import ConfigurationError

Value = int | float | bool | str | None


class Hyperparameter(Parameter):
    """A bounded int or float, or one of a few choices. ``value`` reads and sets it; a value out of bounds is refused.

    Args:
        name: what it is called in messages.
        value: the initial value.
        low: lowest allowed value, included (numbers only); an int makes it a whole number.
        high: highest allowed value, included, or None for no limit.
        choices: the allowed values, instead of bounds.
        search: the range ``(low, high)`` that an optimizer searches; defaults to the bounds.
        step: the grid within that range; a coarse one lets trials share candidates. None for whole numbers and for any
            float.

    Raises:
        ConfigurationError: the value is of another type or out of bounds.

    Example:
        >>> n = Hyperparameter("n", 5, low=1, search=(1, 16))
        >>> n.value = 8
        >>> n.value
        8
    """

    def __init__(
        self,
        name: str,
        value: Value,
        *,
        low: float | None = None,
        high: float | None = None,
        choices: Sequence[Value] | None = None,
        search: tuple[float, float] | None = None,
        step: float | None = None,
    ) -> None:
        self.name, self.low, self.high = name, low, high
        self.choices = None if choices is None else tuple(choices)
        self.search, self.step = search, step
        self.integer = isinstance(value if low is None else low, int)
        self._value: Value = self._checked(value)
        self.initial = self._value
        self.kept: dict[str, Any] = {}
        """Plain JSON data that is saved beside the value, such as what was learned about the program that has it."""

    @property
    def value(self) -> Any:
        """The present value."""
        return self._value

    @value.setter
    def value(self, value: Value) -> None:
        self._value = self._checked(value)

    def reset(self) -> None:
        """Goes back to the initial value; nothing is kept beside it."""
        self._value, self.kept = self.initial, {}

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """The value, and what is kept beside it, as plain JSON data."""
        return {"value": self._value, **({"kept": copy.deepcopy(self.kept)} if self.kept else {})}

    def load_state(self, state: dict[str, Any], **_: object) -> Hyperparameter:
        """Takes a saved value over; raises ``ConfigurationError`` when it does not fit the bounds."""
        self.value = state["value"]
        self.kept = copy.deepcopy(state.get("kept") or {})
        return self

    def __repr__(self) -> str:
        return f"Hyperparameter({self.name}={self._value!r})"

    def _checked(self, value: Value) -> Value:
        if self.choices is not None:
            if value not in self.choices:
                raise ConfigurationError(
                    f"{self.name} must be one of {list(self.choices)}, but got {self.name}={value!r}"
                )
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigurationError(f"{self.name} must be a finite number, but got {self.name}={value!r}")
        if self.integer and value != int(value):
            raise ConfigurationError(f"{self.name} must be a whole number, but got {self.name}={value!r}")
        self._check_bounds(value)
        return int(value) if self.integer else float(value)

    def _check_bounds(self, value: float) -> None:
        if self.low is not None and value < self.low:
            raise ConfigurationError(f"{self.name} must be at least {self.low}, but got {self.name}={value!r}")
        if self.high is not None and value > self.high:
            raise ConfigurationError(f"{self.name} must be at most {self.high}, but got {self.name}={value!r}")


def with_later_parts(program: dspy.Module, states: Mapping[str, Any]) -> dict[str, Any]:
    """The states of parts that files of earlier versions lack, by their paths in a program, which may hold others."""
    names = [name for name, _ in program.named_parameters()]
    return {name: states[last] for name in names if (last := name.rpartition(".")[2]) in states}
