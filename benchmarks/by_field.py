"""Fields against wholes: ``python -m benchmarks.by_field``.

500 generated nested records of known truth; of each, five candidates with six kinds of noise: a wrong choice, a number
that is a little off or wrong, a typing error in a text, an item left out, an item made up, items in another order.
Beside fusion by field: a vote over whole records, one candidate, a consensus as k-llms describes it (choices by count,
numbers within 3 %, the medoid of texts, lists aligned by resemblance), and fusion of wholes. The embedded fusor cannot
write JSON, so both fusors are scripted with one skill: where a candidate has the right value of a leaf they write it
with a chance of 80 %, else some candidate's; the one of wholes is told which items are the same ones and writes every
leaf, the one of fields only the open texts. Tokens count what is read and written for a record after the task's own
prompt (a quarter of the JSON's characters): with a fusor, all candidates once more and the record itself. So the ways
with a fusor stand beside those without that draw as many more candidates. Printed is the share of leaves that are
right, with a bootstrap interval over records, and the paired difference to fusion by field at the same tokens.
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
_SKILL = 0.8  # of both fusors, at a leaf
_MOST = 11  # candidates: five, and what a fusor that reads and writes five more records costs
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


Way = Callable[[list[Record], Record, random.Random], tuple[Record, bool]]
"""From a pool, the truth (for scripted fusors alone) and chance to an answer, and whether a fusor was asked."""


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--noise", type=float, default=0.25, help="chance of each kind of noise (default: 0.25)")
    options = parser.parse_args()
    rng = random.Random(0)
    truths = [_record(rng) for _ in range(options.records)]
    pools = [[_noisy(truth, rng, options.noise) for _ in range(_MOST)] for truth in truths]
    print(f"{options.records} records, noise {', '.join(_KINDS)} at {options.noise:g} each")
    print("  right leaves, tokens, and the difference to fusion by field without a fusor at the same tokens")
    ours: dict[int, list[float]] = {}
    for n, equal, ways in ((5, 5, _PLAIN), (2, 5, _WHOLES), (11, 11, _PLAIN), (5, 11, {**_FUSING, **_WHOLES})):
        for name, way in ways.items():
            shares = _print_way(name, way, truths, [pool[:n] for pool in pools], ours.get(equal))
            if name == _OURS:
                ours[n] = shares


def _print_way(
    name: str, way: Way, truths: list[Record], pools: list[list[Record]], ours: list[float] | None
) -> list[float]:
    rng = random.Random(name)
    made = [way(pool, truth, rng) for truth, pool in zip(truths, pools, strict=True)]
    shares = [leaves_right(truth, answer) for truth, (answer, _) in zip(truths, made, strict=True)]
    tokens = [
        sum(map(_tokens, pool)) * (1 + asked) + _tokens(answer) * asked
        for pool, (answer, asked) in zip(pools, made, strict=True)
    ]
    score, asked = of_mean(shares), sum(asked for _, asked in made)
    gap = of_mean([share - other for share, other in zip(shares, ours, strict=True)]) if ours else None
    beside = f" {100 * gap.mean:+5.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]" if gap else ""
    print(
        f"  n={len(pools[0]):2d} {name:42s} {100 * score.mean:5.1f} % [{100 * score.low:.1f}, {100 * score.high:.1f}]"
        f" {statistics.fmean(tokens):5.0f}{beside}{f'  (fusor asked for {asked})' if asked else ''}",
        flush=True,
    )
    return shares


def _tokens(record: Record) -> int:
    return len(record.model_dump_json()) // 4


def _vote(pool: list[Record], truth: Record, rng: random.Random) -> tuple[Record, bool]:
    return pool[heaviest(clusters(pool, Record))], False


def _by_field(pool: list[Record], settled_at: float | None, truth: Record, rng: random.Random) -> tuple[Record, bool]:
    merging = Merging([1.0] * len(pool), settled_at=settled_at or 1.0)
    value = merging.merged(dict(enumerate(pool)), Record, "")
    if settled_at is None or not merging.open:
        return value, False
    return _fused(value, merging.open, truth, pool, rng), True


def _whole(pool: list[Record], truth: Record, rng: random.Random) -> tuple[Record, bool]:
    """Every leaf by the fusor, over the items that most candidates have; which ones are the same it is told."""
    value = Merging([1.0] * len(pool)).merged(dict(enumerate(pool)), Record, "")
    right = _leaves(truth.model_dump())
    for path in _leaves(value.model_dump()):
        options = [option for option in (_at(candidate, path) for candidate in pool) if option is not None]
        known = [option for option in options if option == right.get(path, option) and path in right]
        if options:
            value = put(value, path, known[0] if known and rng.random() < _SKILL else rng.choice(options))
    return value, True


def _at(candidate: Record, path: str) -> Any:
    try:
        return get(candidate, path)
    except (LookupError, TypeError):
        return None


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
    return {leaf: leaf_value for step, part in parts for leaf, leaf_value in _leaves(part, path + step).items()}


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
    """Open texts by a fusor that picks the right one, where there is one, as often as its skill says."""
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
            value = put(value, path, right[0] if right and rng.random() < _SKILL else rng.choice(options))
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


_OURS = "fusion by field, no fusor"
_PLAIN: dict[str, Way] = {
    _OURS: lambda pool, truth, rng: _by_field(pool, None, truth, rng),
    "one candidate of them": lambda pool, truth, rng: (pool[0], False),
    "vote over whole records": _vote,
    "consensus as k-llms describes it": lambda pool, truth, rng: (_as_k_llms(pool), False),
}
_FUSING: dict[str, Way] = {
    "fusion by field, fusor for all open texts": lambda pool, truth, rng: _by_field(pool, 1.0, truth, rng),
    "fusion by field, gate 0.6": lambda pool, truth, rng: _by_field(pool, 0.6, truth, rng),
}
_WHOLES: dict[str, Way] = {"fusion of whole records": _whole}

if __name__ == "__main__":
    main()
