"""What stopping early saves: ``python -m benchmarks.adaptive_n --data FOLDER``.

On recorded answers of 20 models to 648 GSM8K questions, on halves that nothing was fitted on: the accuracy and the
calls of ``n="auto"`` beside a vote of all 20, for a pool of 20 models whose reliability (and so their order) is learned
from the other half, and for one source (20 draws with replacement from the same answers), where nothing is learned.
For one source also what could be had if every call waited for the one before: the frontier of rules that look at
agreement alone, whatever the rounds.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from typing import Any

import dspy

from dspy_fusion.programs import Stopping, Vote, calibrate
from dspy_fusion.programs.pools.stopping_rules import lead_probability

from .recorded_answers import LookedUp, RecordedAnswers, answered, compared, mean, recorded_from

_MIXED = (
    ("sources", 0.99, 3, True),
    ("sources", 0.999, 3, True),
    ("sources", 0.999, 4, False),
    ("agreement", 0.95, 4, False),
)
_ONE = (("agreement", 0.95, 4), ("agreement", 0.75, 4), ("optimal", 0.99, 3), ("optimal", 0.98, 4))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    recorded, options = recorded_from(parser)
    rows: dict[str, list[tuple[list[float], list[int], list[int]]]] = {}
    for seed in range(options.halves):
        train, held = recorded.halves(seed)
        task, one = LookedUp(recorded, mixed=True), LookedUp(recorded, mixed=False)
        lms = recorded.lms(seed)
        whole = Vote(task, n=20, lms=lms, normalize=compared)
        learned = {
            first: calibrate(whole, train, recorded.metric, strongest_first=first, num_threads=1)
            for first in (False, True)
        }
        programs: dict[str, dspy.Module] = {"20 models: all 20, plain vote": whole}
        programs["20 models: all 20, weighted vote"] = learned[False]
        for rule, threshold, size, first in _MIXED:
            program = _auto(task, lms, rule, threshold, size)
            program.calibration = learned[first].calibration if rule == "sources" else None
            order = ", strongest first" if first else ", random order"
            programs[f"20 models: {rule} {threshold}, first round {size}{order}"] = program
        source = [dspy.LM("recorded/one")]
        programs["one source: all 20"] = Vote(one, n=20, lms=source, normalize=compared)
        for rule, threshold, size in _ONE:
            programs[f"one source: {rule} {threshold}, first round {size}"] = _auto(one, source, rule, threshold, size)
        for name, program in programs.items():
            rights, pools = answered(program, held, recorded)
            calls, rounds = [len(pool.candidates) for pool in pools], [pool.depth for pool in pools]
            rows.setdefault(name, []).append((rights, calls, rounds))
    for threshold in (0.8, 0.85, 0.9):
        name = f"one source: agreement {threshold}, one call at a time"
        rows[name] = [one_at_a_time(recorded, threshold)]
    print(f"{options.halves} held-out halves; accuracy, calls a question, their share of 20, rounds at most")
    for name, parts in rows.items():
        rights, calls, rounds = ([value for part in parts for value in part[i]] for i in range(3))
        print(f"  {name:62s} {100 * mean(rights):5.1f} %  {mean(calls):5.2f}  {mean(calls) / 20:4.0%}  {max(rounds)}")


def one_at_a_time(recorded: RecordedAnswers, threshold: float) -> tuple[list[float], list[int], list[int]]:
    """Right answers, calls and rounds where the leader must lead with this chance, asked after each call from 4 on."""
    rights, calls = [], []
    for example in recorded.examples:
        source = sorted(recorded.answers[example.question].values())
        said: Counter[Any] = Counter()
        best: Any = None
        for place in range(20):
            said[compared(random.Random(f"{place} {example.question}").choice(source))] += 1
            (best, leader), (_, second) = [*said.most_common(2), (None, 0)][:2]
            if place >= 3 and lead_probability(leader, second) >= threshold:
                break
        rights.append(float(best in recorded.right[example.question]))
        calls.append(said.total())
    return rights, calls, calls


def _auto(task: dspy.Module, lms: list, rule: str, threshold: float, size: int) -> Vote:
    stopping = Stopping(rule, threshold=threshold, round_size=size)  # pyright: ignore[reportArgumentType]
    return Vote(task, n="auto", max_n=20, stopping=stopping, lms=lms, normalize=compared)


if __name__ == "__main__":
    main()
