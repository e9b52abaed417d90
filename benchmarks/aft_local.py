"""Aggregation training of a real model from a GGUF file: ``python -m benchmarks.aft_local --out FOLDER``.

The weights come out of the file by ``transformers``' own reader. Proposals are the model's own answers to GSM8K
training questions by llama.cpp (on-policy, recorded, so a second run asks nothing); LoRA learns the published solution
after them. What is printed is how likely the model finds solutions of questions that it was not trained on, in nats a
token, before and after: with proposals before it, and alone. On a CPU a run of this size shows that the parts fit, not
what aggregation training is worth.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.experiments.analyses.likelihoods import HuggingFaceLikelihood
from dspy_fusion.experiments.own_tasks.adapters import spoken
from dspy_fusion.experiments.statistics.intervals import paired_difference
from dspy_fusion.experiments.tasks import load_task
from dspy_fusion.optimizers.finetuning import AggregationFineTuning, Lora, SampledProposals, Training
from dspy_fusion.optimizers.finetuning.aggregation_rows import RowWriter
from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow
from dspy_fusion.programs import Fusion, PlainAdapter, Vote
from dspy_fusion.serving import checkpoint_lm, local_lm
from dspy_fusion.serving.local.gguf_checkpoint import gguf_checkpoint
from dspy_fusion.serving.recorded_requests import RequestRecording, recorded_lm

_TOLD = "Solve the word problem in a few short steps. End with the line: Answer: NUMBER"


def main() -> None:
    """Trains, and prints the likelihoods before and after."""
    options = _options()
    task = spoken(load_task("gsm8k"), "plain")
    examples = [
        dspy.Example(question=example.question, answer=f"{example.solution}\nAnswer: {example.answer}").with_inputs(
            "question"
        )
        for example in task.examples("train", options.rows + options.held_out)
    ]
    base = gguf_checkpoint(options.model, options.out / "checkpoint")
    asked = local_lm(options.model, context=1024, parallel=4, threads=options.threads, max_tokens=options.tokens)
    lm = recorded_lm(RequestRecording(options.out / "proposals.jsonl"), asked, takes_cut=True)
    fusing = Fusion(task.program(_TOLD), n=options.proposals, lms=[lm], compare=False, temperature=0.8)
    with dspy.context(adapter=PlainAdapter()):
        rows = _held_out(fusing, examples[options.rows :])
        before = [_likelihoods(base, some) for some in rows]
        tuner = AggregationFineTuning(
            base,
            output=options.out / "aft",
            serve=checkpoint_lm,
            proposals=SampledProposals(lm, draws=options.proposals, keep=options.proposals, temperature=0.8),
            training=Training(
                Lora(), learning_rate=3e-4, batch_size=4, micro_batch=1, epochs=options.epochs, log_every=1,
                max_length=1024, threads=options.threads, device="cpu",
            ),
        )  # fmt: skip
        trained: Any = tuner.compile(fusing, trainset=examples[: options.rows])
        report = trained.finetuning_report
        after = [_likelihoods(Path(report.model), some) for some in rows]
    print(f"{report.rows} rows, {report.steps} steps, loss {report.loss:.3f}; {' '.join(report.notes)}")
    for name, old, new in zip(("with proposals", "alone"), before, after, strict=True):
        gain = paired_difference(new, old)
        means = [sum(values.values()) / len(values) for values in (old, new)]
        print(
            f"held-out solutions {name}, {len(old)} questions: {means[0]:.3f} before, {means[1]:.3f} after,"
            f" {gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] nats a token"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder; a second run goes on where it was")
    parser.add_argument("--model", default="smollm2-135m", help="as local_lm takes it")
    parser.add_argument("--rows", type=int, default=16, help="questions that are trained on")
    parser.add_argument("--held-out", type=int, default=8)
    parser.add_argument("--proposals", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=120, help="at most, of a proposal")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _held_out(fusing: Fusion, examples: list[dspy.Example]) -> tuple[list[TrainingRow], list[TrainingRow]]:
    """Rows that show proposals, and the same without."""
    writer = RowWriter(fusing)
    vote = Vote(fusing.program, n=fusing.n.value, lms=fusing.lms, temperature=0.8)
    pools = [vote(**example.inputs()).pool.good for example in examples]
    outputs = [{"answer": example.answer} for example in examples]
    shown = [
        writer.aggregating(dict(example.inputs()), pool, wanted)
        for example, pool, wanted in zip(examples, pools, outputs, strict=True)
    ]
    alone = [writer.solving(dict(e.inputs()), wanted) for e, wanted in zip(examples, outputs, strict=True)]
    return shown, alone


def _likelihoods(checkpoint: Path, rows: list[TrainingRow]) -> dict[tuple[str, int], float]:
    model = HuggingFaceLikelihood(str(checkpoint))
    return {(str(place), 0): model.of(row).mean for place, row in enumerate(rows)}


if __name__ == "__main__":
    main()
