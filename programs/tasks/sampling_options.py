"""The sampling options that a file may set for a predictor or a model: a closed set, each with the types of its values.

None of them says where a call goes or what it carries along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError

SAMPLING = {
    "temperature": (int, float, type(None)),
    "top_p": (int, float),
    "top_k": (int,),
    "min_p": (int, float),
    "max_tokens": (int, type(None)),
    "seed": (int,),
    "stop": (str, list),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "repetition_penalty": (int, float),
    "reasoning_effort": (str,),
    "rollout_id": (int, type(None)),
    "logprobs": (bool,),
    "top_logprobs": (int,),
}
"""Their names, and the types of their values."""


def checked_sampling(where: str, config: Any) -> dict[str, Any]:
    """Sampling options that a file says, as they are.

    Args:
        where: what has them, for the message.
        config: a table of them.

    Raises:
        ConfigurationError: one is no sampling option, or of the wrong type; the message names it.
    """
    if not isinstance(config, Mapping):
        raise ConfigurationError(f"{where} must be a table, but is {config!r:.80}")
    for name, value in config.items():
        if name not in SAMPLING:
            raise ConfigurationError(
                f"{where} has {name!r:.80}, which a file must not set; it may set {', '.join(SAMPLING)}"
            )
        is_number = isinstance(value, bool) and bool not in SAMPLING[name]
        if is_number or not isinstance(value, SAMPLING[name]):
            raise ConfigurationError(f"{where} has {name} = {value!r:.80}, which is of the wrong type")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise ConfigurationError(f"{where} has {name} = {value!r:.80}, which must be texts")
    return dict(config)
