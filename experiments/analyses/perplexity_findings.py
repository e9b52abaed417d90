"""Perplexities as a table and records: per token over a whole training set, with intervals that resample examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from dspy_fusion.optimizers.bootstrap import quantiles, resampled_sums

from ..presentation.text_table import TextTable
from ..statistics.intervals import Interval, ratio_interval
from .output import Findings
from .perplexity import TargetRecord

_RESAMPLES = 5000


def perplexity_findings(records: Sequence[TargetRecord], *, base: str, notes: tuple[str, ...] = ()) -> Findings:
    """A table with a row for each kind of training set; the first is what the others are compared with."""
    by_target = perplexities(records)
    first = next(iter(by_target))
    heads = ("training set", "examples", "tokens", "perplexity [95 %]", f"times that of {first} [95 %]")
    rows = []
    for name, estimate in by_target.items():
        tokens = sum(record.tokens for record in records if record.target == name)
        ratio = "" if name == first else _text(perplexity_ratio(records, name, first))
        rows.append((name, str(estimate.n), str(tokens), _text(estimate), ratio))
    note = (
        "Of the answers' tokens, the ends included, under the model before training. Intervals resample examples,"
        " ratios in pairs."
    )
    table = TextTable(f"Perplexity of the targets under {base}", heads, tuple(rows), note=note)
    return Findings("perplexity", (table,), [asdict(record) for record in records], notes)


def perplexities(records: Sequence[TargetRecord]) -> dict[str, Interval]:
    """The perplexity of each kind of training set: e to the mean negative log-likelihood of a token."""
    by_target = {}
    for name in dict.fromkeys(record.target for record in records):
        own = [record for record in records if record.target == name]
        losses = {(record.example, 0): -record.loglikelihood for record in own}
        estimate = ratio_interval(losses, {(record.example, 0): float(record.tokens) for record in own})
        by_target[name] = Interval(math.exp(estimate.mean), math.exp(estimate.low), math.exp(estimate.high), estimate.n)
    return by_target


def perplexity_ratio(records: Sequence[TargetRecord], name: str, reference: str, *, seed: int = 0) -> Interval:
    """One training set's perplexity over another's, on the examples that both have."""
    own, other = ({r.example: r for r in records if r.target == target} for target in (name, reference))
    shared = sorted(own.keys() & other.keys())
    columns = np.array(
        [[-own[e].loglikelihood, own[e].tokens, -other[e].loglikelihood, other[e].tokens] for e in shared], dtype=float
    )  # (examples, 4)
    samples = resampled_sums(columns, (len(shared),), _RESAMPLES, seed)[:, 0]
    low, high = quantiles(_ratio(samples)) if len(shared) > 1 else (math.nan, math.nan)
    return Interval(float(_ratio(columns.sum(axis=0, keepdims=True))[0]), low, high, len(shared))


def _ratio(sums: np.ndarray) -> np.ndarray:
    return np.exp(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])


def _text(estimate: Interval) -> str:
    ends = " [one example]" if math.isnan(estimate.low) else f" [{estimate.low:#.4g}, {estimate.high:#.4g}]"
    return f"{estimate.mean:#.4g}{ends}"
