"""What a diagnosis found, with the cost of what could come next; and the diagnosis of recorded candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dspy_fusion.serving.catalogue.model_entry import Price
from dspy_fusion.serving.catalogue.models import ModelCatalogue
from dspy_fusion.serving.recorded_lm import PREFIX

from ..plans.default_strategies import preset_config
from ..plans.strategies import planned
from ..pools.evaluation import RESAMPLES, SUBSETS
from ..recordings.store import open_store
from .diagnosis import Diagnosis, diagnose, sampled
from .spending import Rates, Spending, comparison_spending, rates_of, study_spending

TEMPERATURES = 5  # that a study tries, by the programs' own search range
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
    study, _ = study_spending([model], writer, rates, n=n, trials=scale.trials, temperatures=TEMPERATURES)
    spending[f"study of {scale.trials} trials on {scale.studied} questions, at most"] = study.times(scale.studied)
    return Finding(found, spending, priced(prices), (*found.notes, *rate_notes(rates)))


def rate_notes(rates: Rates) -> tuple[str, ...]:
    """What to know of estimated costs."""
    return (
        ()
        if rates.measured
        else ("tokens were not recorded; they are estimated as a quarter of the texts' characters",)
    )


def priced(prices: Mapping[str, Price]) -> bool:
    """Whether any model has a price."""
    return any(price.input or price.output for price in prices.values())
