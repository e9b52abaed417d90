"""Files, templates and neighbours that a local model may meet."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import ConfigurationError, PlainAdapter
from dspy_fusion.serving.local.local_lm import local_lm

SHEET = "(a) 4 + 3\n(b) 9 - 5"


NO_SYSTEM = (
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}{% endfor %}<|assistant|>"
)


def header(*texts: tuple[str, str]) -> bytes:
    """A GGUF file of no tensors with these entries."""

    def packed(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    entries = b"".join(packed(key) + struct.pack("<I", 8) + packed(value) for key, value in texts)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(texts)) + entries


def test_a_file_without_a_chat_template_is_refused_unless_one_is_given(tmp_path: Path) -> None:
    path = tmp_path / "base.gguf"
    path.write_bytes(header(("general.architecture", "llama"), ("tokenizer.ggml.model", "gpt2")))
    with pytest.raises(ConfigurationError, match=r"base.gguf has no chat template; give one as chat_template="):
        local_lm(path, context=64)
    assert local_lm(path, context=64, chat_template="{{ messages }}").model.startswith("local/base@")


def test_a_file_with_a_header_and_nothing_else_is_refused_by_llama_cpp(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    path = tmp_path / "base.gguf"
    path.write_bytes(header(("general.architecture", "llama"), ("tokenizer.ggml.model", "gpt2")))
    lm = local_lm(path, context=64, parallel=1, threads=1, chat_template="{{ messages }}")
    with pytest.raises(dspy.LMError, match=r"llama.cpp cannot run base.gguf"):
        lm("hello")


def test_a_model_whose_template_has_no_system_role_answers_all_the_same(gguf: Path, solve: dspy.Module) -> None:
    lm = local_lm(gguf, context=256, parallel=1, threads=1, max_tokens=16, temperature=0, chat_template=NO_SYSTEM)
    try:
        with dspy.context(adapter=PlainAdapter(), lm=lm):
            assert solve(worksheet=SHEET).answers
    finally:
        lm.engine.server.close()


def test_two_processes_may_run_one_file(gguf: Path, lm: Any, solve: dspy.Module) -> None:
    code = (
        "import dspy; from dspy_fusion import PlainAdapter; from dspy_fusion.serving.local.local_lm import local_lm\n"
        f"lm = local_lm({str(gguf)!r}, context=512, parallel=8, threads=1, max_tokens=64, temperature=0)\n"
        "solve = dspy.Predict(dspy.Signature('worksheet -> answers', 'Work out every part of the worksheet.'))\n"
        f"with dspy.context(adapter=PlainAdapter(), lm=lm): print(repr(solve(worksheet={SHEET!r}).answers))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    with dspy.context(adapter=PlainAdapter(), lm=lm.copy(temperature=0)):
        assert other.stdout.strip().splitlines()[-1] == repr(solve(worksheet=SHEET).answers)
