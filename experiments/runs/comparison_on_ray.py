"""A comparison on a Ray cluster: the strategies of one example in one process, records written by this one.

Everything that decides a record travels with the work: configuration, catalogue, the user's programs and DSPy's
settings. A task of Python's is pickled; one that a configuration names is loaded where the work is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cloudpickle
import dspy

from dspy_fusion.programs import CandidateBank
from dspy_fusion.serving.catalogue.model_entry import Price

from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import pools_of_own
from ..plans.strategies import Strategy, model_names, planned
from ..plans.strategy_programs import Site, build
from ..records.record import Record
from ..tasks import Task
from .comparison import Comparison
from .first_failures import FirstFailures
from .judge_models import Models, graded_task, metric_judge
from .measure import measure
from .ray_work import reachable, spread
from .run_file import writing


@dataclass(frozen=True)
class _Item:
    """What is left of one example."""

    example: dspy.Example
    seed: int
    strategies: tuple[Strategy, ...]


def run_on_ray(comparison: Comparison, on_record: Callable[[Record], None]) -> None:
    """Runs what is left of a comparison on a cluster; ``on_record`` is called after a record was written.

    Raises:
        ConfigurationError: Ray is not installed, or the metric gives no scores.
        RecordError: the cluster failed, the first strategies all failed, or a record cannot be written.
    """
    first = FirstFailures()

    def keep(lines: list[str]) -> None:
        """Writes down what a worker has finished."""
        for record in map(Record.from_json, lines):
            with writing(comparison.folder.path):
                comparison.records.append(record)
            on_record(record)
            first.check(record)

    chains = _Chains(
        comparison.config,
        comparison.models,
        _carried(comparison.task),
        dict(comparison.own),
        reachable(comparison.bank),
        {name: dspy.settings.get(name) for name in ("lm", "adapter")},
        comparison.prices,
    )
    threads = max(1, comparison.config.max_concurrency)
    spread(chains, _items(comparison), keep, threads=threads)


def _items(comparison: Comparison) -> list[_Item]:
    done, order = comparison.done, comparison.in_running_order
    items = []
    for seed in range(comparison.config.seeds):
        for example in comparison.examples:
            left = tuple(s for s in order if (example.id, s.name, seed) not in done)
            if left:
                items.append(_Item(example, seed, left))
    return items


def _carried(task: Task) -> Task | None:
    """A task that can travel; None for one that cannot, which is loaded again by its name."""
    try:
        cloudpickle.dumps(task)
    except Exception:  # noqa: BLE001 (locks, open files, modules: whatever a task holds)
        return None
    return task


@dataclass
class _Chains:
    """The strategies of examples, in whatever process this was unpickled."""

    config: CompareConfig
    models: Models
    task: Task | None
    own: Mapping[str, dspy.Module]
    bank: CandidateBank
    settings: Mapping[str, Any]
    prices: Mapping[str, Price]

    def __call__(self, item: _Item) -> list[str]:
        """The records of what is left of an example, as lines."""
        with dspy.context(**{name: value for name, value in self.settings.items() if value is not None}):
            return [self._measured(item, strategy).to_json() for strategy in item.strategies]

    def _measured(self, item: _Item, strategy: Strategy) -> Record:
        site = self._site(item.seed)
        if strategy.role == "oracle":
            site = replace(site, example=item.example)
        program = build(strategy, site)
        return measure(site.task, strategy, program, item.example, item.seed, prices=self.prices)

    def _site(self, seed: int) -> Site:
        task, config = self._task, self.config
        instructions = config.instructions or task.instructions
        return Site(task, instructions, self._lms, self.bank, config.seed + seed, own=self.own)

    @cached_property
    def _task(self) -> Task:
        if self.task is not None:
            return self.task
        return graded_task(self.config, metric_judge(self.config, self.models, self._lms))

    @cached_property
    def _lms(self) -> dict[str, dspy.BaseLM]:
        names = (*model_names(planned(self.config)), *pools_of_own(self.config))
        return {name: self.models.lm(name) for name in names}
