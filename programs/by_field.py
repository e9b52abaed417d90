"""Fusion by field: leaves are settled by vote however deep they stand, and only texts that are open reach the fusor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import dspy

from .calls.drawing import Steps
from .errors import ConfigurationError, FusorFailed
from .overflow import fused
from .pools.candidates import Candidate, Pool, PooledPrediction
from .pools.field_merge import Merging, get, put
from .pools.resemblance import resemblance
from .rounds import Drawn
from .sampling_program import leave_trace
from .tasks.signatures import plain

if TYPE_CHECKING:
    from .fusion import Fusion

REASONING = "reasoning"
"""The field in which a chain of thought precedes the answer; it is taken over from a candidate and never fused."""


def fused_by_field(program: Fusion, inputs: Mapping[str, Any], drawn: Drawn) -> Steps[dspy.Prediction]:
    """Settles what can be settled, has the fusor write the open texts, and puts the answer together."""
    good = [candidate for candidate in drawn.candidates if candidate.ok]
    merging = _merging(program, good)
    task = program.task_of(inputs, drawn.candidates)
    outputs = task.output_fields
    names = [name for name in outputs if name != REASONING or len(outputs) == 1]
    values = {name: merging.merged(_values(good, name), outputs[name].annotation, name) for name in names}
    pool = drawn.pool(leaves=dict(merging.leaves), notes=_notes(merging))
    if not merging.open:
        leave_trace(good)
        pool = replace(pool, gated=f"{len(merging.leaves)} leaves were settled by vote", saved=pool.saved + 1)
        return _answer(task, values, good, pool)
    shown = [_view(values, candidate, merging.open) for candidate in program.order(inputs, good, 0)]
    (written,), cut = yield from fused(
        program,
        inputs,
        [shown],
        layer=1,
        temperature=program.fusor_temperature,
        streams=True,
        told=_settled(values, merging.open),
        task=task,
    )
    pool = replace(
        pool,
        shown=tuple(candidate.index for candidate in shown),
        usage={**pool.usage, "fusor": written.usage},
        depth=pool.depth + 1,
        shortened=cut,
    )
    if not written.ok:
        if program.on_fusor_failure == "raise":
            raise FusorFailed(f"the fusor failed: {written.error}; on_fusor_failure='best' would take the middle texts")
        leave_trace(good)
        reason = f"the fusor failed: {written.error}; open texts are those most like the others"
        return _answer(task, values, good, replace(pool, fallback=reason))
    leave_trace([*good, written])
    lost = _take_over(values, written, merging.open)
    return _answer(task, values, good, replace(pool, notes=(*pool.notes, *lost)))


def checked_keys(keys: Mapping[str, str] | None, outputs: Sequence[str]) -> dict[str, str]:
    """The fields by which lists are aligned.

    Raises:
        ConfigurationError: a path does not begin with an output field.
    """
    for path in keys or {}:
        if outputs and path.split(".")[0] not in outputs:
            raise ConfigurationError(f"keys names {path!r}, which is no output of the task; it has {list(outputs)}")
    return dict(keys or {})


def _merging(program: Fusion, good: Sequence[Candidate]) -> Merging:
    weights = None if program.calibration is None else program.calibration.weights(good)
    settled = 1.0 if program.gate is None or program.gate.share is None else float(program.gate.share.value)
    return Merging(weights or [1.0] * len(good), settled_at=settled, keys=program.keys)


def _values(good: Sequence[Candidate], name: str) -> dict[int, Any]:
    return {number: c.prediction.get(name) for number, c in enumerate(good) if c.prediction is not None}


def _notes(merging: Merging) -> tuple[str, ...]:
    return tuple(
        f"{path}: {count} items without their key {merging.keys[path]!r} were aligned by resemblance"
        for path, count in merging.unkeyed.items()
    )


def _view(values: Mapping[str, Any], candidate: Candidate, paths: Sequence[str]) -> Candidate:
    """A candidate as the fusor sees it: what is settled, with the candidate's own text at each open path."""
    shown = dict(values)
    for path in paths:
        name, rest = _split(path)
        try:
            own = get(candidate.prediction[name] if candidate.prediction is not None else None, rest)
            shown[name] = put(shown[name], rest, own) if isinstance(own, str) else shown[name]
        except (LookupError, TypeError):
            continue  # it does not have this item
    prediction = candidate.prediction
    if prediction is not None and REASONING in prediction.keys():
        shown[REASONING] = prediction[REASONING]
    return replace(candidate, prediction=dspy.Prediction(**shown))


def _settled(values: Mapping[str, Any], paths: Sequence[str]) -> str:
    agreed: Any = plain(dict(values))
    for path in paths:
        agreed = put(agreed, f".{path}", "?")
    text = json.dumps(agreed, ensure_ascii=False)
    return (
        "The following parts of the answer are settled and must be repeated as they are, list items in this order;"
        f" only where it says ? do the candidates disagree, and only that is to be decided: {text}"
    )


def _take_over(values: dict[str, Any], written: Candidate, paths: Sequence[str]) -> tuple[str, ...]:
    """Puts the fusor's texts in; says where it gave none."""
    lost = []
    for path in paths:
        name, rest = _split(path)
        try:
            text = get(written.prediction[name] if written.prediction is not None else None, rest)
        except (LookupError, TypeError):
            text = None
        if isinstance(text, str) and text.strip() and text.strip() != "?":
            values[name] = put(values[name], rest, text)
        else:
            lost.append(f"{path}: the fusor wrote nothing, so it is the text most like the others")
    return tuple(lost)


def _answer(
    task: type[dspy.Signature], values: Mapping[str, Any], good: Sequence[Candidate], pool: Pool
) -> PooledPrediction:
    answer = {name: values[name] for name in task.output_fields if name in values}
    if REASONING in task.output_fields and REASONING not in answer:
        said = [c.prediction for c in good if c.prediction is not None]
        likeness = [sum(resemblance(one.get(name), value) for name, value in answer.items()) for one in said]
        answer = {REASONING: said[likeness.index(max(likeness))].get(REASONING), **answer}
    names = task.output_fields
    return PooledPrediction.of({name: answer[name] for name in names}, pool)


def _split(path: str) -> tuple[str, str]:
    end = min((place for place in (path.find("."), path.find("[")) if place >= 0), default=len(path))
    return path[:end], path[end:]
