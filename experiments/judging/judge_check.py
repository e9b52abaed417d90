"""How far a judge can be trusted, measured on pairs of which the better answer is known.

Accuracy, position bias, ties, length.

Every share has an interval from resampling pairs. A verdict that cannot be read is no wrong verdict: its pair is left
out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import binomtest

from dspy_fusion.programs.scorers.panel_agreement import effective_votes, mean_correlation
from dspy_fusion.programs.scorers.verdicts import Preference

from ..statistics.intervals import Interval, mean_interval
from .pairs import Pair

Orders = tuple[Preference | None, ...]
"""What a judge says about a pair: with A shown first and, where it was asked, with B shown first."""
Constant = Literal["first", "second", "tie"]
_CONSTANTS: dict[str, Constant] = {"first": "first", "second": "second", "tie": "tie"}
_ENOUGH = 10  # verdicts; a coin says the same ten times in one of 500 tries


@dataclass(frozen=True)
class JudgeCheck:
    """What a judge's verdicts on known pairs are worth; a share is None where no pair has what it is taken of.

    Attributes:
        judge: its name.
        pairs: how many pairs it was asked about.
        unreadable: pairs with a verdict that could not be read; they are left out of everything else.
        both_orders: whether the pairs were asked in both orders.
        accuracy: share of verdicts that are right, over both orders; a tie is half right.
        by_order: the same with A first, and with B first.
        right_in_both: share of pairs that are judged rightly in both orders.
        flips: share of pairs in which the two orders name different winners.
        flips_to_first: share of pairs that went to whoever was shown first.
        flips_to_second: share of pairs that went to whoever was shown second.
        bias_p: two-sided p value of the sign test that flips go to either place alike; None without flips.
        first_place: share of verdicts with a winner in which it was the one shown first; 0.5 where the places are
            alike.
        ties: share of verdicts that are ties.
        right_if_longer: accuracy on pairs whose better answer is the longer one.
        right_if_shorter: accuracy on pairs whose better answer is the shorter one; lower for a judge that prefers
            length.
        constant: the place that it always names, or ``"tie"``; None for a judge that looks at the answers.
        subsets: accuracy by subset.
    """

    judge: str
    pairs: int
    unreadable: int
    both_orders: bool
    accuracy: Interval | None
    by_order: tuple[Interval | None, ...]
    right_in_both: Interval | None
    flips: Interval | None
    flips_to_first: Interval | None
    flips_to_second: Interval | None
    bias_p: float | None
    first_place: Interval | None
    ties: Interval | None
    right_if_longer: Interval | None
    right_if_shorter: Interval | None
    constant: Constant | None
    subsets: Mapping[str, Interval | None]


def check(judge: str, pairs: Sequence[Pair], said: Mapping[str, Orders], *, seed: int = 0) -> JudgeCheck:
    """Measures a judge.

    Args:
        judge: its name.
        pairs: the pairs it was asked about.
        said: by the pair's id, what it said; a pair that is missing or has a None counts as unreadable.
        seed: of the resampling.
    """
    orders_asked = max((len(orders) for orders in said.values()), default=1)
    good = [(pair, said[pair.id]) for pair in pairs if _is_whole(said.get(pair.id, ()), orders_asked)]

    def share(value: Callable[[Pair, Orders], float | None], among: str | None = None) -> Interval | None:
        scores = {
            (p.id, 0): v for p, orders in good if among in (None, p.subset) and (v := value(p, orders)) is not None
        }
        return mean_interval(scores, seed=seed) if scores else None

    to_first = sum(orders == ("A", "B") for _, orders in good)
    to_second = sum(orders == ("B", "A") for _, orders in good)
    both = orders_asked > 1
    return JudgeCheck(
        judge=judge,
        pairs=len(pairs),
        unreadable=len(pairs) - len(good),
        both_orders=both,
        accuracy=share(_right),
        by_order=tuple(share(lambda pair, orders, i=i: _credit(orders[i], pair)) for i in range(orders_asked)),
        right_in_both=share(lambda pair, orders: float(set(orders) == {pair.better})) if both else None,
        flips=share(lambda _, orders: float({"A", "B"} <= set(orders))) if both else None,
        flips_to_first=share(lambda _, orders: float(orders == ("A", "B"))) if both else None,
        flips_to_second=share(lambda _, orders: float(orders == ("B", "A"))) if both else None,
        bias_p=float(binomtest(to_first, to_first + to_second).pvalue) if to_first + to_second else None,
        first_place=share(lambda _, orders: _mean([float(place == 0) for place in _places(orders)])),
        ties=share(lambda _, orders: _mean([float(order == "tie") for order in orders])),
        right_if_longer=share(lambda pair, orders: _right(pair, orders) if _growth(pair) > 0 else None),
        right_if_shorter=share(lambda pair, orders: _right(pair, orders) if _growth(pair) < 0 else None),
        constant=_constant([orders for _, orders in good]),
        subsets={name: share(_right, name) for name in dict.fromkeys(pair.subset for pair in pairs) if name},
    )


def panel(checked: Mapping[str, Mapping[str, Orders]]) -> dict[str, Orders]:
    """The verdicts of several judges as one: what most of them say in each order, a draw being a tie.

    Unreadable ones do not vote.
    """
    voted: dict[str, list[Orders]] = {}
    for said in checked.values():
        for name, orders in said.items():
            voted.setdefault(name, []).append(orders)
    return {name: tuple(_majority(order) for order in zip(*rows, strict=True)) for name, rows in voted.items()}


def panel_votes(pairs: Sequence[Pair], checked: Mapping[str, Mapping[str, Orders]]) -> float | None:
    """How many independent votes the judges amount to, from the correlation of where each is right.

    None where it cannot be told.
    """
    rows = []
    for said in checked.values():
        whole = {name: orders for name, orders in said.items() if orders and None not in orders}
        rows.append([_right(pair, whole[pair.id]) if pair.id in whole else None for pair in pairs])
    correlation = mean_correlation(rows)
    return None if correlation is None else effective_votes(len(rows), correlation)


def _is_whole(orders: Orders, asked: int) -> bool:
    return len(orders) == asked and None not in orders


def _credit(said: Preference | None, pair: Pair) -> float:
    return 0.5 if said == "tie" else float(said == pair.better)


def _right(pair: Pair, orders: Orders) -> float:
    return sum(_credit(order, pair) for order in orders) / len(orders)


def _places(orders: Orders) -> list[int]:
    """The place of the winner in each order that has one: 0 for the answer shown first."""
    return [int(order != ("A", "B")[i]) for i, order in enumerate(orders) if order in ("A", "B")]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _growth(pair: Pair) -> int:
    """By how many characters the better answer is longer than the other."""
    return (len(pair.a) - len(pair.b)) * (1 if pair.better == "A" else -1)


def _constant(good: Sequence[Orders]) -> Constant | None:
    """What a judge always says; None where there are too few verdicts to call it always."""
    verdicts = [(i, order) for orders in good for i, order in enumerate(orders)]
    if len(verdicts) < _ENOUGH:
        return None
    said = {"tie" if order == "tie" else "first" if order == ("A", "B")[i] else "second" for i, order in verdicts}
    return _CONSTANTS.get(said.pop()) if len(said) == 1 else None


def _majority(orders: Sequence[Preference | None]) -> Preference | None:
    votes = [order for order in orders if order is not None]
    if not votes:
        return None
    a, b = votes.count("A"), votes.count("B")
    if max(a, b) * 2 <= len(votes):
        return "tie"
    return "A" if a > b else "B"
