"""Diagnosing for a person: on recorded candidates, or on a few that are drawn now;
with the cost of what could come next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.banks.databases import without_password
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.recorded_lm import PREFIX

from ..own_tasks.own_task import configured_task
from ..plans.comparison_config import CompareConfig
from ..plans.default_strategies import preset_config
from ..plans.strategies import planned
from ..pools.evaluation import RESAMPLES, SUBSETS
from ..recordings.recording import RecordedQuestion
from ..recordings.store import open_store
from .diagnosis import Diagnosis, diagnose, sampled
from .live_pool import Drawing, draw_pool
from .spending import Rates, Spending, comparison_spending, rates_of, spent_on, study_spending

_TEMPERATURES = 5  # that a study tries, by the programs' own search range
_UNNAMED = "the fusor"


@dataclass(frozen=True)
class Scale:
    """How large the next steps would be."""

    compared: int
    """Questions of a comparison."""
    trials: int
    """Trials of a study."""
    studied: int
    """Questions that its trials are scored on."""


@dataclass(frozen=True, eq=False)
class Finding:
    """A diagnosis and what the next steps would cost."""

    diagnosis: Diagnosis
    spending: dict[str, Spending]
    is_priced: bool
    """Whether the catalogue has a price for any of the models."""
    notes: tuple[str, ...]


def diagnose_recorded(
    url: str,
    name: str,
    columns: tuple[str, ...],
    examples: int,
    *,
    fusor: str,
    catalogue: ModelCatalogue,
    scale: Scale,
    seed: int,
) -> Finding:
    """Looks at a sample of a recorded set.

    Args:
        url: of the bank.
        name: of the set; empty for the only one.
        columns: which candidates; empty takes all.
        examples: how many questions.
        fusor: the model that would fuse, for its price; may be empty.
        catalogue: of prices.
        scale: of the next steps.
        seed: of the sample.

    Raises:
        ConfigurationError: there is no such bank, set or source, or it is not known which candidates are right.
    """
    store = open_store(url)
    chosen = store.set_named(name)
    everything = store.questions(chosen.name)
    questions = sampled(everything, examples, seed=seed)
    found = diagnose(chosen.name, questions, columns=columns, subsets=SUBSETS, resamples=RESAMPLES, seed=seed)
    prices = {fusor: catalogue.price(fusor)} if fusor else {}
    rates = rates_of(questions, prices)
    writer, n = fusor or _UNNAMED, max(2, found.advice.n)
    model = f"{PREFIX}{chosen.name}"
    spending = {f"fusing {n} of them on all {len(everything)} questions": rates.write(writer, n).times(len(everything))}
    if chosen.task:
        plan = planned(preset_config(chosen.task, [model], fusor=writer, n=n))
        spending[f"comparison on {scale.compared} questions"] = comparison_spending(plan, rates).times(scale.compared)
    study, _ = study_spending([model], writer, rates, n=n, trials=scale.trials, temperatures=_TEMPERATURES)
    spending[f"study of {scale.trials} trials on {scale.studied} questions, at most"] = study.times(scale.studied)
    return Finding(found, spending, _priced(prices), (*found.notes, *_rate_notes(rates)))


def diagnose_live(
    config: CompareConfig,
    catalogue: ModelCatalogue,
    url: str,
    *,
    scale: Scale,
    tell: Callable[[str], None],
    on_example: Callable[[], None],
) -> Finding:
    """Draws a few candidates and looks at them; what was drawn stays in a bank, from which a comparison replays it.

    Args:
        config: the comparison that would come next; its task, examples, pool, n and temperature are what is drawn.
        catalogue: of models.
        url: of the bank.
        scale: of the next steps.
        tell: called with one line when everything was checked and drawing begins.
        on_example: called whenever an example is done.

    Raises:
        ConfigurationError: a model, the task or one of its options is wrong.
        QuorumNotMet: no model answered.
    """
    plan = planned(config)
    models = next(strategy.models for strategy in plan if strategy.program == "oracle")
    if recorded := [name for name in models if name.startswith(PREFIX)]:
        raise ConfigurationError(
            f"{recorded[0]} is recorded: look at it with --bank URL --set NAME, without --task and --models"
        )
    lms = {name: catalogue.lm(name) for name in models}
    judge = catalogue.lm(config.metric_judge) if config.metric_judge else None
    task = configured_task(config, judge)
    if task.needs_judge and judge is None:
        raise ConfigurationError(f"the metric of {task.name} asks a judge; name a model with --metric-judge")
    examples = task.examples(config.split, config.examples)
    instructions, bank = config.instructions or task.instructions, CandidateBank(url)
    drawing = Drawing(task, instructions, models, lms, config.n, config.temperature, bank, config.max_concurrency)
    tell(f"drawing {config.n} candidates for each of {len(examples)} examples; they stay in {without_password(url)}")
    drawn = draw_pool(drawing, examples, on_example)
    found = diagnose(task.name, drawn.questions, parts=drawn.parts, subsets=SUBSETS, resamples=RESAMPLES)
    names = dict.fromkeys([*models, *(s.fusor for s in plan if s.fusor), *(s.judge for s in plan if s.judge)])
    prices = {name: catalogue.price(name) for name in names}
    rates = rates_of(drawn.questions, prices)
    fusor = next((s.fusor for s in plan if s.program == "fusion"), models[0])
    study, afresh = study_spending(
        models, fusor, rates, n=max(2, found.advice.n), trials=scale.trials, temperatures=_TEMPERATURES
    )
    spending = {
        f"this look at {len(examples)} questions": spent_on(drawn.questions, prices),
        f"comparison on {scale.compared} questions": comparison_spending(plan, rates).times(scale.compared),
        f"study of {scale.trials} trials on {scale.studied} questions, at most": study.times(scale.studied),
        "the same study without a bank": afresh.times(scale.studied),
    }
    return Finding(
        found,
        spending,
        _priced(prices),
        (*found.notes, *_rate_notes(rates), *_failures(drawn.failures, drawn.questions)),
    )


def _failures(causes: Sequence[str], questions: Sequence[RecordedQuestion]) -> tuple[str, ...]:
    if not causes:
        return ()
    asked = len(causes) + sum(len(question.candidates) for question in questions)
    return (f"{len(causes)} of {asked} candidates failed and count as 0; the first: {causes[0]}",)


def _rate_notes(rates: Rates) -> tuple[str, ...]:
    return (
        ()
        if rates.measured
        else ("tokens were not recorded; they are estimated as a quarter of the texts' characters",)
    )


def _priced(prices: dict[str, Price]) -> bool:
    return any(price.input or price.output for price in prices.values())
