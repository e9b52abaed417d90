"""Tiny language models that run in this process, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .embedded_model import MODEL_NAMES as MODEL_NAMES
    from .huggingface import (
        from_huggingface as from_huggingface,
        huggingface_lm as huggingface_lm,
        to_huggingface as to_huggingface,
    )
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".embedded_model": ("MODEL_NAMES",),
            ".huggingface": ("from_huggingface", "huggingface_lm", "to_huggingface"),
        },
    )

PREFIX = "embedded/"
"""Of their names in a catalogue."""
SUFFIX = ".safetensors"
"""Of the files of their weights."""
