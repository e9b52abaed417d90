"""Traces of a run's answers in MLflow, made of its records: one an answer, linked to the MLflow run of its strategy.

They are written through the store's own client and not through MLflow's global tracer, so whatever a user traces and
wherever, nothing of it is touched. A trace's id is made of the run and the answer, so what is told twice is there once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

_NANO, _MILLI = 1_000_000_000, 1_000
_PREVIEW = 1000  # characters


def log_traces(uri: str, experiment: str, run_id: str, traces: Sequence[Mapping[str, Any]]) -> int:
    """Writes traces that are not there yet, or not whole; returns how many.

    Args:
        uri: of the tracking store.
        experiment: the experiment's id.
        run_id: of the MLflow run that they are linked to.
        traces: each with ``key``, ``name``, ``inputs``, ``outputs``, ``score``, ``error``, ``seconds``, ``at`` (when
            the answer was there, in milliseconds since 1970), ``attributes`` and ``spans``, which are named alike.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracing.client import TracingClient

    client, written = TracingClient(uri), 0
    for trace in traces:
        identity = _digest(run_id, trace["key"], 32)
        try:
            if client.get_trace_info(f"tr-{identity}").assessments:
                continue  # the score comes last, so all of it is there
        except MlflowException:
            client.start_trace(_info(experiment, run_id, identity, trace))
        client.log_spans(experiment, _spans(identity, trace))
        client.log_assessment(f"tr-{identity}", _score(trace))
        written += 1
    return written


def _info(experiment: str, run_id: str, identity: str, trace: Mapping[str, Any]) -> Any:
    from mlflow.entities.trace_info import TraceInfo
    from mlflow.entities.trace_location import TraceLocation
    from mlflow.entities.trace_state import TraceState
    from mlflow.tracing.constant import TraceMetadataKey

    seconds = float(trace["seconds"])
    return TraceInfo(
        trace_id=f"tr-{identity}",
        trace_location=TraceLocation.from_experiment_id(experiment),
        request_time=int(trace["at"] - _MILLI * seconds),
        state=TraceState.ERROR if trace["error"] else TraceState.OK,
        request_preview=_text(trace["inputs"])[:_PREVIEW],
        response_preview=_text(trace["outputs"])[:_PREVIEW],
        execution_duration=int(_MILLI * seconds),
        trace_metadata={TraceMetadataKey.SOURCE_RUN: run_id},
        tags={"mlflow.traceName": trace["name"]},
    )


def _spans(identity: str, trace: Mapping[str, Any]) -> list[Any]:
    """The answer's span, and below it those of what it was made of.

    All have the answer's times, for theirs were not recorded.
    """
    root = _digest(identity, "root", 16)
    parts = trace["spans"]
    below = [_span(identity, _digest(identity, str(place), 16), root, trace, part) for place, part in enumerate(parts)]
    return [_span(identity, root, "", trace, trace), *below]


def _span(identity: str, place: str, parent: str, trace: Mapping[str, Any], part: Mapping[str, Any]) -> Any:
    from mlflow.entities import Span
    from mlflow.tracing.constant import SpanAttributeKey

    end = int(trace["at"] * (_NANO // _MILLI))
    error = part.get("error") or ""
    attributes = {
        SpanAttributeKey.REQUEST_ID: f"tr-{identity}",
        SpanAttributeKey.INPUTS: part.get("inputs"),
        SpanAttributeKey.OUTPUTS: part.get("outputs"),
        SpanAttributeKey.SPAN_TYPE: "LLM" if parent else "CHAIN",
        **(part.get("attributes") or {}),
    }
    return Span.from_dict(
        {
            "trace_id": f"tr-{identity}",
            "span_id": place,
            "parent_span_id": parent,
            "name": part["name"],
            "start_time_unix_nano": end - int(_NANO * float(trace["seconds"])),
            "end_time_unix_nano": end,
            "status": {"code": "ERROR" if error else "OK", "message": error},
            "attributes": {name: json.dumps(value, default=str) for name, value in attributes.items()},
            "events": [],
        }
    )


def _score(trace: Mapping[str, Any]) -> Any:
    from mlflow.entities import AssessmentSource, Feedback

    source = AssessmentSource(source_type="CODE", source_id="metric")
    return Feedback(name="score", value=float(trace["score"]), source=source, rationale=trace["error"] or None)


def _digest(one: str, other: str, digits: int) -> str:
    return hashlib.sha256(f"{one}\0{other}".encode()).hexdigest()[:digits]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
