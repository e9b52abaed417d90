"""How a bank writes a candidate down, and how it reads one back: one line of JSON behind its own digest.

The digest is over the key too, so damage that leaves valid JSON, or a line that has come under another key, is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import dspy

from ..calls.attempts import Attempt
from ..json_text import read_json
from ..pools.candidates import Candidate, Usage
from ..redaction import without_secrets
from ..tasks.signatures import plain, typed

_DIGITS = 16  # of the digest
_BYTES = "dspy_fusion.bytes"


def written(attempt: Attempt, candidate: Candidate) -> str:
    """The line that keeps a candidate under its attempt's key."""
    line = without_secrets(json.dumps(_to_payload(attempt, candidate)))
    return f"{_digest(attempt.key, line)} {line}"


def read(attempt: Attempt, payload: str) -> Candidate:
    """The candidate of a line that :func:`written` made, or the first version of it, which had no digest.

    Raises:
        ValueError, KeyError, TypeError: it is damaged.
    """
    digest, line = ("", payload) if payload.startswith("{") else (payload[:_DIGITS], payload[_DIGITS + 1 :])
    if digest and digest != _digest(attempt.key, line):
        raise ValueError("its digest does not fit")
    return _from_payload(attempt, read_json(line))


def _digest(key: str, line: str) -> str:
    return hashlib.sha256(f"{key} {line}".encode()).hexdigest()[:_DIGITS]


def _to_payload(attempt: Attempt, candidate: Candidate) -> dict[str, Any]:
    names = {id(predictor): name for name, predictor in attempt.module.named_predictors()}
    rows = [
        {"predictor": names[id(row[0])], "inputs": plain(dict(row[1])), "outputs": plain(row[2].toDict())}
        for row in candidate.trace
        if id(row[0]) in names
    ]
    answer = (
        None
        if candidate.prediction is None
        else plain({name: _packed(candidate.prediction[name]) for name in attempt.kept_outputs(candidate.prediction)})
    )
    by_model = candidate.by_model or {candidate.lm: candidate.usage}
    return {
        "answer": answer,
        "error": candidate.error,
        "lm": candidate.lm,
        "usage": {name: [usage.calls, usage.tokens_in, usage.tokens_out] for name, usage in by_model.items()},
        "seconds": candidate.seconds,
        "logprob": candidate.logprob,
        "reasoning": candidate.reasoning,
        "left_out": dict(candidate.left_out),
        "trace": rows,
    }


def _from_payload(attempt: Attempt, payload: dict[str, Any]) -> Candidate:
    answer = payload["answer"]
    by_model = {name: Usage(*counts) for name, counts in payload["usage"].items()}
    return Candidate(
        attempt.index,
        None if answer is None else dspy.Prediction(**_answer(attempt, _unpacked(answer))),
        payload["error"],
        payload["lm"],
        attempt.layer,
        Usage.total(by_model.values()),
        payload["seconds"],
        payload["logprob"],
        by_model=by_model,
        reasoning=payload.get("reasoning"),
        left_out=payload.get("left_out") or {},
        replayed=True,
        trace=_trace(attempt, payload["trace"], answer),
    )


def _packed(value: Any) -> Any:
    """Bytes as JSON can hold them, whether they are text or not."""
    return {_BYTES: base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _unpacked(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value[_BYTES]) if isinstance(value, dict) and value.keys() == {_BYTES} else value
        for name, value in answer.items()
    }


def _trace(attempt: Attempt, rows: list[dict[str, Any]], answer: Any) -> tuple[tuple[Any, ...], ...]:
    predictors = dict(attempt.module.named_predictors()) if rows else {}
    trace = tuple(
        (predictors[row["predictor"]], row["inputs"], dspy.Prediction(**row["outputs"]))
        for row in rows
        if row["predictor"] in predictors
    )
    if not trace and answer is not None and isinstance(attempt.module, dspy.Predict):
        # drawn while nothing was traced, or recorded
        return ((attempt.module, dict(attempt.inputs), dspy.Prediction(**answer)),)
    return trace


def _answer(attempt: Attempt, outputs: dict[str, Any]) -> dict[str, Any]:
    is_complete = all(name in outputs for name in attempt.signature.output_fields)
    return {**outputs, **(typed(attempt.signature, outputs) if is_complete else {})}
