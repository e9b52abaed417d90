"""The comparison that the command line makes of a list of models.

What each does alone, what choosing gains, and what fusing gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspy_fusion.serving.recorded_lm import PREFIX as RECORDED

from ..tasks import Task, load_task
from .comparison_config import CompareConfig, StrategyConfig


def preset_config(
    task: str,
    models: Sequence[str],
    /,
    *,
    asked: Task | None = None,
    fusor: str = "",
    judge: str = "",
    likelihood: bool = False,
    **settings: Any,
) -> CompareConfig:
    """A comparison of everything that the task and these models allow.

    A vote only where two answers can be found equal.

    Args:
        task: name of the task.
        models: the pool; candidate i is drawn from model i modulo their number.
        asked: the task, where it is none that a name stands for.
        fusor: writes the fused answers; empty takes the first of the models that can be asked. Where all are recorded,
            nothing is fused.
        judge: scores candidates; empty leaves out what needs a judge.
        likelihood: whether the models report log-probabilities, which best of N by likelihood needs, and the fresh
            solve without a judge.
        **settings: other fields of :class:`CompareConfig`.

    Raises:
        ConfigurationError: a value is not allowed.
    """
    pool = "all" if len(models) > 1 else models[0]
    fusor = fusor or next((name for name in models if not name.startswith(RECORDED)), "")
    pools = {**settings.pop("pools", {}), **({"all": tuple(models)} if len(models) > 1 else {})}
    alone = dict.fromkeys([*models, fusor] if fusor else models)
    strategies = [StrategyConfig(f"single {name}", "single", name, temperature=0.0) for name in alone]
    asked = asked or load_task(task)
    settings.setdefault("split", asked.splits[0])
    if asked.comparable:
        strategies.append(StrategyConfig("vote", "vote", pool, every_n=True))
    if asked.vote_parts is not None:
        strategies.append(StrategyConfig("vote per part", "vote_parts", pool, every_n=True))
    if likelihood:
        strategies.append(StrategyConfig("best of N, likelihood", "best_of_n", pool, scorer="likelihood", every_n=True))
    if judge:
        strategies.append(StrategyConfig("best of N, judge", "best_of_n", pool, scorer="judge", judge=judge))
        strategies.append(StrategyConfig("best of N, pairwise", "best_of_n", pool, scorer="pairwise", judge=judge))
    if fusor and not asked.comparable:  # where answers cannot be counted, a model has to see what most of them agree on
        strategies.append(StrategyConfig("best of N, most consistent", "best_of_n", pool, scorer="usc", judge=fusor))
    strategies.append(StrategyConfig("oracle", "oracle", pool, every_n=True))
    if fusor:
        strategies += _writing(pool, fusor, judge, likelihood=likelihood)
    return CompareConfig(task=task, strategies=tuple(strategies), pools=pools, **settings)


def _writing(pool: str, fusor: str, judge: str, *, likelihood: bool) -> list[StrategyConfig]:
    """The strategies in which the fusor writes."""
    strategies = [StrategyConfig("fusion", "fusion", pool, fusor=fusor, every_n=True)]
    if pool != fusor:
        strategies.append(StrategyConfig("fusion of the fusor's own", "fusion", fusor, fusor=fusor))
    for depth in (2, 3):
        options = {"depth": depth}
        strategies.append(
            StrategyConfig(f"propose-aggregate, depth {depth}", "propose_aggregate", pool, fusor=fusor, options=options)
        )
    if likelihood:
        strategies.append(StrategyConfig("fresh solve", "fresh_solve", pool, fusor=fusor))
    elif judge:
        strategies.append(StrategyConfig("fresh solve", "fresh_solve", pool, fusor=fusor, scorer="judge", judge=judge))
    return strategies
