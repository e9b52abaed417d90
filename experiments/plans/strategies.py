"""Strategies: from a line of the configuration to a program, and what kind of strategy each program is.

Strategies with the same models, n, temperature and seed draw the same candidates, so through the bank they share one
pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from dspy_fusion.programs.errors import ConfigurationError

from ..tasks.named_objects import is_named
from .comparison_config import CompareConfig, StrategyConfig

Role = Literal["single", "select", "parts", "oracle", "fuse", "control"]
ROLES: dict[str, Role] = {
    "single": "single",
    "vote": "select",
    "vote_parts": "parts",
    "best_of_n": "select",
    "oracle": "oracle",
    "fusion": "fuse",
    "propose_aggregate": "fuse",
    "fresh_solve": "control",
}
"""What ``program`` may be, and what each does with the pool.

``fresh_solve`` draws n + 1 answers from the fusor alone, as many calls as fusion, and takes the likeliest.
"""
JUDGES = ("judge", "pairwise", "panel")
"""Scorers that ask a model how good answers are; it must not be one of those that wrote them, unless that is said."""
SELECTORS = ("gen_select", "usc")
"""Scorers that have a model pick one of many; it may well be the one that wrote them."""
CODE_SCORERS = ("code_tests", "code_agreement")
"""Scorers that run candidates' code, for tasks that show tests."""
SCORERS = ("likelihood", *CODE_SCORERS, "reward_model", *JUDGES, *SELECTORS)
"""What ``scorer`` may be."""
SEED_STRIDE = 1000  # candidate i is drawn with seed + i, so repetitions must lie further apart than a pool is large


@dataclass(frozen=True)
class Strategy:
    """A strategy with everything filled in; the fields are those of ``StrategyConfig``."""

    name: str
    program: str
    pool: str
    models: tuple[str, ...]
    n: int
    temperature: float
    fusor: str
    scorer: str
    judge: str
    every_n: bool
    options: Mapping[str, Any]
    scorer_options: Mapping[str, Any]
    own_role: str = ""
    """What a program of the user's own does with its pool."""
    curve_of: str = ""
    """Name of the strategy of which this is a point of the N curve."""

    @property
    def role(self) -> Role:
        """What the program does with the pool.

        ``control`` is a fresh solve, ``parts`` a vote that knows the task's parts.
        """
        return cast("Role", self.own_role) if self.is_own else ROLES[self.program]

    @property
    def is_own(self) -> bool:
        """Whether the program is the user's own."""
        return is_named(self.program)

    @property
    def judges(self) -> tuple[str, ...]:
        """The models behind the scorer; several for a panel."""
        return tuple(name.strip() for name in self.judge.split(",") if name.strip())

    @property
    def needs_logprobs(self) -> bool:
        """Whether the candidates must be drawn with their log-probabilities."""
        return (self.program == "fresh_solve" and not self.scorer) or self.scorer == "likelihood"

    @property
    def pool_key(self) -> tuple[object, ...]:
        """Strategies with equal keys draw the same candidates."""
        return self.models, self.n, self.temperature, self.name if self.is_own else ""


def planned(config: CompareConfig) -> tuple[Strategy, ...]:
    """The strategies of a comparison, followed by the points of their N curves.

    Raises:
        ConfigurationError: a strategy names a program or a scorer that does not exist, or lacks what it needs.
    """
    strategies = [_filled(config, item) for item in config.strategies]
    return (*strategies, *(point for strategy in strategies if strategy.every_n for point in _curve(strategy)))


def model_names(strategies: tuple[Strategy, ...]) -> tuple[str, ...]:
    """Every model that is asked for anything, each once, in order of appearance.

    Those that programs of the user's own bring are not among them.
    """
    names = [name for s in strategies if not s.is_own for name in (*s.models, *_helpers(s))]
    return tuple(dict.fromkeys(names))


def _filled(config: CompareConfig, given: StrategyConfig) -> Strategy:
    where = f"strategy {given.name!r}"
    if is_named(given.program):
        return _own(config, given)
    if given.program not in ROLES:
        raise ConfigurationError(
            f"{where}: there is no program {given.program!r}; there are: {', '.join(ROLES)}, or your own as module:name"
        )
    if not given.pool:
        raise ConfigurationError(f"{where}: the key 'pool' is missing")
    if given.scorer and given.scorer not in SCORERS:
        raise ConfigurationError(f"{where}: there is no scorer {given.scorer!r}; there are: {', '.join(SCORERS)}")
    if given.program == "best_of_n" and not given.scorer:
        raise ConfigurationError(f"{where}: best_of_n needs a scorer, one of: {', '.join(SCORERS)}")
    if given.scorer in (*JUDGES, *SELECTORS) and not given.judge:
        raise ConfigurationError(f'{where}: scorer {given.scorer!r} needs a model, such as judge = "embedded/judge"')
    if "," in given.judge and given.scorer != "panel":
        raise ConfigurationError(
            f"{where}: judge names several models, {given.judge!r}; only scorer 'panel' takes more than one"
        )
    models = config.pool_models(given.pool)
    fusor = given.fusor or models[0]
    fresh = given.program == "fresh_solve"
    return Strategy(
        name=given.name,
        program=given.program,
        pool=fusor if fresh else given.pool,
        models=(fusor,) if fresh else models,
        n=1 if given.program == "single" else (given.n or config.n) + fresh,
        temperature=config.temperature if given.temperature is None else given.temperature,
        fusor=fusor,
        scorer=given.scorer,
        judge=given.judge,
        every_n=given.every_n,
        options=given.options,
        scorer_options=given.scorer_options,
    )


def _own(config: CompareConfig, given: StrategyConfig) -> Strategy:
    pool = given.pool or given.name
    return Strategy(
        name=given.name,
        program=given.program,
        pool=pool,
        models=config.pool_models(pool),
        n=given.n or 1,
        temperature=given.temperature or 0.0,
        fusor=given.fusor,
        scorer="",
        judge="",
        every_n=given.every_n and (given.n or 1) > 1,
        options=given.options,
        scorer_options={},
        own_role=given.role or "single",
    )


def _curve(strategy: Strategy) -> list[Strategy]:
    shared = {**vars(strategy), "every_n": False, "curve_of": strategy.name}
    return [Strategy(**{**shared, "name": f"{strategy.name} (n={n})", "n": n}) for n in range(1, strategy.n)]


def _helpers(strategy: Strategy) -> tuple[str, ...]:
    return (strategy.fusor, *strategy.judges) if strategy.role in ("fuse", "control") else strategy.judges
