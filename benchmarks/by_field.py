"""Fields against wholes: ``python -m benchmarks.by_field``.

500 generated nested records of known truth; of each, five candidates with six kinds of noise: a wrong choice, a number
that is a little off or wrong, a typing error in a text, an item left out, an item made up, items in another order.
Beside fusion by field: a vote over whole records, the best single candidate on average, and a consensus as k-llms
describes it (choices by count, numbers within 3 %, the medoid of texts, lists aligned by resemblance). The embedded
fusor cannot write JSON, so the fusor of the open texts is scripted: it picks the right text with a chance of 80 %,
where a candidate has it. Fusion of wholes is left out: a script for it would be made up from nothing. Printed is the
share of leaves that are right, with a bootstrap interval over records.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs.pools.clusters import clusters, heaviest
from dspy_fusion.programs.pools.field_merge import Merging, get, put

_WORDS = "amber basin cedar delta ember fjord grove haven inlet jetty knoll ledge marsh oasis prairie quarry".split()
_KINDS = ("choice", "number", "typo", "omission", "invention", "order")


class Line(BaseModel):
    """An item of a record."""

    name: str
    unit: Literal["piece", "box", "kg"]
    amount: int
    price: float


class Record(BaseModel):
    """A nested record."""

    client: str
    status: Literal["open", "paid", "void"]
    day: date
    express: bool
    total: float
    lines: list[Line]
    note: str


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--noise", type=float, default=0.25, help="chance of each kind of noise (default: 0.25)")
    options = parser.parse_args()
    rng = random.Random(0)
    truths = [_record(rng) for _ in range(options.records)]
    pools = [[_noisy(truth, rng, options.noise) for _ in range(5)] for truth in truths]
    calls: dict[float, int] = {}

    def by_field(pool: list[Record], truth: Record, settled_at: float = 1.0) -> Record:
        merging = Merging([1.0] * len(pool), settled_at=settled_at)
        value = merging.merged(dict(enumerate(pool)), Record, "")
        calls[settled_at] = calls.get(settled_at, 0) + bool(merging.open)
        return _fused(value, merging.open, truth, pool, rng)

    def without_fusor(pool: list[Record], truth: Record) -> Record:
        return Merging([1.0] * len(pool)).merged(dict(enumerate(pool)), Record, "")

    ways: dict[str, Callable[[list[Record], Record], Record]] = {
        "one candidate": lambda pool, truth: pool[0],
        "vote over whole records": lambda pool, truth: pool[heaviest(clusters(pool, Record))],
        "consensus as k-llms describes it, no fusor": lambda pool, truth: _as_k_llms(pool),
        "fusion by field, no fusor": without_fusor,
        "fusion by field, fusor for all open texts": by_field,
        "fusion by field, gate 0.6": lambda pool, truth: by_field(pool, truth, 0.6),
    }
    print(f"{options.records} records, 5 candidates each, noise {', '.join(_KINDS)} at {options.noise:g} each")
    for name, way in ways.items():
        shares = [leaves_right(truth, way(pool, truth)) for truth, pool in zip(truths, pools, strict=True)]
        interval = of_mean(shares)
        print(
            f"  {name:45s} {100 * interval.mean:5.1f} % of leaves [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
        )
    print(f"the fusor was asked for {calls[0]} of {options.records} records, once each")


def leaves_right(truth: Record, answer: Record) -> float:
    """The share of leaves that are right, of those of the truth and those that were made up."""
    expected, said = _leaves(truth.model_dump()), _leaves(answer.model_dump())
    return sum(said.get(path) == value for path, value in expected.items()) / len(expected.keys() | said.keys())


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    parts: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        parts = [(f".{name}", part) for name, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"[{place}]", part) for place, part in enumerate(value)]
    else:
        return {path: value}
    return {leaf: found for step, part in parts for leaf, found in _leaves(part, path + step).items()}


def _record(rng: random.Random) -> Record:
    lines = [
        Line(
            name=" ".join(rng.sample(_WORDS, 2)),
            unit=rng.choice(("piece", "box", "kg")),
            amount=rng.randint(1, 20),
            price=round(rng.uniform(1, 90), 2),
        )
        for _ in range(rng.randint(2, 5))
    ]
    return Record(
        client=" ".join(rng.sample(_WORDS, 2)),
        status=rng.choice(("open", "paid", "void")),
        day=date(2026, 1, 1) + timedelta(days=rng.randrange(300)),
        express=rng.random() < 0.5,
        total=round(sum(line.amount * line.price for line in lines), 2),
        lines=lines,
        note=" ".join(rng.sample(_WORDS, 5)),
    )


def _noisy(truth: Record, rng: random.Random, noise: float) -> Record:
    made = truth.model_copy(deep=True)
    if rng.random() < noise:
        made.status = rng.choice(("open", "paid", "void"))
        made.lines[0].unit = rng.choice(("piece", "box", "kg"))
        made.express = rng.random() < 0.5
    if rng.random() < noise:
        line = rng.choice(made.lines)
        line.price = round(line.price * rng.choice((1.004, 0.996, 1.5)), 2)
        made.total = round(made.total * rng.choice((1.004, 0.5)), 2)
    if rng.random() < noise:
        made.note, made.client = _typo(made.note, rng), _typo(made.client, rng)
        made.lines[-1].name = _typo(made.lines[-1].name, rng)
    if rng.random() < noise and len(made.lines) > 1:
        made.lines.pop(rng.randrange(len(made.lines)))
    if rng.random() < noise:
        name = " ".join(rng.sample(_WORDS, 2))
        line = Line(name=name, unit="box", amount=rng.randint(1, 20), price=round(rng.uniform(1, 90), 2))
        made.lines.insert(rng.randint(0, len(made.lines)), line)
    if rng.random() < noise:
        rng.shuffle(made.lines)
    return made


def _typo(text: str, rng: random.Random) -> str:
    place = rng.randrange(len(text) - 1)
    return text[:place] + rng.choice("abcdefghij") + text[place + 1 :]


def _fused(value: Record, paths: list[str], truth: Record, pool: list[Record], rng: random.Random) -> Record:
    """Open texts by a fusor that picks the right one in four of five cases, where there is one."""
    known = {text for text in _leaves(truth.model_dump()).values() if isinstance(text, str)}
    for path in paths:
        options = []
        for candidate in pool:
            try:
                options.append(get(candidate, path))
            except (LookupError, TypeError):
                continue
        right = [text for text in options if text in known]
        if options:
            value = put(value, path, right[0] if right and rng.random() < 0.8 else rng.choice(options))
    return value


def _as_k_llms(pool: list[Record]) -> Record:
    """Choices by count, numbers within 3 % by the mean of the largest group, texts by medoid, lists by resemblance."""
    merging = Merging([1.0] * len(pool), tolerance=0.03, settled_at=0.0)
    merged = merging.merged(dict(enumerate(pool)), Record, "")
    for path, value in _leaves(merged.model_dump()).items():
        if isinstance(value, float):
            numbers = []
            for candidate in pool:
                try:
                    numbers.append(get(candidate, path))
                except (LookupError, TypeError):
                    continue
            close = [number for number in numbers if abs(number - value) <= 0.03 * abs(value)]
            merged = put(merged, path, statistics.fmean(close) if close else value)
    return merged


if __name__ == "__main__":
    main()
