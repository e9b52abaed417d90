"""What a student learns from fused answers, and from the best of the candidates: ``python -m benchmarks.student``.

The three teachers answer worksheets, the likeliest answer is found and ``aft`` fuses one, by ``dspy-fusion
synthesize``. A student learns the fused answers of these rows, another the best ones, each as ``dspy-fusion finetune
--from`` teaches them, and both are measured alone beside the base that they began with. Seeds differ in the order of
the rows; intervals are over seeds and sheets. Everything is kept in ``--out``: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.__main__ import main as command
from dspy_fusion.experiments.statistics.intervals import Scores, mean_interval, paired_difference
from dspy_fusion.experiments.workflows.finetuning_workflow import finished_rows
from dspy_fusion.optimizers.finetuning import RowFineTuning
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, question_text
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.huggingface import huggingface_lm, to_huggingface

from .aft_arms import ANSWER_TOKENS
from .aft_data import Sheet, share_right, sheets
from .solver_weights import settings

CONFIG = Path(__file__).parent.parent / "experiments" / "configs" / "synthesize.toml"
ANSWERS = ("fused", "best")


def main() -> None:
    """Synthesizes, trains and measures what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--base", default="plus", help="the embedded model that the students begin with")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--sheets", type=int, default=200, help="that students are measured on")
    parser.add_argument("--out", type=Path, default=Path("runs/student"))
    options = parser.parse_args()
    out: Path = options.out
    command(["synthesize", str(CONFIG), "--rows", str(options.rows), "--out", str(out / "rows"), "--no-tracking"])
    asked = sheets("students", 0, options.sheets)
    scores = {"the base": _kept(out / "scores-base.json", options.base, asked, options.seeds)}
    for answer in ANSWERS:
        models = [_student(out, options.base, answer, seed) for seed in range(options.seeds)]
        scores[answer] = {
            key: score
            for seed, model in enumerate(models)
            for key, score in _kept(out / f"scores-{answer}-{seed}.json", model, asked, 1, seed).items()
        }
    _show(scores)


def _student(out: Path, base: str, answer: str, seed: int) -> str:
    """The trained student, as embedded models are named."""
    tuner = RowFineTuning(
        to_huggingface(base, out / base),
        finished_rows(out / "rows", "sft", answer),
        output=out / f"{answer}-{seed}",
        serve=huggingface_lm,
        training=settings(seed, 5e-4, 2.0),
        on_progress=lambda progress: _tell(f"{answer}, seed {seed}", progress.done, progress.total),
    )
    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        tuner.compile(Fusion(dspy.Predict("worksheet -> answers")))
    return str(tuner.output / "embedded" / f"{tuner.output.name}.safetensors")


def _kept(path: Path, model: str, asked: Sequence[Sheet], seeds: int, first: int = 0) -> Scores:
    """The scores of a model alone at temperature 0, which are the same for every seed."""
    if not path.exists():
        lm = embedded_lm(model, temperature=0.0, max_tokens=ANSWER_TOKENS)
        solve = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
        with dspy.context(lm=lm, adapter=PlainAdapter(), disable_history=True):
            questions = [question_text(sheet) for sheet in asked]
            examples = [dspy.Example(worksheet=text).with_inputs("worksheet") for text in questions]
            answers: Any = solve.batch(examples, disable_progress_bar=True)
        shares = [share_right({"worksheet": text}, answer) for text, answer in zip(questions, answers, strict=True)]
        path.write_text(json.dumps(shares))
    shares = json.loads(path.read_text())
    return {(str(place), first + seed): share for seed in range(seeds) for place, share in enumerate(shares)}


def _show(scores: dict[str, Scores]) -> None:
    for name, own in scores.items():
        one = mean_interval(own)
        print(f"{name:12} alone {one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]")
    for name, other in (("fused", "the base"), ("best", "the base"), ("fused", "best")):
        one = paired_difference(scores[name], scores[other])
        print(f"{name} - {other}: {100 * one.mean:+.1f} points [{100 * one.low:+.1f}, {100 * one.high:+.1f}]")


def _tell(what: str, done: int, total: int) -> None:
    if done % 50 == 0 or done == total:
        print(f"{what}: step {done} of {total}", flush=True)


if __name__ == "__main__":
    main()
