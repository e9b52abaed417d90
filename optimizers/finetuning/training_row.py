"""Training rows: a prompt and the answer that is learned, as ``dspy-fusion`` writes and reads them everywhere.

One row is one JSON line with ``prompt`` and ``completion``, both lists of messages: TRL's conversational
prompt-completion format, which it trains on with the loss on the completion. Read as well: both as texts, and
``messages`` whose last one is the assistant's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

Message = dict[str, str]
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class TrainingRow:
    """A prompt and the answer that is learned.

    Attributes:
        prompt: messages, the last one the user's.
        completion: the model's answer.
        proposals: how many proposals the prompt shows.
    """

    prompt: tuple[Message, ...]
    completion: str
    proposals: int = 0

    def as_messages(self) -> dict[str, list[Message]]:
        """The row as it is written."""
        return {"prompt": list(self.prompt), "completion": [{"role": "assistant", "content": self.completion}]}

    def to_line(self) -> str:
        """The row as one line of JSON, with its line feed."""
        return json.dumps(self.as_messages(), ensure_ascii=False) + "\n"

    @property
    def asked(self) -> str:
        """What the user asks last."""
        return self.prompt[-1]["content"]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainingRow:
        """Reads a row.

        Raises:
            ConfigurationError: it is no row; the message says what it lacks.
        """
        if "messages" in values and "prompt" not in values:
            messages = _messages(values["messages"], "messages")
            if len(messages) < 2 or messages[-1]["role"] != "assistant":
                raise ConfigurationError("its messages must end with the assistant's answer to a user's message")
            return cls(_asking(messages[:-1]), messages[-1]["content"])
        if missing := [name for name in ("prompt", "completion") if name not in values]:
            raise ConfigurationError(
                f"the key {missing[0]!r} is missing; a row has prompt and completion, or messages, but this one has"
                f" {', '.join(values) or 'nothing'}"
            )
        prompt, completion = values["prompt"], values["completion"]
        if not isinstance(completion, str):
            (*more, last) = _messages(completion, "completion") or [{"role": "", "content": ""}]
            if more or last["role"] != "assistant":
                raise ConfigurationError("its completion must be a text, or one message of the assistant's")
            completion = last["content"]
        asked = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else _messages(prompt, "prompt")
        return cls(_asking(asked), completion)


def read_training_rows(path: Path) -> Iterator[TrainingRow]:
    """The rows of a file of JSON lines, one at a time.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is no row; the message names the line.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot read {path}: {reason}; give a file of rows") from error


def _read(line: str, where: str) -> TrainingRow:
    try:
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ConfigurationError("it is no JSON object")
        return TrainingRow.of(values)
    except ValueError as error:  # what is no JSON, and what is no row
        raise ConfigurationError(f"{where} is no training row: {error}") from error


def _messages(value: Any, name: str) -> list[Message]:
    if not isinstance(value, list) or not all(_is_message(message) for message in value):
        raise ConfigurationError(f"its {name} must be a text or a list of messages with role and content")
    return [{"role": message["role"], "content": message["content"]} for message in value]


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("role") in _ROLES and isinstance(value.get("content"), str)


def _asking(messages: Sequence[Message]) -> tuple[Message, ...]:
    if not messages or messages[-1]["role"] != "user":
        raise ConfigurationError("its prompt must end with a user's message")
    return tuple(messages)
