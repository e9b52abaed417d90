"""Programs in files, with the models that a catalogue has.

What a file holds is said in ``programs.saving``; here names become models, and an address never comes out of a file.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import without_secrets
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.saving.moved_state import moved_with
from dspy_fusion.programs.saving.plain_options import HELP
from dspy_fusion.programs.saving.program_building import build_adapter, build_program
from dspy_fusion.programs.saving.program_file import NOT_DESCRIBED, READ, described_state
from dspy_fusion.programs.saving.saved_state import KEY, read_state, restore

from ..catalogue.models import GGUF_SUFFIX, ModelCatalogue
from ..checkpoints import PREFIX as CHECKPOINT_PREFIX
from ..embedded import PREFIX, SUFFIX

__all__ = ["KEY", "SavedProgram", "load_program", "read_state", "restore", "save_program"]
_MODEL_STRING = re.compile(r"[a-z0-9_]+(?:/(?!https?:|\.\.?(?:/|$))[\w.:@+~-]+)+")


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
    """Writes a program's state and how to build it, or nothing: a program's own ``save`` writes the same where it can.

    Args:
        program: one of this library's, over ``dspy.Predict``, ``dspy.ChainOfThought`` or another program. One without
            models of its own (``lms``, ``fusor_lm``) is given them where it is loaded.
        path: a ``.json`` file.
        name: what it is to be called; empty takes the file's name.
        adapter: the one it runs under; None for the one that its fusor was trained under, else that of
            ``dspy.settings``, else ``dspy.ChatAdapter``.
        models: its models by the names that the catalogue has for them. Models that a catalogue made, and models that
            are reached at their provider's own address, need not be named.

    Raises:
        ConfigurationError: part of the program cannot be described; the message names it.
    """
    path = Path(path)
    names = {id(lm): known for known, lm in (models or {}).items()}
    state = described_state(program, _state(program), name=name or path.stem, adapter=adapter, names=names)
    path.write_text(without_secrets(json.dumps(state, indent=1, ensure_ascii=False)), encoding="utf-8")


def _state(program: dspy.Module) -> dict[str, Any]:
    """What DSPy writes of a program."""
    handle, file = tempfile.mkstemp(suffix=".json")
    os.close(handle)
    try:
        dspy.Module.save(program, file)
        return json.loads(Path(file).read_text(encoding="utf-8"))
    finally:
        Path(file).unlink()


@dataclass(frozen=True)
class _Catalogued:
    """The models of a description: those of a catalogue, or the ones that whoever loads it names instead."""

    catalogue: ModelCatalogue
    lm: str
    fusor_lm: str

    def named(self, name: str, sampling: Mapping[str, Any], role: str) -> dspy.BaseLM:
        """A model by a name of the catalogue, or by a provider and a model; an address in it would be sent the key."""
        if instead := self._instead(role):
            return self.catalogue.lm(instead)
        is_file = (PREFIX + name.removeprefix(PREFIX)).endswith((SUFFIX, GGUF_SUFFIX))
        is_here = name in self.catalogue.entries or is_file or name.startswith(CHECKPOINT_PREFIX)
        if "/" in name and not is_here and not _MODEL_STRING.fullmatch(name):
            raise ConfigurationError(f"the model {name!r:.80} is no provider/model; a file must not choose an address")
        return self.catalogue.lm(name, **sampling)

    def unnamed(self, model: str, role: str) -> dspy.BaseLM:
        """What is named instead of a model that no catalogue knew when the program was saved."""
        if instead := self._instead(role):
            return self.catalogue.lm(instead)
        way = {"lms": "name one with --lm (lm=)", "fusor_lm": "name one with --fusor-lm (fusor_lm=)"}
        raise ConfigurationError(
            f"the program was saved with {model!r:.80} as {role}, at an address that no file holds; "
            f"{way.get(role, 'save it with save_program(..., models={name: lm})')}"
        )

    def _instead(self, role: str) -> str:
        return {"lms": self.lm, "fusor_lm": self.fusor_lm or self.lm}.get(role, "") if self.lm or self.fusor_lm else ""


def load_program(path: Path | str, catalogue: ModelCatalogue, *, lm: str = "", fusor_lm: str = "") -> SavedProgram:
    """Builds the program of a file that :func:`save_program` or a program's own ``save`` wrote.

    Args:
        path: the ``.json`` file.
        catalogue: where its models come from.
        lm: the name of a model that draws the candidates instead of the program's own, and writes the answer where
            ``fusor_lm`` is empty; empty for the program's own.
        fusor_lm: the name of a model that writes the answer instead.

    Raises:
        ConfigurationError: the file cannot be read or does not describe a program, or a model is unknown, without a
            name, or lacks its key.
    """
    state = moved_with(read_state(path), Path(path).parent)
    described = state.get(KEY)
    if not isinstance(described, dict):
        raise ConfigurationError(
            f"{path} holds a program's state but not how to build it; save it with save_program, or {HELP}"
        )
    if (version := described.get("version")) not in READ or isinstance(version, bool):
        raise ConfigurationError(
            f"{path} is of version {version!r:.40}, not {' or '.join(map(str, READ))} as this library reads; save it "
            "again, or use a newer library"
        )
    if why := described.get(NOT_DESCRIBED):
        raise ConfigurationError(f"{path} holds a program's state but not how to build it: {why!s:.400}")
    models = _Catalogued(catalogue, lm, fusor_lm)
    try:
        first = build_program(described, models)
        restore(first, state)
        program = build_program(described, models, module=first.program)  # now that the task's texts are known
        restore(program, state)
        return SavedProgram(_name(described), program, build_adapter(described["adapter"]))
    except ConfigurationError as error:
        raise type(error)(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} does not describe a program: {type(error).__name__}: {error}; save it again"
        ) from error


def _name(described: Mapping[str, Any]) -> str:
    name = described["name"]
    if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
        raise ConfigurationError(f"the program's name {name!r:.80} is none; a name is at most 200 printable characters")
    return name
