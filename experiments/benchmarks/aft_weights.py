"""Makes the embedded aggregator: ``python -m dspy_fusion.experiments.benchmarks.aft_weights --out FOLDER``.

``aft`` is ``sft`` after aggregation fine-tuning in stages: small pools with riddles, which only looking up solves, then parts that ``sft``
gets wrong, and in the end pools as users have them, some of one source, some with a candidate that repeats itself. Each stage is an
:class:`AggregationFineTuning`; what comes out is rounded to eight bits like all shipped weights. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers.finetuning import AggregationFineTuning, FineTuningProgress, Training
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.programs.instructions import AGGREGATE, FUSOR_INSTRUCTIONS, REVISE
from dspy_fusion.serving.embedded.huggingface import from_huggingface, huggingface_lm, to_huggingface
from dspy_fusion.serving.embedded.training.answers import draw_answers, load_answers
from dspy_fusion.serving.embedded.training.corpora import TASK_INSTRUCTIONS, made_up_instruction
from dspy_fusion.serving.embedded.training.family import SOURCES
from dspy_fusion.serving.embedded.training.pools import AnsweredPart, Pools, hard_parts
from dspy_fusion.serving.embedded.worksheets import answer_text, question_text

SAMPLES = 4
"""Answers of each source to each sheet that candidates are put together from."""
MADE_UP = 12
"""Instructions of words in any order among those that the model is told, so that it heeds candidates whatever it is told."""


@dataclass(frozen=True)
class Stage:
    """One training: pools like these, so many rows, that learning rate; ``hard`` for parts that ``sft`` gets wrong."""

    pools: Pools
    rows: int
    rate: float
    hard: bool = True
    plain_share: float = 0.12


STAGES = (
    Stage(Pools(most=3, sizes=(2, 4), riddles=0.7), 24_000, 2e-3, hard=False),
    Stage(Pools(riddles=0.3), 24_000, 2e-3, hard=False),
    Stage(Pools(least=2, riddles=0.1, one_source=0.2, stuffed=0.05), 40_000, 1.5e-3),
    Stage(Pools(riddles=0.05, one_source=0.4, stuffed=0.1), 40_000, 1e-3),
)


def main() -> None:
    """Trains what is missing and writes ``aft.safetensors``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", default="sft", help="the embedded model, or its file, that the first stage begins with")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for a try")
    options = parser.parse_args()
    bank = _bank(options.out / "answers.jsonl")
    base = to_huggingface(options.start, options.out / "base")
    program = Fusion(dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS)))
    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        for place, stage in enumerate(STAGES):
            tuner = _tuner(base, options.out / f"stage{place}", stage)
            rows = list(examples(bank, place, stage, round(options.scale * stage.rows)))
            tuner.compile(program, trainset=rows)
            base = tuner.output / "model"
    print(from_huggingface(base, options.out / "aft.safetensors"))


def _tuner(base: Path, output: Path, stage: Stage) -> AggregationFineTuning:
    rng = random.Random("aft weights")
    return AggregationFineTuning(
        base,
        output=output,
        serve=huggingface_lm,
        plain_share=stage.plain_share,
        instructions=[AGGREGATE, AGGREGATE, *FUSOR_INSTRUCTIONS, REVISE, *(made_up_instruction(rng) for _ in range(MADE_UP))],
        too_long="drop_proposals",
        training=settings(stage.rate),
        on_progress=lambda progress: _tell(output.name, progress),
    )


def settings(rate: float) -> Training:
    """All weights, in small batches, on a GPU where there is one."""
    return Training(
        lora=None,
        learning_rate=rate,
        batch_size=16,
        micro_batch=16,
        group_by_length=True,
        checkpoint_every=500,
        log_every=50,
        mixed_precision=False,
        gradient_checkpointing=False,
    )


def examples(bank: list[AnsweredPart], place: int, stage: Stage, count: int) -> Iterator[dspy.Example]:
    """Sheets with their right answers and their candidates."""
    rng = random.Random(f"aft weights {place}")
    parts_bank = hard_parts(bank, "sft") if stage.hard else bank
    for _ in range(count):
        parts, candidates = stage.pools.draw(rng, parts_bank)
        proposals = [text or "(a) ?" for text in candidates]  # a sheet on which nothing could be read
        yield dspy.Example(worksheet=question_text(parts), answers=answer_text(parts), proposals=proposals).with_inputs("worksheet")


def _bank(path: Path) -> list[AnsweredPart]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".partial")
        draw_answers({name: name for name in SOURCES}, beside, seed=0, samples=SAMPLES)
        beside.rename(path)
    return load_answers(path)


def _tell(stage: str, progress: FineTuningProgress) -> None:
    if progress.stage == "training":
        print(f"{stage}: step {progress.done}/{progress.total} loss {progress.values['loss']:.4f}", flush=True)


if __name__ == "__main__":
    main()
