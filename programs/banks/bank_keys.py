"""Under which key a bank keeps a candidate: the digest of all that its text depends on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import dspy

from ..calls.attempts import Attempt, current_lineage
from ..tasks.signatures import plain, signature_of

_PASSING = frozenset({"rollout_id", "seed", "temperature", "logprobs", "api_key", "cache", "num_retries", "timeout"})


def candidate_key(attempt: Attempt, program_digest: str) -> str:
    """The digest under which a bank keeps an attempt's candidate."""
    material = {
        "program": program_digest,
        "lm": lm_fingerprint(attempt.lm or dspy.settings.lm),
        "adapter": _adapter_name(),
        "inputs": plain(dict(attempt.inputs)),
        "temperature": attempt.temperature,
        "seed": attempt.seed,
        "place": [*current_lineage(), attempt.layer, attempt.index],
    }
    return hashlib.sha256(json.dumps(material, sort_keys=True).encode()).hexdigest()


def program_digest(program: dspy.Module) -> str:
    """The digest of a program's class, signatures with their types, and state (instructions, demos,
    hyperparameters).
    """
    types = [
        (
            name,
            [(key, str(field.annotation)) for key, field in signature_of(predictor).fields.items()],
            plain(predictor.config),
        )
        for name, predictor in program.named_predictors()
    ]
    state = {name: {**plain(part.dump_state()), "train": [], "traces": []} for name, part in program.named_parameters()}
    text = json.dumps([type(program).__qualname__, types, state], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def lm_fingerprint(lm: dspy.BaseLM | None) -> list[Any]:
    """What tells one model from another: name, address and settings,
    without keys and without what each attempt sets itself.
    """
    if lm is None:
        return ["recorded"]
    settings = {key: value for key, value in lm.kwargs.items() if key not in _PASSING}
    return [lm.model, getattr(lm, "model_type", ""), plain(settings)]


def _adapter_name() -> str:
    return type(dspy.settings.adapter).__name__ if dspy.settings.adapter is not None else "ChatAdapter"
