"""The text of an answer while it is written, in pieces that no later token or stop text can take back."""

from __future__ import annotations

from dspy.lm15 import TextDelta, TokenLogprob, TopLogprob

from .jobs import Answer, Job, TokenScore
from .tokenizer import ChatTokenizer

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"  # the first bytes of a longer character


class TokenStream:
    """Cuts one job's text into deltas; belongs to one reader."""

    def __init__(self, job: Job, tokenizer: ChatTokenizer) -> None:
        self._job, self._tokenizer = job, tokenizer
        self._shown = ""
        self._shown_tokens = 0

    def delta(self, tokens: int) -> TextDelta | None:
        """What the first ``tokens`` tokens add, or None while that could still change."""
        text = self._tokenizer.decode(self._job.tokens[:tokens])
        if text == self._shown or text.endswith(_UNFINISHED) or self._may_stop(text):
            return None
        return self._advance(text, tuple(self._job.scores[self._shown_tokens : tokens]), tokens)

    def last_delta(self, answer: Answer) -> TextDelta:
        """What the finished answer adds to the pieces so far; the text may be empty."""
        return self._advance(answer.text, answer.scores[self._shown_tokens :], len(answer.tokens))

    def _advance(self, text: str, scores: tuple[TokenScore, ...], tokens: int) -> TextDelta:
        added = text[len(self._shown) :]
        self._shown, self._shown_tokens = text, tokens
        return TextDelta(added, logprobs=tuple(token_logprob(score, self._tokenizer) for score in scores))

    def _may_stop(self, text: str) -> bool:
        return any(text.endswith(stop[:size]) for stop in self._job.sampling.stop for size in range(1, len(stop)))


def token_logprob(score: TokenScore, tokenizer: ChatTokenizer) -> TokenLogprob:
    """A token's log-probability as DSPy's responses carry it."""
    top = tuple(TopLogprob(tokenizer.decode([token]), logprob, token_id=token) for token, logprob in score.likeliest)
    return TokenLogprob(tokenizer.decode([score.token]), score.logprob, token_id=score.token, top=top)
