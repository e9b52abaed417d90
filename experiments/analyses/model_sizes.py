"""How large models are: known for embedded ones, told for all others.

With the FLOPs that a token costs (AFT, arXiv 2501.11877, app. C).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import load_models
from dspy_fusion.serving.embedded import SUFFIX
from dspy_fusion.serving.embedded.checkpoint import load_checkpoint
from dspy_fusion.serving.embedded.embedded_model import WEIGHTS, load_model

EMBEDDED = "embedded/"
_SIZE = re.compile(r"(?P<number>\d+(\.\d+)?(e\d+)?)(?P<unit>[KMBT]?)(:(?P<layers>\d+)x(?P<width>\d+))?", re.IGNORECASE)
_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@dataclass(frozen=True)
class ModelSize:
    """A model's shape.

    Attributes:
        parameters: those that a token passes through, which of a mixture of experts are the active ones.
        layers: number of layers; 0 where it is not known.
        width: of a token's vector; 0 where it is not known, and then attention over the context is not counted.
    """

    parameters: float
    layers: int = 0
    width: int = 0

    def flops_per_token(self, context: float) -> float:
        """FLOPs to read or write one token with so many tokens in the context:
        2 (parameters + 2 layers width context).
        """
        return 2 * (self.parameters + 2 * self.layers * self.width * context)


def parse_size(text: str) -> tuple[str, ModelSize]:
    """Reads ``MODEL=8B`` or, to count attention too, ``MODEL=8B:32x4096`` (layers and width).

    Raises:
        ConfigurationError: it is written otherwise.
    """
    name, equals, size = text.rpartition("=")
    match = _SIZE.fullmatch(size)
    if not (name and equals and match and float(match["number"])):
        raise ConfigurationError(
            f"--parameters must be written as MODEL=8B or MODEL=8B:32x4096 (layers x width), but got {text!r}"
        )
    parameters = float(match["number"]) * _UNITS[match["unit"].upper()]
    return name, ModelSize(parameters, int(match["layers"] or 0), int(match["width"] or 0))


def model_sizes(names: Iterable[str], told: Mapping[str, ModelSize]) -> dict[str, ModelSize]:
    """The size of each model; what was told goes before what is known.

    Raises:
        ConfigurationError: a model's size is neither told nor known.
    """
    return {name: told[name] if name in told else _known(name) for name in names}


def _known(name: str) -> ModelSize:
    model = load_models().entry(name).model if name in load_models().entries else name
    source = model.removeprefix(EMBEDDED)
    if not (model.startswith(EMBEDDED) or model.endswith(SUFFIX)):
        raise ConfigurationError(f"the size of {name!r} is not known; say it: --parameters {name}=8B")
    load_model(source)  # says what is wrong where there is no such model
    checkpoint = load_checkpoint(Path(source) if source.endswith(SUFFIX) else WEIGHTS / f"{source}{SUFFIX}")
    shape = checkpoint.architecture
    return ModelSize(float(sum(value.size for value in checkpoint.weights.values())), shape.layers, shape.hidden_size)
