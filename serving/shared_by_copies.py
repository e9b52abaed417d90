"""Engines that stand for a model of this machine: every copy of an LM shares the one there is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self


class SharedByCopies(ABC):
    """Copies are the engine itself, and a pickled one is loaded again from its state."""

    @abstractmethod
    def dump_state(self) -> dict[str, Any]:
        """What it takes to have the same model again."""

    @classmethod
    @abstractmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """The engine of a saved state."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Self], tuple[dict[str, Any]]]:
        return type(self).load_state, (self.dump_state(),)
