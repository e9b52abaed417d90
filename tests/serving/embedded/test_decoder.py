from __future__ import annotations

import numpy as np
import pytest

from dspy_fusion.serving.embedded.caches import AnswerCaches, PromptCache, capacity_for
from dspy_fusion.serving.embedded.checkpoint import Checkpoint
from dspy_fusion.serving.embedded.decoder import PROMPT_CHUNK, Decoder

TOKENS = np.random.default_rng(1).integers(0, 256, 300).tolist()


def read_whole(decoder: Decoder, tokens: list[int]) -> np.ndarray:
    cache = PromptCache.of(tokens, decoder.shape)
    return decoder.logits(decoder.hidden([cache.next_chunk(len(tokens))]))


def read(decoder: Decoder, tokens: list[int]) -> PromptCache:
    cache = PromptCache.of(tokens, decoder.shape)
    while cache.logits is None:
        decoder.read_chunk(cache)
    return cache


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_logits_are_those_of_the_trained_model(checkpoint: Checkpoint, precision: type[np.floating]) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.train_embedded.llama import Llama

    trained = Llama(checkpoint.architecture)
    trained.load_state_dict({name: torch.tensor(value) for name, value in checkpoint.weights.items()})
    with torch.no_grad():
        expected = trained.logits(trained(torch.tensor([TOKENS])))[0].numpy()
    np.testing.assert_allclose(read_whole(Decoder(checkpoint, precision), TOKENS), expected, atol=2e-3, rtol=1e-3)


def test_reading_in_chunks_equals_reading_at_once(checkpoint: Checkpoint) -> None:
    decoder = Decoder(checkpoint, np.float32)
    assert len(TOKENS) > PROMPT_CHUNK
    in_chunks = read(decoder, TOKENS).logits
    assert in_chunks is not None
    np.testing.assert_allclose(in_chunks, read_whole(decoder, TOKENS)[-1], atol=1e-3)


def test_continuing_from_the_cache_equals_reading_afresh(checkpoint: Checkpoint) -> None:
    decoder = Decoder(checkpoint)
    start = 120  # the answer grows past the first 128 places
    caches = AnswerCaches(decoder.shape, capacity_for(start))
    caches.begin(read(decoder, TOKENS[:start]), TOKENS[start])
    expected = read_whole(decoder, TOKENS[:140])
    for position in range(start, 140):
        np.testing.assert_allclose(decoder.logits(decoder.hidden([caches]))[0], expected[position], atol=1e-3)
        caches.advance(0, TOKENS[position + 1])
        if caches.positions[0] == caches.capacity:
            larger = AnswerCaches(decoder.shape, capacity_for(caches.positions[0]))
            larger.move(0, caches)
            caches = larger


def test_a_row_depends_on_the_rows_beside_it_in_its_last_digits_alone(checkpoint: Checkpoint) -> None:
    decoder = Decoder(checkpoint)
    alone, among = AnswerCaches(decoder.shape, 64), AnswerCaches(decoder.shape, 64)
    for row in range(37):
        among.begin(read(decoder, TOKENS[row : row + 20 + row]), row)
    alone.begin(read(decoder, TOKENS[9:38]), 9)
    beside = decoder.logits(decoder.hidden([among]))[9]
    np.testing.assert_allclose(decoder.logits(decoder.hidden([alone]))[0], beside, rtol=0, atol=1e-4)


def test_removing_a_row_leaves_the_others_as_they_were(checkpoint: Checkpoint) -> None:
    decoder = Decoder(checkpoint)
    caches = AnswerCaches(decoder.shape, 64)
    for row in range(6):
        caches.begin(read(decoder, TOKENS[row : row + 10]), row)
    before = decoder.logits(decoder.hidden([caches]))
    caches.remove(1)
    np.testing.assert_allclose(decoder.logits(decoder.hidden([caches])), before[[0, 5, 2, 3, 4]], atol=1e-4)
