"""A comparison whose pool is recorded: its models are sources of a bank, its examples those that were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.recorded_lm import PREFIX

from ..plans.comparison_config import CompareConfig
from ..plans.strategies import Strategy
from ..recordings.store import open_store
from ..tasks import Task
from .replay import RecordedBank

_MOST_LOOKED_AT = (
    3000  # examples among which the recorded ones are looked for, where it is not known how many a split has
)


class Models(Protocol):
    """Where models that can be asked come from."""

    def lm(self, name: str) -> dspy.BaseLM:
        """The model of a name."""
        ...

    def price(self, name: str) -> Price:
        """What its tokens cost."""
        ...


class RecordedModels:
    """Models of which some are recorded sources.

    Args:
        models: where all others come from.
        bank: where the recorded ones are.
        names: the recorded ones.
    """

    def __init__(self, models: Models, bank: RecordedBank, names: Sequence[str]) -> None:
        self.models = models
        self.bank = bank
        self.names = tuple(names)

    def lm(self, name: str) -> dspy.BaseLM:
        """The model of a name; ``ConfigurationError`` where there is none."""
        return self.bank.lm(name) if name.startswith(PREFIX) else self.models.lm(name)

    def price(self, name: str) -> Price:
        """What its tokens cost; those of recorded answers were paid by others."""
        return Price() if name.startswith(PREFIX) else self.models.price(name)

    def examples(self, task: Task, split: str, count: int) -> tuple[dspy.Example, ...]:
        """The first examples of a split that all recorded models of the comparison have answers to.

        Raises:
            ConfigurationError: there are none.
        """
        languages, local = task.source.languages, task.source.local_languages
        self.bank.aliases = {**languages, **{local[code]: name for code, name in languages.items() if code in local}}
        most = max(count, task.source.sizes.get(split, _MOST_LOOKED_AT))
        looked = count
        while True:
            rows = task.examples(split, looked)
            examples_of_set = tuple(
                example
                for example in rows
                if all(self.bank.has(dict(example.inputs().items()), name) for name in self.names)
            )
            if len(examples_of_set) >= count or len(rows) < looked or looked == most:
                break
            looked = min(4 * looked, most)
        if not examples_of_set:
            raise ConfigurationError(
                f"none of {len(rows)} examples of {task.name}, split {split!r}, has recorded answers of"
                f" {', '.join(self.names)}; take the task and the split whose questions were recorded"
            )
        return examples_of_set[:count]


def replaying(config: CompareConfig, plan: Sequence[Strategy], models: Models) -> RecordedModels | None:
    """The models of a comparison that has recorded ones; None where it has none.

    Raises:
        ConfigurationError: no bank is named, it lacks one of them, or a strategy wants of one what was not recorded.
        BankError: the bank cannot be opened.
    """
    names = tuple(dict.fromkeys(name for strategy in plan for name in strategy.models if name.startswith(PREFIX)))
    if not names:
        for strategy in plan:
            _check_askers(strategy)
        return None
    if not config.bank:
        raise ConfigurationError(f"{names[0]} is recorded: name the bank that it is in, with bank = URL or --bank URL")
    open_store(config.bank).bank.close()
    bank = RecordedBank(config.bank)
    for strategy in plan:
        _check_askers(strategy)
        _check_enough(strategy, bank)
    return RecordedModels(models, bank, names)


def _check_askers(strategy: Strategy) -> None:
    """Recorded models cannot fuse, judge or solve afresh."""
    models = {"fusor": strategy.fusor if strategy.role in ("fuse", "control") else "", "judge": strategy.judge}
    for part, name in models.items():
        if name.startswith(PREFIX):
            where = f"strategy {strategy.name!r}"
            raise ConfigurationError(
                f"{where}: {name} has nothing but recorded answers and cannot be the {part}; name a real model"
            )


def _check_enough(strategy: Strategy, bank: RecordedBank) -> None:
    """No candidate may be another's double: each recorded answer stands in a pool once."""
    dealt = [strategy.models[index % len(strategy.models)] for index in range(strategy.n)]
    for name in dict.fromkeys(dealt):
        if not name.startswith(PREFIX):
            continue
        columns = bank.columns(name)
        needed = strategy.n if len(columns) > 1 else dealt.count(name)
        if needed > len(columns):
            raise ConfigurationError(
                f"strategy {strategy.name!r} wants {strategy.n} candidates, more than were recorded: {name} has"
                f" {len(columns)}; set a smaller n, or name more sources"
            )
