"""How a program is built: its class, task, models by name, scorer and options, as plain data.

Classes and adapters are those of closed tables, options are plain values of the class's own parameters, and models are
names that a catalogue turns into models: a description chooses among what is here and brings nothing along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import dspy

from ..best_of_n import BestOfN
from ..errors import ConfigurationError
from ..fusing_program import FusingProgram
from ..fusion import Fusion
from ..propose_aggregate import ProposeAggregate
from ..sampling_program import SamplingProgram
from ..scorers.judges import LMJudge
from ..scorers.scorer import Likelihood
from ..tasks.own_predict import OwnPredict
from ..tasks.plain_adapter import PlainAdapter
from ..tasks.sampling_options import SAMPLING
from ..tasks.signatures import signature_of
from ..vote import Vote
from .own_types import WrittenTypes
from .plain_options import HELP, plain_options
from .written_signature import constraints_of, signature_text

PROGRAMS: dict[str, type[SamplingProgram]] = {kind.__name__: kind for kind in (BestOfN, Vote, Fusion, ProposeAggregate)}
MODULES: dict[str, type[dspy.Module]] = {"Predict": dspy.Predict, "ChainOfThought": dspy.ChainOfThought}
SCORERS: dict[str, Any] = {"Likelihood": Likelihood, "LMJudge": LMJudge}
SCORER_OPTIONS = {"Likelihood": (), "LMJudge": ("rubric", "scale", "temperature", "seed")}
ADAPTERS: dict[str, type[dspy.Adapter]] = {
    "ChatAdapter": dspy.ChatAdapter,
    "JSONAdapter": dspy.JSONAdapter,
    "XMLAdapter": dspy.XMLAdapter,
    "PlainAdapter": PlainAdapter,
}
ADAPTER_OPTIONS = ("use_native_function_calling", "use_json_adapter_fallback", "parallel_tool_calls", "system_role")
UNNAMED = "unnamed"
_NOT_KEPT = ("rollout_id",)  # of an attempt, not of a model


class Describing:
    """Writes programs down, and remembers which model each description stands for.

    Args:
        names: what the catalogue calls some of the models, by their ``id``.
        every_model: whether a model without a name is an error; else it is described as one that whoever reads the
            file has to name.
    """

    def __init__(self, names: Mapping[int, str], *, every_model: bool) -> None:
        self._names, self._every = names, every_model
        self._lms: dict[str, dspy.BaseLM] = {}

    def program(self, program: dspy.Module) -> dict[str, Any]:
        """How a program is built.

        Raises:
            ConfigurationError: part of it cannot be described; the message names it.
        """
        kind = named("program", program, PROGRAMS)
        program = cast("SamplingProgram", program)
        scorer = getattr(program, "scorer", None) or getattr(program, "weights", None)
        fusor_lm = getattr(program, "fusor_lm", None)
        task = self._task(program.program)
        if program.has_given_signature:
            raise ConfigurationError(f"the {kind} was given signature=, which cannot be kept in a file; {HELP}")
        if isinstance(program, FusingProgram) and type(program.fusor) is not OwnPredict:
            raise ConfigurationError(f"the {kind} needs its default fusor to be saved; {HELP}")
        for name, predictor in program.named_predictors():
            if predictor.lm is not None:
                raise ConfigurationError(
                    f"{name} has a model of its own, which no file can name; give the {kind} lms=[...] instead"
                )
        return {
            "program": kind,
            "task": task,
            "lms": [self._model(lm) for lm in program.lms or ()],
            "fusor_lm": None if fusor_lm is None else self._model(fusor_lm),
            "scorer": None if scorer is None else self._scorer(scorer),
            "options": plain_options(program),
        }

    def named(self, name: str, sampling: Mapping[str, Any], role: str) -> dspy.BaseLM:
        """The model that was described so: what was written down is built again as a reader would build it."""
        return self._lms[repr((name, dict(sampling)))]

    def unnamed(self, model: str, role: str) -> dspy.BaseLM:
        """As :meth:`named`, of a model without a name."""
        return self._lms[model]

    def _task(self, module: dspy.Module) -> dict[str, Any]:
        if isinstance(module, SamplingProgram):
            return {"module": self.program(module)}
        kind = named("task program", module, MODULES)
        ((_, predictor),) = module.named_predictors()
        signature = signature_of(predictor)
        if kind == "ChainOfThought":
            signature = signature.delete("reasoning")
        names, bounds = WrittenTypes(), constraints_of(signature)
        further = {"signature": signature_text(signature, names), "constraints": bounds, "types": names.described}
        return {"module": kind, **{key: held for key, held in further.items() if held}}

    def _model(self, lm: dspy.BaseLM) -> str | dict[str, Any]:
        """A model's name, with the sampling options that it has."""
        name = self._names.get(id(lm)) or getattr(lm, "known_as", "")
        if not name:
            has_address = type(lm) is not dspy.LM or lm.kwargs.get("api_base") or lm.kwargs.get("base_url")
            if has_address or not isinstance(getattr(lm, "engine", None), str):
                if self._every:
                    raise ConfigurationError(
                        f"the model {lm.model!r} has addresses of its own; name it: "
                        "save_program(..., models={'its name': lm})"
                    )
                self._lms[str(lm.model)] = lm
                return {UNNAMED: str(lm.model)}
            name = str(lm.model)
        sampling = _sampling_of(lm)
        self._lms[repr((name, sampling))] = lm
        return {"name": name, "sampling": sampling} if sampling else name

    def _scorer(self, scorer: dspy.Module) -> dict[str, Any]:
        kind = named("scorer", scorer, SCORERS)
        lm = getattr(scorer, "lm", None)
        if kind != "Likelihood" and lm is None:
            raise ConfigurationError(
                f"the {kind} has no model of its own; give it lm=..., so that the file can name it"
            )
        options = {key: getattr(scorer, key) for key in SCORER_OPTIONS[kind]}
        return {"kind": kind, "lm": None if lm is None else self._model(lm), "options": options}


def describe_adapter(adapter: dspy.Adapter | None) -> str | dict[str, Any]:
    """An adapter by its kind, with the options that are not its defaults.

    Raises:
        ConfigurationError: it is of another kind, or has options that cannot be written down.
    """
    adapter = adapter or dspy.ChatAdapter()
    kind = named("adapter", adapter, ADAPTERS)
    plain = {name: value for name, value in vars(ADAPTERS[kind]()).items() if name != "callbacks"}
    changed = {name: value for name, value in vars(adapter).items() if name in plain and value != plain[name]}
    if others := [name for name in changed if name not in ADAPTER_OPTIONS]:
        raise ConfigurationError(f"the adapter has {others[0]} set, which cannot be kept in a file; {HELP}")
    return {"kind": kind, "options": changed} if changed else kind


def named(what: str, value: Any, allowed: Mapping[str, Any]) -> str:
    """The name of a value's class, which must be that class itself and no other of its name."""
    name = type(value).__name__
    is_other = allowed.get(name, type(value)) is not type(value)
    return one_of(what, f"{type(value).__module__}.{name}" if is_other else name, allowed)


def one_of(what: str, name: Any, allowed: Mapping[str, Any]) -> str:
    """A name of a closed table.

    Raises:
        ConfigurationError: it is none; the message lists them.
    """
    if not isinstance(name, str) or name not in allowed:
        raise ConfigurationError(
            f"a {what} of the kind {name!r:.80} cannot be kept in a file; there are {', '.join(allowed)}; {HELP}"
        )
    return name


def _sampling_of(lm: dspy.BaseLM) -> dict[str, Any]:
    options = dict(lm.kwargs)
    if (most := options.pop("max_completion_tokens", None)) is not None:  # as DSPy calls it for reasoning models
        options["max_tokens"] = most
    return {
        name: options[name]
        for name in SAMPLING
        if name not in _NOT_KEPT and options.get(name) is not None and isinstance(options[name], SAMPLING[name])
    }
