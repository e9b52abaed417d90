from __future__ import annotations

import numpy as np
import pytest

from dspy_fusion.serving.embedded.batching import Batch
from dspy_fusion.serving.embedded.caches import PromptCache
from dspy_fusion.serving.embedded.checkpoint import Checkpoint
from dspy_fusion.serving.embedded.decoder import Decoder
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel
from dspy_fusion.serving.embedded.jobs import Answer, Job
from dspy_fusion.serving.embedded.token_sampling import Sampling


class CountingReader(Decoder):
    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        self.tokens_read = 0

    def read_chunk(self, cache: PromptCache) -> int:
        count = super().read_chunk(cache)
        self.tokens_read += count
        return count


@pytest.fixture
def reader(checkpoint: Checkpoint) -> CountingReader:
    return CountingReader(checkpoint)


@pytest.fixture
def batch(checkpoint: Checkpoint, reader: CountingReader, model: EmbeddedModel) -> Batch:
    return Batch(reader, Decoder(checkpoint, np.float64), end=model.tokenizer.end, slots=16)


def job(model: EmbeddedModel, question: str, **options) -> Job:
    sampling = Sampling(**{"max_tokens": 60, "logprobs": 0, **options})
    return Job(model.tokenizer.prompt("Answer the question.", question), sampling, model.tokenizer.decode)


def run(batch: Batch, jobs: list[Job]) -> list[Answer]:
    waiting = list(jobs)
    while waiting or not batch.is_idle:
        for _ in range(min(batch.free_slots, len(waiting), 3)):  # a few join at each step
            batch.add(waiting.pop(0))
        batch.step()
    return [each.answer.result(timeout=0) for each in jobs]


def test_a_seed_gives_the_same_text_whatever_runs_beside_it(batch: Batch, model: EmbeddedModel) -> None:
    wanted = {"question": "What is 2 + 2?", "seed": 5}
    alone = run(batch, [job(model, **wanted)])[0]
    crowd = [job(model, "x" * (7 * i), seed=i, max_tokens=5 + 9 * i, temperature=0.3 * (i % 4)) for i in range(12)]
    twins = [job(model, "What is 2 + 2?", seed=i) for i in range(4)]
    among = run(batch, [*crowd[:6], job(model, **wanted), *crowd[6:], *twins])[6]
    assert among.tokens == alone.tokens
    assert [score.logprob for score in among.scores] == pytest.approx(
        [score.logprob for score in alone.scores], abs=1e-4
    )


class RoundingDecoder(Decoder):
    """Rounds as another processor, with other rows beside it, might."""

    def logits(self, hidden: np.ndarray) -> np.ndarray:
        logits = super().logits(hidden)
        errors = np.random.default_rng().uniform(-1e-5, 1e-5, logits.shape)
        return logits + errors * np.abs(logits).max(1, keepdims=True)


@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"temperature": 0.3, "top_p": 0.8}, {"top_k": 3}])
def test_rounding_decides_no_token(checkpoint: Checkpoint, model: EmbeddedModel, options: dict) -> None:
    exact = Decoder(checkpoint, np.float64)
    texts = []
    for decoder in (exact, Decoder(checkpoint), RoundingDecoder(checkpoint)):
        batch = Batch(decoder, exact, end=model.tokenizer.end)
        texts.append([answer.text for answer in run(batch, [job(model, "q", seed=i, **options) for i in range(40)])])
    assert texts[0] == texts[1] == texts[2]


def test_identical_prompts_are_read_once(batch: Batch, reader: CountingReader, model: EmbeddedModel) -> None:
    jobs = [job(model, "the same", seed=seed) for seed in range(20)]
    texts = {answer.text for answer in run(batch, jobs)}
    assert reader.tokens_read == len(jobs[0].prompt)
    assert len(texts) == 20


def test_long_prompts_are_read_while_others_are_answered(batch: Batch, model: EmbeddedModel) -> None:
    short, long = job(model, "short", max_tokens=3), job(model, "y" * 290, max_tokens=2)
    batch.add(short)
    batch.add(long)
    batch.step()
    assert (len(short.tokens), len(long.tokens)) == (1, 0)
    assert [answer.finish for answer in run(batch, [])] == []
    assert long.answer.result(timeout=0).finish == "length"


def test_an_answer_ends_at_max_tokens_and_a_longer_one_goes_on(batch: Batch, model: EmbeddedModel) -> None:
    short, long = run(batch, [job(model, "q", seed=1, max_tokens=7), job(model, "q", seed=1, max_tokens=150)])
    assert (short.finish, len(short.tokens), short.tokens_drawn) == ("length", 7, 7)
    assert long.tokens[:7] == short.tokens


def test_an_answer_ends_before_a_stop_text(batch: Batch, model: EmbeddedModel) -> None:
    whole = run(batch, [job(model, "q", seed=3)])[0]
    stop = model.tokenizer.decode(list(whole.tokens[20:22]))
    stopped = run(batch, [job(model, "q", seed=3, stop=("never written", stop))])[0]
    assert (stopped.finish, stopped.text) == ("stop", whole.text[: whole.text.index(stop)])
    assert len(stopped.scores) == len(stopped.tokens) < stopped.tokens_drawn


def test_the_end_token_ends_an_answer_and_is_billed(checkpoint: Checkpoint, model: EmbeddedModel) -> None:
    first = run(Batch(Decoder(checkpoint), Decoder(checkpoint), end=-1), [job(model, "q", seed=3)])[0]
    end = first.tokens[10]
    ended = run(Batch(Decoder(checkpoint), Decoder(checkpoint), end=end), [job(model, "q", seed=3)])[0]
    assert (ended.finish, ended.tokens) == ("stop", first.tokens[: first.tokens.index(end)])
    assert ended.tokens_drawn == len(ended.tokens) + 1


def test_a_cancelled_request_is_dropped(batch: Batch, model: EmbeddedModel) -> None:
    gone, kept = job(model, "gone"), job(model, "kept", max_tokens=4, seed=0)
    gone.cancel()
    batch.add(gone)
    assert run(batch, [kept])[0].finish == "length"
    assert gone.answer.done()
