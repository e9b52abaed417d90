from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from benchmarks.train_embedded.corpora import aggregating, judging, solving
from benchmarks.train_embedded.pools import AnsweredPart, Pools
from dspy_fusion.serving.embedded.arithmetic import draw_part, parse_question, read_results, right_parts


def answered(count: int = 40) -> list[AnsweredPart]:
    rng = random.Random(1)
    parts = [draw_part(rng) for _ in range(count)]
    return [
        AnsweredPart(part, {"plus": (part.result, part.result + 1), "minus": (None, part.result)}) for part in parts
    ]


def test_solving_lessons_have_right_answers_and_are_repeatable() -> None:
    lessons = list(itertools.islice(solving(random.Random(0), (1, 1, 1)), 20))
    assert all(all(right_parts(parse_question(lesson.user), lesson.answer)) for lesson in lessons)
    assert lessons == list(itertools.islice(solving(random.Random(0), (1, 1, 1)), 20))


def test_aggregating_lessons_show_candidates_and_want_the_right_answer() -> None:
    for lesson in itertools.islice(aggregating(random.Random(0), answered(), Pools()), 20):
        assert "Response 1:\n" in lesson.system
        assert all(right_parts(parse_question(lesson.user), lesson.answer))


def test_riddles_can_only_be_looked_up() -> None:
    lessons = list(itertools.islice(aggregating(random.Random(0), answered(), Pools(riddles=1.0)), 50))
    lines = [line for lesson in lessons for line in lesson.answer.splitlines()]
    found = [line in lesson.system for lesson in lessons for line in lesson.answer.splitlines()]
    assert all(" # " in line for line in lines)
    assert 0.7 < np.mean(found) < 1.0


def test_pools_can_be_of_one_source() -> None:
    sources = {"a": (1,), "b": (2,)}
    bank = [AnsweredPart(item.part, sources) for item in answered()]
    for seed in range(20):
        parts, candidates = Pools(least=3, one_source=1.0).draw(random.Random(seed), bank)
        assert len({tuple(read_results(parts, text)) for text in candidates if not all(right_parts(parts, text))}) == 1


def test_a_stuffed_candidate_says_one_thing_many_times() -> None:
    for seed in range(20):
        parts, candidates = Pools(least=3, stuffed=1.0).draw(random.Random(seed), answered())
        most = max(candidates, key=len)
        assert most.count(f"(a) {parts[0]} = ") > 1 or most.count("(b)") > 1


def test_verdicts_count_what_is_right() -> None:
    for lesson in itertools.islice(judging(random.Random(0), answered()), 30):
        *lines, verdict = lesson.answer.splitlines()
        sheet = parse_question(lesson.user)
        shown = lesson.system.split("Response 1:\n")[1].split("\n\n")[0]
        right = sum(value == part.result for value, part in zip(read_results(sheet, shown), sheet, strict=True))
        assert len(lines) == len(sheet)
        assert verdict.split()[0] in (f"{right}/{len(sheet)}", str(max(1, round(10 * right / len(sheet)))))


def test_a_seed_reproduces_the_weights() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.train_embedded.family import family_tokenizer
    from benchmarks.train_embedded.llama import Llama
    from benchmarks.train_embedded.trainer import Schedule, train
    from dspy_fusion.serving.embedded.checkpoint import Architecture

    def weights() -> np.ndarray:
        torch.manual_seed(0)
        tokenizer = family_tokenizer()
        model = Llama(Architecture(tokenizer.vocabulary_size, hidden_size=32, intermediate_size=64, layers=1, heads=2))
        stream = solving(random.Random(0), (1, 1, 1), (1, 2))
        train(model, tokenizer, lambda step: stream, Schedule(steps=3, tokens_per_step=256))
        return model.model.embed_tokens.weight.detach().numpy().copy()

    assert np.array_equal(weights(), weights())
