"""Who made what was collected: models with their sampling options, scorers with their code, options and models.

Two things with one identity give the same results; what differs in any of this is another one, so that nothing stale is
taken for its answer.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import dspy

from dspy_fusion.programs.redaction import know_lm, without_secrets_in
from dspy_fusion.programs.tasks.hyperparameters import Hyperparameter
from dspy_fusion.programs.tasks.signatures import plain, signature_of

_PASSING = frozenset({"rollout_id", "api_key", "cache", "num_retries", "timeout"})
_DEEP = 4  # functions within functions that are looked into


def lm_identity(lm: dspy.BaseLM) -> dict[str, Any]:
    """A model's name, address and options, without keys and passwords."""
    know_lm(lm)
    kept = {name: plain(value) for name, value in lm.kwargs.items() if name not in _PASSING and value is not None}
    options = without_secrets_in(kept)
    return {"model": lm.model, **options}


def scorer_identity(scorer: Any) -> Any:
    """A scorer's kind, its options, prompts and models; or a function's name and the digest of its code.

    None where there is no scorer.
    """
    return None if scorer is None else _identity(scorer, _DEEP)


def program_digest(program: dspy.Module) -> str:
    """The digest of a program's class, signatures with their types, and state (instructions, demos, numbers)."""
    types = [
        (name, [(key, str(field.annotation)) for key, field in signature_of(predictor).fields.items()])
        for name, predictor in program.named_predictors()
    ]
    state = {name: {**plain(part.dump_state()), "train": [], "traces": []} for name, part in program.named_parameters()}
    return _digest([type(program).__qualname__, types, state])


def _identity(value: Any, deep: int) -> Any:
    if isinstance(value, dspy.BaseLM):
        return lm_identity(value)
    if isinstance(value, dspy.Module):
        return _of_module(value, deep)
    if isinstance(value, functools.partial):
        return [_identity(value.func, deep), plain(list(value.args)), plain(value.keywords)]
    if inspect.isfunction(value):
        return _of_function(value, deep)
    if inspect.ismethod(value):
        return [_of_function(value.__func__, deep), _options(value.__self__, deep)]
    return _options(value, deep)


def _of_module(module: dspy.Module, deep: int) -> dict[str, Any]:
    prompts = {name: signature_of(predictor).instructions for name, predictor in module.named_predictors()}
    return {"kind": _name(type(module)), "prompts": _digest(prompts), **_options(module, deep)["options"]}


def _options(value: Any, deep: int) -> dict[str, Any]:
    options = {}
    for name, part in sorted(getattr(value, "__dict__", {}).items()):
        if isinstance(part, str | int | float | bool | None):
            options[name] = part
        elif isinstance(part, dspy.BaseLM) or (deep and (callable(part) or isinstance(part, dspy.Module))):
            options[name] = _identity(part, deep - 1)
        elif isinstance(part, list | tuple) and any(isinstance(item, dspy.BaseLM | dspy.Module) for item in part):
            options[name] = [_identity(item, deep - 1) for item in part] if deep else len(part)
        elif isinstance(part, Hyperparameter):
            options[name] = part.value
    return {"kind": _name(type(value)), "options": {name: part for name, part in options.items() if name[0] != "_"}}


def _of_function(function: FunctionType, deep: int) -> dict[str, Any]:
    text = _code(function.__code__)
    cells = inspect.getclosurevars(function).nonlocals if deep else {}
    within = {name: _enclosed(value, deep) for name, value in sorted(cells.items())}
    return {"function": _name(function), "code": _digest(text), **({"within": within} if within else {})}


def _enclosed(value: Any, deep: int) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, dspy.BaseLM | dspy.Module) or inspect.isroutine(value):
        return _identity(value, deep - 1)
    return _name(type(value))


def _code(code: CodeType) -> str:
    """What a function does: its byte code with the names and values in it, those of functions inside it too."""
    values = [_code(value) if inspect.iscode(value) else repr(value) for value in code.co_consts]
    return repr((code.co_code, code.co_names, values))


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"


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
