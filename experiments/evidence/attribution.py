"""Attribution: how much of the fused answers each model's candidates gave, how much is new,
and how often fusing was copying.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..presentation.figure_style import ALL_AGREE, NEW
from ..presentation.text_table import TextTable
from ..records.record import Record
from .followed_candidates import Followed, Following
from .origins import few_models

_COUNTS = 0.1  # share of an answer from which a candidate counts as used


@dataclass(frozen=True)
class Attribution:
    """One fusing strategy's answers, shared out by where they come from. Shares are means over answers, in [0, 1]."""

    strategy: str
    answers: int
    """That could be attributed: failures and fallbacks are left out."""
    unit: str
    """What was attributed: ``parts`` or ``words``."""
    shares: Mapping[str, float]
    """Origin (a model, what all candidates say, what none says) to share; they add up to 1."""
    used: float
    """Candidates that gave at least a tenth of the answer on their own account, on average."""
    main_source: float
    """Share of the answer's words that the candidate which gave most to it has in the same order."""
    copies: float
    """Share of the answers that are a candidate word for word."""


def attribution(strategy: str, pairs: Sequence[Followed]) -> Attribution | None:
    """Shares out one strategy's answers; None where there are none."""
    if not pairs:
        return None
    shares: dict[str, float] = defaultdict(float)
    for record, followed in pairs:
        for origin, share in _by_model(record, followed):
            shares[origin] += share / len(pairs)
    return Attribution(
        strategy=strategy,
        answers=len(pairs),
        unit="parts" if pairs[0][0].parts else "words",
        shares=dict(shares),
        used=fmean(sum(share >= _COUNTS for share in followed.given) for _, followed in pairs),
        main_source=fmean(followed.main_source for _, followed in pairs),
        copies=fmean(any(record.answer == candidate.text for candidate in record.candidates) for record, _ in pairs),
    )


def attribution_table(attributions: Sequence[Attribution]) -> TextTable:
    """One row a fusing strategy, one column an origin."""
    shares = few_models([item.shares for item in attributions])
    models = dict.fromkeys(origin for item in shares for origin in item if origin not in (ALL_AGREE, NEW))
    columns = (ALL_AGREE, *models, NEW)
    heads = ("strategy", "answers", "by", *columns, "candidates used", "main source %", "copies %")
    rows = tuple(
        (
            item.strategy,
            str(item.answers),
            item.unit,
            *(f"{100 * share.get(origin, 0.0):.1f}" for origin in columns),
            f"{item.used:.1f}",
            f"{100 * item.main_source:.1f}",
            f"{100 * item.copies:.1f}",
        )
        for item, share in zip(attributions, shares, strict=True)
    )
    note = (
        "Words count as a candidate's if they stand in a run of at least three words that it has too, parts if it gives"
        " the same result; what several but not all candidates say counts in fractions. Main source: how much of the"
        " answer the candidate that gave most to it has in the same order."
    )
    return TextTable("What the fused answers are made of, % of the answer", heads, rows, note=note)


def _by_model(record: Record, followed: Following) -> Iterable[tuple[str, float]]:
    yield ALL_AGREE, followed.common
    yield NEW, followed.new
    for candidate, share in zip(record.candidates, followed.given, strict=True):
        yield candidate.model, share
