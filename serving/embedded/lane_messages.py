"""What a process of this package and a process that works for it tell each other about jobs, over a pipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .checkpoint import Checkpoint
from .jobs import Answer, TokenScore
from .token_sampling import Sampling


@dataclass(frozen=True)
class Load:
    """A model, before its first job; ``tokenizer`` is its JSON."""

    model: str
    checkpoint: Checkpoint
    tokenizer: str


@dataclass(frozen=True)
class Begin:
    """A job of a model that was loaded; ``streamed`` asks for a ``Drawn`` for every token."""

    number: int
    model: str
    prompt: tuple[int, ...]
    sampling: Sampling
    streamed: bool


@dataclass(frozen=True)
class Cancel:
    """Nobody waits for this job any more."""

    number: int


@dataclass(frozen=True)
class Ready:
    """The process can take jobs."""


@dataclass(frozen=True)
class Drawn:
    """The ``count``-th token of a job."""

    number: int
    count: int
    token: int
    score: TokenScore | None


@dataclass(frozen=True)
class Finished:
    """A job's answer."""

    number: int
    answer: Answer


@dataclass(frozen=True)
class Failed:
    """A job that has no answer."""

    number: int
    error: BaseException


Order: TypeAlias = Load | Begin | Cancel
Event: TypeAlias = Ready | Drawn | Finished | Failed
