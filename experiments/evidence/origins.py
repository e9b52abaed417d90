"""Where the parts of an answer come from: which models' candidates say the same, or none of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..presentation.figure_style import ALL_AGREE, MISSING, NEW, NEW_RIGHT, NEW_WRONG, OTHERS
from ..records.record import PartRecord, Record

_NO_MODELS = (ALL_AGREE, NEW, NEW_RIGHT, NEW_WRONG, MISSING)


@dataclass(frozen=True)
class OriginShares:
    """The parts of one kind in one strategy's answers, shared out by where they come from.

    Attributes:
        kind: of the parts.
        n: number of parts.
        right: share of them that is right, in [0, 1].
        shares: origin to share; the values add up to 1.
    """

    kind: str
    n: int
    right: float
    shares: Mapping[str, float]


def origin_shares(records: Iterable[Record]) -> tuple[OriginShares, ...]:
    """The origins of the parts in one strategy's records, a row per kind in order of first appearance.

    A part that several candidates share, but not all, counts in equal fractions for each of them, under their models'
    names.
    """
    shares: dict[str, dict[str, float]] = {}
    counts: dict[str, list[bool]] = {}
    for record in records:
        for part in record.parts:
            counts.setdefault(part.kind, []).append(part.right)
            kind = shares.setdefault(part.kind, defaultdict(float))
            for origin, weight in _origins(record, part).items():
                kind[origin] += weight
    return tuple(
        OriginShares(
            kind,
            len(rights),
            sum(rights) / len(rights),
            {key: value / len(rights) for key, value in shares[kind].items()},
        )
        for kind, rights in counts.items()
    )


def few_models(shares: Sequence[Mapping[str, float]], most: int = 8) -> list[dict[str, float]]:
    """The shares with only the ``most`` models that give most under their own names.

    The rest are added up as ``OTHERS``.
    """
    totals: dict[str, float] = defaultdict(float)
    for item in shares:
        for origin, share in item.items():
            totals[origin] += 0.0 if origin in _NO_MODELS else share
    models = [origin for origin in totals if origin not in _NO_MODELS]
    named = models if len(models) <= most else sorted(models, key=lambda model: -totals[model])[: most - 1]
    rows = []
    for item in shares:
        few: dict[str, float] = defaultdict(float)
        for origin, share in item.items():
            few[origin if origin in named or origin in _NO_MODELS else OTHERS] += share
        rows.append(dict(few))
    return rows


def _origins(record: Record, part: PartRecord) -> dict[str, float]:
    if not part.given:
        return {MISSING: 1.0}
    if not part.same_as:
        return {NEW_RIGHT if part.right else NEW_WRONG: 1.0}
    if len(part.same_as) == len(record.candidates):
        return {ALL_AGREE: 1.0}
    origins: dict[str, float] = defaultdict(float)
    for index in part.same_as:
        origins[record.candidates[index].model] += 1 / len(part.same_as)
    return origins
