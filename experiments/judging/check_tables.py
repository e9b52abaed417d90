"""A judge check as tables, and in words: what a person must know before trusting the judge."""

from __future__ import annotations

from collections.abc import Sequence

from ..presentation.text_table import TextTable, percent
from ..statistics.intervals import Interval
from .judge_check import JudgeCheck

_MANY = 0.02  # share of unreadable pairs that is worth a sentence

_ORDERS = ("A shown first", "B shown first")


def check_table(checks: Sequence[JudgeCheck]) -> TextTable:
    """One column per judge."""
    rows: list[tuple[str, list[str]]] = [
        ("pairs asked", [str(c.pairs) for c in checks]),
        ("of them unreadable (left out below)", [str(c.unreadable) for c in checks]),
        ("right, % (a tie is half)", [_share(c.accuracy) for c in checks]),
        *(
            (f"  {name}, %", [_share(c.by_order[i]) if i < len(c.by_order) else "" for c in checks])
            for i, name in enumerate(_ORDERS)
        ),
        ("right in both orders, %", [_share(c.right_in_both) for c in checks]),
        ("another winner when swapped, %", [_share(c.flips) for c in checks]),
        ("  to whoever is first, %", [_share(c.flips_to_first) for c in checks]),
        ("  to whoever is second, %", [_share(c.flips_to_second) for c in checks]),
        ("  p that places are alike", ["" if c.bias_p is None else f"{c.bias_p:.3f}" for c in checks]),
        ("winner stood first, %", [_share(c.first_place) for c in checks]),
        ("ties, %", [_share(c.ties) for c in checks]),
        ("right where the better is longer, %", [_share(c.right_if_longer) for c in checks]),
        ("right where it is shorter, %", [_share(c.right_if_shorter) for c in checks]),
    ]
    names = dict.fromkeys(name for c in checks for name in c.subsets)
    rows += [(f"right in {name}, %", [_share(c.subsets.get(name)) for c in checks]) for name in names]
    return TextTable(
        "Judges", ("", *(c.judge for c in checks)), tuple((head, *cells) for head, cells in rows if any(cells))
    )


def in_words(check: JudgeCheck) -> tuple[str, ...]:
    """What stands out, a sentence each; the first says whether the judge is of use."""
    if check.accuracy is None:
        return (f"{check.judge}: no verdict can be read.",)
    said = [_use(check, check.accuracy)]
    if (place := _leaning(check)) and check.constant is None:
        said.append(f"{check.judge} leans to the answer shown {place}; ask it in both orders.")
    if not check.both_orders:
        said.append(f"{check.judge} was asked in one order only, which cannot show whether it prefers a place.")
    if check.right_if_longer and check.right_if_shorter and check.right_if_longer.low > check.right_if_shorter.high:
        said.append(
            f"{check.judge} prefers longer answers: it is right more often where the better answer is the longer one."
        )
    if check.unreadable > _MANY * check.pairs:
        said.append(f"{check.unreadable} of {check.pairs} pairs have a verdict of {check.judge} that cannot be read.")
    return tuple(said)


def _leaning(check: JudgeCheck) -> str:
    """The place that wins more often than it should.

    Empty where that may be chance, or cannot be seen from one order.
    """
    if not check.both_orders or check.first_place is None or check.first_place.low <= 0.5 <= check.first_place.high:
        return ""
    return "first" if check.first_place.mean > 0.5 else "second"


def _use(check: JudgeCheck, accuracy: Interval) -> str:
    orders = "whichever that is" if check.both_orders else "in the only order it was asked in"
    if check.constant == "tie":
        return f"{check.judge} always says tie: its verdicts say nothing about the answers."
    if check.constant:
        return (
            f"{check.judge} always names the answer shown {check.constant}, {orders}: its verdicts say nothing about"
            " the answers."
        )
    if accuracy.low <= 0.5 <= accuracy.high:
        return f"{check.judge} cannot be told from tossing a coin: {percent(accuracy)} % right."
    if accuracy.high < 0.5:
        return (
            f"{check.judge} is worse than tossing a coin: {percent(accuracy)} % right; are the labels the other way"
            " round?"
        )
    return f"{check.judge} is right in {percent(accuracy)} % of its verdicts."


def _share(estimate: Interval | None) -> str:
    return "" if estimate is None else percent(estimate)
