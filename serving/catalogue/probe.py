"""Finding out what an endpoint honours, by about fifteen calls of a few tokens each.

Servers ignore options without a word.

Every option is judged by what it does to the answers, through the same client that the model will be used with. An
error is a finding.
"""

from __future__ import annotations

import datetime
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dspy
from dspy.utils.exceptions import (
    LMConfigurationError,
    LMError,
    LMInvalidRequestError,
    LMProviderError,
    LMUnsupportedFeatureError,
    is_retryable_lm_error,
)

from dspy_fusion.programs.calls.attempts import describe
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.json_text import read_json

from .model_entry import ModelEntry
from .probe_report import Finding, ProbeReport

_OPEN = "Write eight random words."
_SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
    "additionalProperties": False,
}
_SECONDS, _TOKENS = 60.0, 16
_GUESS, _MOST = (
    4096,
    16_384,
)  # tokens: the context to try where none is known, and the longest that is tried by a prompt of that length


def probe(entry: ModelEntry, address: str = "") -> ProbeReport:
    """Asks one endpoint.

    Args:
        entry: the model.
        address: which of its addresses; empty for the provider's own, or this process.

    Raises:
        MissingKey: the variable that should hold its key is not set.
    """
    asker = _Asker(entry, address)
    findings = {"answers": _judged(_answers, asker)}
    if findings["answers"].verdict == "honoured":
        findings |= {name: _judged(check, asker) for name, check in _CHECKS.items()}
    return ProbeReport(entry.model, address, entry.engine, datetime.date.today().isoformat(), findings)  # noqa: DTZ011 (the user's day)


class _Asker:
    """Makes the calls."""

    def __init__(self, entry: ModelEntry, address: str) -> None:
        bare = replace(entry, address=address, addresses=(), sampling={}, fallback="")
        self.entry, self.address = entry, address
        self.lm = bare.lm(temperature=1.0, max_tokens=_TOKENS)
        self.lm.num_retries = 0
        if isinstance(self.lm.engine, str):
            self.lm.kwargs["timeout"] = min(entry.timeout or _SECONDS, _SECONDS)

    def all(self, prompt: str, **options: Any) -> list[Any]:
        """What DSPy makes of the answers; raises when the client has left an option out."""
        with dspy.context(disable_history=False, max_history_size=1, usage_tracker=None, callbacks=[]):
            outputs = self.lm(prompt, **options)
        adapted = [note for note in self.lm.history[-1].get("adaptations", ()) if note.action == "dropped"]
        if adapted:
            raise ConfigurationError(f"the client drops {adapted[0].field}")
        return outputs

    def text(self, prompt: str, **options: Any) -> str:
        """The text of the one answer."""
        output = self.all(prompt, **options)[0]
        return str(output.get("text") if isinstance(output, dict) else output)


def _judged(check: Callable[[_Asker], Finding], asker: _Asker) -> Finding:
    try:
        return check(asker)
    except (ConfigurationError, LMConfigurationError, LMUnsupportedFeatureError) as error:
        return Finding("not sent", describe(error))
    except LMError as error:
        refused = isinstance(error, LMInvalidRequestError) or 400 <= (error.status or 0) < 500
        return Finding("refused" if refused and not is_retryable_lm_error(error) else "failed", describe(error))


def _answers(asker: _Asker) -> Finding:
    return Finding("honoured", f"said {asker.text(_OPEN)[:60]!r}")


def _seed(asker: _Asker) -> Finding:
    texts = [asker.text(_OPEN, seed=seed) for seed in (1, 1, 2, 3)]
    if texts[0] != texts[1]:
        return Finding("ignored", "two equal seeds gave different texts, so candidates cannot be drawn again")
    if len(set(texts)) == 1:
        return Finding("ignored", "three seeds gave one text, so candidates will be alike")
    return Finding("honoured", "equal seeds, equal texts; others, others")


def _n(asker: _Asker) -> Finding:
    if asker.lm.engine != "litellm":
        return Finding("not sent", "this client makes one call after another instead")
    outputs = asker.all(_OPEN, n=2, seed=1)
    if len(outputs) != 2:
        return Finding("ignored", f"asked for 2 completions, got {len(outputs)}")
    if outputs[0] == outputs[1]:
        return Finding("ignored", "two completions in one request, but alike")
    counts_on = outputs == [asker.text(_OPEN, seed=seed) for seed in (1, 2)]
    return Finding(
        "honoured", f"two completions in one request, {'with' if counts_on else 'not with'} the seeds s and s + 1"
    )


def _greedy(name: str, value: float) -> Callable[[_Asker], Finding]:
    """Whether an option that leaves only the likeliest token makes the texts of different seeds equal,
    which they are not without.
    """

    def check(asker: _Asker) -> Finding:
        """Whether the option makes two seeds give one text."""
        if asker.text(_OPEN, seed=4) == asker.text(_OPEN, seed=5):
            return Finding("unclear", "texts are alike without it, too")
        alike = asker.text(_OPEN, seed=4, **{name: value}) == asker.text(_OPEN, seed=5, **{name: value})
        return Finding(
            "honoured" if alike else "ignored", f"{name} = {value:g} gave {'one text' if alike else 'different texts'}"
        )

    return check


def _logprobs(asker: _Asker) -> Finding:
    output = asker.all(_OPEN, logprobs=True)[0]
    has_logprobs = isinstance(output, dict) and bool(output.get("logprobs"))
    return Finding("honoured" if has_logprobs else "ignored", "" if has_logprobs else "the answer came without them")


def _response_schema(asker: _Asker) -> Finding:
    schema = {"type": "json_schema", "json_schema": {"name": "sum", "strict": True, "schema": _SCHEMA}}
    text = asker.text("What is 3 + 4?", response_format=schema, temperature=0.0, max_tokens=4 * _TOKENS)
    try:
        followed = type(read_json(text)["number"]) is int
    except (ValueError, TypeError, KeyError):
        followed = False
    return Finding("honoured" if followed else "ignored", f"said {text[:60]!r}")


def _stop(asker: _Asker) -> Finding:
    words = asker.text(_OPEN, temperature=0.0).split()
    if len(words) < 2:
        return Finding("unclear", "the answer is too short to be stopped")
    text = asker.text(_OPEN, temperature=0.0, stop=[words[1]])
    return Finding("honoured" if words[1] not in text else "ignored", f"stopped at {words[1]!r}: {text[:60]!r}")


def _context(asker: _Asker) -> Finding:
    """By what the server lists, or else by a prompt of twice the length that is believed."""
    if (listed := _listed_context(asker)) is not None:
        return Finding("honoured", f"{listed} tokens, as the server lists it", listed)
    words = 2 * (asker.entry.context or _GUESS)
    if words > _MOST:
        return Finding("unclear", f"not tried: it would take a prompt of {words} tokens")
    try:
        asker.text("word " * words, max_tokens=1)
    except LMProviderError as error:
        named = re.search(r"(?:context|maximum|limit)\D{0,40}?(\d{3,7})", str(error))
        tokens = int(named[1]) if named else None
        return Finding(
            "honoured",
            f"refuses what is longer than {tokens} tokens" if tokens else f"refuses: {describe(error)}",
            tokens,
        )
    taken = (asker.lm.history[-1].get("usage") or {}).get("prompt_tokens") or 0
    if taken and taken < 0.9 * words:
        return Finding("ignored", f"cuts a prompt of {words} words down to {taken} tokens without a word", taken)
    return Finding("honoured", f"takes at least {words} tokens")


def _listed_context(asker: _Asker) -> int | None:
    if not asker.address:
        return None
    key = asker.lm.kwargs.get("api_key", "")
    request = urllib.request.Request(f"{asker.address.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            models = json.load(response)["data"]
        mine = [model for model in models if asker.entry.model.endswith(str(model["id"]))] or models[:1]
        length = mine[0].get("max_model_len") or (mine[0].get("meta") or {}).get("n_ctx")
        return length if isinstance(length, int) else None
    except (OSError, urllib.error.URLError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


_CHECKS: dict[str, Callable[[_Asker], Finding]] = {
    "seed": _seed,
    "n": _n,
    "top_k": _greedy("top_k", 1),
    "min_p": _greedy("min_p", 1.0),
    "logprobs": _logprobs,
    "response schema": _response_schema,
    "stop": _stop,
    "context": _context,
}
