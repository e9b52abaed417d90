"""What a GGUF file says of its model, read from its first bytes; the weights are not touched.

The format is that of ggml (``docs/gguf.md``, versions 2 and 3). The package ``gguf`` reads it too, but turns every
token of the vocabulary into an object first, which takes seconds; here they are stepped over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dspy_fusion.programs.errors import ConfigurationError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_LONGEST_TEXT = 1 << 24  # bytes; chat templates have some thousands
_KEPT_ARRAY = 64  # items; longer arrays are vocabularies
_CACHED_BYTES = 2  # of one number in the cache of keys and values, which is kept in 16 bits


@dataclass(frozen=True)
class GgufFile:
    """The header of a file.

    Attributes:
        path: of the file.
        size: of the file, in bytes.
        values: the header's entries; long arrays are None.
    """

    path: Path
    size: int
    values: dict[str, Any]

    @property
    def context(self) -> int | None:
        """How many tokens the model was trained to take, or None where the file does not say."""
        return self._of_architecture("context_length")

    @property
    def chat_template(self) -> str:
        """The template that turns messages into a prompt, or an empty string."""
        return str(self.values.get("tokenizer.chat_template") or "")

    def memory(self, tokens: int) -> int:
        """Bytes that the weights and a cache of so many tokens take; scratch space comes on top."""
        layers, heads = self._of_architecture("block_count") or 0, self._of_architecture("attention.head_count") or 1
        width = self._of_architecture("embedding_length") or 0
        kept = self._of_architecture("attention.head_count_kv") or heads
        kept = max(kept) if isinstance(kept, list) else kept
        return self.size + tokens * layers * 2 * width * kept // heads * _CACHED_BYTES

    def _of_architecture(self, key: str) -> Any:
        return self.values.get(f"{self.values.get('general.architecture')}.{key}")


def read_gguf(path: Path) -> GgufFile:
    """Reads the header of a file.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or it is no GGUF file of a language model.
    """
    try:
        with path.open("rb") as file:
            values = _header(file)
            size = path.stat().st_size
    except OSError as error:
        raise ConfigurationError(
            f"cannot read the model {path}: {error.strerror}; give the path of a GGUF file"
        ) from error
    except (struct.error, ValueError, OverflowError, MemoryError) as error:
        raise ConfigurationError(f"{path} is no GGUF file: {error}; download it again, or convert the model") from error
    if "general.architecture" not in values or "tokenizer.ggml.model" not in values:
        raise ConfigurationError(f"{path} is a GGUF file, but of no language model; give one with a tokenizer")
    return GgufFile(path, size, values)


def _header(file: BinaryIO) -> dict[str, Any]:
    if (magic := file.read(4)) != b"GGUF":
        raise ValueError(f"it begins with {magic!r} instead of b'GGUF'")
    if (version := _number(file, "I")) not in (2, 3):
        raise ValueError(f"version {version} is not known")
    _tensors, entries = _number(file, "Q"), _number(file, "Q")
    if entries > 100_000:
        raise ValueError(f"{entries} header entries")
    return {_text(file): _value(file, _number(file, "I")) for _ in range(entries)}


def _value(file: BinaryIO, kind: int) -> Any:
    if kind in _SCALARS:
        return _number(file, _SCALARS[kind])
    if kind == _TEXT:
        return _text(file)
    if kind != _ARRAY:
        raise ValueError(f"a header entry of the unknown kind {kind}")
    item, count = _number(file, "I"), _number(file, "Q")
    if item in _SCALARS and count > _KEPT_ARRAY:
        file.seek(count * struct.calcsize(_SCALARS[item]), 1)
        return None
    read: Callable[[], Any] = (lambda: _skipped_text(file)) if item == _TEXT else (lambda: _value(file, item))
    items = [read() for _ in range(count)]
    return items if count <= _KEPT_ARRAY and item != _TEXT else None


def _number(file: BinaryIO, form: str) -> Any:
    (number,) = struct.unpack(f"<{form}", file.read(struct.calcsize(form)))
    return number


def _text(file: BinaryIO) -> str:
    if (length := _number(file, "Q")) > _LONGEST_TEXT:
        raise ValueError(f"a text of {length} bytes in its header")
    return file.read(length).decode("utf-8", "replace")


def _skipped_text(file: BinaryIO) -> None:
    file.seek(_number(file, "Q"), 1)
