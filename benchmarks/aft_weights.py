"""Makes the embedded aggregator: ``python -m benchmarks.aft_weights --family FOLDER --out FOLDER``.

``aft`` is ``reader``, which the family's training leaves in its folder, after aggregation fine-tuning in stages: on
sheets with many parts that ``sft`` gets wrong, on pools of one source and of several, some with a candidate that
repeats itself. Each stage is an :class:`AggregationFineTuning`; what comes out is rounded to eight bits like all
shipped weights. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dspy
from dspy.signatures.signature import make_signature

from benchmarks.train_embedded.corpora import made_up_instruction
from dspy_fusion.optimizers.finetuning import AggregationFineTuning, FineTuningProgress, Training
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.programs.tasks.instructions import AGGREGATE, FUSOR_INSTRUCTIONS, REVISE
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, question_text
from dspy_fusion.serving.embedded.huggingface import from_huggingface, huggingface_lm, to_huggingface

from .train_embedded.answers import draw_answers, load_answers
from .train_embedded.family import SOURCES
from .train_embedded.pools import AnsweredPart, Pools, hard_parts

SAMPLES = 4
"""Answers of each source to each sheet that candidates are put together from."""
MADE_UP = 12
"""Instructions of words in any order among those that the model is told,
so that it heeds candidates whatever it is told.
"""


@dataclass(frozen=True)
class Stage:
    """One training: on so many rows, of pools like these."""

    rows: int
    pools: Pools


STAGES = (
    Stage(8_000, Pools(riddles=0.1, one_source=0.3, stuffed=0.15)),
    Stage(12_000, Pools(riddles=0.1, one_source=0.3, stuffed=0.25)),
)
PLAIN_SHARE = 0.12
"""Share of the rows that show no candidates."""


def main() -> None:
    """Trains what is missing and writes ``aft.safetensors``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", type=Path, required=True, help="folder of the embedded models' training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, for a try")
    options = parser.parse_args()
    bank = hard_parts(_bank(options.out / "answers.jsonl"), "sft")
    base = to_huggingface(options.family / "reader.safetensors", options.out / "base")
    program = Fusion(dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS)))
    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        for place, stage in enumerate(STAGES):
            tuner = _tuner(base, options.out / f"stage{place}")
            tuner.compile(program, trainset=list(examples(bank, place, stage.pools, round(options.scale * stage.rows))))
            base = tuner.output / "model"
    print(from_huggingface(base, options.out / "aft.safetensors"))


def _tuner(base: Path, output: Path) -> AggregationFineTuning:
    rng = random.Random("aft weights")
    return AggregationFineTuning(
        base,
        output=output,
        serve=huggingface_lm,
        plain_share=PLAIN_SHARE,
        instructions=[
            AGGREGATE,
            AGGREGATE,
            *FUSOR_INSTRUCTIONS,
            REVISE,
            *(made_up_instruction(rng) for _ in range(MADE_UP)),
        ],
        too_long="drop_proposals",
        training=settings(),
        on_progress=lambda progress: _tell(output.name, progress),
    )


def settings() -> Training:
    """All weights, in small batches; in float32 on a GPU too."""
    return Training(
        lora=None,
        learning_rate=5e-4,
        batch_size=16,
        micro_batch=16,
        group_by_length=True,
        checkpoint_every=150,
        log_every=50,
        mixed_precision=False,
        gradient_checkpointing=False,
    )


def examples(bank: list[AnsweredPart], place: int, pools: Pools, count: int) -> Iterator[dspy.Example]:
    """Sheets with their right answers and their candidates."""
    rng = random.Random(f"aft weights {place}")
    for _ in range(count):
        parts, candidates = pools.draw(rng, bank)
        proposals = [text or "(a) ?" for text in candidates]  # a sheet on which nothing could be read
        yield dspy.Example(worksheet=question_text(parts), answers=answer_text(parts), proposals=proposals).with_inputs(
            "worksheet"
        )


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
