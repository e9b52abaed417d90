"""Embedded models as ``dspy.LM`` objects.

The model string carries the weights' digest, so no cache outlives a retraining.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import dspy

from ..model_sampling import OWN_SAMPLING, OwnSampling, check_sampling
from . import PREFIX, SUFFIX
from .embedded_model import load_model
from .engine import AsyncEmbeddedEngine, EmbeddedEngine


def embedded_lm(name: str, *, cache: bool = False, **sampling: Unpack[OwnSampling]) -> dspy.LM:
    """A language model that runs in this process.

    Args:
        name: one of ``MODEL_NAMES``, with or without ``embedded/`` before it, or the path of a ``.safetensors`` file.
        cache: whether DSPy's own cache keeps its answers.
        sampling: defaults of ``temperature``, ``top_p``, ``top_k``, ``max_tokens``, ``seed``, ``stop``, ``logprobs``.

    Raises:
        ConfigurationError: there is no such model; the message lists the names.
        UnknownOption: a sampling option is none of those.
    """
    check_sampling(sampling, "embedded_lm", OWN_SAMPLING)
    model = load_model(name.removeprefix(PREFIX))
    engines: dict[str, Any] = {"engine": EmbeddedEngine(model), "async_engine": AsyncEmbeddedEngine(model)}
    lm = dspy.LM(f"{PREFIX}{model.name}", cache=cache, **engines, **sampling)
    is_file = str(model.source).endswith(SUFFIX)  # of its own, such as a trained model's
    vars(lm)["known_as"] = str(Path(model.source).resolve()) if is_file else model.name.partition("@")[0]
    return lm
