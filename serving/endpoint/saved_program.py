"""A program in a file that says all it takes to build it again: DSPy's own state,
and one more key that describes the program.

DSPy saves a program's state (instructions, demos, hyperparameters) but neither its class nor its signature, models or
adapter. The file is still one that the program's own ``load`` takes. It holds names and data of a closed set only
(``saved_state``, ``program_description``, ``written_signature``): nothing in it is imported or run, nothing changes
where calls go, and no key is written.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.redaction import without_secrets
from dspy_fusion.programs.sampling_program import SamplingProgram

from ..catalogue.models import ModelCatalogue
from .program_description import HELP, build_adapter, build_program, describe_adapter, describe_program
from .saved_state import KEY, config_of, read_state, restore

__all__ = ["KEY", "SavedProgram", "load_program", "read_state", "restore", "save_program"]
VERSION = 2
_READ = (1, VERSION)


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
        program: one of this library's, over ``dspy.Predict`` or ``dspy.ChainOfThought``. One without models of its own
            (``lms``, ``fusor_lm``) is given them where it is loaded.
        path: a ``.json`` file.
        name: what it is to be called; empty takes the file's name.
        adapter: the one it runs under; None for the one that its fusor was trained under, else ``dspy.ChatAdapter``.
        models: its models by the names that the catalogue has for them. Embedded models, and models that are reached at
            their provider's own address, need not be named.

    Raises:
        ConfigurationError: part of the program cannot be described; the message names it.
    """
    path = Path(path)
    names = {id(lm): known for known, lm in (models or {}).items()}
    described = {
        "version": VERSION,
        "name": name or path.stem,
        **describe_program(program, names),
        "adapter": describe_adapter(adapter or _trained_under(program)),
    }
    state = _state(program)
    for part, predictor in program.named_predictors():
        if predictor.config:
            state[part]["config"] = config_of(part, predictor.config)
    _check_complete(program, described, state)
    text = json.dumps({KEY: described, **state}, indent=1, ensure_ascii=False)
    path.write_text(without_secrets(text), encoding="utf-8")


def _trained_under(program: dspy.Module) -> dspy.Adapter | None:
    return program.trained.adapter if isinstance(program, FusingProgram) else None


class _SameModels(ModelCatalogue):
    """The models that a program has, by the names that its description gives them."""

    def __init__(self, program: Any, described: Mapping[str, Any]) -> None:
        scorer = getattr(program, "scorer", None) or getattr(program, "weights", None)
        lms = [*(program.lms or ()), getattr(program, "fusor_lm", None), getattr(scorer, "lm", None)]
        named = [*described["lms"], described["fusor_lm"], (described["scorer"] or {}).get("lm")]
        super().__init__({})
        object.__setattr__(self, "lms", dict(zip(named, lms, strict=True)))

    def lm(self, name: str, **_: Any) -> dspy.LM:
        return vars(self)["lms"][name]


def _check_complete(program: dspy.Module, described: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuses what a file would lose: the program is built again as a reader of the file would build it."""
    again = build_program(described, _SameModels(program, described))
    restore(again, state)
    for part, value in program.dump_state().items():
        if again.dump_state().get(part) != value:
            raise ConfigurationError(f"{part} of the {type(program).__name__} would not come back from a file; {HELP}")


def _state(program: dspy.Module) -> dict[str, Any]:
    """What the program's own ``save`` writes."""
    handle, file = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    try:
        program.save(file)
        return json.loads(Path(file).read_text(encoding="utf-8"))
    finally:
        Path(file).unlink()


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
            f"{path} holds a program's state but not how to build it; save it with save_program, or {HELP}"
        )
    if (version := described.get("version")) not in _READ or isinstance(version, bool):
        raise ConfigurationError(
            f"{path} is of version {version!r:.40}, not {' or '.join(map(str, _READ))} as this library reads; save it "
            "again, or use a newer library"
        )
    try:
        first = build_program(described, catalogue)
        restore(first, state)
        program = build_program(described, catalogue, module=first.program)  # now that the task's texts are known
        restore(program, state)
        return SavedProgram(str(described["name"]), program, build_adapter(described["adapter"]))
    except ConfigurationError as error:
        raise type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} does not describe a program: {type(error).__name__}: {error}; save it again"
        ) from error
