"""An embedded model as a GGUF file, so that llama.cpp has something tiny and real to run."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.serving.embedded.huggingface import to_huggingface
from dspy_fusion.serving.local.llama_server import close_servers
from dspy_fusion.serving.local.local_lm import local_lm

CONVERTER = Path(__file__).parents[3] / "examples" / "llama_cpp" / "to_gguf.py"


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model ``sft`` as a file for llama.cpp."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gguf")
    spec = importlib.util.spec_from_file_location("to_gguf", CONVERTER)
    assert spec is not None
    assert spec.loader is not None
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    path = tmp_path_factory.mktemp("gguf") / "sft.gguf"
    with tempfile.TemporaryDirectory() as folder:
        converter.write(to_huggingface("sft", folder), path)
    return path


@pytest.fixture(scope="module")
def lm(gguf: Path) -> Iterator[Any]:
    """The model, with eight answers at once."""
    yield local_lm(gguf, context=512, parallel=8, threads=1, max_tokens=64)
    close_servers()


@pytest.fixture
def solve() -> dspy.Module:
    return dspy.Predict(dspy.Signature("worksheet -> answers", "Work out every part of the worksheet."))
