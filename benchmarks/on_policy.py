"""How fast on-policy proposals are collected: ``python -m benchmarks.on_policy``.

The same answers are drawn twice, in turns so that other work on the machine slows both: by the inference engine alone,
all of them queued at once, and as a fine-tuning collects them, through DSPy, with scores, onto the disk. Tokens are
those of the answers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import dspy

from dspy_fusion.optimizers.finetuning import OBJECTIVES, GoldReferences, SampledProposals
from dspy_fusion.optimizers.finetuning.gathering import Gathering
from dspy_fusion.programs import PlainAdapter
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, answer_text, question_text
from dspy_fusion.serving.embedded.embedded_lm import embedded_lm
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel, load_model
from dspy_fusion.serving.embedded.token_sampling import Sampling

from .aft_arms import ANSWER_TOKENS, worksheet_program
from .aft_data import POOL, Sheet, share_right, sheets

DRAWS = 10


def main() -> None:
    """Prints both rates, round by round, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="sft")
    parser.add_argument("--sheets", type=int, default=20, help="a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=16, help="examples at once")
    options = parser.parse_args()
    model = load_model(options.model)
    totals = [0.0, 0.0]
    for turn in range(options.rounds):
        asked = sheets("on-policy", turn, options.sheets)
        rates = direct(model, asked), collected(model, options.model, asked, options.threads)
        totals = [total + rate for total, rate in zip(totals, rates, strict=True)]
        print(f"round {turn + 1}: engine alone {rates[0]:.0f} tokens/s, collected {rates[1]:.0f} tokens/s", flush=True)
    print(f"collected / engine alone = {totals[1] / totals[0]:.2f}   target: at least 0.50")


def direct(model: EmbeddedModel, asked: list[Sheet]) -> float:
    """Tokens a second of the engine, which batches what is queued."""
    began = time.monotonic()
    jobs = [
        model.submit(
            model.tokenizer.prompt(TASK_INSTRUCTIONS, question_text(sheet)),
            Sampling(max_tokens=ANSWER_TOKENS, temperature=1.0, top_p=0.95, top_k=50, seed=seed),
        )
        for sheet in asked
        for seed in range(DRAWS)
    ]
    tokens = sum(len(job.answer.result().tokens) for job in jobs)
    return tokens / (time.monotonic() - began)


def collected(model: EmbeddedModel, name: str, asked: list[Sheet], threads: int) -> float:
    """Tokens a second of the collection."""
    tokens = 0

    def counting(arguments: dict[str, str], prediction: dspy.Prediction) -> float:
        nonlocal tokens
        tokens += len(model.tokenizer.encode(prediction.answers))
        return share_right(arguments, prediction)

    examples = [
        dspy.Example(worksheet=question_text(sheet), answers=answer_text(sheet)).with_inputs("worksheet")
        for sheet in asked
    ]
    lm = embedded_lm(name, max_tokens=ANSWER_TOKENS)
    with tempfile.TemporaryDirectory() as folder, dspy.context(adapter=PlainAdapter(), disable_history=True):
        proposals = SampledProposals(lm, draws=DRAWS, keep=POOL, scorer=counting)
        program = worksheet_program(width=POOL, depth=1)
        gathering = Gathering(
            program, proposals, GoldReferences(), OBJECTIVES["aft"], Path(folder), threads, 0.0, lambda progress: None
        )
        began = time.monotonic()
        for _ in gathering.collect(examples):
            pass
        return tokens / (time.monotonic() - began)


if __name__ == "__main__":
    main()
