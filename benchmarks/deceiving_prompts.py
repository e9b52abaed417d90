"""A prompt that leads with one answer and loses a vote, on a real model: ``python -m benchmarks.deceiving_prompts``.

A small model is asked ARC's multiple-choice questions in four ways, and what is recorded is how likely each letter is
as its answer. So how often one drawn answer is right, and how often a vote of n is, need not be estimated by drawing:
they follow from the recorded chances. Two ways are chosen on one half of the questions, such that the first leads with
one answer and loses a vote of n; the other half, which chose nothing, says whether that holds.

    python -m benchmarks.deceiving_prompts                 from what is in the repository
    python -m benchmarks.deceiving_prompts --record FILE   asks the model; goes on where it was
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from dspy_fusion.optimizers.bootstrap import Interval, of_difference

RECORDED = Path(__file__).parent / "real_models" / "arc_letters.jsonl"
LETTERS, _DRAWS, _LONGEST = "ABCD", 4000, 260
WAYS = {
    "letter": "Answer the question with one letter: A, B, C or D.",
    "child": "A child asks you this at school. Say which option is right. Begin with its letter.",
    "bare": "A, B, C or D?",
    "doubt": "You may not be sure. Guess if you have to, but always write a letter: A, B, C or D.",
}


def main() -> None:
    """Records, or prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--recorded", type=Path, default=RECORDED)
    parser.add_argument("--model", default="qwen2.5-coder-0.5b")
    parser.add_argument("--questions", type=int, default=80)
    parser.add_argument("--minutes", type=float, default=12.0, help="after which no further question is begun")
    parser.add_argument("--splits", type=int, default=200, help="halves that choose, each drawn anew")
    options = parser.parse_args()
    if options.record:
        record(options.record, options.model, options.questions, options.minutes)
    else:
        show(options.recorded, options.splits)


def record(file: Path, name: str, count: int, minutes: float) -> None:
    """Asks the model every question in every way, and appends a line a question."""
    import httpx

    from dspy_fusion.serving import local_lm

    engine: Any = local_lm(name, context=1024, parallel=1, threads=1).engine
    address, until = engine.server.address(), time.monotonic() + 60 * minutes
    known = {json.loads(line)["id"] for line in file.read_text().splitlines()} if file.exists() else set()
    for row in _questions(count):
        if row["id"] in known or time.monotonic() > until:
            continue
        chances = {}
        for way, told in WAYS.items():
            messages = [{"role": "system", "content": told}, {"role": "user", "content": _asked(row)}]
            body = {"messages": messages, "max_tokens": 1, "temperature": 1.0, "logprobs": True, "top_logprobs": 40}
            reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=300).raise_for_status().json()
            chances[way] = _letters(reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"])
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"id": row["id"], "right": row["answerKey"], "chances": chances}) + "\n")


def show(file: Path, splits: int) -> None:
    """Prints every way with one answer and with votes, and the contest of two."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    print(f"{len(rows)} questions, {len(WAYS)} ways; right with one answer drawn at temperature 1, and by votes")
    right = {n: np.array([[_right(row, way, n) for way in WAYS] for row in rows]) for n in (1, 3, 8, 16)}
    for place, way in enumerate(WAYS):
        print(f"  {way:8}" + "".join(f"  n={n} {100 * table[:, place].mean():.1f}" for n, table in right.items()))
    for n in (8, 16):
        held = [_contest(right[1], right[n], seed) for seed in range(splits)]
        pairs = [pair for pair in held if pair is not None]
        print(f"votes of {n}: a pair that turns on the half that chooses in {len(pairs)} of {splits} halves")
        if not pairs:
            continue
        alone, together = np.mean([a.mean for _, a, _ in pairs]), np.mean([t.mean for _, _, t in pairs])
        turned = sum(a.mean > 0 > t.mean for _, a, t in pairs)
        print(f"  on the other half the first is ahead by {100 * alone:+.1f} points with one answer and by"
              f" {100 * together:+.1f} by vote; it leads and loses in {turned} of {len(pairs)}")  # fmt: skip
    first, second = _widest(right[1].mean(axis=0), right[8].mean(axis=0)) or (0, 0)
    if first != second:
        names = list(WAYS)
        alone, together = (of_difference(list(right[n][:, first]), list(right[n][:, second])) for n in (1, 8))
        print(f"on all questions: {names[first]!r} over {names[second]!r} with one answer {_points(alone)}, by a vote"
              f" of 8 {_points(together)}")  # fmt: skip


def _questions(count: int) -> list[dict[str, Any]]:
    (path,) = (Path(os.environ.get("DSPY_FUSION_DATA", "data")) / "arc_challenge").glob("*.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    fitting = [row for row in rows if row["choices"]["label"] == list(LETTERS) and len(_asked(row)) <= _LONGEST]
    return fitting[:count]


def _asked(row: dict[str, Any]) -> str:
    options = zip(row["choices"]["label"], row["choices"]["text"], strict=True)
    return "\n".join([row["question"], *(f"{label}. {text}" for label, text in options)])


def _letters(tokens: list[dict[str, Any]]) -> list[float]:
    """The chance of each letter as the first token."""
    chances = dict.fromkeys(LETTERS, 0.0)
    for token in tokens:
        if (said := token["token"].strip(" .():*\n")) in chances and len(said) == 1:
            chances[said] += math.exp(token["logprob"])
    return [round(chance, 5) for chance in chances.values()]


def _right(row: dict[str, Any], way: str, n: int) -> float:
    """The chance that n drawn answers are right by vote; what is no letter has no vote, and ties go to any of them."""
    chances, place = np.array(row["chances"][way]), LETTERS.index(row["right"])
    if n == 1:
        return float(chances[place])
    none = max(0.0, 1 - float(chances.sum()))
    whole = np.append(chances, none) / (float(chances.sum()) + none)
    votes = np.random.default_rng(0).multinomial(n, whole, size=_DRAWS)[:, :-1]
    most = votes.max(axis=1)
    wins = (votes[:, place] == most) & (most > 0)
    return float((wins / np.maximum(1, (votes == most[:, None]).sum(axis=1))).mean())


def _contest(alone: np.ndarray, voted: np.ndarray, seed: int) -> tuple[tuple[int, int], Interval, Interval] | None:
    """Of the two ways that one half chooses, the first minus the second on the other; None where none turns."""
    order = np.random.default_rng(seed).permutation(len(alone))
    choosing, judging = order[: len(order) // 2], order[len(order) // 2 :]
    pair = _widest(alone[choosing].mean(axis=0), voted[choosing].mean(axis=0))
    if pair is None:
        return None
    first, second = pair
    one, many = (of_difference(list(t[judging, first]), list(t[judging, second])) for t in (alone, voted))
    return pair, one, many


def _widest(alone: np.ndarray, voted: np.ndarray) -> tuple[int, int] | None:
    """The two ways of which the first leads alone and loses the vote, by the most."""
    pairs = [(a, b) for a, b in itertools.permutations(range(len(alone)), 2) if alone[a] > alone[b]]
    turning = [(a, b) for a, b in pairs if voted[a] < voted[b]]
    return max(turning, key=lambda ab: min(alone[ab[0]] - alone[ab[1]], voted[ab[1]] - voted[ab[0]]), default=None)


def _points(interval: Interval) -> str:
    return f"{100 * interval.mean:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


if __name__ == "__main__":
    main()
