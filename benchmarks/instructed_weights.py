"""Makes a fusor that does what it is told: ``python -m benchmarks.instructed_weights --out FOLDER``.

``aft`` answers alike whatever its instructions say: what stands for them in it has grown together (cosines of .997).
Here one of them, to follow the consensus, begins anew, and training goes on from ``aft`` on pools that come under two
instructions each: what most candidates say, part by part, under that one, and the right answer under one of the others.
Nothing is planted: how well it does either, and with how many candidates and which, is what it learned.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dspy
import torch
from dspy.signatures.signature import make_signature

from dspy_fusion.experiments.tasks.worksheets import vote_parts
from dspy_fusion.optimizers.finetuning.aggregation_rows import RowWriter
from dspy_fusion.programs import Fusion, PlainAdapter
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.instructions import CONSENSUS, FUSOR_INSTRUCTIONS, PART_BY_PART
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS, Part, answer_text, question_text, read_results
from dspy_fusion.serving.embedded.checkpoint import load_checkpoint, save_checkpoint
from dspy_fusion.serving.embedded.embedded_model import WEIGHTS

from .train_embedded.answers import draw_answers, load_answers
from .train_embedded.corpora import Lesson
from .train_embedded.family import family_tokenizer
from .train_embedded.llama import Llama
from .train_embedded.pools import AnsweredPart, Pools
from .train_embedded.trainer import Schedule, mean_loss, train

TEACHERS = ("plus", "minus", "times")
OTHERS = tuple(text for text in FUSOR_INSTRUCTIONS if text != CONSENSUS)
INSTRUCTIONS = (CONSENSUS, *OTHERS)
"""What a search chooses from, and the first is where it begins."""
MOST = 8
"""Candidates of a pool, at most."""
STEPS = 900
_WRONG = (1, 2, 9, 10, 11, 20, 100)


def main() -> None:
    """Trains it and writes ``instructed.safetensors``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    print(make_weights(options.out, options.steps))


def make_weights(folder: Path, steps: int = STEPS) -> Path:
    """The fusor's weights in a folder, trained if they are not there yet."""
    made = folder / "instructed.safetensors"
    if made.exists():
        return made
    torch.set_num_threads(1)  # the same weights on every machine of a kind
    model, course = loaded(WEIGHTS / "aft.safetensors"), Course(_bank(folder / "answers.jsonl"))
    _begin_anew(model)
    schedule = Schedule(steps, tokens_per_step=2048, matrix_rate=0.004, other_rate=2e-3, warmup_steps=20)
    train(model, family_tokenizer(), lambda step: course.at(step, model), schedule, _tell)
    return _save(model, made)


@dataclass(frozen=True)
class Level:
    """Sheets of so many parts, and so many candidates at most."""

    parts: tuple[int, int]
    most: int


LEVELS = (Level((1, 1), 1), Level((1, 2), 2), Level((1, 2), 3), Level((2, 3), 4), Level((3, 5), 5), Level((4, 6), MOST))
APART = 1.5
"""A level is learned when the loss under another instruction is so many times that under a row's own."""


class Course:
    """Lessons that grow with what has been learned: the instruction alone says which answer is wanted, at every level.

    Half of the rows are of the level, three in ten of any up to it, and the rest full sheets from the beginning.
    """

    def __init__(self, bank: list[AnsweredPart]) -> None:
        self._rng, self._level = random.Random("course"), 0
        self._streams = [lessons(random.Random(str(place)), bank, level) for place, level in enumerate(LEVELS)]
        self._looks = [lessons(random.Random(f"look {place}"), bank, level) for place, level in enumerate(LEVELS)]

    def at(self, step: int, model: Llama) -> Iterator[Lesson]:
        """The rows of a step; every fifty steps the level is tried."""
        if step and step % 50 == 0:
            rows = list(itertools.islice(self._looks[self._level], 60))
            own, other = told_apart(model, rows)
            _tell(f"step {step}, level {self._level}: loss {own:.3f}, under another instruction {other:.3f}")
            if other > APART * own and self._level + 1 < len(LEVELS):
                self._level += 1
        return self._rows()

    def _rows(self) -> Iterator[Lesson]:
        last = len(LEVELS) - 1
        while True:
            kind = self._rng.random()
            level = self._level if kind < 0.5 else self._rng.randint(0, self._level) if kind < 0.8 else last
            yield from itertools.islice(self._streams[level], 2)


def told_apart(model: Llama, rows: Sequence[Lesson]) -> tuple[float, float]:
    """The loss of rows as they are, and with another instruction each: alike where none is heeded."""
    other = [replace(row, system=_other(row.system)) for row in rows]
    with torch.no_grad():
        own, swapped = (mean_loss(model, family_tokenizer(), part) for part in (rows, other))
    return own, swapped


def _other(text: str) -> str:
    (told,) = (told for told in INSTRUCTIONS if told in text)
    return text.replace(told, PART_BY_PART if told == CONSENSUS else CONSENSUS)


def loaded(path: Path) -> Llama:
    """An embedded model to be trained."""
    checkpoint = load_checkpoint(path)
    model = Llama(checkpoint.architecture)
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in checkpoint.weights.items()})
    return model


def _save(model: Llama, path: Path) -> Path:
    weights, beside = {name: value.numpy() for name, value in model.state_dict().items()}, path.with_suffix(".partial")
    family_tokenizer().tokenizer.save(str(path.with_name("tokenizer.json")))
    save_checkpoint(beside, model.shape, weights)
    return beside.rename(path)


def _begin_anew(model: Llama) -> None:
    """Gives the consensus, which is one token, an embedding of its own, as long as the old one."""
    rows, generator = model.state_dict()["model.embed_tokens.weight"], torch.Generator().manual_seed(0)
    (token,) = family_tokenizer().encode(CONSENSUS)
    fresh = torch.randn(rows.shape[1], generator=generator)
    rows[token] = fresh / fresh.norm() * rows[token].norm()


def lessons(rng: random.Random, bank: list[AnsweredPart], level: Level) -> Iterator[Lesson]:
    """Endless rows, as the program writes them: each pool told to follow the consensus, then told something else.

    In every second pool no candidate is right on a part, or on most of them.
    """
    task = dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))
    with dspy.context(adapter=PlainAdapter(), disable_history=True):
        writer = RowWriter(Fusion(task, compare=False))
    pools = Pools(sizes=level.parts)
    while True:
        parts, texts = pools.draw(rng, bank, rng.randint(1, level.most))
        candidates = [text or "(a) ?" for text in texts]  # a sheet on which nothing could be read
        if rng.random() < 0.5:
            candidates = _misled(rng, parts, candidates, rng.choice((0.6, 1.0)))
        shown = [Candidate(place, dspy.Prediction(answers=text)) for place, text in enumerate(candidates)]
        for told, answer in ((CONSENSUS, _most(parts, candidates)), (rng.choice(OTHERS), answer_text(parts))):
            with dspy.context(adapter=PlainAdapter(), disable_history=True):
                row = writer.aggregating({"worksheet": question_text(parts)}, shown, {"answers": answer}, told)
            system, user = row.prompt
            yield Lesson(system["content"], user["content"], row.completion)


def _most(parts: Sequence[Part], candidates: Sequence[str]) -> str:
    pool = [dspy.Prediction(answers=text) for text in candidates]
    return vote_parts({"worksheet": question_text(tuple(parts))}, pool)["answers"] or candidates[0]


def _misled(rng: random.Random, parts: Sequence[Part], candidates: Sequence[str], share: float) -> list[str]:
    """Candidates of which none is right on many parts, half of the time with one voice."""
    pool = [read_results(tuple(parts), text) for text in candidates]
    for place, part in enumerate(parts):
        if rng.random() < share:
            shared = _off(rng, part) if rng.random() < 0.5 else None
            for said in pool:
                said[place] = _off(rng, part) if shared is None else shared
    return [
        answer_text(tuple(parts), [part.result if r is None else r for part, r in zip(parts, said, strict=True)])
        for said in pool
    ]


def _off(rng: random.Random, part: Part) -> int:
    wrong = part.result + rng.choice(_WRONG) * rng.choice((1, -1))
    return wrong if wrong >= 0 else part.result + rng.choice(_WRONG)


def _bank(path: Path) -> list[AnsweredPart]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".partial")
        draw_answers({name: name for name in TEACHERS}, beside, seed=1)
        beside.rename(path)
    return load_answers(path)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
