from __future__ import annotations

import pytest

from dspy_fusion.optimizers import Budget, BudgetSpent, Spend, calls, dollars, gpu_seconds, tokens
from dspy_fusion.optimizers.tuning.scores.budget import Ledger
from dspy_fusion.programs import ConfigurationError, Usage

SPEND = Spend({"small": Usage(3, 3000, 600), "large": Usage(1, 1000, 400)}, seconds=2.0, gpu_seconds=0.5)


def test_prices() -> None:
    assert (tokens(SPEND), calls(SPEND), gpu_seconds(4)(SPEND), gpu_seconds()(SPEND)) == (5000, 4, 8.0, 0.5)
    assert dollars({"small": (1, 2), "large": (10, 20)})(SPEND) == pytest.approx((3000 + 1200 + 10000 + 8000) / 1e6)


def test_a_model_without_a_price_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"no price for the model 'large'; add it to \['small'\]"):
        dollars({"small": (1, 2)})(SPEND)


@pytest.mark.parametrize("name", ["calls", "tokens", "cost", "seconds"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_budget_is_positive(name: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=f"budget {name} must be positive, but got {name}={value}"):
        Budget(**{name: value})


@pytest.mark.parametrize("budget", [Budget(calls=4), Budget(tokens=120), Budget(cost=0.5)])
def test_a_limit_that_is_reached_ends_the_study(budget: Budget) -> None:
    ledger = Ledger(budget, Usage(3, 90, 29), 0.4)
    ledger.check()
    ledger.enter(Usage(1, 0, 1), 0.1)
    with pytest.raises(BudgetSpent, match=r"the budget of .* is used up"):
        ledger.check()


def test_what_is_set_aside_is_not_spent() -> None:
    ledger = Ledger(Budget(calls=10), Usage(5), 0)
    ledger.set_aside(Usage(5), 0)
    with pytest.raises(BudgetSpent, match="kept back"):
        ledger.check()
    ledger.set_aside(Usage(), 0)
    ledger.check()
    assert ledger.left == "5 calls"


def test_no_limit_is_no_limit() -> None:
    ledger = Ledger(Budget(), Usage(10**9, 10**9), 1e9)
    ledger.check()
    assert ledger.left == "no limit"
