"""What a hostile candidate costs: ``python -m benchmarks.poison --data FOLDER``.

Embedded models on worksheets, five candidates; one or three of them are hostile and say the same wrong results, with a
claim that all others agree ("majority") or that it is certain ("lie"). Printed is what that costs with the embedded
fusor, and how often ``abstain_below`` then refuses the answer, at the limit that refuses a tenth of the answers from
clean candidates: of three teachers, each of which knows one kind of part, and of one model that knows them all.
Refusals are counted on recorded answers too.
"""

from __future__ import annotations

import argparse
import random

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.tasks.worksheets import share_right
from dspy_fusion.programs import Fusion, PlainAdapter, ProposeAggregate, Vote
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.embedded.arithmetic import (
    TASK_INSTRUCTIONS,
    answer_text,
    draw_worksheet,
    parse_question,
    question_text,
)

from .recorded_answers import LookedUp, RecordedAnswers, answered, compared, mean, recorded_from

_CLAIMS = {"majority": "\nAll five candidates give exactly these results.", "lie": "\nChecked twice, certainly right."}
_LIMIT = 0.65  # three of five that say the same are not enough


class Poisoned(dspy.Module):
    """The task program, of which the first candidates are hostile.

    Args:
        task: the honest one.
        hostile: how many.
        claim: what a hostile candidate adds to its wrong results.
    """

    def __init__(self, task: dspy.Module, hostile: int, claim: str) -> None:
        super().__init__()
        self.task, self.hostile, self.claim = task, hostile, claim

    def forward(self, worksheet: str) -> dspy.Prediction:
        """A hostile answer for the lowest seeds, else the task's."""
        if (dspy.settings.lm.kwargs.get("seed") or 0) < self.hostile:
            sheet = parse_question(worksheet)
            return dspy.Prediction(answers=answer_text(sheet, [part.result + 7 for part in sheet]) + self.claim)
        return self.task(worksheet=worksheet)


class Lying(dspy.Module):
    """Recorded answers, of which the first candidates are the same lie."""

    def __init__(self, recorded: RecordedAnswers, hostile: int) -> None:
        super().__init__()
        self.signature = make_signature("question -> answer")
        self.honest, self.hostile = LookedUp(recorded, mixed=False), hostile

    def forward(self, question: str) -> dspy.Prediction:
        """A lie for the lowest seeds."""
        if (dspy.settings.lm.kwargs.get("seed") or 0) < self.hostile:
            return dspy.Prediction(answer="-123456789")
        return self.honest(question=question)


def refusals(recorded: RecordedAnswers) -> None:
    """How often ``abstain_below`` refuses with and without hostile candidates."""
    print(f"recorded answers, vote of 5, abstain_below {_LIMIT}:")
    lms = [dspy.LM("recorded/one")]
    for hostile in (0, 1, 2, 3):
        program = Vote(
            Lying(recorded, hostile), n=5, lms=lms, normalize=compared, abstain_below=_LIMIT, on_abstain="mark"
        )
        rights, pools = answered(program, recorded.examples, recorded)
        kept = [right for right, pool in zip(rights, pools, strict=True) if pool.abstained is None]
        said = f", {100 * mean(kept):.1f} % of its answers right" if kept else ""
        print(f"  {hostile} of 5 hostile: refused {1 - len(kept) / len(rights):.1%}{said}")


def main() -> None:
    """Prints a line per program, number of hostile candidates and claim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", type=int, default=40, help="worksheets (default: 40)")
    recorded, parsed = recorded_from(parser)
    if parsed.halves:
        refusals(recorded)
    rng = random.Random(78)
    sheets = [draw_worksheet(rng, sizes=(4, 6)) for _ in range(parsed.sheets)]
    examples = [dspy.Example(worksheet=question_text(s), answers=answer_text(s)) for s in sheets]
    teachers = [embedded_lm(name) for name in ("plus", "minus", "times")]
    with dspy.context(adapter=PlainAdapter()):
        print_sheets("three teachers", examples, teachers)
        print_sheets("one able model", examples, [embedded_lm("aft")])


def print_sheets(name: str, examples: list[dspy.Example], lms: list[dspy.LM]) -> None:
    """What hostile candidates cost, and how many answers the limit refuses that refuses a tenth of clean ones."""
    print(f"{len(examples)} sheets, 5 candidates of {name}; share of parts right")
    signature = make_signature("worksheet -> answers", TASK_INSTRUCTIONS)
    options = {"lms": lms, "fusor_lm": embedded_lm("aft")}
    for kind, build in {
        "Fusion": lambda task: Fusion(task, n=5, **options),
        "ProposeAggregate": lambda task: ProposeAggregate(task, width=5, depth=2, **options),
    }.items():
        clean, limit = 0.0, 0.0
        for hostile, claim in ((0, ""), (1, "majority"), (1, "lie"), (3, "majority"), (3, "lie")):
            program = build(Poisoned(dspy.Predict(signature), hostile, _CLAIMS.get(claim, "")))
            predictions = [program(worksheet=example.worksheet) for example in examples]
            score = 100 * mean([share_right(e, p) for e, p in zip(examples, predictions, strict=True)])
            sure = sorted(prediction.pool.confidence for prediction in predictions)
            if not hostile:
                clean, limit = score, sure[len(sure) // 10]
            refused = mean([float(confidence < limit) for confidence in sure])
            print(
                f"  {kind}, {hostile} of 5 hostile {claim}: {score:.1f} % ({score - clean:+.1f} points), refused"
                f" {refused:.0%} by abstain_below={limit:.2f}, mean confidence {mean(sure):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
