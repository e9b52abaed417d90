"""What the gate saves and costs: ``python -m benchmarks.gate --data FOLDER``.

Embedded worksheets of four or five parts: five candidates of a model that can do most of them, so that many agree,
fused by the embedded fusor with and without a gate; the differences are paired by sheet, with bootstrap intervals.
Recorded pools (20 models on GSM8K): nothing recorded can fuse, so the gated answer is held against the best that any
fusor could have written from the pool, the oracle: what is lost against it is an upper bound. There the gate counts
each candidate as one, or by what was learned on the other half about its model (``calibrate``).
"""

from __future__ import annotations

import argparse
import random

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.tasks.worksheets import share_right
from dspy_fusion.optimizers.bootstrap import of_mean
from dspy_fusion.programs import Fusion, PlainAdapter, ProposeAggregate, Vote, calibrate
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, draw_worksheet, question_text

from .recorded_answers import LookedUp, RecordedAnswers, answered, compared, mean, recorded_from

_GATES = (1.0, 0.9, 0.8, 0.75, 0.7, 0.65, 0.6)


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=int, default=40, help="embedded worksheets, 0 for none (default: 40)")
    recorded, options = recorded_from(parser)
    for n in (5, 8) if options.halves else ():
        print_recorded(recorded, n, options.halves)
    if options.sheets:
        print_embedded(options.sheets)


def print_recorded(recorded: RecordedAnswers, n: int, halves: int) -> None:
    """Per gate, the calls it saves and the most it can cost."""
    print(f"\nrecorded, {n} candidates of one random model each, {halves} held-out halves")
    rows: dict[str, list[tuple[float, float, float]]] = {"each as one": [], "weighted": []}
    for seed in range(halves):
        train, held = recorded.halves(seed)
        vote = Vote(LookedUp(recorded, mixed=True), n=n, lms=recorded.lms(seed), normalize=compared)
        learned = calibrate(vote, train, recorded.metric, num_threads=1)
        for name, program in (("each as one", vote), ("weighted", learned)):
            rights, pools = answered(program, held, recorded)
            best = [max(recorded.metric(e, c.prediction) for c in p.good) for e, p in zip(held, pools, strict=True)]
            shares = [next(iter(pool.agreement.values())) for pool in pools]
            rows[name] += zip(shares, rights, best, strict=True)
    for name, triples in rows.items():
        for gate in _GATES:
            opened = [(right, best) for share, right, best in triples if share >= gate - 1e-9]
            losses = [(best - right) if share >= gate - 1e-9 else 0.0 for share, right, best in triples]
            loss = of_mean(losses)
            print(
                f"  {name}, gate {gate:g}: {len(opened) / len(triples):.0%} of the fusor's calls saved, at most"
                f" {100 * loss.mean:.2f} points lost [{100 * loss.low:.2f}, {100 * loss.high:.2f}],"
                f" {100 * mean([right for right, _ in opened]):.1f} % of the gated answers right",
                flush=True,
            )


def print_embedded(count: int) -> None:
    """Easy sheets with and without a gate."""
    rng = random.Random(77)
    sheets = [draw_worksheet(rng, sizes=(4, 5)) for _ in range(count)]
    examples = [dspy.Example(worksheet=question_text(s), answers=answer_text(s)) for s in sheets]
    task = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    options = {"lms": [embedded_lm("aft")], "fusor_lm": embedded_lm("aft")}
    print(f"\nembedded, {count} sheets of four or five parts, 5 candidates; share of parts right and calls")
    with dspy.context(adapter=PlainAdapter()):
        for name in ("Fusion", "ProposeAggregate"):
            bare: list[float] = []
            for gate in (None, 1.0, 0.8, 0.6):
                program = (
                    Fusion(task, n=5, gate=gate, **options)
                    if name == "Fusion"
                    else ProposeAggregate(task, width=5, depth=2, gate=gate, **options)
                )
                predictions = [program(worksheet=example.worksheet) for example in examples]
                scores = [share_right(e, p) for e, p in zip(examples, predictions, strict=True)]
                bare = bare or scores
                loss = of_mean([score - before for before, score in zip(bare, scores, strict=True)])
                saved = sum(p.pool.saved for p in predictions)
                calls = sum(p.pool.total.calls for p in predictions)
                beyond = calls + saved - 5 * count  # what the fusor and the layers would have cost
                print(
                    f"  {name}, gate {gate}: {100 * mean(scores):.1f} %, {100 * loss.mean:+.1f} points"
                    f" [{100 * loss.low:+.1f}, {100 * loss.high:+.1f}], {saved} of {beyond} calls beyond the"
                    f" candidates saved ({saved / beyond:.0%})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
