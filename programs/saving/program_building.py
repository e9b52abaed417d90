"""A program built from its description: names of closed tables, plain options, and models that a catalogue has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import dspy

from ..errors import ConfigurationError
from ..sampling_program import SamplingProgram
from ..scorers.scorer import Scorer
from ..tasks.sampling_options import checked_sampling
from .plain_options import checked_options
from .program_description import (
    ADAPTER_OPTIONS,
    ADAPTERS,
    MODULES,
    PROGRAMS,
    SCORER_OPTIONS,
    SCORERS,
    UNNAMED,
    one_of,
)
from .written_signature import read_signature

_DEEPEST = 8  # programs within programs
_MOST_MODELS = 256


class Models(Protocol):
    """Where the models of a description come from."""

    def named(self, name: str, sampling: Mapping[str, Any], role: str) -> dspy.BaseLM:
        """The model of a name; ``role`` is the option that it is for."""
        ...

    def unnamed(self, model: str, role: str) -> dspy.BaseLM:
        """The model that is to be taken for one whose name is not known."""
        ...


def build_program(
    described: Mapping[str, Any], models: Models, *, module: dspy.Module | None = None, depth: int = 0
) -> SamplingProgram:
    """The program of a description, over a task program of its task, or over ``module``.

    Raises:
        ConfigurationError: a name in it is unknown, or an option is none of the program's.
    """
    kind, scorer = one_of("program", described["program"], PROGRAMS), described.get("scorer")
    options = checked_options(PROGRAMS[kind], described["options"])
    options["lms"] = [_model(item, models, "lms") for item in _listed(described["lms"])] or None
    if described.get("fusor_lm") is not None:
        options["fusor_lm"] = _model(described["fusor_lm"], models, "fusor_lm")
    if scorer is not None:
        options["scorer" if kind == "BestOfN" else "weights"] = _built_scorer(scorer, models)
    if not described.get("temperature", True):  # as the first version says that there is none
        options["temperature"] = None
    if "temperature" in described:  # the first version, which says nothing of a seed where there is none
        options.setdefault("seed", None)
    if module is None:
        module = _task_program(described["task"], models, depth)
    return PROGRAMS[kind](module, **options)


def build_adapter(described: Any) -> dspy.Adapter:
    """The adapter of a description.

    Raises:
        ConfigurationError: its kind or an option is unknown.
    """
    kind, options = (described["kind"], described["options"]) if isinstance(described, dict) else (described, {})
    adapter = ADAPTERS[one_of("adapter", kind, ADAPTERS)]()
    for name, value in options.items():
        if name not in ADAPTER_OPTIONS or not isinstance(value, bool | None) or not hasattr(adapter, name):
            raise ConfigurationError(f"the adapter has the option {name!r:.80} = {value!r:.40}, which a {kind} lacks")
        setattr(adapter, name, value)
    return adapter


def _task_program(task: Mapping[str, Any], models: Models, depth: int) -> dspy.Module:
    if isinstance(task["module"], dict):
        if depth == _DEEPEST:
            raise ConfigurationError(f"there are programs within programs, more than {_DEEPEST} deep")
        return build_program(task["module"], models, depth=depth + 1)
    signature = read_signature(task["signature"], task.get("constraints"), task.get("types"))
    return MODULES[one_of("task program", task["module"], MODULES)](signature)


def _model(described: Any, models: Models, role: str) -> dspy.BaseLM:
    if isinstance(described, dict) and isinstance(described.get(UNNAMED), str) and len(described) == 1:
        return models.unnamed(described[UNNAMED], role)
    sampling: dict[str, Any] = {}
    if isinstance(described, dict) and set(described) == {"name", "sampling"}:
        described, sampling = described["name"], checked_sampling("a model's sampling", described["sampling"])
    if not isinstance(described, str):
        raise ConfigurationError(f"a model is named by a text, not by {described!r:.80}")
    return models.named(described, sampling, role)


def _built_scorer(described: Mapping[str, Any], models: Models) -> Scorer:
    kind = one_of("scorer", described["kind"], SCORERS)
    options = {key: described["options"][key] for key in SCORER_OPTIONS[kind]}
    if described["lm"] is not None:
        options["lm"] = _model(described["lm"], models, "scorer")
    return SCORERS[kind](**options)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_MODELS:
        raise ConfigurationError(f"lms must be a list of model names, at most {_MOST_MODELS}, but is {value!r:.80}")
    return value
