"""Training rows: a prompt and the answer that is learned, as ``dspy-fusion`` writes and reads them everywhere.

One row is one JSON line with ``prompt`` and ``completion``, both lists of messages: TRL's conversational
prompt-completion format, which it trains on with the loss on the completion. A row of a preference has ``chosen`` and
``rejected`` instead of ``completion``, which is TRL's format too. Read as well: all of them as texts, ``system`` beside
a prompt that is a text, and ``messages`` whose last one is the assistant's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

Message = dict[str, str]
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class TrainingRow:
    """A prompt and the answer that is learned.

    Attributes:
        prompt: messages, the last one the user's.
        completion: the model's answer; of a preference the one that is chosen.
        proposals: how many proposals the prompt shows.
        rejected: the answer that another one is preferred to; empty where none is.
        example: the digest of the example that an answer is rewarded by; empty where none is.
    """

    prompt: tuple[Message, ...]
    completion: str
    proposals: int = 0
    rejected: str = ""
    example: str = ""

    def as_messages(self) -> dict[str, Any]:
        """The row as it is written."""
        prompt, answer = list(self.prompt), _answer(self.completion)
        if self.rejected:
            return {"prompt": prompt, "chosen": answer, "rejected": _answer(self.rejected)}
        row: dict[str, Any] = {"prompt": prompt, "completion": answer}
        return {**row, "example": self.example, "proposals": self.proposals} if self.example else row

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
        is_pair = "chosen" in values or "rejected" in values
        answers = ("chosen", "rejected") if is_pair else ("completion",)
        if missing := [name for name in ("prompt", *answers) if name not in values]:
            raise ConfigurationError(
                f"the key {missing[0]!r} is missing; a row has prompt and completion, prompt, chosen and rejected, or"
                f" messages, but this one has {', '.join(values) or 'nothing'}"
            )
        texts = [_said(values[name], name) for name in answers]
        if is_pair and (not texts[1].strip() or texts[0] == texts[1]):
            raise ConfigurationError("its rejected answer must be a text, and another than the chosen one")
        return cls(_asking(_asked(values)), texts[0], rejected=texts[1] if is_pair else "")


def read_training_rows(path: Path) -> Iterator[TrainingRow]:
    """The rows of a file of JSON lines, or of Parquet (``.parquet``), one at a time.

    Raises:
        ConfigurationError: the file cannot be read, or a line of it is no row; the message names the line.
        MissingExtra: it is Parquet, and pyarrow is not installed.
    """
    if path.suffix == ".parquet":
        yield from _of_parquet(path)
        return
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"cannot read {path}: {reason}; give a file of rows") from error


def _of_parquet(path: Path) -> Iterator[TrainingRow]:
    with needs("reading Parquet", "synthesize", otherwise="give JSON lines"):
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(1000):
                for values in batch.to_pylist():
                    number += 1
                    yield _row({name: value for name, value in values.items() if value is not None}, path, number)
    except (OSError, ArrowException) as error:
        raise ConfigurationError(f"cannot read {path}: {' '.join(str(error).split())[:200]}") from error


def _row(values: Mapping[str, Any], path: Path, number: int) -> TrainingRow:
    try:
        return TrainingRow.of(values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}, row {number} is no training row: {error}") from error


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


def _said(answer: Any, name: str) -> str:
    if isinstance(answer, str):
        return answer
    (*more, last) = _messages(answer, name) or [{"role": "", "content": ""}]
    if more or last["role"] != "assistant":
        raise ConfigurationError(f"its {name} must be a text, or one message of the assistant's")
    return last["content"]


def _answer(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _asked(values: Mapping[str, Any]) -> list[Message]:
    prompt, system = values["prompt"], values.get("system")
    if not isinstance(prompt, str):
        return _messages(prompt, "prompt")
    if system is not None and not isinstance(system, str):
        raise ConfigurationError("its system must be a text")
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": prompt}]


def _asking(messages: Sequence[Message]) -> tuple[Message, ...]:
    if not messages or messages[-1]["role"] != "user":
        raise ConfigurationError("its prompt must end with a user's message")
    return tuple(messages)
