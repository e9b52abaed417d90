"""A comparison: every strategy on every example, as often as there are seeds, written down as it happens.

Examples run side by side, one strategy on all of them before the next, so that rows of the table are finished early;
the strategies of one example never overlap. The first example leads through all strategies, so that what cannot work is
known early. What is recorded is not done again, and candidates come from the bank, so that no call is repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, PriorityQueue
from typing import Any

import dspy

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.programs.calls.interrupts import given_up_when_interrupted
from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.scorers.code_process import runs_remembered
from dspy_fusion.serving.catalogue.list_prices import prices_of
from dspy_fusion.serving.catalogue.model_entry import Price

from ..plans.comparison_config import CompareConfig
from ..plans.own_programs import described, lms_of, own_programs, pools_of_own, state_digest
from ..plans.strategies import Strategy, model_names, planned
from ..plans.strategy_programs import Site, build
from ..pools.recorded_models import replaying
from ..records.record import Record
from ..records.record_file import RecordFile
from ..tasks import Task
from ..tasks.loading import examples_about
from .first_failures import FirstFailures
from .judge_models import Models, check_scorers, graded_task, metric_judge
from .measure import measure
from .run_file import writing
from .run_folder import RunFolder, default_folder, keep_states, open_run

_LEADS = -1


@dataclass(frozen=True)
class Comparison:
    """A comparison that is ready to run: everything the user typed has been checked, and nothing was called.

    Attributes:
        config: what is compared.
        task: its task.
        plan: the strategies, points of N curves included.
        examples: the task's examples.
        models: where the models come from, and what they cost.
        lms: those of them that are asked, by name.
        folder: where it is written down.
        bank: where its candidates are kept.
        records: what has been written down so far.
        retry_failed: whether records of failures count as not done.
        own: the user's own programs, by the names of their strategies.
    """

    config: CompareConfig
    task: Task
    plan: tuple[Strategy, ...]
    examples: tuple[dspy.Example, ...]
    models: Models
    lms: Mapping[str, dspy.BaseLM]
    folder: RunFolder
    bank: CandidateBank
    records: RecordFile
    retry_failed: bool = False
    own: Mapping[str, dspy.Module] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many records it has when it is finished."""
        return len(self.plan) * len(self.examples) * self.config.seeds

    @property
    def done(self) -> frozenset[tuple[str, str, int]]:
        """The (example, strategy, seed) triples that need not be run again."""
        failed = self.records.failed
        return frozenset(key[1:] for key, is_failure in failed.items() if not (self.retry_failed and is_failure))

    def programs(self) -> dict[str, dspy.Module]:
        """The program of each strategy, as the first repetition runs it; an oracle knows the answers and is none."""
        plan = (strategy for strategy in self.plan if not strategy.curve_of and strategy.role != "oracle")
        return {strategy.name: build(strategy, self.site(0)) for strategy in plan}

    def site(self, seed: int) -> Site:
        """Where the programs of a repetition are built."""
        instructions = self.config.instructions or self.task.instructions
        return Site(self.task, instructions, self.lms, self.bank, self.config.seed + seed, own=self.own)

    @property
    def prices(self) -> dict[str, Price]:
        """What tokens cost, by the models' own names."""
        named = {getattr(lm, "model", ""): self.models.price(name) for name, lm in self.lms.items()}
        return {**prices_of(lms_of(self.own.values()).values()), **named}

    @property
    def in_running_order(self) -> list[Strategy]:
        """Likelihood first: candidates drawn without log-probabilities would have to be drawn again."""
        return sorted(self.plan, key=lambda strategy: not strategy.needs_logprobs)

    def run(self, on_record: Callable[[Record], None]) -> None:
        """Runs what is not done yet; ``on_record`` is called in the thread that made the record, after it was written.

        Raises:
            KeyboardInterrupt: when what is in flight is recorded, or given up after two seconds.
            RecordError: the first strategies all failed, or a record cannot be written.
        """
        _Runner(self, on_record).run()


def prepare(
    config: CompareConfig,
    models: Models,
    path: Path | None,
    *,
    retry_failed: bool = False,
    task: Task | None = None,
    own: Mapping[str, dspy.Module] | None = None,
) -> Comparison:
    """Checks a comparison and opens its folder.

    Args:
        config: what to compare.
        models: makes models from their names.
        path: folder of the run; None takes one named after the configuration and the models, so that the same run is
            continued.
        retry_failed: whether to run strategies again on the examples on which they failed.
        task: the task; None takes the one that the configuration names.
        own: programs of the user's own, by the names of their strategies; others that are named are imported.

    Raises:
        ConfigurationError: a name, an option or the folder is wrong.
        RecordError: the folder holds another run, or cannot be written.
        BankError: the bank cannot be opened.
    """
    own = own_programs(config, own)
    config = described(config, own)
    plan = planned(config)
    recorded = replaying(config, plan, models)
    models = recorded or models
    lms = {name: models.lm(name) for name in (*model_names(plan), *pools_of_own(config))}
    check_scorers(plan, lms, allowed=config.judge_may_answer)
    judge = metric_judge(config, models, lms)
    task = task or graded_task(config, judge)
    wanted = (task, config.split, config.examples)
    examples = recorded.examples(*wanted) if recorded else tuple(task.examples(config.split, config.examples))
    site = Site(task, config.instructions or task.instructions, lms, None, 0, examples[0], own)
    programs = {strategy.name: build(strategy, site) for strategy in plan}
    asked = lms if judge is None else {**lms, config.metric_judge: judge}
    brought = lms_of(own.values()) if own else {}
    fingerprints: dict[str, Any] = {name: lm_fingerprint(lm) for name, lm in {**brought, **asked}.items()}
    fingerprints |= {f"program {name}": state_digest(program) for name, program in own.items()}
    folder = open_run(
        path or default_folder(config, fingerprints),
        config,
        fingerprints,
        examples=examples_about(task, config.split, examples),
    )
    keep_states(folder, {s.name: programs[s.name] for s in plan if not s.curve_of})
    bank = recorded.bank if recorded else CandidateBank(config.bank or folder.bank_url)
    return Comparison(
        config, task, plan, examples, models, lms, folder, bank, RecordFile(folder.records), retry_failed, own
    )


@dataclass(order=True)
class _Chain:
    """What is left to do for one example and seed; ordered by the next strategy's place, then by seed and example."""

    order: int
    seed: int
    place: int
    example: dspy.Example = field(compare=False)
    programs: Mapping[str, dspy.Module] = field(compare=False)
    left: list[tuple[int, Strategy]] = field(compare=False)


class _Runner:
    """The state of one run: who is at work, and whether to stop."""

    def __init__(self, comparison: Comparison, on_record: Callable[[Record], None]) -> None:
        self.comparison = comparison
        self.on_record = on_record
        self.stop = threading.Event()
        self.started = threading.Event()
        self.first, self.prices = FirstFailures(), comparison.prices

    def run(self) -> None:
        """Works on all examples side by side; the first failure of the whole ends it."""
        waiting = self._waiting()
        count = max(1, min(self.comparison.config.max_concurrency, waiting.qsize()))
        with runs_remembered(), ThreadPoolExecutor(count, "example") as threads:
            try:
                with given_up_when_interrupted():
                    futures = [threads.submit(copy_context().run, self._work, waiting) for _ in range(count)]
                    for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                        future.result()
                if all(self.comparison.records.failed.values()):
                    self.first.check_end()
            finally:
                self.stop.set()
                self.started.set()
                threads.shutdown(cancel_futures=True)

    def _waiting(self) -> PriorityQueue[_Chain]:
        """What is left of each example: the leading one, then the earliest strategy first."""
        done, config, order = self.comparison.done, self.comparison.config, self.comparison.in_running_order
        waiting: PriorityQueue[_Chain] = PriorityQueue()
        for seed in range(config.seeds):
            programs = {
                s.name: build(s, self.comparison.site(seed)) for s in self.comparison.plan if s.role != "oracle"
            }
            for place, example in enumerate(self.comparison.examples):
                left = [(at, s) for at, s in enumerate(order) if (example.id, s.name, seed) not in done]
                if left:
                    waiting.put(_Chain(left[0][0] if waiting.queue else _LEADS, seed, place, example, programs, left))
        return waiting

    def _work(self, waiting: PriorityQueue[_Chain]) -> None:
        """Takes the earliest strategy that is left, until no example waits: those that do not are in other hands."""
        while not self.stop.is_set():
            try:
                chain = waiting.get_nowait()
            except Empty:
                return
            if chain.order != _LEADS:
                self.started.wait()
            if self.stop.is_set():
                return
            self._measure(chain, chain.left.pop(0)[1])
            if chain.left:
                waiting.put(chain if chain.order == _LEADS else replace(chain, order=chain.left[0][0]))
            if self.first.is_past or not chain.left:
                self.started.set()

    def _check(self, record: Record) -> None:
        try:
            self.first.check(record)
        except RecordError:
            self.stop.set()
            raise

    def _measure(self, chain: _Chain, strategy: Strategy) -> None:
        site = replace(self.comparison.site(chain.seed), example=chain.example)
        program = chain.programs.get(strategy.name) or build(strategy, site)
        record = measure(
            self.comparison.task, strategy, program, chain.example, chain.seed, prices=self.comparison.prices
        )
        with writing(self.comparison.folder.path):
            self.comparison.records.append(record)
        self.on_record(record)
        self._check(record)
