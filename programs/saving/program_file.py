"""A program in a file that says all it takes to build it again: DSPy's own state,
and one more key that describes the program.

DSPy saves a program's state (instructions, demos, hyperparameters) but neither its class nor its signature, models or
adapter. The file is still one that the program's own ``load`` takes. It holds names and data of a closed set only:
nothing in it is imported or run, nothing changes where calls go, and no key is written.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dspy

from ..errors import ConfigurationError
from ..fusing_program import FusingProgram
from ..redaction import described as in_one_line, redacted, without_secrets_in
from ..tasks.sampling_options import checked_sampling
from .plain_options import HELP
from .program_building import build_program
from .program_description import Describing, describe_adapter
from .saved_state import KEY, restore

VERSION = 3
READ = (1, 2, VERSION)
NOT_DESCRIBED = "not_described"
PROGRAM_FILE = "program.json"
"""The file of a program in a folder."""


def described_state(
    program: dspy.Module,
    state: Mapping[str, Any],
    *,
    name: str,
    adapter: dspy.Adapter | None = None,
    names: Mapping[int, str] | None = None,
    every_model: bool = True,
) -> dict[str, Any]:
    """A program's state with how to build it.

    Args:
        program: one of this library's.
        state: what its own ``save`` writes.
        name: what it is to be called.
        adapter: the one it runs under; None for the one that its fusor was trained under, else that of
            ``dspy.settings``, else ``dspy.ChatAdapter``.
        names: what a catalogue calls some of its models, by their ``id``.
        every_model: whether a model without a name is an error.

    Raises:
        ConfigurationError: part of the program cannot be described; the message names it.
    """
    describing = Describing(names or {}, every_model=every_model)
    described = {
        "version": VERSION,
        "name": name,
        **describing.program(program),
        "adapter": describe_adapter(adapter or _adapter_of(program)),
    }
    state = {part: dict(held) if isinstance(held, Mapping) else held for part, held in state.items()}
    for part, predictor in program.named_predictors():
        if predictor.config:
            state[part]["config"] = checked_sampling(f"the config of {part}", predictor.config)
    _check_complete(program, described, state, describing)
    return {KEY: without_secrets_in(described), **state}


def write_description(program: dspy.Module, path: Path, name: str = "") -> None:
    """Adds to a file that DSPy saved how its program is built; of a program that no file can describe, the reason."""
    state = json.loads(path.read_text(encoding="utf-8"))
    try:
        name = name or (path.resolve().parent.name if path.name == PROGRAM_FILE else path.stem)
        whole = described_state(program, state, name=name, every_model=False)
    except Exception as error:  # noqa: BLE001 (what DSPy could save stays saved, whatever a program holds)
        why = str(error) if isinstance(error, ConfigurationError) else in_one_line(error)
        whole = {KEY: {"version": VERSION, NOT_DESCRIBED: redacted(why)}, **state}
    _replace(path, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def _replace(path: Path, text: str) -> None:
    """Writes a file at once: a kill leaves the old one or the new one."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(beside).chmod(path.stat().st_mode & 0o777)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _adapter_of(program: dspy.Module) -> dspy.Adapter | None:
    trained = program.trained.adapter if isinstance(program, FusingProgram) else None
    return trained or dspy.settings.adapter


def _check_complete(
    program: dspy.Module, described: Mapping[str, Any], state: Mapping[str, Any], describing: Describing
) -> None:
    """Refuses what a file would lose: the program is built again as a reader of the file would build it."""
    again = build_program(described, describing)
    restore(again, state)
    for part, value in program.dump_state().items():
        if again.dump_state().get(part) != value:
            raise ConfigurationError(f"{part} of the {type(program).__name__} would not come back from a file; {HELP}")
