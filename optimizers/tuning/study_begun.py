"""What two runs of one study must have in common; a study that was begun with something else is refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dspy
import optuna

from dspy_fusion.programs import ConfigurationError

from .scores.objective import example_digest
from .search_space import SearchSpace, setting_digest

BEGUN = "dspy_fusion_begun"


@dataclass(frozen=True)
class Begun:
    """What two runs of one study must have in common.

    Attributes:
        space: the dimensions, as :meth:`SearchSpace.describe` gives them.
        program: digest of the program as it is.
        examples: digests of the examples that trials are scored on.
        measured: names of the measures that objectives and constraints use beside quality and cost.
    """

    space: Mapping[str, Any]
    program: str
    examples: tuple[str, ...]
    measured: tuple[str, ...] = ()


def check_begun(study: optuna.Study, name: str, begun: Begun) -> None:
    """Marks a new study with what it is begun with; raises ``ConfigurationError`` where an old one differs."""
    ours = {"space": begun.space, "program": begun.program, "examples": sorted(key[:12] for key in begun.examples)}
    ours = json.loads(json.dumps(ours))
    theirs = study.user_attrs.get(BEGUN)
    if theirs is None and study.get_trials(deepcopy=False):
        raise ConfigurationError(
            f"the study {name!r} has trials that this library did not make; give study= a new name"
        )
    lacking = [] if theirs is None else [part for part in begun.measured if part not in theirs.get("measured", [])]
    if theirs is None:
        study.set_user_attr(BEGUN, {**ours, "measured": sorted(begun.measured)})
    elif lacking:
        raise ConfigurationError(
            f"the study {name!r} was begun without {lacking[0]}, so its trials do not have it; give study= a new name"
        )
    elif theirs["space"] != ours["space"]:
        changed = _differences(theirs["space"], ours["space"])
        raise ConfigurationError(f"the study {name!r} was begun with another space: {changed}; give study= a new name")
    elif theirs["examples"] != ours["examples"]:
        counts = f"{len(theirs['examples'])} then, {len(ours['examples'])} now"
        both = len(set(theirs["examples"]) & set(ours["examples"]))
        raise ConfigurationError(
            f"the study {name!r} was begun with other examples ({counts}, {both} in both); give study= a new name"
        )
    elif theirs["program"] != ours["program"]:
        raise ConfigurationError(
            f"the study {name!r} was begun with other instructions, demos or values in the program itself; give study="
            " a new name"
        )


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    parts = [f"{name} is only in the study" for name in theirs if name not in ours]
    parts += [f"{name} is only in the program" for name in ours if name not in theirs]
    for name in theirs:
        if name in ours and theirs[name] != ours[name]:
            changed = [f"{key} {theirs[name].get(key)!r} -> {ours[name].get(key)!r}" for key in ours[name]
                       if theirs[name].get(key) != ours[name].get(key)]  # fmt: skip
            parts.append(f"{name} ({', '.join(changed)})")
    return "; ".join(parts)


def study_name(program: dspy.Module, space: SearchSpace, examples: Sequence[dspy.Example]) -> str:
    """A name that is the same for the same program, space and examples."""
    parts = [setting_digest(program), space.describe(), sorted(example_digest(example) for example in examples)]
    return f"{type(program).__name__}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]}"
