"""Programs of a user's own as strategies: any DSPy module under a name, ours or not, single or of several steps.

What a configuration needs to know of one (what it does with a pool, how many candidates, by which models) is read off
the program once and kept in the run's configuration, so that a run can be read back without importing anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dspy

from dspy_fusion.programs import BestOfN, CandidateBank, Fusion, Hyperparameter, ProposeAggregate, Vote
from dspy_fusion.programs.errors import ConfigurationError

from ..tasks.named_objects import is_named, load_named
from .comparison_config import CompareConfig, StrategyConfig
from .strategies import SEED_STRIDE, Role, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable


_OURS = (BestOfN, Vote, Fusion, ProposeAggregate)


def program_of(name: str) -> dspy.Module:
    """The program that ``package.module:name`` stands for: a module, or what a function without arguments returns.

    Raises:
        ConfigurationError: it cannot be imported, or is none.
    """
    made = load_named(name, "program")
    if not isinstance(made, dspy.Module) and callable(made):
        try:
            made = made()
        except Exception as error:
            cause = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise ConfigurationError(f"program {name!r} could not be made ({cause})") from error
    if not isinstance(made, dspy.Module):
        raise ConfigurationError(
            f"program {name!r} must be a dspy.Module, or a function that returns one, but it is a {type(made).__name__}"
        )
    return made


def own_programs(config: CompareConfig, known: Mapping[str, dspy.Module] | None = None) -> dict[str, dspy.Module]:
    """The user's own programs among the strategies, by the strategies' names; those that are not there are imported.

    Raises:
        ConfigurationError: one cannot be imported.
    """
    known = known or {}
    wanted = {item.name: item.program for item in config.strategies if is_named(item.program)}
    return {name: known[name] if name in known else program_of(program) for name, program in wanted.items()}


def with_own(config: CompareConfig) -> tuple[CompareConfig, dict[str, dspy.Module]]:
    """The configuration with what is read off the programs of the user's own that it names, and those programs."""
    own = own_programs(config)
    return described(config, own), own


def named(programs: Mapping[str, dspy.Module], *, every_n: bool = False) -> tuple[StrategyConfig, ...]:
    """A strategy for each program of a mapping.

    Raises:
        ConfigurationError: one is no ``dspy.Module``.
    """
    for name, program in programs.items():
        if not isinstance(program, dspy.Module):
            raise ConfigurationError(
                f"program {name!r} must be a dspy.Module, but is a {type(program).__name__}; an instance, not a class"
            )
    return tuple(
        StrategyConfig(name, _path(type(program)), every_n=every_n and _size(program) is not None)
        for name, program in programs.items()
    )


def described(config: CompareConfig, programs: Mapping[str, dspy.Module]) -> CompareConfig:
    """The configuration with what is read off the user's own programs filled in."""
    pools = dict(config.pools)
    strategies = []
    for item in config.strategies:
        if (program := programs.get(item.name)) is None:
            strategies.append(item)
            continue
        if not item.pool:
            pools.setdefault(item.name, _models(program))
        fusor = getattr(program, "fusor_lm", None) or getattr(program, "fusor", None)
        strategies.append(
            replace(
                item,
                role=item.role or role_of(program),
                n=item.n or _number(_size(program)) or 1,
                temperature=item.temperature if item.temperature is not None else _temperature(program),
                fusor=item.fusor or str(getattr(fusor, "model", "")),
            )
        )
    return replace(config, strategies=tuple(strategies), pools=pools)


def role_of(program: dspy.Module) -> Role:
    """What a program does with its pool; a module that is none of ours is taken as it is, whatever it does inside."""
    if isinstance(program, Fusion | ProposeAggregate):
        return "fuse"
    if isinstance(program, BestOfN | Vote) and (_number(_size(program)) or 1) > 1:
        return "select"
    return "single"


def repeated(
    program: dspy.Module, strategy: Strategy, seed: int, bank: CandidateBank | None, lms: Mapping[str, dspy.BaseLM]
) -> dspy.Module:
    """A copy for one repetition.

    With other samples, the strategy's n, the run's bank where it has none, and the models that the configuration names.
    """
    copy = program.deepcopy()
    if (size := _size(copy)) is not None and _number(size) != strategy.n:
        size.value = strategy.n
    for part in parts_of(copy):
        if isinstance(part, _OURS):
            part.seed = None if part.seed is None else part.seed + seed * SEED_STRIDE
            part.bank = part.bank or bank
    if seed:
        for _, predictor in copy.named_predictors():
            predictor.config = {**predictor.config, "rollout_id": seed * SEED_STRIDE}
    named_lms = [lms[name] for name in strategy.models if name in lms]
    if len(named_lms) == 1:
        copy.set_lm(named_lms[0])
    elif named_lms:
        if not isinstance(copy, _OURS):
            raise ConfigurationError(
                f"strategy {strategy.name!r}: {strategy.program} takes one model, but its pool has {len(named_lms)}"
            )
        copy.lms = named_lms
    return copy


@dataclass(frozen=True)
class Proposing:
    """What draws the candidates of a program.

    Attributes:
        program: what is called for each candidate: the program inside one of ours, else the program itself.
        lms: the models that take turns; empty leaves that to the program.
        n: how many candidates one of ours draws; None for any other.
        temperature: at which one of ours draws; None leaves it to the models.
    """

    program: dspy.Module
    lms: tuple[dspy.BaseLM, ...] = ()
    n: int | None = None
    temperature: float | None = None


def proposing(program: dspy.Module) -> Proposing:
    """What draws a program's candidates."""
    if not isinstance(program, _OURS):
        return Proposing(program)
    value: Any = program.temperature
    value = value.value if isinstance(value, Hyperparameter) else value
    return Proposing(program.program, tuple(program.lms or ()), _number(_size(program)), value)


def lms_of(programs: Iterable[dspy.Module]) -> dict[str, dspy.BaseLM]:
    """The models that programs hold, and the one that DSPy is set to, by what they call themselves."""
    lms = [lm for program in programs for lm in _lms(program)]
    return {str(lm.model): lm for lm in lms}


def pools_of_own(config: CompareConfig) -> list[str]:
    """The models that the configuration gives to programs of the user's own."""
    pools = [item.pool for item in config.strategies if is_named(item.program) and item.pool]
    return list(dict.fromkeys(name for pool in pools for name in config.pool_models(pool)))


def state_digest(program: dspy.Module) -> str:
    """What tells a program from another under the same name: its class and its state."""
    kind = type(program)
    state = json.dumps([kind.__module__, kind.__qualname__, program.dump_state()], sort_keys=True, default=str)
    return hashlib.sha256(state.encode()).hexdigest()[:12]


def _lms(program: dspy.Module) -> list[dspy.BaseLM]:
    lms: list[Any] = [
        lm
        for part in parts_of(program)
        for lm in (*(getattr(part, "lms", None) or ()), getattr(part, "fusor_lm", None))
    ]
    lms += [predictor.lm for _, predictor in program.named_predictors()]
    kept = [lm for lm in lms if isinstance(lm, dspy.BaseLM)]
    return kept or ([dspy.settings.lm] if dspy.settings.lm is not None else [])


def parts_of(program: dspy.Module) -> list[Any]:
    """The program and all modules within it."""
    return [program, *(module for _, module in program.named_sub_modules() if module is not program)]


def _models(program: dspy.Module) -> tuple[str, ...]:
    own = [lm for lm in (getattr(program, "lms", None) or ()) if isinstance(lm, dspy.BaseLM)]
    return tuple(str(lm.model) for lm in own or _lms(program)[:1]) or ("unknown",)


def _size(program: dspy.Module) -> Hyperparameter | None:
    """How many candidates one of our programs draws."""
    if not isinstance(program, _OURS):
        return None
    size = getattr(program, "width" if isinstance(program, ProposeAggregate) else "n")
    return size if isinstance(size, Hyperparameter) else None


def _number(size: Hyperparameter | None) -> int | None:
    return None if size is None else int(size.value)


def _temperature(program: dspy.Module) -> float:
    temperature: Any = getattr(program, "temperature", None)
    value = temperature.value if isinstance(temperature, Hyperparameter) else temperature
    if isinstance(value, int | float):
        return float(value)
    return next((float(lm.kwargs.get("temperature") or 0.0) for lm in _lms(program)), 0.0)


def _path(kind: type) -> str:
    """How a class is written in a run's configuration; for people, since a run that is read back imports nothing."""
    name = kind.__qualname__.replace(".<locals>", "")
    path = f"{kind.__module__}:{name}"
    return path if is_named(path) else f"own:{kind.__name__}"
