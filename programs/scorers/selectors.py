"""What judges that see many candidates at once share.

Windows, seeded orders, and knockouts where a pool does not fit one window.

A selector is a scorer: the score of a candidate is how far it came, so that best of N takes the winner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dspy

from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError, UnreadableVerdict
from ..pools.candidates import Candidate, Usage
from ..pools.selection import shown_order
from ..tasks.hyperparameters import Hyperparameter
from ..tasks.signatures import input_digest
from .judges import Judge
from .scorer import Scores
from .verdicts import read_choice


class Knockout:
    """Rounds of windows between ``count`` candidates, who go by their places 0 ..

    count - 1; the winner of each window goes on.

    Attributes:
        last_error: why a window had no winner, or an empty string where each had one.
    """

    def __init__(self, count: int) -> None:
        self._alive = list(range(count))
        self._rounds = 0
        self._wins: dict[int, int] = {}
        self.last_error = ""

    def next_round(self) -> list[int]:
        """Begins a round and says who plays in it; nobody, where it is decided."""
        alive = sorted(self._alive)
        if len(alive) < 2:
            return []
        self._rounds, self._alive = self._rounds + 1, []
        return alive

    def enter(self, places: Sequence[int], winner: int) -> None:
        """Enters who won a window; a window of one is won without being shown."""
        for place in places:
            self._wins.setdefault(place, 0)
        self._wins[winner] += 1
        self._alive.append(winner)

    def enter_failure(self, error: str) -> None:
        """Enters that a window has no winner: nobody in it goes on, and what they won before stays theirs."""
        self.last_error = error

    def share(self, place: int) -> float | None:
        """The share of rounds that a candidate won, or None where it was in no window that had a winner."""
        return self._wins[place] / self._rounds if place in self._wins else None


def windows(places: Sequence[int], size: int) -> list[list[int]]:
    """Deals places into as few windows of at most ``size`` as there can be, of nearly equal sizes."""
    count = -(-len(places) // size)
    return [list(places[first::count]) for first in range(count)]


CHOICE = "a comparison of the responses, ending with the number of the chosen one, as in: Judgment: 2"
_THOUGHT = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


class Selector(Judge):
    """Base of judges that are shown numbered candidates side by side and choose one of them.

    With more candidates than ``window``, they meet in windows of nearly equal size, and the winner of each goes on to
    the next round. The score is the share of rounds that a candidate won, averaged over ``repeats`` knockouts with
    other orders: 1 for one that always won. A window whose verdict cannot be read has no winner; a candidate that was
    in no readable window has no score.

    Args:
        lm: the choosing model; None takes the one in ``dspy.settings``.
        instructions: what it is told.
        window: how many candidates it is shown at once, at least 2; None shows all.
        repeats: how many knockouts are played, at least 1.
        max_characters: how much of a candidate is shown, at least 100; of a longer one the middle is left out, and
            thoughts between ``<think>`` tags always are. None shows all of it.
        shuffle: show the candidates in a seeded order, so that no place is always the same model's.
        temperature: of the choosing model, in [0, 2], or None for the model's own.
        seed: of the orders, and base of the model's seeds, where the temperature is not 0.
    """

    def __init__(
        self,
        lm: dspy.BaseLM | None = None,
        *,
        instructions: str,
        window: int | None,
        repeats: int = 1,
        max_characters: int | None = 16_384,
        shuffle: bool = True,
        temperature: float | None = 0.0,
        seed: int | None = 0,
    ) -> None:
        super().__init__(lm, instructions=instructions, verdict=CHOICE, temperature=temperature, seed=seed)
        if max_characters is not None and max_characters < 100:
            raise ConfigurationError(
                f"max_characters must be at least 100 or None, but got max_characters={max_characters!r}"
            )
        self.window = None if window is None else Hyperparameter("window", window, low=2, search=(2, 16))
        self.repeats = Hyperparameter("repeats", repeats, low=1, search=(1, 5))
        self.max_characters, self.shuffle = max_characters, shuffle

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Plays the knockouts side by side, round by round; a lone candidate wins without a call."""
        if len(candidates) < 2:
            return Scores(tuple(replace(candidate, score=1.0) for candidate in candidates), Usage(), 0)
        knockouts = [Knockout(len(candidates)) for _ in range(self.repeats.value)]
        texts = [self.shown(candidate) for candidate in candidates]
        usage, rounds, asked = Usage(), 0, 0
        while windows := self._windows(knockouts, f"{input_digest(inputs)} {rounds}"):
            attempts = [
                self.ask(inputs, [f"[{number}] {texts[place]}" for number, place in enumerate(places, 1)], asked + i)
                for i, (_, places) in enumerate(windows)
            ]
            verdicts = yield Batch(attempts)
            for (knockout, places), verdict in zip(windows, verdicts, strict=True):
                self._enter(knockout, places, verdict)
            usage, rounds, asked = usage + Usage.total(v.usage for v in verdicts), rounds + 1, asked + len(windows)
        marked = [_marked(candidate, place, knockouts) for place, candidate in enumerate(candidates)]
        return Scores(tuple(marked), usage, rounds)

    def shown(self, candidate: Candidate) -> str:
        """A candidate as the model sees it: without its thoughts, and without its middle where it is too long."""
        text = _THOUGHT.sub("", super().shown(candidate))
        if self.max_characters is None or len(text) <= self.max_characters:
            return text
        half = self.max_characters // 2
        return f"{text[:half]}\n[... {len(text) - 2 * half} characters are left out ...]\n{text[-half:]}"

    def _windows(self, knockouts: Sequence[Knockout], digest: str) -> list[tuple[Knockout, list[int]]]:
        """The windows that are to be shown in the next round; who is alone in one goes on without being shown."""
        groups = []
        for number, knockout in enumerate(knockouts):
            alive = knockout.next_round()
            if self.shuffle:
                order = shown_order(len(alive), seed=self.seed or 0, digest=f"{digest} {number}")
                alive = [alive[place] for place in order]
            for places in windows(alive, len(alive) if self.window is None else self.window.value) if alive else ():
                if len(places) > 1:
                    groups.append((knockout, places))
                else:
                    knockout.enter(places, places[0])
        return groups

    def _enter(self, knockout: Knockout, places: Sequence[int], verdict: Candidate) -> None:
        try:
            if verdict.prediction is None:
                raise UnreadableVerdict(verdict.error)
            knockout.enter(places, places[read_choice(self.said(verdict.prediction), len(places)) - 1])
        except UnreadableVerdict as error:
            knockout.enter_failure(f"UnreadableVerdict: {error}")


def _marked(candidate: Candidate, place: int, knockouts: Sequence[Knockout]) -> Candidate:
    shares = [share for knockout in knockouts if (share := knockout.share(place)) is not None]
    if shares:
        return replace(candidate, score=sum(shares) / len(shares))
    return replace(candidate, score_error=next(knockout.last_error for knockout in knockouts if knockout.last_error))
