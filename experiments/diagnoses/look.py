"""A look at a program or at models: a few candidates for a few examples, drawn now, and what they say.

What was drawn stays in a bank, so a look that was interrupted goes on, and a comparison replays it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dspy

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.programs.banks.databases import without_password
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.list_prices import prices_of
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.recorded_lm import PREFIX

from ..own_tasks.own_examples import is_own_data
from ..own_tasks.own_task import configured_task
from ..plans.comparison_config import CompareConfig, StrategyConfig
from ..plans.default_strategies import preset_config
from ..plans.own_programs import Proposing, lms_of, program_of, proposing, state_digest
from ..plans.strategies import Strategy, planned
from ..pools.evaluation import RESAMPLES, SUBSETS
from ..recordings.recording import RecordedQuestion
from ..runs.ray_work import Engine
from ..tasks import Task
from .diagnosis import diagnose, sampled
from .diagnosis_config import DiagnosisConfig
from .diagnosis_run import TEMPERATURES, Finding, priced, rate_notes
from .live_pool import Drawing, draw_pool, voting
from .spending import comparison_spending, rates_of, spent_on, study_spending

_N, _WARMTH, _OWN_WARMTH = 5, 1.0, 0.7  # the latter is what our programs draw at
_POOL = "pool"
_DIGEST = re.compile(r"@[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class Look:
    """A diagnosis that is ready to draw: everything that was typed has been checked, and nothing was called.

    Attributes:
        config: what is looked at.
        drawing: how candidates are drawn.
        examples: for which.
        plan: the comparison that would come next, for its cost.
        prices: of models, by the names that candidates go by and that ``plan`` uses.
        fingerprints: what tells this look from another under the same configuration.
    """

    config: DiagnosisConfig
    drawing: Drawing
    examples: tuple[dspy.Example, ...]
    plan: tuple[Strategy, ...]
    prices: Mapping[str, Price]
    fingerprints: Mapping[str, Any] = field(default_factory=dict)

    def told(self, bank: CandidateBank) -> str:
        """What is about to be drawn, in one line."""
        many = f"{self.drawing.n} candidates for each of {len(self.examples)} examples"
        return f"drawing {many}; they stay in {without_password(bank.url)}"

    def run(
        self, bank: CandidateBank, on_example: Callable[[], None], *, engine: Engine = "local"
    ) -> tuple[Finding, tuple[RecordedQuestion, ...]]:
        """Draws what the bank does not have, and looks at all of it; returns what was found, and the candidates.

        Raises:
            QuorumNotMet: no model answered.
            ConfigurationError: the metric gives no scores, or fewer than two examples could be graded.
        """
        drawn = draw_pool(replace(self.drawing, bank=bank), self.examples, on_example, engine=engine)
        name, config, questions = self.drawing.task.name, self.config, drawn.questions
        diagnosis = diagnose(name, questions, parts=drawn.parts, subsets=SUBSETS, resamples=RESAMPLES)
        rates = rates_of(questions, self.prices)
        fusor = next((s.fusor for s in self.plan if s.program == "fusion"), self.drawing.models[0])
        study, afresh = study_spending(
            list(self.drawing.models),
            fusor,
            rates,
            n=max(2, diagnosis.advice.n),
            trials=config.trials,
            temperatures=TEMPERATURES,
        )
        spending = {
            f"this look at {len(questions)} questions": spent_on(questions, self.prices),
            f"comparison on {config.compared} questions": comparison_spending(self.plan, rates).times(config.compared),
            f"study of {config.trials} trials on {config.studied} questions, at most": study.times(config.studied),
            "the same study without a bank": afresh.times(config.studied),
        }
        notes = (*diagnosis.notes, *rate_notes(rates), *_failures(drawn.failures, questions))
        return Finding(diagnosis, spending, priced(self.prices), notes), questions


def prepare_look(
    config: DiagnosisConfig,
    catalogue: ModelCatalogue,
    *,
    task: Task | None = None,
    program: dspy.Module | None = None,
    lms: Sequence[dspy.BaseLM] = (),
) -> Look:
    """Checks a diagnosis.

    Args:
        config: what to look at.
        catalogue: makes models from their names, and knows prices.
        task: the task; None takes the one that the configuration names.
        program: whose answers are looked at; None takes the one that the configuration names, or the task's own.
        lms: the models that answer, instead of those of the configuration.

    Raises:
        ConfigurationError: a model, the task, the program or one of its options is wrong.
    """
    program = _program(config, program, lms)
    judge = catalogue.lm(config.metric_judge) if config.metric_judge else None
    is_given, named = task is not None, {name: catalogue.lm(name) for name in config.pool}
    task = task or configured_task(config, judge)
    if task.needs_judge and judge is None:
        raise ConfigurationError(f"the metric of {task.name} asks a judge; name a model with --metric-judge")
    inner = Proposing(task.program(task.instructions)) if program is None else proposing(program)
    named = named or _named(lms or inner.lms)
    own = {_shown(lm): lm for lm in lms_of([program]).values()} if program is not None and not named else {}
    models = tuple(named) or (next(iter(own)) if len(own) == 1 else type(inner.program).__name__,)
    drawing = Drawing(
        task,
        task.instructions,
        models,
        named,
        config.n or inner.n or _N,
        _warmth(config, program, inner),
        None,
        config.max_concurrency,
        None if program is None else inner.program,
        config.output,
        config.seed,
    )
    voting(drawing)
    embedded = bool(config.pool) and all(catalogue.entry(name).is_embedded for name in models)
    plan = _plan(config, task, drawing, likelihood=embedded)
    asked = own or named
    prices = {name: catalogue.price(name) for name in _catalogued(config, plan, models)} | prices_of(asked.values())
    examples = _examples(config, task, chosen=is_given)
    return Look(config, drawing, examples, plan, prices, _fingerprints(asked, program))


def _program(config: DiagnosisConfig, program: dspy.Module | None, lms: Sequence[dspy.BaseLM]) -> dspy.Module | None:
    """The program that is looked at, where it is not the task's own; refuses what says nobody who answers."""
    if recorded := [name for name in config.pool if name.startswith(PREFIX)]:
        raise ConfigurationError(
            f"{recorded[0]} is recorded: look at it with --bank URL --set NAME, without --task and --models"
        )
    if program is None and config.program:
        return program_of(config.program)
    if program is None and not config.pool and not lms:
        raise ConfigurationError("nothing says who answers; name models with --models, or a program with --program")
    return program


def _fingerprints(asked: Mapping[str, dspy.BaseLM], program: dspy.Module | None) -> dict[str, Any]:
    """What tells this look's models and program from others."""
    of_models: dict[str, Any] = {name: lm_fingerprint(lm) for name, lm in asked.items()}
    return of_models if program is None else of_models | {"program": state_digest(program)}


def _warmth(config: DiagnosisConfig, program: dspy.Module | None, inner: Proposing) -> float | None:
    if config.temperature is not None:
        return config.temperature
    if program is None:
        return _WARMTH
    return _OWN_WARMTH if inner.program is program else inner.temperature


def _examples(config: DiagnosisConfig, task: Task, *, chosen: bool) -> tuple[dspy.Example, ...]:
    """The task's first examples; of rows of the user's own, which may be sorted, a seeded sample."""
    split = config.split or task.splits[0]
    if not (chosen or is_own_data(config.data)):
        return tuple(task.examples(split, config.examples))
    return sampled(task.examples(split, 10**9), config.examples, seed=config.seed)


def _plan(config: DiagnosisConfig, task: Task, drawing: Drawing, *, likelihood: bool) -> tuple[Strategy, ...]:
    """The comparison that would come next."""
    settings: dict[str, Any] = {"n": drawing.n, "temperature": drawing.temperature or 0.0}
    models, fusor = drawing.models, config.fusor or drawing.models[0]
    if drawing.program is None:
        chosen = {"asked": task, "judge": config.judge, "likelihood": likelihood, "fusor": config.fusor}
        return planned(preset_config(task.name, models, **chosen, **settings))
    kinds = ["single", "vote", "oracle", "fusion"]
    strategies = [StrategyConfig(kind, kind, _POOL, fusor=fusor if kind == "fusion" else "") for kind in kinds]
    if config.judge:
        strategies.append(StrategyConfig("judge", "best_of_n", _POOL, scorer="judge", judge=config.judge))
    return planned(CompareConfig(task.name, tuple(strategies), pools={_POOL: models}, **settings))


def _catalogued(config: DiagnosisConfig, plan: Sequence[Strategy], models: Sequence[str]) -> list[str]:
    """The names that the catalogue is asked for prices of: those that the user wrote as names of it."""
    helpers = [name for strategy in plan for name in (strategy.fusor, strategy.judge) if name and name not in models]
    return list(dict.fromkeys([*config.pool, *helpers]))


def _named(lms: Sequence[dspy.BaseLM]) -> dict[str, dspy.BaseLM]:
    """Models by what they call themselves, numbered where several call themselves the same."""
    named: dict[str, dspy.BaseLM] = {}
    for lm in lms:
        name, number = _shown(lm), 1
        while name in named:
            number += 1
            name = f"{_shown(lm)} ({number})"
        named[name] = lm
    return named


def _shown(lm: dspy.BaseLM) -> str:
    """What a model is called, without the digest of its weights that embedded models have in their names."""
    return _DIGEST.sub("", str(lm.model))


def _failures(causes: Sequence[str], questions: Sequence[RecordedQuestion]) -> tuple[str, ...]:
    if not causes:
        return ()
    asked = len(causes) + sum(len(question.candidates) for question in questions)
    return (f"{len(causes)} of {asked} candidates failed and count as 0; the first: {causes[0]}",)
