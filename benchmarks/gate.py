"""What the gate saves and costs: ``python -m benchmarks.gate --data FOLDER``.

Embedded worksheets: sheets of additions by the model that can add, so that candidates agree, fused by the embedded
fusor with and without a gate. Recorded pools: nothing recorded can fuse, so the gated answer is held against the best
that any fusor could have written from the five candidates, the oracle: what is lost against it is an upper bound.
"""

from __future__ import annotations

import argparse
import random

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.tasks.worksheets import share_right
from dspy_fusion.programs import Fusion, PlainAdapter, ProposeAggregate, Vote
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, draw_worksheet, question_text

from .recorded_answers import LookedUp, answered, compared, mean, recorded_from


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=int, default=60, help="embedded worksheets (default: 60)")
    recorded, options = recorded_from(parser)
    embedded(options.sheets)
    print("\nrecorded, 5 candidates of one random model each; lost against the oracle of the five, in points")
    for gate in (1.0, 0.8, 0.6):
        opened, taken, best, count = 0, 0.0, 0.0, 0
        for seed in range(options.halves):
            vote = Vote(LookedUp(recorded, mixed=True), n=5, lms=recorded.lms(seed), normalize=compared)
            rights, pools = answered(vote, recorded.examples, recorded)
            for example, right, pool in zip(recorded.examples, rights, pools, strict=True):
                count += 1
                if pool.confidence >= gate - 1e-9 and len(pool.good) > 1:
                    opened, taken = opened + 1, taken + right
                    best += max(recorded.metric(example, c.prediction) for c in pool.good)
        print(
            f"  gate {gate}: {opened / count:.0%} of the fusor's calls saved, at most"
            f" {100 * (best - taken) / count:.2f} points lost, {100 * taken / opened:.1f} % of the gated answers right"
        )


def embedded(count: int) -> None:
    """Easy sheets with and without a gate."""
    rng = random.Random(77)
    sheets = [draw_worksheet(rng, weights=(1, 0, 0)) for _ in range(count)]
    examples = [dspy.Example(worksheet=question_text(s), answers=answer_text(s)) for s in sheets]
    task = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    options = {"lms": [embedded_lm("plus")], "fusor_lm": embedded_lm("aft")}
    print(
        f"embedded, {count} sheets of additions, 3 candidates of the model that can add; calls and share of parts right"
    )
    with dspy.context(adapter=PlainAdapter()):
        for name in ("Fusion", "ProposeAggregate"):
            for gate in (None, 1.0, 0.6):
                program = (
                    Fusion(task, n=3, gate=gate, **options)
                    if name == "Fusion"
                    else ProposeAggregate(task, width=3, depth=2, gate=gate, **options)
                )
                predictions = [program(worksheet=example.worksheet) for example in examples]
                scores = [share_right(e, p) for e, p in zip(examples, predictions, strict=True)]
                saved = sum(p.pool.saved for p in predictions)
                calls = sum(p.pool.total.calls for p in predictions)
                gated = sum(p.pool.gated is not None for p in predictions)
                beyond = calls + saved - 3 * count  # what the fusor and the layers would have cost
                print(
                    f"  {name}, gate {gate}: {100 * mean(scores):.1f} %, {calls} calls, {saved} of {beyond} calls"
                    f" beyond the candidates saved ({saved / beyond:.0%}), {gated} of {count} sheets gated"
                )


if __name__ == "__main__":
    main()
