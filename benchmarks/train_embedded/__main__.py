"""Trains embedded models: ``python -m benchmarks.train_embedded --out weights [--only plus] [--threads 2]``.

Stages must run in the order of the family (base, teachers and sft, answers, lookup, reader and judge); a finished one
is not repeated. ``--only`` does one stage, so that two can run side by side with ``--threads 1``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

import torch

from dspy_fusion.serving.embedded.checkpoint import Architecture, save_checkpoint

from .answers import draw_answers, load_answers
from .family import FAMILY, SOURCES, family_tokenizer
from .llama import Llama
from .trainer import train

ANSWERS = "answers"


def main() -> None:
    """Runs the stages that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for weights, and for what training leaves behind (*.pt)"
    )
    parser.add_argument("--only", choices=[*FAMILY, ANSWERS], help="one stage; the ones before it must be there")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    family_tokenizer().tokenizer.save(str(options.out / "tokenizer.json"))
    for stage in [options.only] if options.only else _stages():
        started = time.monotonic()
        done = _answer(options.out, options.seed) if stage == ANSWERS else _train(stage, options.out, options.seed)
        print(f"{stage}: {'took' if done else 'was there,'} {time.monotonic() - started:.0f} s", flush=True)


def _stages() -> list[str]:
    return [*(name for name, recipe in FAMILY.items() if not recipe.answered), ANSWERS,
            *(name for name, recipe in FAMILY.items() if recipe.answered)]  # fmt: skip


def _answer(out: Path, seed: int) -> bool:
    path = out / "answers.jsonl"
    if not path.exists():
        draw_answers({name: out / f"{name}.safetensors" for name in SOURCES}, path, seed=seed)
        return True
    return False


def _train(name: str, out: Path, seed: int) -> bool:
    recipe, tokenizer = FAMILY[name], family_tokenizer()
    if (out / f"{name}.safetensors").exists():
        return False
    torch.manual_seed(seed)
    model = Llama(Architecture(tokenizer.vocabulary_size))
    if recipe.parent:
        model.load_state_dict(torch.load(out / f"{recipe.parent}.pt"))
    answered = load_answers(out / "answers.jsonl") if recipe.answered else []
    lessons = recipe.curriculum(random.Random(f"{name} {seed}"), answered)
    loss = train(model, tokenizer, lessons, recipe.schedule, lambda line: print(f"{name}: {line}", flush=True))
    torch.save(model.state_dict(), out / f"{name}.pt")
    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    save_checkpoint(out / f"{name}.safetensors", model.shape, weights)
    print(json.dumps({"model": name, "seed": seed, "final_loss": round(loss, 5)}), flush=True)
    return True


if __name__ == "__main__":
    main()
