"""What a fine-tuning asks of whoever serves its models: the base first, then what was trained, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import dspy

from dspy_fusion.programs.errors import ConfigurationError


class Serving(Protocol):
    """Serves checkpoints of this machine, such as ``dspy_fusion.serving.checkpoints.ModelServer``."""

    def check(self) -> None:
        """Raises where what it needs is not there; starts nothing."""
        ...

    def lm(self, checkpoint: str | Path, adapter: str | Path = "") -> dspy.BaseLM:
        """A checkpoint as a model; it takes memory from its first call on."""
        ...

    def trained(self, model: Path, base: str | Path) -> dspy.BaseLM:
        """The model that a training of this base left."""
        ...

    def is_idle(self) -> bool:
        """Whether none of its models takes memory now."""
        ...

    def close(self) -> None:
        """Frees the memory of all models; each starts again when it is asked."""
        ...


def served_by(
    serve: Callable[[Path], dspy.BaseLM] | None, server: Serving | None, base: str
) -> Callable[[Path], dspy.BaseLM]:
    """From the folder of a trained checkpoint to the model that answers.

    Raises:
        ConfigurationError: nobody serves it, or two do.
    """
    if (serve is None) == (server is None):
        raise ConfigurationError(
            "give serve=..., from the trained checkpoint's folder to a model, or server=ModelServer(...), one of them"
        )
    if server is not None:
        return lambda folder: server.trained(folder, base)
    assert serve is not None  # noqa: S101 (one of them is there)
    return serve


def memory_of(server: Serving | None) -> tuple[Callable[[], None], Callable[[], bool]]:
    """What frees the memory that a server's models take, and whether they take none."""
    return ((lambda: None), (lambda: True)) if server is None else (server.close, server.is_idle)
