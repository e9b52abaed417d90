"""A response with several completions as that many responses, which together cost what the whole one did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def split(raw: Any) -> list[Any]:
    """Splits a response of litellm's.

    The first has the prompt's tokens; the completion tokens, which servers report as one number, are split by length of text.
    """
    if len(raw.choices) < 2:
        return [raw]
    from litellm import Usage

    usage = getattr(raw, "usage", None)
    parts = [raw.model_copy(update={"choices": [choice.model_copy(update={"index": 0})]}) for choice in raw.choices]
    if usage is not None:
        completion = shares(usage.completion_tokens or 0, [len(choice.message.content or "") for choice in raw.choices])
        for place, (part, tokens) in enumerate(zip(parts, completion, strict=True)):
            prompt = 0 if place else usage.prompt_tokens or 0
            part.usage = Usage(prompt_tokens=prompt, completion_tokens=tokens, total_tokens=prompt + tokens)
    return parts


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """A whole number in parts by weight, which add up to it; equal weights where all are 0."""
    weights = weights if any(weights) else [1] * len(weights)
    ends = [total * sum(weights[: place + 1]) // sum(weights) for place in range(len(weights))]
    return [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
