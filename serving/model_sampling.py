"""The options of how a model draws its answers, under the names that DSPy and litellm send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.visible_options import refuse_unknown


class OwnSampling(TypedDict, total=False):
    """What the embedded models follow."""

    temperature: float | None
    """From 0; 0 takes the likeliest token every time."""
    top_p: float
    """Only the fewest tokens whose probabilities reach it together, in [0, 1]."""
    top_k: int
    """Only so many of the likeliest tokens, from 1."""
    max_tokens: int | None
    """The most tokens of an answer, from 1."""
    seed: int | None
    """Any whole number; the same seed gives the same text."""
    stop: str | list[str]
    """Texts before which an answer ends."""
    logprobs: bool
    """Whether the drawn tokens' log-probabilities come with the answer."""
    top_logprobs: int
    """Of how many of the likeliest tokens the log-probabilities come as well."""


class LocalSampling(OwnSampling, total=False):
    """What llama.cpp follows on this machine."""

    min_p: float
    """Only tokens with at least this share of the likeliest one's probability, in [0, 1]."""
    presence_penalty: float
    """Makes tokens that occurred at all less likely, in [-2, 2]."""
    frequency_penalty: float
    """Makes tokens less likely with each time that they occurred, in [-2, 2]."""
    repetition_penalty: float
    """Divides the scores of tokens that occurred; 1 changes nothing."""
    extra_body: Mapping[str, Any]
    """Further fields of the request, as the server names them."""


class ModelSampling(LocalSampling, total=False):
    """What a model of the catalogue may be told; which of them it follows, ``dspy-fusion models --probe`` finds out."""

    reasoning_effort: str
    """How long a reasoning model thinks, such as ``low``."""


OWN_SAMPLING = tuple(OwnSampling.__annotations__)
LOCAL_SAMPLING = tuple(LocalSampling.__annotations__)
SAMPLING = tuple(ModelSampling.__annotations__)


def check_sampling(options: object, where: str, names: Iterable[str] = SAMPLING) -> None:
    """Refuses sampling options that are no table or that are not known.

    Raises:
        ConfigurationError: they are no table.
        UnknownOption: one is none of ``names``.
    """
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"{where} sampling is {options!r}; write it as a table: sampling = {{ temperature = 0.7 }}"
        )
    names = list(names)
    refuse_unknown(f"{where} sampling", (str(name) for name in options if name not in names), names)
