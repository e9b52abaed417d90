"""The state of a program in a file that somebody else may have written: read as a closed set of plain data.

DSPy's own ``load_state`` sets whatever a file names, such as ``config = {"api_base": ...}``, and builds models from it.
Here a predictor takes its instructions, field texts, demos, decision thresholds and sampling options; a hyperparameter
takes its value; anything else is refused by its name before the program is touched.
"""

from __future__ import annotations

import copy
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import dspy
from dspy.predict.parameter import Parameter

from ..errors import ConfigurationError
from ..fusing_program import FusingProgram
from ..json_text import read_json
from ..pools.confidence import Calibration
from ..tasks.hyperparameters import Hyperparameter
from ..tasks.own_predict import OwnPredict
from ..tasks.sampling_options import checked_sampling
from ..tasks.signatures import signature_of
from ..tasks.trained_fusor import TrainedFusor

KEY = "dspy_fusion"
_OF_PREDICT = ("signature", "demos", "fields", "config", "lm", "traces", "train")
_BESIDE = (KEY, "metadata")  # what a file holds beside the state; DSPy's metadata are versions
_LATER: dict[str, Any] = {
    "adapter": {"value": None},
    "compare": {"value": False},
    "reasoning": {"value": None},
    "trained": TrainedFusor().dump_state(),
}
_LARGEST = 256 << 20  # bytes
_MOST_CALLS = 1000  # that a file may have one answer take, by its n, width or depth


def read_state(path: Path | str) -> dict[str, Any]:
    """The JSON object of a saved program; raises ``ConfigurationError`` where there is none."""
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe or a device would be read for ever
            raise ConfigurationError(f"cannot read the program {path}: it is no file")
        if (size := about.st_size) > _LARGEST:
            raise ConfigurationError(f"the program {path} has {size} bytes, more than any program: {_LARGEST}")
        state = read_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the program {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(f"the program {path} is no JSON: {str(error)[:120]}") from error
    if not isinstance(state, dict):
        raise ConfigurationError(f"the program {path} must be a JSON object, as a program's save() writes it")
    return state


def restore(program: dspy.Module, state: Mapping[str, Any]) -> None:
    """Loads a state into a program: what the program has a place for, and nothing else.

    Models stay those that the program has.

    Raises:
        ConfigurationError: it is not the state of such a program, or holds what no state should; the message names it.
    """
    kind = type(program).__name__
    parts = dict(program.named_parameters())
    if unknown := [name for name in state if name not in parts and name not in _BESIDE]:
        raise ConfigurationError(
            f"the state is not that of this {kind}: it has {unknown[0]!r:.80}, which a {kind} lacks"
        )
    try:
        checked = {name: _part(name, part, _state_of(name, state)) for name, part in parts.items()}
        trial = program.deepcopy()  # raises before the program is touched
        for name, part in (*trial.named_parameters(), *parts.items()):
            _load(part, copy.deepcopy(checked[name]))
        if isinstance(program, FusingProgram):
            program.trained.check(program.fusor_lm)
    except ConfigurationError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"the state is not that of this {kind}: {reason}") from error


def _state_of(name: str, state: Mapping[str, Any]) -> Any:
    """The state of a part; of one that older files lack, what it then was."""
    return state[name] if name in state or name.rpartition(".")[2] not in _LATER else _LATER[name.rpartition(".")[2]]


def _part(name: str, part: Parameter, state: Any) -> dict[str, Any]:
    """The checked state of one parameter."""
    if not isinstance(state, dict):
        raise ConfigurationError(f"the state of {name} must be a table, but is {state!r:.80}")
    if isinstance(part, dspy.Predict):
        return _predictor(name, part, state)
    if isinstance(part, Hyperparameter):
        return _hyperparameter(name, part, state)
    _refuse_others(name, state, tuple(cast("Any", part).dump_state()))
    return state


def _hyperparameter(name: str, part: Hyperparameter, state: dict[str, Any]) -> dict[str, Any]:
    _refuse_others(name, state, ("value", "kept"))
    value = state["value"]
    is_count = part.integer and part.high is None  # each of it is a call that costs
    if is_count and isinstance(value, int | float) and value > _MOST_CALLS:
        raise ConfigurationError(f"the state of {name} has {value!r:.40}; a file may set {_MOST_CALLS} at most")
    if kept := state.get("kept"):
        _refuse_others(f"{name}'s kept", kept, ("calibration",))
        Calibration.of_state(kept["calibration"])
    return state


def _predictor(name: str, predictor: dspy.Predict, state: dict[str, Any]) -> dict[str, Any]:
    _refuse_others(name, state, _OF_PREDICT)
    if state.get("lm") is not None:
        raise ConfigurationError(
            f"the state of {name} names a model of its own, which a file must not choose; give the program its models"
        )
    demos = state.get("demos", [])
    if not isinstance(demos, list) or not all(isinstance(demo, dict) for demo in demos):
        raise ConfigurationError(f"the demos of {name} must be a list of tables of fields")
    decisions = state.get("fields", {})
    if not isinstance(decisions, dict) or not all(isinstance(item, dict) for item in decisions.values()):
        raise ConfigurationError(f"the fields of {name} must be a table of tables")
    checked = {"signature": _texts(name, predictor, state["signature"]), "demos": demos, "fields": decisions}
    return checked | (
        {"config": checked_sampling(f"the config of {name}", state["config"])} if "config" in state else {}
    )


def _texts(name: str, predictor: dspy.Predict, state: Any) -> dict[str, Any]:
    """Instructions, and each field's prefix and description."""
    _refuse_others(f"{name}'s signature", state, ("instructions", "fields"))
    wanted, fields = list(signature_of(predictor).fields), state["fields"]
    is_checked_later = isinstance(predictor, OwnPredict)  # which fits a state with fewer fields of ours
    if not isinstance(fields, list) or (len(fields) != len(wanted) and not is_checked_later):
        saved = len(fields) if isinstance(fields, list) else "no"
        raise ConfigurationError(f"the state of {name} has {saved} fields, but the program's are {', '.join(wanted)}")
    for field in fields:
        _refuse_others(f"{name}'s fields", field, ("prefix", "description"))
    texts = [state["instructions"], *(text for field in fields for text in (field["prefix"], field["description"]))]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigurationError(f"the instructions, prefixes and descriptions of {name} must be texts")
    return state


def _refuse_others(where: str, state: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(state, dict):
        raise ConfigurationError(f"the state of {where} must be a table, but is {state!r:.80}")
    if others := [key for key in state if key not in allowed]:
        raise ConfigurationError(
            f"the state of {where} has {others[0]!r:.80}, which a file must not set; it may set {', '.join(allowed)}"
        )


def _load(part: Any, state: dict[str, Any]) -> None:
    if isinstance(part, dspy.Predict):
        config, lm = state.pop("config", None), part.lm
        part.load_state({**state, "traces": [], "train": [], "lm": None})
        part.lm = lm
        if config is not None:
            part.config = config
    else:
        part.load_state(state)
