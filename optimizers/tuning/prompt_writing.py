"""PromptWriter: the instruction lists of a study, from the first texts to rewrites of the best one,
and what writing them took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import dspy

from dspy_fusion.programs import Usage
from dspy_fusion.programs.calls.metering import Meter

from .instruction_proposals import InstructionProposer, describe_pool, describe_task
from .scores.budget import Price, Spend, priced
from .scores.study_store import Outcome, StudyStore
from .search_space import INSTRUCTION, SearchSpace, Setting, shows_candidates

OWN, LIBRARY, GROUNDED, REFLECTED = "own", "given", "grounded", "reflected"
_WORST, _LOOKED_AT = 4, 12  # examples that a reflection is shown, and among which they are chosen
_ACCOUNT = "proposals"  # under which their usage is kept


@dataclass
class PromptWriter:
    """Fills a study's instruction lists; every worker reads them from the store, so a place means one text everywhere.

    Attributes:
        program: the student.
        store: where the texts are kept.
        proposer: writes new ones, or None.
        examples: that it may look at.
        proposals: how many grounded ones to ask for, per predictor.
        price: of what writing takes, which counts like any other use of a model.
    """

    program: dspy.Module
    store: StudyStore
    proposer: InstructionProposer | None
    examples: Sequence[dspy.Example]
    proposals: int
    price: Price

    def begin(self, space: SearchSpace, baseline: Sequence[Outcome]) -> None:
        """Keeps the program's own texts, the given ones, and grounded proposals, as far as they are missing."""
        for path, texts in space.instructions.items():
            self.store.add_texts(path, texts[:1], OWN)
            self.store.add_texts(path, texts[1:], LIBRARY)
            self._propose(path, baseline)

    def current(self, space: SearchSpace) -> SearchSpace:
        """The space with the texts as they are kept now."""
        texts = {path: tuple(text for text, _ in self.store.texts(path)) for path in space.instructions}
        return replace(space, instructions=texts)

    def rewrite(
        self,
        space: SearchSpace,
        setting: Setting,
        outcomes: Sequence[Outcome],
        number: int,
        seen: Callable[[dspy.Example, Outcome], Outcome] = lambda example, outcome: outcome,
    ) -> list[tuple[str, str]]:
        """Rewrites a trial's instructions in view of its worst results, for the ``number``-th time.

        Returns them as (dimension, text).

        What was written that time already, by a worker that was killed then, is not written again.

        Args:
            space: with the texts as they are.
            setting: of the trial.
            outcomes: of the trial, in the examples' order.
            number: how many rewrites there were before, and one.
            seen: looks at an outcome's candidates one by one; results in which a better candidate was there and was
                lost are shown first.
        """
        if self.proposer is None:
            return []
        rewrites, origin = [], f"{REFLECTED}, round {number}"
        worst: list[tuple[dspy.Example, Outcome]] = []
        for path, texts in space.instructions.items():
            fresh = [text for text, kept in self.store.texts(path) if kept == origin]
            if not fresh:
                worst = worst or self._worst(outcomes, seen)
                self.proposer.attend(self.program, path)
                with self.accounted():
                    fresh = self.proposer.reflective(
                        texts[setting.get(INSTRUCTION + path, 0)], worst, number, fuses=self._fuses(path)
                    )
                self.store.add_texts(path, fresh, origin)
            rewrites += [(INSTRUCTION + path, text) for text in fresh]
        return rewrites

    def _worst(
        self, outcomes: Sequence[Outcome], seen: Callable[[dspy.Example, Outcome], Outcome]
    ) -> list[tuple[dspy.Example, Outcome]]:
        pairs = sorted(zip(self.examples, outcomes, strict=True), key=lambda pair: pair[1].score)[:_LOOKED_AT]
        known = [(example, seen(example, outcome)) for example, outcome in pairs]
        return sorted(known, key=lambda pair: (pair[1].score, -_lost(pair[1])))[:_WORST]

    def _propose(self, path: str, baseline: Sequence[Outcome]) -> None:
        known = self.store.texts(path)
        wanted = self.proposals - sum(origin == GROUNDED for _, origin in known)
        if self.proposer is None or wanted < 1:
            return
        task, pool, tried = describe_task(self.program, path), describe_pool(baseline), [text for text, _ in known]
        self.proposer.attend(self.program, path)
        with self.accounted():
            fresh = self.proposer.grounded(task, self.examples, pool, tried, wanted, fuses=self._fuses(path))
        self.store.add_texts(path, fresh, GROUNDED)

    def _fuses(self, path: str) -> bool:
        return shows_candidates(dict(self.program.named_predictors())[path], path)

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Keeps what the block's calls took, so that it counts against the budget."""
        meter, started = Meter(limited=False), time.monotonic()
        with dspy.context(
            usage_tracker=meter, callbacks=[*(dspy.settings.callbacks or []), meter], disable_history=True
        ):
            yield
        spent = Usage.total(meter.spent.values())
        cost = priced(self.price, Spend(meter.spent, time.monotonic() - started, sum(meter.gpu_seconds.values())))
        entry = f"{time.time_ns():x}-{self.store.workers.name}"[:64]
        self.store.keep(_ACCOUNT, Outcome(entry, 0.0, usage=spent, spent=spent, spent_cost=cost))


def _lost(outcome: Outcome) -> float:
    """By how much the best candidate is better than what was made of them."""
    return max([score - outcome.score for score in outcome.candidate_scores if score is not None], default=0.0)
