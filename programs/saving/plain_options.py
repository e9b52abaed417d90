"""The options of a program that a file can hold: plain values of its class's own parameters."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigurationError
from ..fusing_program import FusingProgram
from ..gate import Gate
from ..sampling_program import SamplingProgram
from ..stopping import Stopping
from ..tasks.hyperparameters import Hyperparameter
from ..tasks.own_fields import marked_field
from ..tasks.own_predict import OwnPredict
from ..tasks.signatures import signature_of

HELP = (
    "build such a program in code and serve it with dspy_fusion.serving.endpoint.server, or give --factory"
    " module:function"
)
_NO_OPTIONS = frozenset(
    (
        "program",
        "module",
        "N",
        "reward_fn",
        "lms",
        "fusor_lm",
        "scorer",
        "weights",
        "fusor",
        "bank",
        "normalize",
        "signature",
        "instructions",
    )
)  # objects and texts that a description has in places of their own, or not at all
_TABLES = ("gate", "keys")  # options that are tables


def plain_options(program: SamplingProgram) -> dict[str, Any]:
    """The plain values of a program's parameters, as far as they are not the defaults.

    Raises:
        ConfigurationError: one of them is no plain value; the message names it.
    """
    kept = {}
    for name, parameter in inspect.signature(type(program)).parameters.items():
        if name in _NO_OPTIONS or not hasattr(program, name):
            continue
        if name == "compare" and _has_comparison(program):
            continue  # built with one; whether it is asked for is in the state
        value = _plainly(vars(program).get(f"_{name}", getattr(program, name)))
        if value == parameter.default and type(value) is type(parameter.default):
            continue
        if (parameter.default is None and value in ({}, [], ())) or (parameter.default is False and value is None):
            continue  # as the program keeps that there is none
        if not _is_plain(name, value):
            raise ConfigurationError(
                f"the {type(program).__name__} has {name}={value!r:.80}, which cannot be kept in a file; {HELP}"
            )
        kept[name] = value
    normalize = getattr(program, "normalize", None)
    if normalize is not None and not str(getattr(normalize, "__module__", "")).startswith("dspy_fusion."):
        raise ConfigurationError(f"the function normalize={normalize!r:.80} cannot be kept in a file; {HELP}")
    if getattr(program, "stopping", None) is not None:
        kept |= {"n": "auto", "max_n": kept.pop("n", vars(program)["n"].value)}
    return kept


def _plainly(value: Any) -> Any:
    """An option as it would be given: a hyperparameter's value, a stopping rule's name, a gate's shares."""
    if isinstance(value, Hyperparameter):
        return value.value
    if isinstance(value, Stopping):
        return _plainly(value.rule)
    if isinstance(value, Gate):
        return (
            _plainly(value.share) if value.share else {name: _plainly(share) for name, share in value.by_field.items()}
        )
    return dict(value) if isinstance(value, Mapping) else value


def _has_comparison(program: SamplingProgram) -> bool:
    fusor = program.fusor if isinstance(program, FusingProgram) else None
    return isinstance(fusor, OwnPredict) and marked_field(signature_of(fusor), "comparison") is not None


def checked_options(kind: type[SamplingProgram], options: Any) -> dict[str, Any]:
    """Options from a file for a class of programs.

    Raises:
        ConfigurationError: one is none of the class's parameters, or no plain value; the message names it.
    """
    allowed = [name for name in inspect.signature(kind).parameters if name not in _NO_OPTIONS]
    if not isinstance(options, dict):
        raise ConfigurationError(f"options must be a table, but are {options!r:.80}")
    for name, value in options.items():
        if name not in allowed or not _is_plain(name, value):
            raise ConfigurationError(
                f"options has {name!r:.80} = {value!r:.80}, which a file must not set; it may set {', '.join(allowed)}"
            )
    return dict(options)


def _is_plain(name: str, value: Any) -> bool:
    simple = str | int | float | None
    if isinstance(value, dict):
        return name in _TABLES and all(isinstance(part, simple) for pair in value.items() for part in pair)
    return isinstance(value, simple) or (isinstance(value, list) and all(isinstance(item, simple) for item in value))
