"""How a model is asked, by name: DSPy's adapters or this library's, which a program keeps and a study may tune."""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import dspy

from ..errors import ConfigurationError
from .hyperparameters import Hyperparameter
from .plain_adapter import PlainAdapter, answer_field
from .signatures import signature_of

AdapterName = Literal["chat", "json", "xml", "plain"]
ADAPTER = "adapter"  # what the hyperparameter is called in every program
_KINDS: dict[str, type[dspy.Adapter]] = {
    "chat": dspy.ChatAdapter,
    "json": dspy.JSONAdapter,
    "xml": dspy.XMLAdapter,
    "plain": PlainAdapter,
}


def adapter_choice(name: AdapterName | None) -> Hyperparameter:
    """The hyperparameter of an adapter; None leaves it to ``dspy.settings``.

    Raises:
        ConfigurationError: there is no such adapter.
    """
    if isinstance(name, dspy.Adapter):
        raise ConfigurationError(
            f"adapter must be one of {', '.join(_KINDS)} or None, but got a {type(name).__name__}; give its name, or"
            " set it for everything: dspy.configure(adapter=...)"
        )
    return Hyperparameter(ADAPTER, name, choices=(None, *get_args(AdapterName)))


@cache
def adapter_named(name: str | None) -> dspy.Adapter | None:
    """The adapter of a name, with its usual options; None for None. Adapters keep nothing between calls."""
    return None if name is None else _KINDS[name]()


def name_in_force() -> str | None:
    """The name of the adapter that ``dspy.settings`` has; None for another kind, or one with options of its own."""
    present = dspy.settings.adapter or dspy.ChatAdapter()
    for name, kind in _KINDS.items():
        if type(present) is kind and _options(present) == _options(kind()):
            return name
    return None


def is_askable(module: dspy.Module, name: str) -> bool:
    """Whether every predictor of a module can be asked in this way: plain text holds one output field."""
    if name != "plain":
        return True
    try:
        for predictor in module.predictors():
            answer_field(signature_of(predictor))
    except ConfigurationError:
        return False
    return True


def _options(adapter: dspy.Adapter) -> dict[str, object]:
    return {name: value for name, value in vars(adapter).items() if name != "callbacks"}
