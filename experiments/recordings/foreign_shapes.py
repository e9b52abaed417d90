"""Readers of what other tools write: outputs of alpaca_eval, samples of lm-evaluation-harness, batches of OpenAI.

Each reads a row as questions; ``ValueError`` sets the row aside with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..rows.row_files import Row, read_file
from .recording import RecordedCandidate, RecordedQuestion
from .values import an_object, digest_of, flag, item_of, number, optional_text, text_of, usable

_ASIDE = ("bypass", "perplexity", "bits_per_byte")  # metrics of lm-evaluation-harness that say nothing of one answer


def alpaca_outputs(row: Row) -> RecordedQuestion:
    """One model's answer to one instruction, as ``outputs.json`` of alpaca_eval has it."""
    values = row.values
    text, source = text_of(values, "instruction"), text_of(values, "generator")
    candidate = RecordedCandidate(source, text_of(values, "output"))
    return RecordedQuestion(digest_of(text), text, (candidate,), group=optional_text(values, "dataset") or "")


class HarnessSamples:
    """Reads ``samples_*.jsonl`` of lm-evaluation-harness: what was asked, what was answered, and the metric's value.

    A document is there once for each of the task's filters; those of the first filter are read.

    Args:
        first: the first row.
        path: the file; the model is what its folder is called.
    """

    def __init__(self, first: Row, path: Path) -> None:
        self.filter = first.values.get("filter")
        folder = path.resolve().parent.name
        self.source = folder.replace("__", "/") if "__" in folder else path.name.partition(".")[0]

    def __call__(self, row: Row) -> tuple[RecordedQuestion, ...]:
        """The question of a row; none where it is another filter's."""
        values = row.values
        if values.get("filter") != self.filter:
            return ()
        answers = item_of(values, "resps", list)
        texts = answers[0] if len(answers) == 1 and isinstance(answers[0], list) else answers
        if not texts or not all(text is None or isinstance(text, str) for text in texts):
            raise ValueError("its responses are log-likelihoods of given answers, and no texts")
        filtered = values.get("filtered_resps")
        read = filtered if isinstance(filtered, list) and len(filtered) == len(texts) == 1 else [None] * len(texts)
        quality = _metric(values) if len(texts) == 1 else None
        candidates, lost = usable(
            zip(texts, read, strict=True),
            lambda pair: RecordedCandidate(self.source, pair[0], _text(pair[1]), quality=quality),
        )
        gold, identity = optional_text(values, "target"), text_of(values, "doc_id")
        return (RecordedQuestion(identity, _asked(values), candidates, gold, lost=lost),)


class BatchOutput:
    """Reads the output of a batch of OpenAI's, each line the answer to a request; what was asked is in its input file.

    Args:
        requests: the batch's input file, by whose ``custom_id`` questions are found; None calls a question by that id.

    Raises:
        ConfigurationError: the input file cannot be read.
    """

    def __init__(self, requests: Path | None) -> None:
        rows = read_file(requests) if requests else ()
        self.asked = {str(row.values.get("custom_id")): _conversation(row.values.get("body")) for row in rows}

    def __call__(self, row: Row) -> tuple[RecordedQuestion, ...]:
        """The question of a row, with each choice as a candidate."""
        values, identity = row.values, text_of(row.values, "custom_id")
        answered = values.get("response")
        if values.get("error") or not isinstance(answered, Mapping) or answered.get("status_code", 200) != 200:
            raise ValueError(f"the request failed: {str(values.get('error') or answered)[:120]}")
        body = an_object(answered.get("body"))
        source, usage = text_of(body, "model"), body.get("usage")
        texts = _choices(body)
        counts: Any = _tokens(usage) if len(texts) == 1 and isinstance(usage, Mapping) else {}
        candidates, lost = usable(texts, lambda text: RecordedCandidate(source, _text(text), **counts))
        if self.asked and identity not in self.asked:
            raise ValueError(f"the requests have none with the custom_id {identity!r}")
        return (RecordedQuestion(identity, self.asked.get(identity) or identity, candidates, lost=lost),)


def _asked(values: Mapping[str, Any]) -> str:
    """What a sample of lm-evaluation-harness was asked, in the layouts of its versions."""
    arguments = values.get("arguments")
    if isinstance(arguments, Mapping):
        first = next(iter(arguments.values()), None)
        found = first.get("arg_0") if isinstance(first, Mapping) else first
    else:
        found = (
            arguments[0][0] if isinstance(arguments, list) and arguments and isinstance(arguments[0], list) else None
        )
    if isinstance(found, str) and found.strip():
        return found
    document = an_object(values.get("doc"))
    return next(
        (text_of(document, name) for name in ("question", "prompt", "query") if name in document), str(document)
    )


def _metric(values: Mapping[str, Any]) -> float | None:
    """The value of the task's first metric, where it lies in [0, 1]."""
    listed = values.get("metrics")
    names = listed if isinstance(listed, list) else ["exact_match", "acc", "acc_norm", "pass@1", "f1"]
    for name in names:
        if name in values and name not in _ASIDE:
            return flag(values, name) if isinstance(values[name], bool | int | float) else None
    return None


def _choices(body: Mapping[str, Any]) -> list[Any]:
    """The answers of a chat completion, a completion, or a response."""
    if isinstance(choices := body.get("choices"), list):
        return [(choice.get("message") or {}).get("content", choice.get("text")) for choice in map(an_object, choices)]
    parts = [an_object(item) for item in item_of(body, "output", list)]
    content = [part for item in parts if item.get("type") == "message" for part in item.get("content") or ()]
    return ["".join(str(part.get("text", "")) for part in content)]


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    kinds = {"tokens_in": ("prompt_tokens", "input_tokens"), "tokens_out": ("completion_tokens", "output_tokens")}
    counts = {kind: next((name for name in names if usage.get(name) is not None), "") for kind, names in kinds.items()}
    return {kind: int(number(usage, name)) for kind, name in counts.items() if name}


def _conversation(body: Any) -> str:
    """What a request asked: its messages, of which the last alone needs no name of who said it."""
    if not isinstance(body, Mapping):
        return ""
    messages = body.get("messages") or body.get("input") or body.get("prompt")
    if isinstance(messages, str):
        return messages
    turns = [turn for turn in messages or () if isinstance(turn, Mapping)]
    said = [(str(turn.get("role", "user")), _content(turn.get("content"))) for turn in turns]
    return said[0][1] if len(said) == 1 else "\n\n".join(f"{role}: {text}" for role, text in said)


def _content(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(str(part.get("text", "")) for part in value if isinstance(part, Mapping))
    return str(value or "")


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        value = value[0] if value else None
    text = None if value is None else re.sub(r"\A\s+|\s+\Z", "", str(value))
    return text or None
