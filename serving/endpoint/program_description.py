"""How a program is built: its class, task, models by name, scorer and options, as plain data, and back from it.

Classes and adapters are those of closed tables, options are plain values of the class's own parameters, and models are
names that a catalogue turns into models: a description chooses among what is here and brings nothing along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy

from dspy_fusion.programs import BestOfN, Fusion, Likelihood, LMJudge, PlainAdapter, ProposeAggregate, Scorer, Vote
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.own_predict import OwnPredict
from dspy_fusion.programs.tasks.signatures import signature_of

from ..catalogue.models import ModelCatalogue
from ..checkpoints import PREFIX as CHECKPOINT_PREFIX
from ..embedded import PREFIX, SUFFIX
from .plain_options import HELP, checked_options, plain_options
from .written_signature import constraints_of, read_signature, signature_text

_PROGRAMS: dict[str, type[SamplingProgram]] = {
    kind.__name__: kind for kind in (BestOfN, Vote, Fusion, ProposeAggregate)
}
_MODULES: dict[str, type[dspy.Module]] = {"Predict": dspy.Predict, "ChainOfThought": dspy.ChainOfThought}
_SCORERS: dict[str, Any] = {"Likelihood": Likelihood, "LMJudge": LMJudge}
_SCORER_OPTIONS = {"Likelihood": (), "LMJudge": ("rubric", "scale", "temperature", "seed")}
_ADAPTERS: dict[str, type[dspy.Adapter]] = {
    "ChatAdapter": dspy.ChatAdapter,
    "JSONAdapter": dspy.JSONAdapter,
    "XMLAdapter": dspy.XMLAdapter,
    "PlainAdapter": PlainAdapter,
}
_ADAPTER_OPTIONS = ("use_native_function_calling", "use_json_adapter_fallback", "parallel_tool_calls", "system_role")
_MODEL_STRING = re.compile(r"[a-z0-9_]+(?:/(?!https?:)[\w.:@+~-]+)+")


def describe_program(program: dspy.Module, names: Mapping[int, str]) -> dict[str, Any]:
    """How a program is built, with its models by name (``names`` has the names of some by their ``id``).

    Raises:
        ConfigurationError: part of it cannot be described; the message names it.
    """
    kind = _named("program", program, _PROGRAMS)
    program = cast("SamplingProgram", program)
    scorer = getattr(program, "scorer", None) or getattr(program, "weights", None)
    fusor_lm = getattr(program, "fusor_lm", None)
    if isinstance(program, FusingProgram) and type(program.fusor) is not OwnPredict:
        raise ConfigurationError(f"the {kind} needs its default fusor to be saved; {HELP}")
    for name, predictor in program.named_predictors():
        if predictor.lm is not None:
            raise ConfigurationError(
                f"{name} has a model of its own, which no file can name; give the {kind} lms=[...] instead"
            )
    return {
        "program": kind,
        "task": _task(program.program),
        "lms": [_name_of(lm, names) for lm in program.lms or ()],
        "fusor_lm": None if fusor_lm is None else _name_of(fusor_lm, names),
        "scorer": None if scorer is None else _scorer(scorer, names),
        "options": plain_options(program),
    }


def build_program(
    described: Mapping[str, Any], catalogue: ModelCatalogue, *, module: dspy.Module | None = None
) -> SamplingProgram:
    """The program of a description, over a task program of its task, or over ``module``.

    Raises:
        ConfigurationError: a name in it is unknown, or an option is none of the program's.
    """
    kind, scorer = _one_of("program", described["program"], _PROGRAMS), described.get("scorer")
    options = checked_options(_PROGRAMS[kind], described["options"])
    options["lms"] = [_model(name, catalogue) for name in _texts(described["lms"])] or None
    if described.get("fusor_lm") is not None:
        options["fusor_lm"] = _model(described["fusor_lm"], catalogue)
    if scorer is not None:
        options["scorer" if kind == "BestOfN" else "weights"] = _built_scorer(scorer, catalogue)
    if not described.get("temperature", True):  # as the first version says that there is none
        options["temperature"] = None
    if "temperature" in described:  # the first version, which says nothing of a seed where there is none
        options.setdefault("seed", None)
    task = described["task"]
    signature = read_signature(task["signature"], task.get("constraints"))
    module = module or _MODULES[_one_of("task program", task["module"], _MODULES)](signature)
    return _PROGRAMS[kind](module, **options)


def describe_adapter(adapter: dspy.Adapter | None) -> str | dict[str, Any]:
    """An adapter by its kind, with the options that are not its defaults.

    Raises:
        ConfigurationError: it is of another kind, or has options that cannot be written down.
    """
    adapter = adapter or dspy.ChatAdapter()
    kind = _named("adapter", adapter, _ADAPTERS)
    plain = {name: value for name, value in vars(_ADAPTERS[kind]()).items() if name != "callbacks"}
    changed = {name: value for name, value in vars(adapter).items() if name in plain and value != plain[name]}
    if others := [name for name in changed if name not in _ADAPTER_OPTIONS]:
        raise ConfigurationError(f"the adapter has {others[0]} set, which cannot be kept in a file; {HELP}")
    return {"kind": kind, "options": changed} if changed else kind


def build_adapter(described: Any) -> dspy.Adapter:
    """The adapter of a description.

    Raises:
        ConfigurationError: its kind or an option is unknown.
    """
    kind, options = (described["kind"], described["options"]) if isinstance(described, dict) else (described, {})
    adapter = _ADAPTERS[_one_of("adapter", kind, _ADAPTERS)]()
    for name, value in options.items():
        if name not in _ADAPTER_OPTIONS or not isinstance(value, bool | None) or not hasattr(adapter, name):
            raise ConfigurationError(f"the adapter has the option {name!r:.80} = {value!r:.40}, which a {kind} lacks")
        setattr(adapter, name, value)
    return adapter


def _task(module: dspy.Module) -> dict[str, Any]:
    kind = _named("task program", module, _MODULES)
    ((_, predictor),) = module.named_predictors()
    signature = signature_of(predictor)
    if kind == "ChainOfThought":
        signature = signature.delete("reasoning")
    bounds = constraints_of(signature)
    return {"module": kind, "signature": signature_text(signature)} | ({"constraints": bounds} if bounds else {})


def _name_of(lm: dspy.BaseLM, names: Mapping[int, str]) -> str:
    if id(lm) in names:
        return names[id(lm)]
    model = str(lm.model)
    if model.startswith(PREFIX):
        source = str(getattr(getattr(getattr(lm, "engine", None), "model", None), "source", ""))
        if source.endswith(SUFFIX):
            return source  # a file of its own, such as a trained model's
        return model.removeprefix(PREFIX).partition("@")[0]
    if model.startswith(CHECKPOINT_PREFIX):
        return f"{CHECKPOINT_PREFIX}{_checkpoint_of(lm)}"  # which transformers runs, whatever ran it here
    if type(lm) is not dspy.LM or lm.kwargs.get("api_base") or lm.kwargs.get("base_url"):
        raise ConfigurationError(
            f"the model {model!r} has addresses of its own; name it: save_program(..., models={{'its name': lm}})"
        )
    return model


def _checkpoint_of(lm: Any) -> str:
    """The folder of a checkpoint that transformers or vLLM runs; of adapters over one, theirs."""
    engine = getattr(lm, "engine", None)
    options = getattr(getattr(engine, "model", None), "options", None)
    options = options or getattr(getattr(getattr(engine, "server", None), "options", None), "checkpoint", None)
    if options is None:
        raise ConfigurationError(f"name the model {lm.model!r}: save_program(..., models={{'its name': lm}})")
    return options.adapter or options.checkpoint


def _model(name: Any, catalogue: ModelCatalogue) -> dspy.LM:
    """A model by a name of the catalogue, or by a provider and a model; an address in it would be sent the key."""
    if not isinstance(name, str):
        raise ConfigurationError(f"a model is named by a text, not by {name!r:.80}")
    is_known = name in catalogue.entries or (PREFIX + name.removeprefix(PREFIX)).endswith((SUFFIX, ".gguf"))
    if "/" in name and not is_known and not name.startswith(CHECKPOINT_PREFIX) and not _MODEL_STRING.fullmatch(name):
        raise ConfigurationError(f"the model {name!r:.80} is no provider/model; a file must not choose an address")
    return catalogue.lm(name)


def _scorer(scorer: dspy.Module, names: Mapping[int, str]) -> dict[str, Any]:
    kind = _named("scorer", scorer, _SCORERS)
    lm = getattr(scorer, "lm", None)
    if kind != "Likelihood" and lm is None:
        raise ConfigurationError(f"the {kind} has no model of its own; give it lm=..., so that the file can name it")
    options = {key: getattr(scorer, key) for key in _SCORER_OPTIONS[kind]}
    return {"kind": kind, "lm": None if lm is None else _name_of(lm, names), "options": options}


def _built_scorer(described: Mapping[str, Any], catalogue: ModelCatalogue) -> Scorer:
    kind = _one_of("scorer", described["kind"], _SCORERS)
    options = {key: described["options"][key] for key in _SCORER_OPTIONS[kind]}
    if described["lm"] is not None:
        options["lm"] = _model(described["lm"], catalogue)
    return _SCORERS[kind](**options)


def _texts(value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"lms must be a list of model names, but is {value!r:.80}")
    return value


def _named(what: str, value: Any, allowed: Mapping[str, Any]) -> str:
    """The name of a value's class, which must be that class itself and no other of its name."""
    name = type(value).__name__
    is_other = allowed.get(name, type(value)) is not type(value)
    return _one_of(what, f"{type(value).__module__}.{name}" if is_other else name, allowed)


def _one_of(what: str, name: Any, allowed: Mapping[str, Any]) -> str:
    if not isinstance(name, str) or name not in allowed:
        raise ConfigurationError(
            f"a {what} of the kind {name!r:.80} cannot be kept in a file; there are {', '.join(allowed)}; {HELP}"
        )
    return name
