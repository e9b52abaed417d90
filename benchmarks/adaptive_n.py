"""What stopping early saves: ``python -m benchmarks.adaptive_n --data FOLDER``.

On recorded answers of 20 models to 648 GSM8K questions, on halves that nothing was fitted on: the accuracy and the
calls of ``n="auto"`` beside a vote of all 20, for a pool of 20 models whose reliability (and so their order) is learned
from the other half, and for one source (20 draws with replacement from the same answers), where nothing is learned.
"""

from __future__ import annotations

import argparse

import dspy

from dspy_fusion.programs import Stopping, Vote, calibrate

from .recorded_answers import LookedUp, answered, compared, mean, recorded_from

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
    print(f"{options.halves} held-out halves; accuracy, calls a question, their share of 20, rounds at most")
    for name, parts in rows.items():
        rights, calls, rounds = ([value for part in parts for value in part[i]] for i in range(3))
        print(f"  {name:62s} {100 * mean(rights):5.1f} %  {mean(calls):5.2f}  {mean(calls) / 20:4.0%}  {max(rounds)}")


def _auto(task: dspy.Module, lms: list, rule: str, threshold: float, size: int) -> Vote:
    stopping = Stopping(rule, threshold=threshold, round_size=size)  # pyright: ignore[reportArgumentType]
    return Vote(task, n="auto", max_n=20, stopping=stopping, lms=lms, normalize=compared)


if __name__ == "__main__":
    main()
