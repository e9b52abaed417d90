"""The error tree. Catch ``FusionError`` for everything this library raises on its own account.

FusionError
├── ConfigurationError (also a ValueError)   an argument, a file or a setting is wrong; nothing was called yet
│   ├── MissingExtra (also an ImportError)   a library is not installed that an extra brings
│   ├── MissingKey                           an environment variable that should hold a key is not set
│   └── UnknownOption (also a TypeError)     a constructor was given an option that it does not have
├── QuorumNotMet                             too few candidates succeeded; carries the cause of every failure
├── FusorFailed                              the step that writes the answer failed and no fallback was wanted
├── Abstained                                the answer was less sure than ``abstain_below`` asks for; carries it
├── ScorerError                              a scorer gave no usable score
│   └── UnreadableVerdict                    a judge answered, but not with a verdict
├── CeilingBroken                            something chosen scored above the best it was chosen from: a mistake
├── LimitReached                             a call would have gone over the limit that was set for it
├── BankError                                a bank cannot be read, or is of another version
└── RecordError                              records of a run cannot be read or do not belong to its configuration
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .redaction import redacted


class FusionError(Exception):
    """Base of all errors of this library; their messages hold no secrets."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redacted(part) if isinstance(part, str) else part for part in args))


class ConfigurationError(FusionError, ValueError):
    """An argument, a file or a setting is wrong. The message names the value and says what to do."""


class MissingExtra(ConfigurationError, ImportError):
    """A library is not installed. The message says what needs it and how to install the extra that brings it.

    Attributes:
        name: the first module that is missing.
    """

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class MissingKey(ConfigurationError):
    """An environment variable that should hold an API key is not set."""


class UnknownOption(ConfigurationError, TypeError):
    """A constructor was given an option that it does not have. The message names the one that was probably meant."""


class QuorumNotMet(FusionError):
    """Fewer candidates succeeded than the program needs.

    Attributes:
        causes: one text per failed candidate, in index order.
    """

    def __init__(self, message: str, causes: Sequence[str] = ()) -> None:
        self.causes = tuple(map(redacted, causes))
        super().__init__("\n  ".join([message, *self.causes]))


class FusorFailed(FusionError):
    """The step that writes the answer failed, and ``on_fusor_failure="raise"`` was asked for."""


class Abstained(FusionError):
    """The answer is less sure than ``abstain_below`` asks for.

    Attributes:
        prediction: the answer, with its pool.
        confidence: of the answer, in [0, 1].
    """

    def __init__(self, message: str, prediction: Any, confidence: float) -> None:
        super().__init__(message)
        self.prediction = prediction
        self.confidence = confidence

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.prediction, self.confidence)


class ScorerError(FusionError):
    """A scorer raised, or returned something that is no finite number in [0, 1]."""


class UnreadableVerdict(ScorerError):
    """A judge's answer holds no verdict; the text is in the message."""


class CeilingBroken(FusionError):
    """Something chosen from candidates scored above the best of them, which cannot be.

    A mistake in this library or in the data.
    """


class LimitReached(FusionError):
    """A limit of ``limited`` is used up, and a further call was to be made."""


class BankError(FusionError):
    """A candidate bank cannot be opened or read, or was written by another version."""


class RecordError(FusionError):
    """Records cannot be read, or belong to another configuration than the one that is to be continued."""
