"""A program in a file that says all it takes to build it again: DSPy's own state,
and one more key that describes the program.

DSPy saves a program's state (instructions, demos, hyperparameters) but neither its class nor its signature, models or
adapter. The file is still one that the program's own ``load`` takes. It holds names and data only: nothing in it is
imported or run, and no key is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs import BestOfN, Fusion, Likelihood, LMJudge, PlainAdapter, ProposeAggregate, Scorer, Vote
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.own_predict import OwnPredict
from dspy_fusion.programs.tasks.signatures import signature_of

from ..catalogue.models import ModelCatalogue
from ..embedded import PREFIX

KEY = "dspy_fusion"
VERSION = 1
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
_OPTIONS = ("seed", "quorum", "deadline_seconds", "max_concurrency", "threshold", "fields", "on_fusor_failure")
_HELP = (
    "build such a program in code and serve it with dspy_fusion.serving.endpoint.server, or give --factory"
    " module:function"
)


@dataclass(frozen=True)
class SavedProgram:
    """A program as it is built from a file.

    Attributes:
        name: what it is called.
        program: ready to be called under ``adapter``.
        adapter: the adapter it was saved with.
    """

    name: str
    program: SamplingProgram
    adapter: dspy.Adapter | None


def save_program(
    program: dspy.Module,
    path: Path | str,
    *,
    name: str = "",
    adapter: dspy.Adapter | None = None,
    models: Mapping[str, dspy.BaseLM] | None = None,
) -> None:
    """Writes a program's state and how to build it.

    Args:
        program: one of this library's, over ``dspy.Predict`` or ``dspy.ChainOfThought``, with models of its own
            (``lms``, ``fusor_lm``).
        path: a ``.json`` file.
        name: what it is to be called; empty takes the file's name.
        adapter: the one it runs under; None for ``dspy.ChatAdapter``.
        models: its models by the names that the catalogue has for them. Embedded models, and models that are reached at
            their provider's own address, need not be named.

    Raises:
        ConfigurationError: part of the program cannot be described; the message names it.
    """
    path = Path(path)
    described = {
        "version": VERSION,
        "name": name or path.stem,
        **_described(program, {id(lm): known for known, lm in (models or {}).items()}),
        "adapter": _one_of("adapter", type(adapter or dspy.ChatAdapter()).__name__, _ADAPTERS),
    }
    program.save(path)
    state = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({KEY: described, **state}, indent=1, ensure_ascii=False), encoding="utf-8")


def load_program(path: Path | str, catalogue: ModelCatalogue) -> SavedProgram:
    """Builds the program of a file that :func:`save_program` wrote.

    Raises:
        ConfigurationError: the file cannot be read or does not describe a program, or a model is unknown or lacks its
            key.
    """
    state = read_state(path)
    described = state.get(KEY)
    if not isinstance(described, dict):
        raise ConfigurationError(
            f"{path} holds a program's state but not how to build it; save it with save_program, or {_HELP}"
        )
    if described.get("version") != VERSION:
        raise ConfigurationError(
            f"{path} is of version {described.get('version')!r}, not {VERSION} as this library reads; save it again"
        )
    try:
        program = _built(described, catalogue)
        restore(program, state)
        adapter = _ADAPTERS[_one_of("adapter", described["adapter"], _ADAPTERS)]()
        return SavedProgram(str(described["name"]), program, adapter)
    except ConfigurationError as error:
        raise type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"{path} does not describe a program: {type(error).__name__}: {error}; save it again"
        ) from error


def restore(program: dspy.Module, state: Mapping[str, Any]) -> None:
    """Loads a state into a program; DSPy alone would take a state of other fields and mix up their descriptions.

    Raises:
        ConfigurationError: it is not the state of such a program.
    """
    try:
        for name, predictor in program.named_predictors():
            if isinstance(predictor, OwnPredict):
                continue  # it checks for itself
            saved, fields = len(state[name]["signature"]["fields"]), list(signature_of(predictor).fields)
            if saved != len(fields):
                raise ConfigurationError(
                    f"the state of {name} has {saved} fields, but the program's are {', '.join(fields)}"
                )
        program.load_state(state)
    except ConfigurationError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"the state is not that of this {type(program).__name__}: {type(error).__name__}: {error}"
        ) from error


def read_state(path: Path | str) -> dict[str, Any]:
    """The JSON object of a saved program; raises ``ConfigurationError`` where there is none."""
    try:
        state = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the program {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the program {path} is no JSON: {str(error)[:120]}") from error
    if not isinstance(state, dict):
        raise ConfigurationError(f"the program {path} must be a JSON object, as a program's save() writes it")
    return state


def _described(program: dspy.Module, names: Mapping[int, str]) -> dict[str, Any]:
    kind = _one_of("program", type(program).__name__, _PROGRAMS)
    program = cast("SamplingProgram", program)
    if not program.lms:
        raise ConfigurationError(
            f"the {kind} has no models of its own; give it lms=[...] (and fusor_lm), so that the file can name them"
        )
    scorer = getattr(program, "scorer", None) or getattr(program, "weights", None)
    fusor_lm = getattr(program, "fusor_lm", None)
    if isinstance(program, FusingProgram) and (type(program.fusor) is not OwnPredict or fusor_lm is None):
        raise ConfigurationError(f"the {kind} needs its default fusor and a fusor_lm to be saved; {_HELP}")
    return {
        "program": kind,
        "task": _task(program.program),
        "lms": [_name_of(lm, names) for lm in program.lms],
        "fusor_lm": None if fusor_lm is None else _name_of(fusor_lm, names),
        "scorer": None if scorer is None else _scorer(scorer, names),
        "temperature": program.temperature is not None,
        "options": {key: getattr(program, key) for key in _OPTIONS if getattr(program, key, None) is not None},
    }


def _task(module: dspy.Module) -> dict[str, str]:
    kind = _one_of("task program", type(module).__name__, _MODULES)
    ((_, predictor),) = module.named_predictors()
    signature = signature_of(predictor)
    if kind == "ChainOfThought":
        signature = signature.delete("reasoning")
    sides = (signature.input_fields, signature.output_fields)
    text = " -> ".join(
        ", ".join(f"{name}: {_type_text(field.annotation)}" for name, field in side.items()) for side in sides
    )
    return {"module": kind, "signature": text}


def _type_text(annotation: Any) -> str:
    text = (
        annotation.__name__
        if isinstance(annotation, type) and not getattr(annotation, "__args__", ())
        else str(annotation)
    )
    text = text.replace("typing.", "")
    try:
        if make_signature(f"a: {text} -> b").input_fields["a"].annotation == annotation:
            return text
    except (ValueError, SyntaxError, NameError):
        pass
    raise ConfigurationError(f"the type {text} of a field cannot be written down; {_HELP}")


def _name_of(lm: dspy.BaseLM, names: Mapping[int, str]) -> str:
    if id(lm) in names:
        return names[id(lm)]
    model = str(lm.model)
    if model.startswith(PREFIX):
        return model.removeprefix(PREFIX).partition("@")[0]
    if type(lm) is not dspy.LM or lm.kwargs.get("api_base") or lm.kwargs.get("base_url"):
        raise ConfigurationError(
            f"the model {model!r} has addresses of its own; name it: save_program(..., models={{'its name': lm}})"
        )
    return model


def _scorer(scorer: dspy.Module, names: Mapping[int, str]) -> dict[str, Any]:
    kind = _one_of("scorer", type(scorer).__name__, _SCORERS)
    lm = getattr(scorer, "lm", None)
    if kind != "Likelihood" and lm is None:
        raise ConfigurationError(f"the {kind} has no model of its own; give it lm=..., so that the file can name it")
    options = {key: getattr(scorer, key) for key in _SCORER_OPTIONS[kind]}
    return {"kind": kind, "lm": None if lm is None else _name_of(lm, names), "options": options}


def _built(described: Mapping[str, Any], catalogue: ModelCatalogue) -> SamplingProgram:
    task, scorer = described["task"], described["scorer"]
    kind = _one_of("program", described["program"], _PROGRAMS)
    options: dict[str, Any] = {key: value for key, value in described["options"].items() if key in _OPTIONS}
    options["lms"] = [catalogue.lm(name) for name in _texts(described["lms"])]
    if described["fusor_lm"] is not None:
        options["fusor_lm"] = catalogue.lm(described["fusor_lm"])
    if scorer is not None:
        options["scorer" if kind == "BestOfN" else "weights"] = _built_scorer(scorer, catalogue)
    if not described["temperature"]:
        options["temperature"] = None
    options.setdefault("seed", None)
    module = _MODULES[_one_of("task program", task["module"], _MODULES)](make_signature(task["signature"]))
    return _PROGRAMS[kind](module, **options)


def _built_scorer(described: Mapping[str, Any], catalogue: ModelCatalogue) -> Scorer:
    kind = _one_of("scorer", described["kind"], _SCORERS)
    options = {key: described["options"][key] for key in _SCORER_OPTIONS[kind]}
    if described["lm"] is not None:
        options["lm"] = catalogue.lm(described["lm"])
    return _SCORERS[kind](**options)


def _texts(value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ConfigurationError(f"lms must be a list of model names, but is {value!r}")
    return value


def _one_of(what: str, name: Any, allowed: Mapping[str, Any]) -> str:
    if name not in allowed:
        raise ConfigurationError(
            f"a {what} of the kind {name!r} cannot be kept in a file; there are {', '.join(allowed)}; {_HELP}"
        )
    return name
