"""Who made what was collected: models with their sampling options, scorers with their code, options and models.

Two things with one identity give the same results; what differs in any of this is another one, so that nothing stale is
taken for its answer.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

import dspy

from dspy_fusion.programs.banks.bank_keys import content_of
from dspy_fusion.programs.banks.code_identity import is_installed
from dspy_fusion.programs.banks.content_digest import Unkeyable
from dspy_fusion.programs.redaction import know_lm, redacting, without_secrets_in
from dspy_fusion.programs.tasks.signatures import plain, signature_of

logger = redacting(logging.getLogger(__name__))

_PASSING = frozenset({"rollout_id", "api_key", "cache", "num_retries", "timeout"})


def lm_identity(lm: dspy.BaseLM) -> dict[str, Any]:
    """A model's name, address and options, without keys and passwords."""
    know_lm(lm)
    kept = {name: plain(value) for name, value in lm.kwargs.items() if name not in _PASSING and value is not None}
    options = without_secrets_in(kept)
    return {"model": lm.model, **options}


def scorer_identity(scorer: Any) -> Any:
    """A scorer's or a function's name, and what tells it from others of that name; None where there is none."""
    return None if scorer is None else {"kind": _name(scorer), "content": content_identity(scorer)}


def content_identity(value: Any) -> str:
    """The digest of what a scorer, function or class does: its code, that of what it calls, its options and models.

    Where that cannot be told, the reason; the log says it once.
    """
    try:
        return content_of(value)
    except Unkeyable as error:
        _say_once(_name(value), str(error))
        return f"not told: {error}"


def program_digest(program: dspy.Module) -> str:
    """The digest of a program's classes with the code of a user's own, signatures with their types, and state
    (instructions, demos, numbers).
    """
    types = [
        (name, [(key, str(field.annotation)) for key, field in signature_of(predictor).fields.items()])
        for name, predictor in program.named_predictors()
    ]
    state = {name: {**plain(part.dump_state()), "train": [], "traces": []} for name, part in program.named_parameters()}
    kinds = {kind for _, part in program.named_sub_modules() if not is_installed(kind := type(part))}
    code = sorted(content_identity(kind) for kind in kinds)
    return _digest([type(program).__qualname__, types, state, *([code] if code else [])])


@functools.cache
def _say_once(name: str, why: str) -> None:
    logger.warning(
        "it cannot be told later whether %s is another one by then: %s; a method bank_identity() can say it", name, why
    )


def _name(value: Any) -> str:
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _digest(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(plain(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def differing(kept: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The names of what differs, the inner ones of tables with a dot before them."""
    names: list[str] = []
    for name in sorted({*kept, *wanted}):
        one, other = kept.get(name), wanted.get(name)
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            names += differing(one, other, f"{prefix}{name}.")
        elif one != other:
            names.append(f"{prefix}{name}")
    return names
