"""SearchSpace: what of a program can be tuned, read off the program itself,
and the way from a point of the space back to a program.

Hyperparameters are those that ``named_parameters()`` finds, however deep; prompts are the instructions and demos of
every predictor that is shown candidates (fusors, aggregators, judges). A text is a place in a growing list, so a study
stores numbers and each text once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import dspy

from dspy_fusion.programs import FUSOR_INSTRUCTIONS, ConfigurationError, Hyperparameter
from dspy_fusion.programs.tasks.adapter_names import ADAPTER
from dspy_fusion.programs.tasks.own_fields import field_of, marked_field
from dspy_fusion.programs.tasks.reasoning_room import ROOM
from dspy_fusion.programs.tasks.signatures import plain, signature_of

from .dimensions import Dimension, Suggests, adapter_dimensions, room_dimensions, taken

INSTRUCTION, DEMOS = "instruction:", "demos:"
Setting = Mapping[str, Any]
"""A point of a space: a value per dimension; for instructions and demos a place in their list."""


@dataclass(frozen=True)
class SearchSpace:
    """The dimensions of a program, the instructions to choose from and the demo sets to choose from.

    Attributes:
        dimensions: in the order of the program's parameters.
        instructions: per predictor path, the texts; place 0 is the program's own.
        demos: per predictor path, the demo sets; place 0 is the program's own.
        untaken: temperatures of which the models take less than what would be searched, or nothing, as they would be.
        notes: what of the space was left out, and why.
    """

    dimensions: tuple[Dimension, ...]
    instructions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    demos: Mapping[str, tuple[tuple[Any, ...], ...]] = field(default_factory=dict)
    untaken: tuple[Dimension, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        program: dspy.Module,
        *,
        instructions: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        tune_task: bool = False,
        exclude: Sequence[str] = (),
        adapters: Sequence[str] = (),
        reasoning: Sequence[str] = (),
    ) -> SearchSpace:
        """Reads the space off a program.

        Args:
            program: any module that contains programs of this library, at any depth.
            instructions: texts to choose from, for all fusors or per predictor path; by default the library's, each
                after a paper. The program's own text is always the first.
            tune_task: whether the task programs' own predictors are tuned too: over the given instructions of their
                paths, and what a proposing model adds to them.
            exclude: paths of parameters that are to stay as they are; a path also excludes what lies below it.
            adapters: how the models may be asked beside the way in force: ``chat``, ``json``, ``xml``, ``plain``.
            reasoning: rooms that the models' reasoning may get beside the one in force, as programs take them.

        Raises:
            ConfigurationError: nothing can be tuned, or a path is unknown.
        """
        parameters = dict(program.named_parameters())
        _check_paths(parameters, exclude, instructions)
        free = {path: part for path, part in parameters.items() if not _excluded(path, exclude)}
        numbers = [
            Dimension.of(path, part)
            for path, part in free.items()
            if isinstance(part, Hyperparameter) and part.name not in (ADAPTER, ROOM)
        ]
        ways, notes = adapter_dimensions(program, free, adapters) if adapters else ([], [])
        rooms, more = room_dimensions(program, free, reasoning) if reasoning else ([], [])
        ways, notes = [*ways, *rooms], [*notes, *more]
        texts = {
            path: _texts(path, part, instructions, tune_task)
            for path, part in free.items()
            if isinstance(part, dspy.Predict)
        }
        texts = {
            path: found
            for path, found in texts.items()
            if len(found) > 1 or (found and (tune_task or shows_candidates(free[path], path)))
        }
        prompts = [Dimension(INSTRUCTION + path, "instruction") for path in texts]
        if not numbers and not prompts and not ways:
            raise ConfigurationError(
                f"{type(program).__name__} has nothing to tune: no hyperparameter and no fusor, aggregator or judge; "
                "wrap your module in Fusion, ProposeAggregate, BestOfN or Vote first"
            )
        space = cls((*numbers, *ways, *prompts), texts, notes=tuple(notes)).taken_by(program)
        if not space.dimensions:
            names = ", ".join(dimension.name for dimension in space.untaken)
            raise ConfigurationError(f"nothing can be tuned: the models of the program take no temperature ({names})")
        return space

    def taken_by(self, program: dspy.Module) -> SearchSpace:
        """The space without the temperatures that the program's models are known by now not to take."""
        whole = {dimension.name: dimension for dimension in (*self.dimensions, *self.untaken)}
        dimensions = taken(program, [whole[dimension.name] for dimension in self.dimensions])
        names = {dimension.name for dimension in self.untaken}
        untaken = [d for d in self.dimensions if d not in dimensions and d.name not in names]
        return replace(self, dimensions=tuple(dimensions), untaken=(*self.untaken, *untaken))

    def with_texts(self, path: str, added: Sequence[str]) -> SearchSpace:
        """The space with further instructions for a predictor; texts that are there already are left out."""
        known = self.instructions[path]
        fresh = [text for text in dict.fromkeys(added) if text not in known]
        return replace(self, instructions={**self.instructions, path: (*known, *fresh)})

    def with_demos(self, path: str, sets: Sequence[Sequence[Any]]) -> SearchSpace:
        """The space with demo sets for a predictor, the program's own first."""
        if not sets:
            return self
        dimension = Dimension(DEMOS + path, "demos")
        return replace(
            self, dimensions=(*self.dimensions, dimension), demos={**self.demos, path: ((), *map(tuple, sets))}
        )

    def suggest(self, trial: Suggests) -> dict[str, Any]:
        """Has a trial choose a point."""
        return {dimension.name: dimension.suggest(trial, self.length(dimension)) for dimension in self.dimensions}

    @property
    def unordered(self) -> tuple[str, ...]:
        """The dimensions whose values have no order though Optuna sees whole numbers."""
        return tuple(dimension.name for dimension in self.dimensions if dimension.kind in ("instruction", "demos"))

    def length(self, dimension: Dimension) -> int:
        """How many texts or demo sets a dimension chooses from; 0 for others."""
        if dimension.kind == "instruction":
            return len(self.instructions[dimension.name.removeprefix(INSTRUCTION)])
        return len(self.demos[dimension.name.removeprefix(DEMOS)]) if dimension.kind == "demos" else 0

    def read(self, program: dspy.Module) -> dict[str, Any]:
        """The point at which a program stands.

        A value outside the searched range is moved to its nearest grid point in the study only.
        """
        parameters = dict(program.named_parameters())
        return {
            d.name: 0 if d.kind in ("instruction", "demos") else d.nearest(parameters[d.name].value)
            for d in self.dimensions
        }

    def apply(self, program: dspy.Module, setting: Setting) -> dspy.Module:
        """A copy of a program at a point of the space."""
        made = program.deepcopy()
        parameters = dict(made.named_parameters())
        for name, value in setting.items():
            if name.startswith(INSTRUCTION):
                predictor = parameters[name.removeprefix(INSTRUCTION)]
                text = self.instructions[name.removeprefix(INSTRUCTION)][value]
                predictor.signature = predictor.signature.with_instructions(text)
            elif name.startswith(DEMOS):
                if value:
                    parameters[name.removeprefix(DEMOS)].demos = list(self.demos[name.removeprefix(DEMOS)][value])
            else:
                parameters[name].value = value
        return made

    def describe(self) -> dict[str, Any]:
        """What two runs of one study must have in common, as plain data.

        The dimensions and demo sets, without the growing texts. What a model does not take is described as if it did:
        that may come out later.
        """
        described = {
            dimension.name: {k: v for k, v in asdict(dimension).items() if k != "name"}
            for dimension in (*self.dimensions, *self.untaken)
        }
        for path, sets in self.demos.items():
            text = json.dumps([[plain(dict(demo)) for demo in demos] for demos in sets], sort_keys=True, default=str)
            described[DEMOS + path]["sets"] = hashlib.sha256(text.encode()).hexdigest()[:12]
        return described


def setting_digest(program: dspy.Module) -> str:
    """The digest of a program's state: equal for two settings that make the same program."""
    state = json.dumps(program.dump_state(), sort_keys=True, default=str)
    return hashlib.sha256(state.encode()).hexdigest()[:32]


def _texts(
    path: str, part: dspy.Predict, given: Sequence[str] | Mapping[str, Sequence[str]] | None, tune_task: bool
) -> tuple[str, ...]:
    own, is_judge = signature_of(part).instructions, marked_field(signature_of(part), "verdict") is not None
    if isinstance(given, Mapping) and path in given:
        return tuple(dict.fromkeys((own, *given[path])))
    if not shows_candidates(part, path):
        return (own,) if tune_task and not is_judge else ()
    if isinstance(given, Mapping):
        return (own,)
    return tuple(dict.fromkeys((own, *(() if is_judge else FUSOR_INSTRUCTIONS if given is None else given))))


def shows_candidates(part: Any, path: str) -> bool:
    """Whether a part of a program is a fusor, an aggregator or a judge of whole pools.

    A fusor that was written by hand is known by where it stands and by its input ``candidates``, which a task may have.
    """
    if not isinstance(part, dspy.Predict):
        return False
    role = "candidates"
    if re.search(r"(^|\.)fusor(\.|$)", path):
        return field_of(signature_of(part), role) is not None
    return marked_field(signature_of(part), role) is not None


def _excluded(path: str, exclude: Sequence[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in exclude)


def _check_paths(parameters: Mapping[str, Any], exclude: Sequence[str], instructions: Any) -> None:
    for name in exclude:
        if not any(_excluded(path, [name]) for path in parameters):
            raise ConfigurationError(
                f"exclude names {name!r}, which is no parameter of the program; it has {sorted(parameters)}"
            )
    for path in instructions if isinstance(instructions, Mapping) else ():
        if not isinstance(parameters.get(path), dspy.Predict):
            paths = sorted(name for name, part in parameters.items() if isinstance(part, dspy.Predict))
            raise ConfigurationError(
                f"instructions names {path!r}, which is no predictor of the program; it has {paths}"
            )
