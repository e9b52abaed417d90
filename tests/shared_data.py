"""Where tests find recorded generations of real models; they skip where the folder is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("DSPY_FUSION_DATA") or Path(__file__).parents[2] / "shared" / "data")
DATA = _FOLDER if _FOLDER.is_dir() else None
"""The folder of real data, or None."""

needs_data = pytest.mark.skipif(
    DATA is None, reason=f"there is no folder of recorded data at {_FOLDER}; set DSPY_FUSION_DATA to it"
)
"""Marks tests that read the folder."""
