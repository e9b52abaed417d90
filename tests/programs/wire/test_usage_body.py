"""What is mended of a server's answer, and that all else stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dspy_fusion.programs.wire.usage_body import with_plain_usage, with_plain_usages


def mended(usage: Any, key: str = "usage") -> Any:
    return json.loads(with_plain_usage(json.dumps({"id": "x", key: usage}).encode())).get(key)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": "3", "completion_tokens": 2.9},
         {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        ({"prompt_tokens": -1, "completion_tokens": [2]}, {"prompt_tokens": 0}),
        ({"input_tokens": True, "output_tokens": 4}, {"output_tokens": 4}),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": "x", "audio_tokens": 2}},
         {"prompt_tokens": 1, "prompt_tokens_details": {"audio_tokens": 2}}),
        ({"prompt_tokens": 1, "cost": "free", "is_byok": False}, {"prompt_tokens": 1, "is_byok": False}),
        ([1], None),
        ("none", None),
    ],
)  # fmt: skip
def test_tokens_are_whole_numbers_of_at_least_0(usage: Any, expected: Any) -> None:
    assert mended(usage) == expected


def test_gemini_counts_by_modality() -> None:
    usage = {"promptTokenCount": "7", "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7.0}]}
    assert mended(usage, "usageMetadata") == {
        "promptTokenCount": 7,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    }


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":  1}',
        b'{"usage": {"prompt_tokens": 3, "completion_tokens": 2,  "total_tokens": 5, "cost": 0.01}}',
        b'{"usage": null}',
        b'not json "usage"',
        b'["usage"]',
        b'{"text": "my \\"usage\\" of it"}',
        b'{"usage":' + b"[" * 100_000,
    ],
)
def test_what_is_whole_stays_as_it_is(body: bytes) -> None:
    assert with_plain_usage(body) == body


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_are_mended_line_by_line(size: int) -> None:
    lines = [
        b'data: {"delta": "one"}\n',
        b"\n",
        b'data: {"usage": {"prompt_tokens": "3"}}\r\n',
        b'data: {"type": "message_start", "message": {"usage": {"input_tokens": 2.0}}}\n',
        b': a comment about "usage"\n',
        b"data: [DONE]",
    ]
    stream = b"".join(lines)
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    got = b"".join(with_plain_usages(chunks))
    assert got.splitlines() == [
        b'data: {"delta": "one"}',
        b"",
        b'data: {"usage": {"prompt_tokens": 3}}',
        b'data: {"type": "message_start", "message": {"usage": {"input_tokens": 2}}}',
        b': a comment about "usage"',
        b"data: [DONE]",
    ]


def test_a_line_is_handed_on_as_soon_as_it_is_whole() -> None:
    seen = []

    def chunks() -> Any:
        yield b"data: one\nda"
        seen.append("second")
        yield b"ta: two\n"

    stream = with_plain_usages(chunks())
    assert (next(stream), seen) == (b"data: one\n", [])
